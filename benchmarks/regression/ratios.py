# A few ratios that hardly move when the machine is busy: processor time and simulated time, never the clock.
#
# What was recorded, and how far below it counts as a loss, stands in recorded.py; who looks, in tests/benchmarks/.
"""Ratios to published programs that a change can be judged by."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.load.client import Client, fill, line
from benchmarks.programs.clients import InstalledClient
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.process import processor_seconds
from benchmarks.programs.published import published, published_server
from benchmarks.scheduling.rules import MACHINE, published_queue, trace, waits
from benchmarks.suite.measurement import CLIENT_7_0_0, PUBLISHED_CLIENTS
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.figures import figures
from spalloc_server.simulate.history import simulate

TRACE = "light"
JOBS = 1000
IMPORTS = 5
IMPORT = (
    "import time; began = time.process_time(); from CLIENT import Job, ProtocolClient; "
    "print(time.process_time() - began)"
)

VERSION = "processor time of `version`"
LIST = "processor time of `list_jobs`, 1,000 live jobs"
CREATE = "processor time of `create_job`, 1,000 live jobs"
IMPORTING = "processor time of importing `Job` and `ProtocolClient`"
MEAN_WAIT = "mean wait"
LONGEST_WAIT = "longest wait"
DECIDING = "processor time to decide"
NAMES = frozenset({VERSION, LIST, CREATE, IMPORTING, MEAN_WAIT, LONGEST_WAIT, DECIDING})

Ratios = Mapping[str, Callable[[], float]]
"""How to take each ratio: how many times better ours is, in this moment, by its name."""


@contextmanager
def servers() -> Iterator[Ratios]:
    """Both servers with 1,000 live jobs; gives the ratios of the processor time that commands cost them."""
    with ExitStack() as stack:
        machine, folder = stack.enter_context(site(20, 20))
        ours = stack.enter_context(our_server(machine, folder))
        theirs = stack.enter_context(published_server(machine, folder))
        mine, other = (stack.enter_context(Client(address)) for address in (ours, theirs))
        for client in (mine, other):
            fill(client, JOBS, 60.0)

        def costs(work: Callable[[Client], object]) -> Callable[[], float]:
            return lambda: _cost(theirs, other, work) / _cost(ours, mine, work)

        many = [line("version")] * 20_000
        new = [line("create_job", 3, owner="me", keepalive=None)] * 500
        yield {
            VERSION: costs(lambda client: client.call_many(many)),
            LIST: costs(lambda client: [client.call("list_jobs") for _ in range(40)]),
            CREATE: costs(lambda client: client.call_many(new)),
        }


def _cost(address: dict[str, Any], client: Client, work: Callable[[Client], object]) -> float:
    before = processor_seconds(address["pid"])
    work(client)
    return processor_seconds(address["pid"]) - before


def client_import(root: Path) -> Ratios:
    """Return the ratio of what importing costs; `root` is the environment that ours is installed in."""
    ours = InstalledClient(root, "spalloc_client")
    theirs = InstalledClient(published(PUBLISHED_CLIENTS[CLIENT_7_0_0]).root, "spalloc_client")

    def cost(client: InstalledClient) -> float:
        return min(float(client.run(IMPORT)) for _ in range(IMPORTS))

    return {IMPORTING: lambda: cost(theirs) / cost(ours)}


def scheduling() -> Ratios:
    """Return the ratios of waits and of processor time to decide, on a trace."""
    jobs = trace(TRACE)
    ours = figures(simulate(Machine("m", MACHINE), jobs, process_time))
    runs, seconds = published_queue(jobs, MACHINE)
    theirs = waits(runs)
    return {
        MEAN_WAIT: lambda: theirs.mean / ours.mean_wait,
        LONGEST_WAIT: lambda: theirs.longest / ours.max_wait,
        DECIDING: lambda: seconds / (ours.us_per_event * 1e-6),
    }

"""Ratios that hardly change when the machine is busy: of processor time and simulated time, never of elapsed time.

recorded.py has the recorded values, and how far below them counts as a loss. tests/benchmarks/ compares.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.load.client import Client, fill, line
from benchmarks.programs.address import Address
from benchmarks.programs.clients import InstalledClient
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.process import processor_seconds
from benchmarks.programs.published import published, published_server
from benchmarks.scheduling.rules import MACHINE, published_queue, trace, waits
from benchmarks.suite.measurement import CLIENT_7_0_0, PUBLISHED_CLIENTS
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.figures import Figures, figures
from spalloc_server.simulate.simulation import simulate

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
OF_SERVERS = frozenset({VERSION, LIST, CREATE})
OF_CLIENT = frozenset({IMPORTING})
OF_SCHEDULING = frozenset({MEAN_WAIT, LONGEST_WAIT, DECIDING})
NAMES = OF_SERVERS | OF_CLIENT | OF_SCHEDULING

ALLOWED: Mapping[str, float] = {
    **dict.fromkeys(NAMES, 0.5),
    # Simulated: the same on every machine and in every run.
    MEAN_WAIT: 0.95,
    LONGEST_WAIT: 0.95,
}
"""The share of each recorded ratio that is still let pass; less is no longer a disturbance: something got slower.

Half is far from what a busy machine does to processor time.
"""

Ratios = Mapping[str, Callable[[], float]]
"""How to take each ratio: how many times better ours is, in this moment, by its name."""

Work = Callable[[Client], list[Any]]
"""The counted work; returns the server's answers."""
Tidy = Callable[[Client, list[Any]], None]
"""The cleanup, not counted, so that the next time is like the first."""


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

        def costs(work: Work, tidy: Tidy = lambda *_: None) -> Callable[[], float]:
            return lambda: _cost(theirs, other, work, tidy) / _cost(ours, mine, work, tidy)

        many = [line("version")] * 20_000
        new = [line("create_job", 3, owner="me", keepalive=None)] * 500
        yield {
            VERSION: costs(lambda client: client.call_many(many)),
            LIST: costs(lambda client: [client.call("list_jobs") for _ in range(40)]),
            CREATE: costs(lambda client: client.call_many(new), _destroy),
        }


def _cost(address: Address, client: Client, work: Work, tidy: Tidy) -> float:
    before = processor_seconds(address.pid)
    answers = work(client)
    cost = processor_seconds(address.pid) - before
    tidy(client, answers)
    return cost


def _destroy(client: Client, jobs: list[Any]) -> None:
    client.call_many([line("destroy_job", job) for job in jobs])


def client_import(root: Path) -> Ratios:
    """Return the ratio of the costs of importing; `root` is the environment that ours is installed in."""
    ours = InstalledClient(root, "spalloc_client")
    theirs = InstalledClient(published(PUBLISHED_CLIENTS[CLIENT_7_0_0]).root, "spalloc_client")

    def cost(client: InstalledClient) -> float:
        return min(float(client.run(IMPORT)) for _ in range(IMPORTS))

    return {IMPORTING: lambda: cost(theirs) / cost(ours)}


def scheduling() -> Ratios:
    """Return the ratios of waits, which are the same each time, and of processor time to decide, on a trace."""
    jobs = trace(TRACE)

    def ours() -> Figures:
        return figures(simulate(Machine("m", MACHINE), jobs, process_time))

    @cache
    def waited() -> tuple[float, float]:
        mine, other = ours(), waits(published_queue(jobs, MACHINE)[0])
        return other.mean / mine.mean_wait, other.longest / mine.max_wait

    return {
        MEAN_WAIT: lambda: waited()[0],
        LONGEST_WAIT: lambda: waited()[1],
        DECIDING: lambda: published_queue(jobs, MACHINE)[1] / (ours().us_per_event * 1e-6),
    }

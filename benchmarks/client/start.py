"""What it costs to import a client, and to run one of its commands from start to end of its process."""

import time
from collections.abc import Generator
from contextlib import ExitStack

from benchmarks.load.client import Client, line
from benchmarks.programs.clients import clients, output
from benchmarks.programs.ours import our_server, site
from benchmarks.suite.measurement import (
    INTERPRETER,
    OURS,
    PUBLISHED_CLIENTS,
    Effort,
    Measurement,
    Scene,
    Take,
    Unit,
)

JOBS = 20
PEERS = tuple(PUBLISHED_CLIENTS)
IMPORTS = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
IMPORT = Measurement(
    name="client/import",
    work="`import spalloc_client` in a new interpreter",
    unit=Unit.SECONDS,
    peers=PEERS,
    rounds=21,
    quick_rounds=5,
    warm=True,
)
IMPORT_ALL = Measurement(
    name="client/import-all",
    work="import of `Job`, `ProtocolClient` and `JobState` in a new interpreter",
    unit=Unit.SECONDS,
    peers=PEERS,
    rounds=21,
    quick_rounds=5,
    warm=True,
)
HELP = Measurement(
    name="client/command-help",
    work="`spalloc-ps --help`, process start to end",
    unit=Unit.SECONDS,
    peers=PEERS,
    limits=(INTERPRETER,),
    rounds=21,
    quick_rounds=5,
    warm=True,
    reason="The interpreter's own start, the same for all, is in every figure.",
)
PS = Measurement(
    name="client/command-ps",
    work=f"`spalloc-ps` with {JOBS} jobs, process start to end",
    unit=Unit.SECONDS,
    peers=PEERS,
    limits=(INTERPRETER,),
    rounds=31,
    quick_rounds=5,
    warm=True,
    reason="The interpreter's own start, the same for all, is in every figure.",
)
MACHINE = Measurement(
    name="client/command-machine",
    work="`spalloc-machine NAME`, 1,200 boards, process start to end",
    unit=Unit.SECONDS,
    peers=PEERS,
    limits=(INTERPRETER,),
    rounds=15,
    quick_rounds=3,
    warm=True,
    reason="Drawing 1,200 boards is most of it, in all clients.",
)


def start(_: Effort) -> Generator[Scene, None, None]:
    """Measure imports, then commands against our server."""
    everyone = clients()
    for measurement, what in (
        (IMPORT, IMPORTS.format("import CLIENT")),
        (IMPORT_ALL, IMPORTS.format("from CLIENT import Job, ProtocolClient, JobState")),
    ):
        yield (
            measurement,
            {
                subject: Take(lambda client=client, what=what: float(client.run(what)))
                for subject, client in everyone.items()
            },
        )
    with ExitStack() as stack:
        machine, folder = stack.enter_context(site(20, 20))
        address = stack.enter_context(our_server(machine, folder))
        with Client(address) as client:
            client.call_many([line("create_job", 3, owner="benchmark", keepalive=None)] * JOBS)
        place = ["--hostname", address.host, "--port", str(address.port)]
        bare = Take(lambda: _seconds([str(everyone[OURS].python), "-c", "pass"]))
        for measurement, name, arguments in (
            (HELP, "spalloc-ps", ["--help"]),
            (PS, "spalloc-ps", place),
            (MACHINE, "spalloc-machine", ["virtual", *place]),
        ):
            paths = {subject: str(client.command(name)) for subject, client in everyone.items()}
            yield (
                measurement,
                {
                    subject: Take(lambda path=path, arguments=arguments: _seconds([path, *arguments]))
                    for subject, path in paths.items()
                }
                | {INTERPRETER: bare},
            )


def _seconds(words: list[str]) -> float:
    began = time.perf_counter()
    output(words)
    return time.perf_counter() - began

"""How soon after its start a server answers, with 10,000 jobs in its records."""

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load.client import Client, fill, line
from benchmarks.programs.ours import OurServer, site
from benchmarks.programs.process import ServerProcess
from benchmarks.programs.published import PublishedServer
from benchmarks.suite.measurement import (
    OURS,
    SERVER_7_0_0,
    CannotDoError,
    Effort,
    Measurement,
    Scene,
    Subject,
    Take,
    Unit,
)

JOBS = 10_000
FILL_SECONDS = 60.0

START = Measurement(
    name="server/start",
    work="from the start of a server to its first answer, no jobs in its records",
    unit=Unit.SECONDS,
    peers=(SERVER_7_0_0,),
    rounds=7,
    quick_rounds=3,
    reason="Python's own start and the imports are most of both.",
)
START_WITH_JOBS = Measurement(
    name="server/start-with-jobs",
    work=f"from the start of a server to its first answer, {JOBS:,} live jobs in its records",
    unit=Unit.SECONDS,
    peers=(SERVER_7_0_0,),
    rounds=7,
    quick_rounds=3,
    reason=(
        "Ours is killed before each start. The published server must be stopped cleanly, which is the only time it "
        "writes its records; killed, it starts with nothing."
    ),
)


def restart(effort: Effort) -> Generator[Scene, None, None]:
    """Measure starts without and with jobs."""
    for measurement, jobs in ((START, 0), (START_WITH_JOBS, JOBS)):
        with ExitStack() as stack:
            machine, folder = stack.enter_context(site(20, 20))
            ours, published = OurServer(machine, folder), PublishedServer(machine, _folder(folder))
            servers: dict[Subject, ServerProcess] = {OURS: ours, SERVER_7_0_0: published}
            notes = {}
            for subject, server in servers.items():
                server.start()
                stack.callback(server.kill)
                with Client(server.address) as client:
                    made = fill(client, jobs, effort.of(FILL_SECONDS, 4.0)) if jobs else 0
                    client.call("version")
                notes[subject] = "" if made == jobs else f"with {made:,} jobs"
            yield (
                measurement,
                {
                    OURS: Take(lambda ours=ours, jobs=jobs: _seconds_to_start(ours, ours.kill, jobs)),
                    SERVER_7_0_0: Take(
                        lambda server=published, jobs=jobs: _seconds_to_start(server, server.stop, jobs),
                        notes[SERVER_7_0_0],
                    ),
                },
            )


def _folder(folder: Path) -> Path:
    made = folder / "published"
    made.mkdir()
    return made


def _seconds_to_start(server: ServerProcess, end: Callable[[], None], jobs: int) -> float:
    end()
    began = time.perf_counter()
    server.start()
    with Client(server.address) as client:
        client.send(line("version"))
        client.read()
        taken = time.perf_counter() - began
        if jobs and not client.call("list_jobs"):
            raise CannotDoError("the server has lost its jobs")
    return taken

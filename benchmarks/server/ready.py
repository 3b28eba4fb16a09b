"""The time from `create_job` until the boards are on: 50 frames whose BMPs answer at once, no settle time."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load.client import seconds_to_ready
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.published import PublishedServer
from benchmarks.suite.measurement import OURS, SERVER_7_0_0, Effort, Measurement, Scene, Take, Unit

SLEEPS = (
    "The published server sleeps 5 s after it has powered boards, and powers one job of a frame at a time."
)


def _jobs_ready(jobs: int, rounds: int, quick_rounds: int, peer_rounds: int, quick_peers: int) -> Measurement:
    what = "one three-board job" if jobs == 1 else f"{jobs} three-board jobs"
    return Measurement(
        name=f"server/ready-{jobs}",
        work=f"{what} ready after `create_job`, 50 BMPs that answer at once",
        unit=Unit.SECONDS,
        peers=(SERVER_7_0_0,),
        rounds=rounds,
        quick_rounds=quick_rounds,
        peer_rounds=peer_rounds,
        quick_peer_rounds=quick_peers,
        reason=SLEEPS,
    )


ONE = _jobs_ready(1, 15, 5, 3, 1)
FIFTY = _jobs_ready(50, 7, 3, 1, 0)
MANY = _jobs_ready(400, 5, 3, 1, 0)


def ready(_: Effort) -> Generator[Scene, None, None]:
    """Measure one job, a few, and as many three-board jobs as the machine has triads."""
    with ExitStack() as stack:
        machine, folder = stack.enter_context(site(20, 20))
        ours = stack.enter_context(our_server(machine, folder))
        seconds_to_ready(ours, 1)
        for measurement, jobs in ((ONE, 1), (FIFTY, 50), (MANY, 400)):
            yield (
                measurement,
                {
                    OURS: Take(lambda jobs=jobs: seconds_to_ready(ours, jobs)),
                    SERVER_7_0_0: Take(_of_a_new_server(machine, folder, jobs)),
                },
            )


def _of_a_new_server(machine: dict[str, Any], folder: Path, jobs: int) -> Callable[[], float]:
    """A server that still powers off the boards of earlier jobs would make new jobs wait for that."""

    def sample() -> float:
        server = PublishedServer(machine, folder)
        server.start()
        try:
            return seconds_to_ready(server.address, jobs)
        finally:
            server.kill()

    return sample

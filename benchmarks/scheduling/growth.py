"""How the time to decide grows with the machine, from one triad to 100 x 100 triads."""

from collections.abc import Generator, Sequence
from time import process_time

from benchmarks.scheduling.rules import made_trace, published_queue
from benchmarks.suite.measurement import OURS, SERVER_7_0_0, Effort, Measurement, Scene, Take, Unit
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.figures import figures
from spalloc_server.simulate.simulation import simulate
from spalloc_server.simulate.trace import TraceJob
from spinnaker.geometry import Size

SIDES = (1, 2, 5, 10, 20, 50, 100)
LOAD = 0.9
JOBS_A_TRIAD = 5
FEWEST, MOST = 500, 8000
LARGEST_SHARE = 0.43
"""The largest job's share of the machine, as in the traces for 20 x 20 triads."""


def growth_name(side: int) -> str:
    """Return the name of the measurement on a square machine."""
    return f"scheduling/deciding-{side}x{side}"


def _measurement(side: int) -> Measurement:
    return Measurement(
        name=growth_name(side),
        work=f"processor time to decide, an event, {side}x{side} triads, jobs up to 43 % of them",
        unit=Unit.SECONDS,
        peers=(SERVER_7_0_0,),
        rounds=3 if side < 50 else 1,
        quick_rounds=int(side <= 20),
        reason=(
            "The published queue looks at its oldest job alone; ours asks of every job that waits whether it may start."
            if side <= 5
            else ""
        ),
    )


def growth(effort: Effort) -> Generator[Scene, None, None]:
    """Measure square machines with as many jobs as fill them several times over."""
    for side in SIDES:
        if not effort.wants(_measurement(side)):
            continue
        size = Size(side, side)
        jobs = made_trace(
            1,
            LOAD,
            jobs=max(FEWEST, min(MOST, JOBS_A_TRIAD * side * side)),
            size=size,
            largest=max(1, int(LARGEST_SHARE * size.boards)),
        )
        yield (
            _measurement(side),
            {
                OURS: Take(lambda jobs=jobs, size=size: _seconds_an_event(jobs, size)),
                SERVER_7_0_0: Take(lambda jobs=jobs, size=size: published_queue(jobs, size)[1]),
            },
        )


def _seconds_an_event(jobs: Sequence[TraceJob], size: Size) -> float:
    return figures(simulate(Machine("m", size), jobs, process_time)).us_per_event * 1e-6

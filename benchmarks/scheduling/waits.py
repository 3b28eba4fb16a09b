"""How long jobs wait, how much of the machine is used, and how long decisions take, on three traces of 3,000 jobs.

Time is simulated: all figures but the time to decide are the same in every run.
"""

from collections.abc import Callable, Generator
from functools import cached_property
from math import inf
from time import process_time

from benchmarks.scheduling.rules import (
    MACHINE,
    TRACES,
    Runs,
    published_queue,
    trace,
    use,
    waits,
    without_geometry,
)
from benchmarks.suite.measurement import (
    FIFO,
    OURS,
    SERVER_7_0_0,
    SKIP,
    Effort,
    Measurement,
    Scene,
    Subject,
    Take,
    Unit,
)
from benchmarks.suite.statistics import Better
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.figures import Figures, figures
from spalloc_server.simulate.simulation import simulate


def _measurements(name: str) -> tuple[Measurement, Measurement, Measurement, Measurement]:
    where = f"trace `{name}`, {MACHINE} triads"
    quick = int(name == "light")
    once = {"peers": (SERVER_7_0_0,), "rounds": 1, "quick_rounds": quick}
    return (
        Measurement(
            name=f"scheduling/{name}-mean",
            work=f"mean wait, {where}",
            unit=Unit.SECONDS,
            limits=(SKIP, FIFO),
            **once,
        ),
        Measurement(
            name=f"scheduling/{name}-longest",
            work=f"longest wait, {where}",
            unit=Unit.SECONDS,
            limits=(SKIP, FIFO),
            **once,
        ),
        Measurement(
            name=f"scheduling/{name}-use",
            work=f"use of boards, {where}",
            unit=Unit.SHARE,
            better=Better.HIGHER,
            limits=(SKIP, FIFO),
            **once,
        ),
        Measurement(
            name=f"scheduling/{name}-deciding",
            work=f"processor time to decide, an event, {where}",
            unit=Unit.SECONDS,
            peers=(SERVER_7_0_0,),
            rounds=3,
            quick_rounds=quick,
        ),
    )


class Histories:
    """The figures of a trace under each rule, computed when they are first needed."""

    def __init__(self, name: str) -> None:
        self._jobs = trace(name)

    @cached_property
    def ours(self) -> Figures:
        """By our scheduler."""
        return figures(simulate(Machine("m", MACHINE), self._jobs, process_time))

    @cached_property
    def theirs(self) -> Runs:
        """By the published server's queue."""
        return published_queue(self._jobs, MACHINE)[0]

    @cached_property
    def skip(self) -> Runs:
        """Without geometry, where any job may overtake."""
        return without_geometry(self._jobs, MACHINE.boards, patience=inf)

    @cached_property
    def fifo(self) -> Runs:
        """Without geometry, where none may overtake."""
        return without_geometry(self._jobs, MACHINE.boards, patience=0.0)

    def takes(self, ours: Callable[[Figures], float], others: Callable[[Runs], float]) -> dict[Subject, Take]:
        """Return how to take a figure of each rule."""
        return {
            OURS: Take(lambda: ours(self.ours)),
            SERVER_7_0_0: Take(lambda: others(self.theirs)),
            SKIP: Take(lambda: others(self.skip)),
            FIFO: Take(lambda: others(self.fifo)),
        }

    def seconds_to_decide(self) -> float:
        """Run the trace again; return our processor time for each event."""
        return figures(simulate(Machine("m", MACHINE), self._jobs, process_time)).us_per_event * 1e-6

    def their_seconds_to_decide(self) -> float:
        """Run the trace again; return the seconds for each event of the published server's queue."""
        return published_queue(self._jobs, MACHINE)[1]


def trace_waits(effort: Effort) -> Generator[Scene, None, None]:
    """Measure each trace."""
    for name in TRACES:
        mean, longest, use_of_boards, deciding = _measurements(name)
        if not effort.wants(mean):
            continue
        of = Histories(name)
        yield mean, of.takes(lambda each: each.mean_wait, lambda runs: waits(runs).mean)
        yield longest, of.takes(lambda each: each.max_wait, lambda runs: waits(runs).longest)
        yield use_of_boards, of.takes(lambda each: each.requested_use, lambda runs: use(runs, MACHINE.boards))
        yield (
            deciding,
            {OURS: Take(of.seconds_to_decide), SERVER_7_0_0: Take(of.their_seconds_to_decide)},
        )

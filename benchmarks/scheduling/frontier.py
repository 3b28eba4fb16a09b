"""What the scheduler's patience buys: short waits on average, or a short longest wait.

`python -m benchmarks.scheduling.frontier` measures scheduling with several values of patience.
"""

from collections.abc import Sequence
from functools import partial
from math import inf
from statistics import geometric_mean

from benchmarks.scheduling.rules import MACHINE, TRACES, made_trace, shaken, trace, waits, without_geometry
from spalloc_server.core.machine import Machine
from spalloc_server.core.scheduler import PATIENCE, Scheduler
from spalloc_server.simulate.figures import figures
from spalloc_server.simulate.simulation import simulate
from spalloc_server.simulate.trace import TraceJob

NEVER = 1e9
PATIENCES = (0.0, 900.0, 1800.0, 2700.0, 3600.0, 5400.0, 7200.0, NEVER)
SHAKES = 10


def _others() -> list[list[TraceJob]]:
    """Traces that were not used to choose the rule: three loads, with durations that vary more or less."""
    settings = [(1, 0.7, 1.2), (2, 0.9, 1.2), (3, 1.2, 1.2), (4, 0.9, 0.8), (5, 0.9, 1.6)]
    return [
        made_trace(seed, load, jobs=3000, size=MACHINE, largest=520, spread=spread)
        for seed, load, spread in settings
    ]


def waits_and_bounds(
    traces: Sequence[Sequence[TraceJob]], patience: float
) -> tuple[float, float, float, float]:
    """Return our mean wait, `skip`'s, our longest wait and `fifo`'s, in seconds, as geometric means over traces."""
    means, longest, skips, fifos = [], [], [], []
    rule = partial(Scheduler, patience=patience)
    for jobs in traces:
        ours = figures(simulate(Machine("m", MACHINE), jobs, lambda: 0.0, scheduler=rule))
        means.append(ours.mean_wait)
        longest.append(ours.max_wait)
        skips.append(waits(without_geometry(jobs, MACHINE.boards, patience=inf)).mean)
        fifos.append(waits(without_geometry(jobs, MACHINE.boards, patience=0.0)).longest)
    return geometric_mean(means), geometric_mean(skips), geometric_mean(longest), geometric_mean(fifos)


def _row(traces: Sequence[Sequence[TraceJob]], patience: float, what: str) -> str:
    return _line(what, patience, waits_and_bounds(traces, patience))


def _without_geometry(jobs: Sequence[TraceJob], patience: float, what: str) -> str:
    ours, skip, fifo = (
        waits(without_geometry(jobs, MACHINE.boards, patience=each)) for each in (patience, inf, 0.0)
    )
    return _line(f"{what}, no geometry", patience, (ours.mean, skip.mean, ours.longest, fifo.longest))


def _line(what: str, patience: float, cells: Sequence[float]) -> str:
    named = "without end" if patience == NEVER else f"{patience:.0f} s"
    return f"| {what} | {named} | " + " | ".join(f"{cell:,.0f} s" for cell in cells) + " |"


def main() -> None:
    """Measure and print geometric means over several traces."""
    given = [trace(name) for name in TRACES]
    print("| traces | patience | mean wait | `skip`, no geometry | longest wait | `fifo`, no geometry |")
    print("| --- | --- | --- | --- | --- | --- |")
    for patience in PATIENCES:
        print(_row(given, patience, "the three"), flush=True)
    for patience in (0.0, PATIENCE, NEVER):
        print(_row(_others(), patience, "five others"), flush=True)
    for name, jobs in zip(TRACES, given, strict=True):
        # What small changes of anything do to a trace tells what of a result is luck.
        changed = [shaken(jobs, seed) for seed in range(SHAKES)]
        for patience in (2700.0, PATIENCE, 5400.0):
            print(_row(changed, patience, f"{name}, {SHAKES} times shaken"), flush=True)
        print(_without_geometry(jobs, PATIENCE, name), flush=True)


if __name__ == "__main__":
    main()

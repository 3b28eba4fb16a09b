# What the scheduler's patience buys: short waits on average, or short longest waits.
"""Measure scheduling with several patiences: `python -m benchmarks.scheduling_frontier`."""

from collections.abc import Sequence
from math import inf
from statistics import geometric_mean

from benchmarks._scheduling import MACHINE, TRACES, made_trace, shaken, trace, waits, without_geometry
from benchmarks._server import Row, quick, report
from spalloc_server.core.machine import Machine
from spalloc_server.core.scheduler import PATIENCE
from spalloc_server.simulate.figures import figures
from spalloc_server.simulate.history import simulate
from spalloc_server.simulate.trace import TraceJob

NEVER = 1e9
PATIENCES = (0.0, 900.0, 1800.0, 2700.0, 3600.0, 5400.0, 7200.0, NEVER)
SHAKES = 10


def _others() -> list[list[TraceJob]]:
    """Traces that no one chose the rule by: three loads, and durations that are more alike, or less."""
    settings = [(1, 0.7, 1.2), (2, 0.9, 1.2), (3, 1.2, 1.2), (4, 0.9, 0.8), (5, 0.9, 1.6)]
    return [
        made_trace(seed, load, jobs=3000, size=MACHINE, largest=520, spread=spread)
        for seed, load, spread in settings
    ]


def ratios(traces: Sequence[Sequence[TraceJob]], patience: float) -> tuple[float, float]:
    """Return the mean wait in times `skip`'s and the longest in times `fifo`'s, as geometric means over traces."""
    mean, longest, skip, fifo = _waits(traces, patience)
    return mean / skip, longest / fifo


def _waits(traces: Sequence[Sequence[TraceJob]], patience: float) -> tuple[float, float, float, float]:
    means, longest, skips, fifos = [], [], [], []
    for jobs in traces:
        ours = figures(simulate(Machine("m", MACHINE), jobs, lambda: 0.0, patience=patience))
        means.append(ours.mean_wait)
        longest.append(ours.max_wait)
        skips.append(waits(without_geometry(jobs, MACHINE.boards, patience=inf)).mean)
        fifos.append(waits(without_geometry(jobs, MACHINE.boards, patience=0.0)).longest)
    return geometric_mean(means), geometric_mean(longest), geometric_mean(skips), geometric_mean(fifos)


def _rows(traces: Sequence[Sequence[TraceJob]], patience: float, what: str) -> list[Row]:
    mean, longest, skip, fifo = _waits(traces, patience)
    named = f"{what}, patience {'without end' if patience == NEVER else f'{patience:.0f} s'}"
    return [
        Row(f"{named}: mean wait", "s", mean, skip, "`skip`, no geometry"),
        Row(f"{named}: longest wait", "s", longest, fifo, "`fifo`, no geometry"),
    ]


def _bounds(jobs: Sequence[TraceJob], patience: float, name: str) -> list[Row]:
    """Compare what the patience alone does, without geometry, with the same bounds."""
    ours, skip, fifo = (
        waits(without_geometry(jobs, MACHINE.boards, patience=each)) for each in (patience, inf, 0.0)
    )
    named = f"{name} without geometry, patience {patience:.0f} s"
    return [
        Row(f"{named}: mean wait", "s", ours.mean, skip.mean, "`skip`, no geometry"),
        Row(f"{named}: longest wait", "s", ours.longest, fifo.longest, "`fifo`, no geometry"),
    ]


def main() -> None:
    """Measure and print geometric means over several traces."""
    given = [trace(name) for name in TRACES]
    rows = []
    for patience in (0.0, PATIENCE, NEVER) if quick() else PATIENCES:
        rows += _rows(given, patience, "the three traces")
    if not quick():
        for patience in (0.0, PATIENCE, NEVER):
            rows += _rows(_others(), patience, "five others")
        for name, jobs in zip(TRACES, given, strict=True):
            for patience in (2700.0, PATIENCE, 5400.0):
                traces = [shaken(jobs, seed) for seed in range(SHAKES)]
                rows += _rows(traces, patience, f"{name} shaken {SHAKES} times")
            rows += _bounds(jobs, PATIENCE, name)
    report("Scheduling, by patience", rows)


if __name__ == "__main__":
    main()

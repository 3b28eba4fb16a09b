"""How long jobs wait on logs, with time limits and without, and when something is wrong.

`python -m benchmarks.scheduling.floors [--failures] TRACE.csv ...` prints a table for the guide on scheduling. Logs of
real machines are not part of the repository.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from time import process_time

from benchmarks.scheduling.failures import FAILURES, Restarted
from benchmarks.scheduling.rules import MACHINE
from spalloc_server.core.machine import Machine
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.simulate.figures import figures
from spalloc_server.simulate.simulation import simulate
from spalloc_server.simulate.trace import TraceJob, read_trace
from spalloc_server.simulate.variation import Limits, varied

RUNS = 3
"""How often each trace is run, with every length changed by up to 1 %: one longest wait alone says little."""

Waits = tuple[float, float]
"""A mean and a longest wait in seconds."""

FLOORS: Mapping[str, tuple[Waits, Waits]] = {
    "hpc2n-0.8": ((45_000, 370_000), (46_000, 310_000)),
    "nasa-0.8": ((10_500, 125_000), (8_000, 85_000)),
    "nasa-0.5": ((130, 14_500), (127, 6_200)),
    "flood": ((2_500, 90_000), (1_200, 70_000)),
    "light": ((36, 5_500), (34, 3_500)),
    "busy": ((110, 6_700), (95, 4_800)),
    "overloaded": ((240, 10_800), (175, 9_500)),
}
"""For each trace by its name, the most that is allowed without limits, and with them."""


def waits_of(
    jobs: Sequence[TraceJob],
    limits: Limits,
    scheduler: Callable[[Sequence[Machine]], Scheduler] = Scheduler,
) -> Waits:
    """Return the waits on a trace, each the mean of several runs."""
    found = [
        figures(
            simulate(Machine("m", MACHINE), varied(jobs, limits, seed), process_time, scheduler=scheduler)
        )
        for seed in range(RUNS)
    ]
    return fmean(each.mean_wait for each in found), fmean(each.max_wait for each in found)


def _told(waits: Waits) -> str:
    return " / ".join(f"{wait:,.0f}" for wait in waits)


def _row(name: str, jobs: Sequence[TraceJob]) -> tuple[str, bool]:
    """Return the row of a trace, and whether it is as good as it must be."""
    cells, good = [name], True
    for at, limits in enumerate((Limits.NONE, Limits.MADE)):
        waits = waits_of(jobs, limits)
        cells.append(_told(waits))
        if name in FLOORS:
            most = FLOORS[name][at]
            cells.append(_told(most))
            good &= all(wait <= allowed for wait, allowed in zip(waits, most, strict=True))
        else:
            cells.append("")
    return f"| {' | '.join(cells)} |", good


def _print_failures(name: str, jobs: Sequence[TraceJob]) -> None:
    for what, changed in FAILURES.items():
        print(f"| {name} | {what} | {_told(waits_of(changed(jobs), Limits.DECLARED))} |", flush=True)
    restarted = waits_of(varied(jobs, Limits.MADE), Limits.DECLARED, Restarted)
    print(f"| {name} | the server restarts every 500 events | {_told(restarted)} |", flush=True)


def main(words: Sequence[str]) -> int:
    """Print a table; return 1 if a trace is not as good as it must be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduling.floors")
    parser.add_argument("trace", type=Path, nargs="+", metavar="TRACE.csv")
    parser.add_argument("--failures", action="store_true", help="print what happens when something is wrong")
    arguments = parser.parse_args(words)
    print("Mean / longest wait, s.\n")
    if arguments.failures:
        print("| trace | what is wrong | waits |\n| --- | --- | --- |")
        for path in arguments.trace:
            _print_failures(path.stem, read_trace(path))
        return 0
    print("| trace | without limits | at most | with limits | at most |\n| --- | --- | --- | --- | --- |")
    all_good = True
    for path in arguments.trace:
        row, good = _row(path.stem, read_trace(path))
        print(row, flush=True)
        all_good &= good
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

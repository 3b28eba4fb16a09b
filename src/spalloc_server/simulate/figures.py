"""Figures of a simulated history.

Arithmetic only; how figures are printed is command.py's.
"""

from dataclasses import dataclass
from math import ceil
from statistics import fmean, median

from spalloc_server.simulate.history import History


@dataclass(frozen=True, slots=True)
class Figures:
    """What a history comes to."""

    started: int
    """Jobs that started."""
    refused: int
    """Jobs that could never run."""
    mean_wait: float
    """Seconds; waits are from submission to start, 0 for a job that starts at once."""
    median_wait: float
    p95_wait: float
    """Seconds that 95 % of the jobs waited at the most."""
    max_wait: float
    requested_use: float
    """Boards asked for times the time they were held, over all boards times the time from first arrival to last end."""
    us_per_event: float
    """Microseconds of the computer's time that deciding took, for each submission and each end of a job."""


def figures(history: History) -> Figures:
    """Return the figures of a history."""
    waits = sorted(run.wait for run in history.runs)
    work = sum(run.job.boards * run.job.duration for run in history.runs)
    span = history.last_end - history.first_arrival
    boards = history.machine.size.boards
    return Figures(
        started=len(waits),
        refused=len(history.refused),
        mean_wait=fmean(waits) if waits else 0.0,
        median_wait=median(waits) if waits else 0.0,
        p95_wait=waits[ceil(0.95 * len(waits)) - 1] if waits else 0.0,
        max_wait=waits[-1] if waits else 0.0,
        requested_use=work / (boards * span) if span else 0.0,
        us_per_event=history.deciding / history.events * 1e6,
    )

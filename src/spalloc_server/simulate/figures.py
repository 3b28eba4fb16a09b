"""The figures of a history, and of several histories of the same trace.

The history comes from simulation.py; report.py has the words.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean, median

from spalloc_server.simulate.simulation import History

SHORTEST = 10.0
"""Seconds that a job is taken to last at least when its slowdown is computed."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a history."""

    started: int
    """Jobs that started."""
    refused: int
    """Jobs that can never run."""
    mean_wait: float
    """Seconds; waits are from submission to start, 0 for a job that starts at once."""
    median_wait: float
    p95_wait: float
    """Seconds; 95 % of the jobs waited no longer."""
    max_wait: float
    mean_slowdown: float
    """The mean of the jobs' bounded slowdowns: (wait + length) / length, of at least `SHORTEST`, but 1 or more."""
    worst_owner: str
    """The owner whose jobs' bounded slowdowns have the highest mean; empty if no owners are known."""
    worst_owner_slowdown: float
    """That mean."""
    at_limit: int
    """Jobs that ended because of their limit."""
    requested_use: float
    """Boards asked for times the time they were held, over all boards times the time from first arrival to last end."""
    us_per_event: float
    """Microseconds of the computer's time that deciding took, per submission or end of a job."""


def slowdown(wait: float, length: float) -> float:
    """Return a job's bounded slowdown, 1 or more.

    Args:
        wait: How long it waited, in seconds.
        length: How long it had its boards, in seconds.
    """
    return max(1.0, (wait + length) / max(length, SHORTEST))


def figures(history: History) -> Figures:
    """Return the figures of a history."""
    waits = sorted(run.wait for run in history.runs)
    work = sum(run.job.boards * run.job.length for run in history.runs)
    span = history.last_end - history.first_arrival
    slowdowns: dict[str, list[float]] = defaultdict(list)
    for run in history.runs:
        slowdowns[run.job.owner].append(slowdown(run.wait, run.job.length))
    means = {owner: fmean(of_owner) for owner, of_owner in slowdowns.items()}
    worst = max(means, key=means.__getitem__, default="")
    return Figures(
        started=len(waits),
        refused=len(history.refused),
        mean_wait=fmean(waits) if waits else 0.0,
        median_wait=median(waits) if waits else 0.0,
        p95_wait=waits[ceil(0.95 * len(waits)) - 1] if waits else 0.0,
        max_wait=waits[-1] if waits else 0.0,
        mean_slowdown=fmean(each for of_owner in slowdowns.values() for each in of_owner) if waits else 0.0,
        worst_owner=worst,
        worst_owner_slowdown=means.get(worst, 0.0),
        at_limit=sum(run.job.length < run.job.duration for run in history.runs),
        requested_use=work / (history.boards * span) if span else 0.0,
        us_per_event=history.deciding / history.events * 1e6,
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over several runs."""

    mean: float
    least: float
    most: float


def spread(found: Sequence[Figures], of: Callable[[Figures], float]) -> Spread:
    """Return a figure over several runs, one or more."""
    values = [of(each) for each in found]
    return Spread(fmean(values), min(values), max(values))


def worst_owner(found: Sequence[Figures]) -> str:
    """Return the owner who is worst off in most of several runs, one or more."""
    return Counter(each.worst_owner for each in found).most_common(1)[0][0]

"""What is changed of a trace's jobs before they are run: their limits, and by a little their lengths.

A single longest wait changes by a third with every small change of the jobs, so only several runs say how long it is.
"""

from bisect import bisect_left
from collections.abc import Sequence
from enum import Enum
from random import Random

from spalloc_server.simulate.trace import TraceJob

LENGTHS_CHANGE = 0.01
"""By which part of itself a length changes at most."""
_MOST_TIMES = 5.0
"""How many times its length a made limit is at most, before it is rounded up."""
_SEED = 12345
_MINUTES = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720)
_DAYS = (1, 2, 3, 5, 7, 10, 14, 30, 70)
_ROUND = (*(60.0 * minutes for minutes in _MINUTES), *(86_400.0 * days for days in _DAYS))
"""The limits, in seconds, that people like to type."""


class Limits(Enum):
    """Which time limits the jobs of a trace have."""

    DECLARED = "declared"
    """Those of the trace; a job that reaches its limit ends."""
    NONE = "none"
    """None."""
    MADE = "made"
    """Those of the trace, and for jobs without one, 1 to 5 times the length; each at least the length."""


def varied(jobs: Sequence[TraceJob], limits: Limits, seed: int | None = None) -> list[TraceJob]:
    """Return jobs with these limits.

    Made limits are the same in every run: the length times a number from 1 to 5, rounded up to a number that people
    like.

    Args:
        jobs: the jobs of a trace.
        limits: which limits they have.
        seed: if there is one, all lengths are changed by up to 1 %, by random numbers from this seed.
    """
    made = Random(_SEED)
    change = None if seed is None else Random(seed)
    found = []
    for job in jobs:
        limit = job.limit
        duration = job.duration
        if limits is Limits.MADE:
            wanted = duration * made.uniform(1.0, _MOST_TIMES)
            limit = limit or _rounded_up(wanted)
        elif limits is Limits.NONE:
            limit = None
        if change is not None:
            duration *= 1.0 + change.uniform(-LENGTHS_CHANGE, LENGTHS_CHANGE)
        if limits is Limits.MADE and limit is not None:
            limit = max(limit, job.duration, duration)
        found.append(job._replace(duration=duration, limit=limit))
    return found


def _rounded_up(seconds: float) -> float:
    at = bisect_left(_ROUND, seconds)
    return _ROUND[at] if at < len(_ROUND) else seconds

"""Statistics of samples: medians, their spread, and ratios of two subjects that were measured in turn.

Arithmetic on values only; other files take the samples and choose what to show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median, quantiles


class Better(Enum):
    """Which of two values is the better one."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the quartiles around it: half of the samples lie between `low` and `high`."""

    median: float
    low: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """Return the median and quartiles of samples; of a single one, three times itself.

    Raises:
        ValueError: There are no samples.
    """
    if not samples:
        raise ValueError("there are no samples; a median takes one or more")
    if len(samples) == 1:
        return Spread(samples[0], samples[0], samples[0])
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return Spread(middle, low, high)


def times_better(ours: Sequence[float], theirs: Sequence[float], better: Better) -> Spread:
    """Return how many times better ours are than theirs: above 1 ours are, below 1 theirs are.

    Both were taken in turn, so that what disturbs the machine for a while disturbs both: the first of ours is compared
    with the first of theirs, and so on. What one of them has more is compared with the median of the other.

    Args:
        ours: our samples, each above 0.
        theirs: theirs, each above 0.
        better: which direction is the better one.

    Raises:
        ValueError: One has no samples, or there is one that is not above 0.
    """
    if not ours or not theirs:
        raise ValueError("a ratio takes one sample or more of each side")
    if min(*ours, *theirs, 1.0) <= 0:
        raise ValueError(f"samples must be above 0 for a ratio; the lowest is {min(*ours, *theirs)}")
    pairs = max(len(ours), len(theirs))
    mine, other = _filled(ours, pairs), _filled(theirs, pairs)
    if better is Better.HIGHER:
        mine, other = other, mine
    return spread([reference / value for value, reference in zip(mine, other, strict=True)])


def _filled(samples: Sequence[float], length: int) -> list[float]:
    return [*samples, *[median(samples)] * (length - len(samples))]

"""What a running server counts of itself, as plain numbers: cheap enough for the busiest code.

No formats: operation/metrics.py writes these numbers for Prometheus.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

BOUNDS_SECONDS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
)
"""The upper bound of each bucket; one more bucket counts all longer durations."""


class Durations:
    """How many durations fell into each bucket, and their sum."""

    __slots__ = ("counts", "total_seconds")

    def __init__(self) -> None:
        """Begin with none."""
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.total_seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.total_seconds += seconds


@dataclass(slots=True)
class Measures:
    """What the engine counts."""

    decisions: Durations = field(default_factory=Durations)
    """How long the core took at once: for a batch of events, for timers, or for changed machines."""
    commits: Durations = field(default_factory=Durations)
    """How long each write of records took."""
    delays: Durations = field(default_factory=Durations)
    """How long each delay of the server was."""
    failed_commits: int = 0
    """Writes that failed and were tried again."""

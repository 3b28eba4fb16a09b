"""What is to happen later: actions in the order of their times.

No clock: whoever holds the agenda tells it the time.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Action = Callable[[float], None]
"""Takes the time, in seconds, at which it was due."""


class Agenda:
    """Actions waiting for their times; those of equal times run in the order in which they were added."""

    def __init__(self) -> None:
        self.now = 0.0
        """The latest time that has been told."""
        self._waiting: list[tuple[float, int, Action]] = []
        self._order = count()

    def at(self, time: float, action: Action) -> None:
        """Have `action` run when `run` is told a time of `time` seconds or later."""
        heappush(self._waiting, (time, next(self._order), action))

    @property
    def next(self) -> float | None:
        """The time of the earliest action, or None."""
        return self._waiting[0][0] if self._waiting else None

    def run(self, now: float) -> None:
        """Run all actions that are due at `now`, including those that they add."""
        while self._waiting and self._waiting[0][0] <= now:
            time, _, action = heappop(self._waiting)
            self.now = max(time, self.now)
            action(time)
        self.now = max(now, self.now)

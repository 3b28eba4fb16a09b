"""Actions at future times, and datagrams that faults delay, duplicate or drop.

Nothing here has a clock: callers pass the time.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from spinnaker_virtual.faults import FaultSource

Action = Callable[[float], None]
"""Takes the time, in seconds, at which it was due."""


class Agenda:
    """Actions waiting for their times; those of equal times run in the order in which they were added."""

    def __init__(self) -> None:
        self.now = 0.0
        """The latest time that the agenda was given."""
        self._waiting: list[tuple[float, int, Action]] = []
        self._order = count()

    def at(self, time: float, action: Action) -> None:
        """Schedule `action` for the first `run` with a time of `time` seconds or later."""
        heappush(self._waiting, (time, next(self._order), action))

    @property
    def next(self) -> float | None:
        """The time of the earliest action, or None."""
        return self._waiting[0][0] if self._waiting else None

    def run(self, now: float) -> None:
        """Run all actions that are due at `now`, including those that are added meanwhile."""
        while self._waiting and self._waiting[0][0] <= now:
            time, _, action = heappop(self._waiting)
            self.now = max(time, self.now)
            action(time)
        self.now = max(now, self.now)


class Direction:
    """One direction of one socket: passes datagrams on, with the faults of the network."""

    def __init__(
        self, name: str, source: FaultSource, later: Callable[[float, Callable[[float], None]], None]
    ) -> None:
        """Make a direction.

        Args:
            name: Distinguishes it from others; with the seed it determines the faults.
            source: Draws the faults.
            later: Runs an action at a time, as `Agenda.at` does.
        """
        self._name = name
        self._source = source
        self._later = later
        self._overtaken: list[Callable[[float], None]] = []

    def pass_on(self, deliver: Callable[[float], None], now: float) -> None:
        """Deliver a datagram at `now`, later, twice or never."""
        fate = self._source.deliver(self._name)
        waiting, self._overtaken = self._overtaken, []
        if fate.overtaken and fate.delays:
            self._overtaken.append(deliver)
            self._later(now + self._source.faults.late_by, self._release)
        else:
            for delay in fate.delays:
                if delay:
                    self._later(now + delay, deliver)
                else:
                    deliver(now)
        for earlier in waiting:
            earlier(now)

    def _release(self, now: float) -> None:
        waiting, self._overtaken = self._overtaken, []
        for deliver in waiting:
            deliver(now)

"""Time as the core sees it: moments, timers, delays of the server, and whether the wall clock can be trusted.

No clock: the time is always an argument.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, NamedTuple, TypeVar


class Moment(NamedTuple):
    """A moment by both clocks, read once for each event."""

    now: float
    """Seconds of the core's time: it never runs backwards, and means nothing outside the process."""
    wall: float
    """Seconds of Unix time: it may jump."""


T = TypeVar("T")


class Timers(Generic[T]):
    """Values, each with the time (seconds) at which it is due; equals come out in the order they went in."""

    __slots__ = ("_heap", "_order")

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._heap: list[tuple[float, int, T]] = []
        self._order = count()

    def add(self, when: float, what: T) -> None:
        """Have `what` come due at `when`."""
        heappush(self._heap, (when, next(self._order), what))

    def __len__(self) -> int:
        """Return how many values there are."""
        return len(self._heap)

    def __iter__(self) -> Iterator[T]:
        """Go through all values, in no order."""
        return (what for _, _, what in self._heap)

    def next(self) -> float | None:
        """Return when the next value is due, or None if there is none."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: float, most: int | None = None) -> list[T]:
        """Take out the values that are due at `now`, soonest first: all of them, or `most` at most."""
        values: list[T] = []
        while self._heap and self._heap[0][0] <= now and len(values) != most:
            values.append(heappop(self._heap)[2])
        return values

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Drop the values that are not wanted."""
        self._heap = [entry for entry in self._heap if wanted(entry[2])]
        heapify(self._heap)


REMEMBERED_DELAYS = 64
"""How many delays are remembered one by one; of more, the oldest count as one."""


class Delays:
    """When the server was away, in the core's time: it moves the deadlines of clients and BMPs."""

    __slots__ = ("_delays",)

    def __init__(self) -> None:
        """Begin with none."""
        self._delays: list[tuple[float, float, float]] = []
        """Begin, end and seconds lost in between, the oldest first; no two overlap."""

    def add(self, begin: float, end: float) -> None:
        """Note that the server was away from `begin` to `end`, which is no earlier than any end before."""
        delays = self._delays
        while delays and delays[-1][1] > begin:
            begin = min(begin, delays.pop()[0])
        delays.append((begin, end, end - begin))
        if len(delays) > REMEMBERED_DELAYS:
            (first, _, lost), (_, last, more) = delays[:2]
            delays[:2] = [(first, last, lost + more)]

    def deadline(self, since: float, allowed: float) -> float:
        """Return the deadline of a client or BMP that was last heard of at `since`.

        It is `allowed` seconds later, and later still by the time that the server lost meanwhile. All delays together
        move it by no more than `allowed` beyond the longest of them. So a dead client's job ends however often the
        server is stopped: at the latest `2 * allowed` plus the longest delay after `since`.
        """
        moved = longest = 0.0
        for _, end, lost in reversed(self._delays):
            if end <= since:
                break
            missed = min(lost, end - since)
            moved += missed
            longest = max(longest, missed)
        return since + allowed + min(moved, allowed + longest)

    def is_over(self, since: float, allowed: float, now: float) -> bool:
        """Return whether the deadline has passed at `now`."""
        return now - since > allowed and now > self.deadline(since, allowed)


DRIFT_SECONDS = 60.0
"""How much the wall clock may drift from the steady clock between two looks: small corrections are normal."""
AT_REST_SECONDS = 86_400.0
"""How long a site may have recorded nothing before it is started without raising doubts about the clock; also how long
a clock must be steady after a jump, so that somebody can notice that it is wrong."""


def is_likely(latest: float, wall: float) -> bool:
    """Return whether a wall clock may be right that tells `wall` at a start with records until `latest` (Unix time)."""
    return -DRIFT_SECONDS <= wall - latest <= AT_REST_SECONDS


class Calendar:
    """Tells whether the wall clock has been steady for long enough to delete records for their age.

    A record that is deleted for its age is lost, even if the clock was wrong. So the wall clock is compared with the
    core's time, which nobody can set.
    """

    def __init__(self) -> None:
        """Call `begin` before `believes`."""
        self._seen = Moment(0.0, 0.0)
        self._doubted_until: float | None = None

    def begin(self, latest: float | None, at: Moment) -> None:
        """Start with the latest time that is recorded, if any is: the wall clock must be at most a day later."""
        self._seen = at
        if latest is not None and not is_likely(latest, at.wall):
            self._doubted_until = at.now + AT_REST_SECONDS

    def believes(self, at: Moment) -> bool:
        """Compare both clocks, and return whether records may be deleted for their age."""
        jump = (at.wall - self._seen.wall) - (at.now - self._seen.now)
        self._seen = at
        if abs(jump) > DRIFT_SECONDS:
            self._doubted_until = at.now + AT_REST_SECONDS
        if self._doubted_until is not None and at.now >= self._doubted_until:
            self._doubted_until = None
        return self._doubted_until is None

"""Things to do later: a queue of values by time.

No clock: the time is always an argument.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, TypeVar

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

"""How long jobs are expected to have their boards: by their time limit, or by what alike jobs took.

Statistics only: who may start because of them is decided in scheduler.py.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

REMEMBERED = 5_000
"""How many lengths are remembered, those of the jobs that ended last."""
_ALIKE = 50
"""How many of them, at most, count among those of one owner or one size."""
_OF_ALL = 1_000
"""How many of them count among those of all."""
_NEWEST = 10
"""How many of these are the newest: jobs that end one after the other are more alike than others."""
_FEW = 3
"""With fewer lengths than this, jobs that are less alike are asked."""
_EVERYBODY = None
"""The key of what is known of the jobs of all owners."""
UNKNOWN_SECONDS = 600.0
"""How long a job is expected to take while next to nothing is known."""


class Length(NamedTuple):
    """How long a job had its boards."""

    owner: str
    boards: int
    """How many it asked for."""
    seconds: float
    limit: float | None
    """Its time limit in seconds; None without one."""


class _Latest:
    """The latest lengths of some jobs."""

    __slots__ = ("in_order", "latest", "most", "remembered")

    def __init__(self, most: int) -> None:
        self.most = most
        self.latest: deque[float] = deque()
        self.in_order: list[float] = []
        self.remembered = 0
        """How many of all remembered lengths are these jobs': the latest, and older ones that do not count."""

    def add(self, seconds: float) -> None:
        self.remembered += 1
        insort(self.in_order, seconds)
        self.latest.append(seconds)
        if len(self.latest) > self.most:
            self._drop_oldest()

    def forget_oldest(self) -> None:
        """Forget the oldest remembered length."""
        if self.remembered == len(self.latest):
            self._drop_oldest()
        self.remembered -= 1

    def _drop_oldest(self) -> None:
        del self.in_order[bisect_left(self.in_order, self.latest.popleft())]

    def quantile(self, share: float, beyond: float) -> float | None:
        """Return a quantile of the lengths greater than `beyond`; None if these are too few."""
        first = bisect_right(self.in_order, beyond)
        count = len(self.in_order) - first
        return self.in_order[first + int(share * count)] if count >= _FEW else None

    def newest_quantile(self, share: float, beyond: float) -> float | None:
        """Return the same of the newest; of all, if these are too few."""
        newest = sorted([one for one in islice(reversed(self.latest), _NEWEST) if one > beyond])
        return newest[int(share * len(newest))] if len(newest) >= _FEW else self.quantile(share, beyond)


class Lengths:
    """What the lengths of jobs that have ended say about others.

    It depends on the last `REMEMBERED` lengths only, so it is the same after a restart that reads these.
    """

    def __init__(self, lengths: Iterable[Length] = ()) -> None:
        """Begin with lengths of jobs that have ended, in the order in which they did."""
        self._remembered: deque[Length] = deque()
        self._alike: dict[Hashable, _Latest] = {}
        self._all = _Latest(_OF_ALL)
        self._parts: dict[Hashable, _Latest] = {}
        """Which part of their limit jobs took: those of each owner, and of all."""
        self.noted = 0
        """How many lengths have been noted so far."""
        for length in lengths:
            self.note(length)

    def __iter__(self) -> Iterator[Length]:
        """Go through the remembered lengths, in the order in which the jobs ended."""
        return iter(self._remembered)

    def note(self, length: Length) -> None:
        """Remember how long a job had its boards that has ended as it wanted, or by its limit."""
        self.noted += 1
        self._remembered.append(length)
        for key in _keys(length.owner, length.boards):
            latest = self._alike.get(key)
            if latest is None:
                latest = self._alike[key] = _Latest(_ALIKE)
            latest.add(length.seconds)
        if length.limit:
            for key in (length.owner, _EVERYBODY):
                self._parts.setdefault(key, _Latest(_ALIKE)).add(length.seconds / length.limit)
        self._all.add(length.seconds)
        if len(self._remembered) > REMEMBERED:
            self._forget(self._remembered.popleft())

    def _forget(self, length: Length) -> None:
        self._all.forget_oldest()
        for key in _keys(length.owner, length.boards):
            latest = self._alike[key]
            latest.forget_oldest()
            if not latest.remembered:
                del self._alike[key]
        if length.limit:
            for key in (length.owner, _EVERYBODY):
                parts = self._parts[key]
                parts.forget_oldest()
                if not parts.remembered:
                    del self._parts[key]

    def expected(self, owner: str, boards: int, limit: float | None) -> float:
        """Return how many seconds a job that has not started is expected to take, more than 0."""
        if limit is not None:
            return limit
        found = self._quantile(owner, boards, -1.0, 0.5)
        return max(UNKNOWN_SECONDS if found is None else found, 1.0)

    def left(self, owner: str, boards: int, limit: float | None, age: float) -> float:
        """Return how many seconds a job is expected to go on that has had its boards for `age` seconds, more than 0."""
        if limit is not None:
            return max(limit - age, 1.0)
        found = self._quantile(owner, boards, age, 0.5)
        return max(age if found is None else found - age, 1.0)

    def likely(
        self,
        owner: str,
        boards: int,
        limit: float | None,
        age: float,
        share: float,
        *,
        newest: bool = False,
    ) -> float:
        """Return how many seconds in all a job may well take, more than its `age`.

        Unlike what it is expected to take, this tells what users do with their limits: most end sooner.

        Args:
            owner: whose it is.
            boards: how many it asks for.
            limit: its limit in seconds; None without one.
            age: for how many seconds it has had its boards; 0 if it has not started.
            share: how many of the alike jobs that took longer than `age` took less than the result, 0 to less than 1.
            newest: whether only the newest of the alike jobs count, unless these are too few.
        """
        beyond = age or -1.0
        quantile = _Latest.newest_quantile if newest else _Latest.quantile
        if limit is None:
            found = self._quantile(owner, boards, beyond, share, quantile)
            return max(found or max(age, UNKNOWN_SECONDS) / (1.0 - share), age + 1.0)
        for key in (owner, _EVERYBODY):
            parts = self._parts.get(key) if limit > 0 else None
            part = None if parts is None else quantile(parts, share, beyond / limit)
            if part is not None:
                return max(min(part, 1.0) * limit, age + 1.0)
        return max(age + share * (limit - age), age + 1.0)

    def _quantile(
        self,
        owner: str,
        boards: int,
        beyond: float,
        share: float,
        quantile: Callable[[_Latest, float, float], float | None] = _Latest.quantile,
    ) -> float | None:
        """Return a quantile of what the most alike jobs took, of those that took longer than `beyond`."""
        for key in _keys(owner, boards):
            latest = self._alike.get(key)
            found = None if latest is None else quantile(latest, share, beyond)
            if found is not None:
                return found
        return self._all.quantile(share, beyond)

    def nearly_longest(self) -> float:
        """Return how many seconds all but one in a hundred jobs have taken lately; an hour while none has ended."""
        in_order = self._all.in_order
        return in_order[int(0.99 * len(in_order))] if in_order else 3600.0


def _keys(owner: str, boards: int) -> tuple[Hashable, ...]:
    """Return what jobs are alike by, the most alike first."""
    return ((owner, boards), owner, boards) if owner else (boards,)

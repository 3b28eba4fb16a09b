"""The jobs that wait, grouped by what they ask for, and what is known of each group.

Whose turn it is, is scheduler.py's; what a group may run on is found out in checks.py.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import NamedTuple, TypeVar

from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.wishes import Wish
from spalloc_server.core.requests import Boards, JobRequest, Rectangle
from spinnaker.geometry import Board

T = TypeVar("T")

_GLANCES_A_STEP = 64
"""How many waiting jobs or groups of them are glanced at in the time of a step."""


@dataclass(slots=True)
class Option:
    """A machine that a job may run on."""

    packer: Packer
    request: JobRequest
    next_version: int = 0
    """The first version of what is available there with which there can be a place."""
    no_place_with: frozenset[Board] | None = None
    """The boards that were set aside when it was found that no place could be kept for their sake."""
    known_wish: Wish | None = None

    def wish(self) -> Steps[Wish]:
        """The request as the machine sees it: worked out when there are enough boards to look at."""
        if self.known_wish is None:
            self.known_wish = yield from self.packer.wishes.of(self.request)
            assert self.known_wish is not None
        return self.known_wish


class Stage(Enum):
    """What is known of the jobs of one group."""

    UNCHECKED = "nothing: it is being found out whether they can be met at all"
    FRESH = "they can be met, and are to be looked at in any case"
    NO_PLACE = "one was found no place; there can be one for another only when more boards become available"


@dataclass(slots=True, eq=False)
class RequestGroup:
    """The waiting jobs that ask for the same: when there is no place for one of them there is none for any."""

    request: JobRequest
    fewest: int
    """How many boards each needs at the least."""
    minds_others: bool
    """Whether a board that no live link connects to a job's own may keep it from its place."""
    options: list[Option] = field(default_factory=list)
    """What they may run on, as of the last check."""
    stage: Stage = Stage.UNCHECKED
    jobs: dict[int, "Queued"] = field(default_factory=dict)
    """In the order in which they came."""

    def is_hopeful(self) -> bool:
        """Return whether there can be a place by the number of boards that have become available."""
        for option in self.options:  # noqa: SIM110 - asked for every group at every event
            if option.packer.version >= option.next_version:
                return True
        return False


class Queued(NamedTuple):
    """A job that waits."""

    job: int
    since: float
    group: RequestGroup
    order: tuple[float, int]
    """Smaller than that of every job that came later."""
    number: int
    """Larger than that of every job that was queued earlier."""


def line_up(jobs: dict[int, Queued], queued: Queued) -> None:
    """Put a job in its place among those that wait, nearly always the last."""
    late = bool(jobs) and queued.order < next(reversed(jobs.values())).order
    jobs[queued.job] = queued
    if late:
        in_order = sorted(jobs.items(), key=lambda item: item[1].order)
        jobs.clear()
        jobs.update(in_order)


_BEFORE_ALL = (-inf, 0)


class Line:
    """The jobs of one group that are still to be looked at, as one of several lines to merge by order of arrival."""

    def __init__(self, group: RequestGroup, last: int) -> None:
        """Begin in front of all jobs that were queued with numbers up to `last`."""
        self.group = group
        self.queued: Queued
        """Who is in front, once it has advanced."""
        self.order = _BEFORE_ALL
        self._last = last

    def advance(self) -> bool:
        """Go on to the next job, if there is one; others may have left the queue."""
        for queued in self.group.jobs.values():
            if queued.number <= self._last and queued.order > self.order:
                self.queued, self.order = queued, queued.order
                return True
        return False


class RequestGroups:
    """All groups, listed by their stage."""

    def __init__(self) -> None:
        self._by_request: dict[JobRequest, RequestGroup] = {}
        self.fresh: dict[RequestGroup, None] = {}
        """The groups at that stage."""
        self.without_place: list[RequestGroup] = []
        """The groups at stage `NO_PLACE`, those that need the fewest boards first."""

    def __iter__(self) -> Iterator[RequestGroup]:
        return iter(self._by_request.values())

    def get(self, request: JobRequest) -> RequestGroup | None:
        """Return the group of the jobs that ask for this, if any waits."""
        return self._by_request.get(request)

    def begin(self, request: JobRequest) -> RequestGroup:
        """Return a new group, of which nothing is known."""
        group = self._by_request[request] = RequestGroup(request, _fewest(request), _minds_others(request))
        return group

    def leave(self, queued: Queued) -> None:
        """Take a job out of its group, and the group out of all if that was the last."""
        group = queued.group
        del group.jobs[queued.job]
        if not group.jobs:
            del self._by_request[group.request]
            self._unlist(group)

    def freshen(self, group: RequestGroup) -> None:
        """Have a group looked at in any case."""
        self._unlist(group)
        group.stage = Stage.FRESH
        self.fresh[group] = None

    def found_no_place(self, group: RequestGroup) -> None:
        """Have a group looked at when more boards become available."""
        if group.stage is not Stage.NO_PLACE:
            self._unlist(group)
            group.stage = Stage.NO_PLACE
            insort(self.without_place, group, key=_needs)

    def _unlist(self, group: RequestGroup) -> None:
        if group.stage is Stage.NO_PLACE:
            first = bisect_left(self.without_place, group.fewest, key=_needs)
            del self.without_place[self.without_place.index(group, first)]
        elif group.stage is Stage.FRESH:
            del self.fresh[group]

    def forget_all(self) -> None:
        """Have nothing known of any group."""
        self.fresh, self.without_place = {}, []
        for group in self._by_request.values():
            group.stage = Stage.UNCHECKED

    def hopeful(self, packers: Collection[Packer], most: int) -> Steps[list[RequestGroup]]:
        """Return the groups for which there may be a place now, though there was none for them at the look before.

        Args:
            packers: all machines.
            most: how many boards are available on one of them.
        """
        hopeful: list[RequestGroup] = []
        enough = bisect_right(self.without_place, most, key=_needs)
        for some in chunks(self.without_place[:enough]):
            hopeful += [group for group in some if group.is_hopeful()]
            yield 1
        if hopeful:
            least = hopeful[0].fewest
            largest = max([packer.largest_gain(least) for packer in packers])
            hopeful = [group for group in hopeful if group.fewest <= largest or group.minds_others]
        return hopeful


def chunks(items: list[T]) -> Iterator[list[T]]:
    """Yield the items, as many at a time as can be glanced at in the time of a step."""
    return (items[first : first + _GLANCES_A_STEP] for first in range(0, len(items), _GLANCES_A_STEP))


def _needs(group: RequestGroup) -> int:
    return group.fewest


def wanted(request: JobRequest) -> int:
    """Return how many boards a request is for."""
    match request.shape:
        case Boards(count):
            return count
        case Rectangle(size):
            return size.boards
        case _:
            return 1


def _fewest(request: JobRequest) -> int:
    return 1 if request.max_dead_boards is None else max(1, wanted(request) - request.max_dead_boards)


def _minds_others(request: JobRequest) -> bool:
    return request.require_torus or _fewest(request) < wanted(request)

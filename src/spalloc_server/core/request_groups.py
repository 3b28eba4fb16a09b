"""The waiting jobs, grouped by what they ask for, and what is known about each group.

Which job is next is decided in scheduler.py; on which machines a group may run is found in checks.py.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import NamedTuple, TypeVar

from spalloc_server.core.packing.bitmaps import Planes
from spalloc_server.core.packing.demand import Wish
from spalloc_server.core.packing.packer import Packer, Zones
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.requests import Boards, JobRequest, Rectangle, RectangleAt
from spinnaker.geometry import Board

T = TypeVar("T")

_GLANCES_PER_STEP = 64
"""How many waiting jobs or groups can be glanced at in one step of work."""


class Failure(NamedTuple):
    """A search for a spot that failed."""

    version: int
    """The version of the boards with which it failed."""
    next_version: int
    """The first version with which it can succeed."""


@dataclass(slots=True)
class Option:
    """A machine that a job may run on."""

    packer: Packer
    request: JobRequest
    next_version: int = 0
    """The first version of the boards outside all zones with which there can be a spot."""
    inside: dict[Zones, Failure] = field(default_factory=dict)
    """The last failures inside zones, by the zones that a job could not use."""
    unkeepable_with: frozenset[Board] | None = None
    """The boards that were set aside when no spot could be kept, because of them; None if that never happened."""
    denied: Planes | None = None
    """Boards that were refused to a job for the sake of the one for which a spot is kept."""
    known_wish: Wish | None = None

    def may_fit_inside(self, closed: Zones) -> bool:
        """Return whether there can be a spot for jobs that may use all zones but these."""
        failed = self.inside.get(closed)
        return failed is None or self.packer.space(closed).open.version >= failed.next_version

    def wish(self) -> Steps[Wish]:
        """The request as the machine sees it: worked out once there are enough boards to search."""
        if self.known_wish is None:
            self.known_wish = yield from self.packer.wishes.of(self.request)
            assert self.known_wish is not None
        return self.known_wish


class Stage(Enum):
    """What is known about the jobs of one group."""

    UNCHECKED = "the check whether they can run at all is not finished"
    FRESH = "they can run, and must be tried"
    NO_SPOT = "there was no spot for one of them; there can be one only when more boards become available"


class Queued(NamedTuple):
    """A job that waits."""

    job: int
    alike: "Alike"
    order: tuple[float, int]
    """Smaller than that of every job that is to start later: a time, in seconds, and the job's ID."""
    number: int
    """Larger than that of every job that was queued earlier."""
    moved_back: float = 0.0
    """By how many seconds it stands later in the order than it came."""

    @property
    def group(self) -> "RequestGroup":
        """The jobs that ask for the same."""
        return self.alike.group


class Arrivals:
    """Waiting jobs in the order in which they came.

    Nearly every job is the last when it is added. Jobs that are moved come before those that wait already, thousands
    of them at once, so the order is restored only when somebody looks.
    """

    __slots__ = ("_in_order", "_jobs")

    def __init__(self) -> None:
        """Begin with no job."""
        self._jobs: dict[int, Queued] = {}
        self._in_order = True

    def add(self, queued: Queued) -> None:
        """Add a job."""
        if self._in_order and self._jobs:
            self._in_order = next(reversed(self._jobs.values())).order < queued.order
        self._jobs[queued.job] = queued

    def pop(self, job: int) -> Queued:
        """Take a job out, and return it."""
        return self._jobs.pop(job)

    def position(self, job: int) -> int:
        """Return which a job is, from 1 for the one that came first."""
        return list(self._sorted()).index(job) + 1

    def has(self, queued: "Queued") -> bool:
        """Return whether a job is here as it was queued: it may have left, or be here with another limit."""
        return self._jobs.get(queued.job) is queued

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: int) -> bool:
        return job in self._jobs

    def __getitem__(self, job: int) -> Queued:
        return self._jobs[job]

    def __iter__(self) -> Iterator[Queued]:
        return iter(self._sorted().values())

    def _sorted(self) -> dict[int, Queued]:
        if not self._in_order:
            self._jobs = dict(sorted(self._jobs.items(), key=lambda item: item[1].order))
            self._in_order = True
        return self._jobs


@dataclass(slots=True, eq=False)
class Alike:
    """Waiting jobs that ask for the same, have the same owner and the same limit: they are expected to take as long."""

    group: "RequestGroup"
    owner: str
    limit: float | None
    jobs: Arrivals = field(default_factory=Arrivals)
    seconds: float = 0.0
    """How long they are expected to take, if `noted` is up to date."""
    noted: int = -1
    """How many lengths had been noted when that was worked out."""


@dataclass(slots=True, eq=False)
class RequestGroup:
    """The waiting jobs that ask for the same: if there is no spot for one of them, there is none for any.

    But for zones, which may be open to some of them only.
    """

    request: JobRequest
    boards: int
    """How many boards each asks for."""
    fewest: int
    """How many boards each needs at least."""
    minds_others: bool
    """Whether other jobs' boards in a spot may keep a job from it: see `Demand.minds_others`."""
    options: list[Option] = field(default_factory=list)
    """The machines they may run on, as of the last check."""
    stage: Stage = Stage.UNCHECKED
    alike: dict[tuple[str, float | None], Alike] = field(default_factory=dict)
    """The jobs, by owner and limit."""

    def is_hopeful(self) -> bool:
        """Return whether enough boards outside all zones have become available anywhere for there to be a spot."""
        for option in self.options:  # noqa: SIM110 - asked for every group at every event
            if option.packer.version >= option.next_version:
                return True
        return False

    def option(self, packer: Packer) -> Option | None:
        """Return the option to run on a machine; None if the jobs can't, or it is not known yet."""
        return next((option for option in self.options if option.packer is packer), None)

    @property
    def jobs(self) -> list[int]:
        """The IDs of the jobs."""
        return [queued.job for alike in self.alike.values() for queued in alike.jobs]


_BEFORE_ALL = (-inf, 0)


class Line:
    """The jobs of some alike ones that are still to be tried, in order: one of several lines to be merged."""

    __slots__ = ("_last", "alike", "is_looked_at_again", "order", "outside", "queued")

    def __init__(self, alike: Alike, last: int, *, outside: bool) -> None:
        """Begin in front of all jobs that were queued with numbers up to `last`.

        Args:
            alike: the jobs.
            last: the last number.
            outside: whether there may be a spot outside all zones.
        """
        self.alike = alike
        self.outside = outside
        self.is_looked_at_again = False
        """Whether a spot outside all zones must be looked for with the next decision, whatever happens."""
        self.queued: Queued
        """The job in front; there is one once `advance` has returned True."""
        self.order = _BEFORE_ALL
        self._last = last

    def advance(self) -> bool:
        """Move to the next job, if there is one; any job may have left the queue meanwhile."""
        for queued in self.alike.jobs:
            if queued.number <= self._last and queued.order > self.order:
                self.queued, self.order = queued, queued.order
                return True
        return False


class RequestGroups:
    """All groups, listed by their stage."""

    def __init__(self) -> None:
        self._by_request: dict[JobRequest, RequestGroup] = {}
        self.fresh: dict[RequestGroup, None] = {}
        """The groups at stage `FRESH`."""
        self.without_spot: list[RequestGroup] = []
        """The groups at stage `NO_SPOT`, those that need the fewest boards first."""

    def __iter__(self) -> Iterator[RequestGroup]:
        return iter(self._by_request.values())

    def get(self, request: JobRequest) -> RequestGroup | None:
        """Return the group of the jobs that ask for this, if any job does."""
        return self._by_request.get(request)

    def begin(self, request: JobRequest) -> RequestGroup:
        """Return a new group, about which nothing is known."""
        group = self._by_request[request] = RequestGroup(
            request, wanted(request), _fewest(request), _minds_others(request)
        )
        return group

    def leave(self, queued: Queued) -> None:
        """Take a job out of its group, and drop the group if that was its last job."""
        alike, group = queued.alike, queued.group
        alike.jobs.pop(queued.job)
        if not alike.jobs:
            del group.alike[alike.owner, alike.limit]
        if not group.alike:
            del self._by_request[group.request]
            self._unlist(group)

    def freshen(self, group: RequestGroup) -> None:
        """Note that a group must be tried."""
        self._unlist(group)
        group.stage = Stage.FRESH
        self.fresh[group] = None

    def found_no_spot(self, group: RequestGroup) -> None:
        """Note that a group need not be tried before more boards become available."""
        if group.stage is not Stage.NO_SPOT:
            self._unlist(group)
            group.stage = Stage.NO_SPOT
            insort(self.without_spot, group, key=_needs)

    def _unlist(self, group: RequestGroup) -> None:
        if group.stage is Stage.NO_SPOT:
            first = bisect_left(self.without_spot, group.fewest, key=_needs)
            del self.without_spot[self.without_spot.index(group, first)]
        elif group.stage is Stage.FRESH:
            del self.fresh[group]

    def freshen_all(self) -> None:
        """Note that all groups without a spot must be tried."""
        groups, self.without_spot = self.without_spot, []
        for group in groups:
            group.stage = Stage.FRESH
            self.fresh[group] = None

    def forget_all(self) -> None:
        """Forget what is known about the groups."""
        self.fresh, self.without_spot = {}, []
        for group in self._by_request.values():
            group.stage = Stage.UNCHECKED

    def within(self, most: int) -> list[RequestGroup]:
        """Return the groups at stage `NO_SPOT` whose jobs need no more than `most` boards each."""
        return self.without_spot[: bisect_right(self.without_spot, most, key=_needs)]

    def hopeful(self, packers: Collection[Packer], most: int) -> Steps[list[RequestGroup]]:
        """Return the groups at stage `NO_SPOT` for which there may be a spot outside all zones now.

        Args:
            packers: all machines.
            most: how many boards outside all zones are available on the machine with most.
        """
        hopeful: list[RequestGroup] = []
        for some in chunks(self.within(most)):
            hopeful += [group for group in some if group.is_hopeful()]
            yield 1
        if hopeful:
            least = hopeful[0].fewest
            largest = max([packer.largest_gain(least) for packer in packers])
            hopeful = [group for group in hopeful if group.fewest <= largest or group.minds_others]
        return hopeful


def chunks(items: list[T]) -> Iterator[list[T]]:
    """Yield the items in chunks that can be glanced at in one step of work each."""
    return (items[first : first + _GLANCES_PER_STEP] for first in range(0, len(items), _GLANCES_PER_STEP))


def _needs(group: RequestGroup) -> int:
    return group.fewest


def wanted(request: JobRequest) -> int:
    """Return how many boards a request is for."""
    match request.shape:
        case Boards(count):
            return count
        case Rectangle(size) | RectangleAt(_, size):
            return size.boards
        case _:
            return 1


def _fewest(request: JobRequest) -> int:
    return 1 if request.max_dead_boards is None else max(1, wanted(request) - request.max_dead_boards)


def _minds_others(request: JobRequest) -> bool:
    return request.require_torus or _fewest(request) < wanted(request)

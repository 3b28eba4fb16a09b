"""One machine's boards: what a job can be allocated, and where and when boards are expected to be free for it.

See scheduler.py for which job is next, search.py for how a spot is found, and occupancy.py for which boards are in use.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf
from typing import NamedTuple

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.demand import Demand, Wish
from spalloc_server.core.packing.occupancy import AT_ONCE, Occupancy
from spalloc_server.core.packing.search import Missing, Spot, find, fits, may_fit
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.topology import Topology
from spalloc_server.core.packing.wishes import Wishes
from spinnaker.geometry import Board, boards_of

_TAKINGS_PER_STEP = 64
"""How many takings of boards can be gone through in one step of work."""


class Zone(NamedTuple):
    """Boards that an administrator has reserved for a time."""

    name: str
    boards: frozenset[Board]
    begins: float
    """In seconds of the core's time: from then on, only jobs that it is for may use the boards."""
    ends: float
    owners: frozenset[str]
    """The owners whose jobs it is for."""


Zones = int
"""A set of a machine's zones, a bit for each: the lowest for the kept spot, the others for reservations in order."""
KEPT: Zones = 1
NO_ZONES: Zones = 0
ALL_ZONES: Zones = -1


class Expected(NamedTuple):
    """A spot, and when it is expected to be free."""

    boards: Planes
    when: float
    """In seconds of the core's time; `AT_ONCE` if that is now."""


class _View:
    """The boards that are open to jobs which may not use certain zones."""

    __slots__ = ("look", "space", "state")

    def __init__(self, topology: Topology) -> None:
        self.space = Space(topology)
        self.state = -1
        """The packer's state when the space was brought up to date."""
        self.look = -1
        """The number of the look when boards were opened in it."""


class Packer:
    """One machine's boards, and what of them a job can be allocated."""

    def __init__(self, machine: Machine, same: "Packer | None" = None) -> None:
        """Begin with all boards free, or as they are in the `same` machine's packer."""
        self.machine = machine
        self._topology: Topology = Topology(machine) if same is None else same._topology
        self.wishes: Wishes = Wishes(self._topology) if same is None else same.wishes
        self._occupancy: Occupancy = Occupancy(self._topology) if same is None else same._occupancy.copy()
        self._found: frozenset[Board] = frozenset()
        """What was found last, which is mostly taken next."""
        self.found = NO_BOARDS
        """The same in planes."""
        self._kept = NO_BOARDS
        """The boards that are kept for a job."""
        self._kept_until = inf
        """Jobs that are expected to end by then may use them."""
        self._zones: list[tuple[Zones, Zone, Planes]] = []
        self._index()
        self._far = inf
        """A reservation that begins later than this is in nobody's way."""
        self._looks = 0
        """How many looks there have been."""
        self._looked = self._occupancy.free
        """The boards that were free at the last look and still are."""
        self._state = 0
        """Counts the changes of the above."""
        self._up_to_date = True
        self._views: dict[Zones, _View] = {}
        self._version = 0
        """The version of the boards outside all zones with the last look."""
        self.previous_version = 0
        """Their version with the look before that."""

    def copy(self) -> "Packer":
        """Return the same, which changes by itself from now on."""
        made = Packer(self.machine, self)
        made._kept, made._kept_until, made._zones = self._kept, self._kept_until, list(self._zones)
        made._index()
        return made

    @property
    def free_boards(self) -> int:
        """How many boards are free, those in zones included."""
        return self._occupancy.free.size

    def is_free(self, board: Board) -> bool:
        """Return whether a board is free, in a zone or not."""
        return self._occupancy.is_free(board)

    @property
    def set_aside_boards(self) -> frozenset[Board]:
        """The boards that no job is given until they are put back."""
        return self._occupancy.set_aside_boards

    @property
    def kept(self) -> Planes:
        """The boards that are kept for a job, free or not."""
        return self._kept

    @property
    def kept_boards(self) -> frozenset[Board]:
        """The same as coordinates."""
        return frozenset(self._topology.bitmaps.boards(self._kept))

    @property
    def kept_and_free(self) -> int:
        """How many of the boards that are kept for a job are free."""
        return (self._kept & self._occupancy.free).size

    @property
    def opened_boards(self) -> int:
        """How many boards were free at the last look and still are, those in zones included."""
        self._update()
        return self._looked.size

    @property
    def live_boards(self) -> int:
        """How many boards are alive."""
        return self._topology.live.size

    @property
    def takings(self) -> list[int]:
        """The numbers of all takings of which a board is still in use."""
        return list(self._occupancy.taken)

    def boards_taken(self, number: int) -> frozenset[Board]:
        """Return the boards of a taking that are still in use."""
        return self._occupancy.boards_taken(number)

    def has_taken(self, number: int) -> bool:
        """Return whether any board of a taking is still in use."""
        return number in self._occupancy.taken

    @property
    def outside_of(self) -> Zones:
        """The zones that are left out of the boards outside all zones: those that may be in a job's way."""
        every = KEPT if self._kept != NO_BOARDS else NO_ZONES
        return every | self._begun_by[bisect_left(self._begins, self._far)]

    @property
    def available_boards(self) -> int:
        """How many boards are available to any job: free, and in no zone."""
        return self.space(ALL_ZONES).open.size

    @property
    def version(self) -> int:
        """The version of the boards outside all zones."""
        # Asking opens no board. It closes those that have been taken: even if they are given back, they stay closed
        # until the next look.
        return self.space(ALL_ZONES).open.version

    def is_usable(self, boards: Planes) -> bool:
        """Return whether none of some boards is dead or set aside."""
        return boards - self._occupancy.usable == NO_BOARDS

    def is_open(self, boards: Planes, closed: Zones) -> bool:
        """Return whether boards are open to a job which may not use some zones."""
        return boards - self.space(closed).open.boards == NO_BOARDS

    @property
    def has_reservations(self) -> bool:
        """Whether boards are reserved, now or later."""
        return bool(self._zones)

    @property
    def reservations(self) -> list[Zone]:
        """The boards that are reserved, now or later."""
        return [zone for _, zone, _ in self._zones]

    def lets_in(self, now: float) -> bool:
        """Return whether there is a zone that some job may use."""
        return bool(self._zones) or (self._kept != NO_BOARDS and self._kept_until > now)

    # Changes

    def take(self, boards: Iterable[Board], until: float = AT_ONCE) -> int:
        """Note that boards are in use from now on, and return the number of the taking.

        Args:
            boards: the boards; those that are in use already, or do not exist, are left out.
            until: when they are expected to be given back.
        """
        self._up_to_date = False
        return self._occupancy.take(boards, self.found if boards is self._found else None, until=until)

    def give_back(self, boards: Iterable[Board]) -> float:
        """Note that boards are no longer in use, and return until when they were expected to be."""
        self._up_to_date = False
        return max((until for until, _ in self._occupancy.give_back(boards)), default=AT_ONCE)

    def expect(self, number: int, until: float) -> None:
        """Note when the boards of a taking are expected to be given back, if they have not been."""
        self._occupancy.expect(number, until)

    def take_over(self, earlier: "Packer") -> None:
        """Copy what is in use and set aside from the same machine, as it was configured before; numbers stay."""
        self._occupancy.take_over(earlier._occupancy)
        self._up_to_date = False

    def set_aside(self, board: Board) -> bool:
        """Give a board to no job until it is put back, and return whether it is kept for one.

        A job that has it keeps it.
        """
        self._up_to_date = False
        return self._occupancy.set_aside(board) & self._kept != NO_BOARDS

    def put_back(self, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if self._occupancy.put_back(board):
            self._up_to_date = False

    # Zones

    def keep(self, boards: Planes, until: float) -> None:
        """Keep boards for a job, in place of those kept so far; jobs expected to end by `until` may use them."""
        if boards != self._kept:
            self._kept = boards
            self._state += 1
        self._kept_until = until

    def reserve(self, zones: Sequence[Zone]) -> None:
        """Replace the reservations; each that has ended is left out by the caller."""
        planes = self._topology.bitmaps.planes
        every = frozenset(boards_of(self.machine.size))
        self._zones = [
            (KEPT << number, zone, planes(zone.boards & every)) for number, zone in enumerate(zones, 1)
        ]
        self._state += 1
        self._index()

    def _index(self) -> None:
        """Note which reservations begin before each beginning, and which are each owner's."""
        in_order = sorted((zone.begins, bit) for bit, zone, _ in self._zones)
        self._begins = [begins for begins, _ in in_order]
        self._begun_by: list[Zones] = [
            NO_ZONES,
            *accumulate([bit for _, bit in in_order], lambda some, bit: some | bit),
        ]
        self._of_owner: dict[str, Zones] = {}
        for bit, zone, _ in self._zones:
            for owner in zone.owners:
                self._of_owner[owner] = self._of_owner.get(owner, NO_ZONES) | bit

    def closed(self, owner: str, end: float) -> Zones:
        """Return the zones that a job of `owner` may not use if it is expected to end at `end`."""
        closed = KEPT if end > self._kept_until and self._kept != NO_BOARDS else NO_ZONES
        if self._zones:
            closed |= self._begun_by[bisect_left(self._begins, end)] & ~self._of_owner.get(owner, NO_ZONES)
        return closed

    def blocking_zone(self, owner: str, end: float) -> Zone | None:
        """Return the reservation that keeps most free boards from a job; None if none does."""
        blocking = [
            ((planes & self._occupancy.free).size, zone)
            for _, zone, planes in self._zones
            if end > zone.begins and owner not in zone.owners
        ]
        most, zone = max(blocking, key=lambda pair: pair[0], default=(0, None))
        return zone if most else None

    def zone_of(self, board: Board, owner: str, end: float) -> Zone | None:
        """Return the reservation that keeps a board from a job that is expected to end at `end`; None if none does."""
        return next(
            (
                zone
                for _, zone, _ in self._zones
                if board in zone.boards and end > zone.begins and owner not in zone.owners
            ),
            None,
        )

    def zone_in_the_way(self, number: int, owner: str, end: float) -> Zone | None:
        """Return a reservation that the boards of a taking would run into at `end`; None if there is none."""
        taken = self._occupancy.taken.get(number, NO_BOARDS)
        return next(
            (
                zone
                for _, zone, planes in self._zones
                if taken & planes != NO_BOARDS and end > zone.begins and owner not in zone.owners
            ),
            None,
        )

    def _boards_of(self, zones: Zones) -> Planes:
        boards = self._kept if zones & KEPT else NO_BOARDS
        for bit, zone, planes in self._zones:
            if zones & bit and (zones != ALL_ZONES or zone.begins < self._far):
                boards |= planes
        return boards

    # Boards come back one by one; the consequences are worked out when they are needed. A board that has become
    # available opens to nobody before the next look. Otherwise a job that is tried late could get it before one that
    # was tried early.

    def _update(self) -> None:
        if not self._up_to_date:
            self._up_to_date = True
            self._looked &= self._occupancy.free
            self._state += 1

    def space(self, closed: Zones) -> Space:
        """Return the boards that are open to a job which may not use some zones."""
        self._update()
        view = self._views.get(closed)
        if view is None:
            view = self._views[closed] = _View(self._topology)
        if view.state != self._state:
            boards = self._looked - self._boards_of(closed)
            if view.look == self._looks:
                boards &= view.space.open.boards
            view.space.become(boards)
            view.state, view.look = self._state, self._looks
        return view.space

    def see(self, far: float = inf) -> None:
        """Open the boards that have become available, before the jobs are tried for which a spot is kept.

        Args:
            far: no job that waits is expected to end later.
        """
        self._up_to_date = True
        self._looks += 1
        self._state += 1
        self._far = far
        self._looked = self._occupancy.free

    def look(self, far: float = inf) -> int:
        """Open the boards to jobs that have become available since the last look.

        Args:
            far: no job that waits is expected to end later.

        Returns:
            how many boards are available now outside all zones; 0 if none has become so.
        """
        self.see(far)
        now = self.space(ALL_ZONES).open
        self.previous_version, self._version = self._version, now.version
        return now.size if self.previous_version < self._version else 0

    def largest_gain(self, least: int) -> int:
        """Return the size of the largest cluster outside all zones with a board that the last look has opened.

        A job for more boards than that, for which a search failed after the look before, would fail now as well,
        unless other jobs' boards were in its way: see `Demand.minds_others`.

        Args:
            least: smaller clusters need not be counted: the result may be too small if it is smaller than this.
        """
        space = self.space(ALL_ZONES)
        if self.previous_version == self._version or space.open.size < least:
            return 0
        return space.largest_cluster(space.opened_since(self.previous_version))

    # What can be allocated

    def find(
        self, wish: Wish, closed: Zones = ALL_ZONES, *, failed_version: int = 0
    ) -> Steps[Allocation | Missing]:
        """Return what a job can be allocated now; nothing is taken yet.

        Boards that were taken or set aside while the search went on are in nothing that is returned.

        Args:
            wish: what the job asks for.
            closed: the zones that it may not use.
            failed_version: the version of the space with which the last search for the same wish failed; 0 if none did.
        """
        while True:
            space = self.space(closed)
            found = yield from find(wish, space, failed_version=failed_version)
            if isinstance(found, Missing):
                return found
            if found.boards - self.space(closed).open.boards == NO_BOARDS:
                return self._as_allocation(found)

    def _as_allocation(self, spot: Spot) -> Allocation:
        self._found, self.found = frozenset(self._topology.bitmaps.boards(spot.boards)), spot.boards
        wraps = (False, False)
        if spot.size is not None:
            wraps = self._topology.wrapped(spot.boards, spot.origin, spot.size)
        return Allocation(self.machine.name, spot.origin, spot.size, self._found, *wraps)

    # What is expected

    @property
    def latest(self) -> int:
        """The number of the latest taking."""
        return self._occupancy.latest

    def overdue(self, now: float) -> list[int]:
        """Return the numbers of the takings by jobs that were expected to have ended by `now`."""
        return self._occupancy.overdue(now)

    def is_in_the_way(self, number: int) -> bool:
        """Return whether a taking has any of the kept boards."""
        return self._occupancy.taken.get(number, NO_BOARDS) & self._kept != NO_BOARDS

    def count_free_by(self, when: float) -> int:
        """Return how many boards are expected to be free by a time, those in zones included."""
        occupancy = self._occupancy
        ended = bisect_right(occupancy.ends, (when, occupancy.latest))
        freed = [(until, occupancy.taken[number]) for until, number in occupancy.ends[:ended]]
        return (_union(occupancy.free, freed) & occupancy.usable).size

    def when_free(self) -> float:
        """Return when the kept boards are expected to be free, reservations apart."""
        occupancy = self._occupancy
        return next(
            (
                until
                for until, number in reversed(occupancy.ends)
                if occupancy.taken[number] & self._kept != NO_BOARDS
            ),
            AT_ONCE,
        )

    def soonest(
        self,
        wish: Wish,
        owner: str,
        *,
        now: float,
        seconds: float,
        latest: float = inf,
        not_before: float = AT_ONCE,
        before: float = inf,
    ) -> Steps[Expected | None]:
        """Return the spot that is expected to be free soonest for a job, whatever is kept; None if there is none.

        Of the spots that are free by then, it is the one with the most boards that are free now.

        Args:
            wish: what the job asks for.
            owner: its owner.
            now: the time.
            seconds: how long the job is expected to take.
            latest: only boards of takings with numbers up to this count, besides free ones.
            not_before: no spot is known to be free before this time, so earlier ones are not looked for.
            before: later spots are not wanted.
        """
        closed = self.closed(owner, now + seconds) & ~KEPT
        while True:
            found = yield from self._soonest(wish, closed, latest, not_before, before)
            if found is None:
                return None
            into = self.closed(owner, max(now, found.when) + seconds) & ~closed & ~KEPT
            into = sum(
                bit for bit, _, planes in self._zones if into & bit and planes & found.boards != NO_BOARDS
            )
            if not into:
                return found
            closed |= into

    def _soonest(
        self, wish: Wish, closed: Zones, latest: float, not_before: float, before: float
    ) -> Steps[Expected | None]:
        """Return the spot that is free soonest if reserved boards are free when the reservations are over."""
        occupancy, topology = self._occupancy, self._topology
        counting = 1 + (len(wish.outermost) * topology.effort if isinstance(wish, Demand) else 0)
        while True:
            usable, ends = occupancy.usable, self._ends(closed, latest)
            first, last = bisect_left(ends, not_before, key=_when), bisect_left(ends, before, key=_when)
            sure = _union(occupancy.free - self._boards_of(closed), ends[:first])
            yield counting + last // _TAKINGS_PER_STEP
            if not may_fit(wish, Space(topology, _union(sure, ends[first:last]) & usable)):
                return None
            # The spot is free with the first `enough` ends, and there is none with the first `none`. Counting boards is
            # quick, and where there are enough of them, they are mostly connected.
            none, enough = first if not_before > AT_ONCE else -1, last
            while enough - none > 1:
                middle = (none + enough) // 2
                between = _union(sure, ends[first:middle])
                yield counting + (middle - first) // _TAKINGS_PER_STEP
                if may_fit(wish, Space(topology, between & usable)):
                    enough = middle
                else:
                    none = middle
                    first, sure = max(first, middle), between
            step, space = 1, Space(topology, _union(sure, ends[first:enough]) & usable)
            while not (yield from fits(wish, space)):
                if enough == last:
                    return None
                none = enough
                enough, step = min(enough + step, last), 2 * step
                space = Space(topology, _union(sure, ends[first:enough]) & usable)
            while enough - none > 1:
                middle = (none + enough) // 2
                nearer = Space(topology, _union(sure, ends[first:middle]) & usable)
                if (yield from fits(wish, nearer)):
                    enough, space = middle, nearer
                else:
                    none = middle
            found = yield from find(wish, space, best_for=self.space(NO_ZONES))
            if isinstance(found, Missing):
                return None
            if found.boards - occupancy.usable == NO_BOARDS:
                return Expected(found.boards, ends[enough - 1][0] if enough else AT_ONCE)

    def _ends(self, closed: Zones, latest: float) -> list[tuple[float, Planes]]:
        """Return what is expected to become free for a job that may not use some zones: times with boards, in order."""
        taken = self._occupancy.taken
        ends = [(until, taken[number]) for until, number in self._occupancy.ends if number <= latest]
        if closed:
            reserved = self._boards_of(closed)
            ends = [(until, boards - reserved) for until, boards in ends]
            ends += [(zone.ends, planes) for bit, zone, planes in self._zones if closed & bit]
            ends.sort(key=lambda end: end[0])
        return ends


def _when(end: tuple[float, Planes]) -> float:
    return end[0]


def _union(boards: Planes, ends: Iterable[tuple[float, Planes]]) -> Planes:
    z0, z1, z2 = boards
    for _, (more0, more1, more2) in ends:
        z0 |= more0
        z1 |= more1
        z2 |= more2
    return Planes(z0, z1, z2)

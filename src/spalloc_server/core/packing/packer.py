# One machine's boards: who has which, which place is kept for a job that waits, and what can be had.
#
# Whose turn it is, is the scheduler's subject; how a place is found, search.py's.
"""The boards of one machine, and places for jobs among them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.demand import Demand, demands
from spalloc_server.core.packing.fabric import Fabric
from spalloc_server.core.packing.search import (
    EVERYWHERE,
    Missing,
    Place,
    allocation,
    find_board,
    find_board_at,
    find_rectangle,
    fits,
)
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest
from spinnaker.geometry import Board, boards_of

Wish = AnyBoard | BoardAt | Demand
"""A request as one machine sees it."""

_KNOWN_REQUESTS = 4096
"""How many requests a machine knows its answer to; then it forgets the oldest, as no one knows how many will come."""


@dataclass(slots=True)
class _Kept:
    """A place that is kept for a job."""

    wish: Wish
    boards: Planes
    latest: int
    """No job that took boards later than this number may be in the place's way."""
    oldest: int
    """The first of those that were in the place's way when it was chosen."""
    hoped: Planes
    """What the others of those up to `latest` have: it counts as free when a better place is looked for."""
    tried: int = 0
    """What `gained_for_kept` was when no place was found for the job; 0 if that has not been tried."""
    hoped_in_vain: int = 0
    """How many boards the hope had gained when no better place was found; 0 if that has not been tried."""
    stale: bool = False
    """Whether a better place may have appeared."""


class Packer:
    """One machine's boards.

    Those who take boards are numbered in the order in which they do; a number says who has been running longest.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._fabric = Fabric(machine)
        self._bitmaps = self._fabric.bitmaps
        self._every_board = frozenset(boards_of(machine.size))
        self._demands: dict[JobRequest, Demand | None] = {}
        self._limits: dict[JobRequest, tuple[int, int]] = {}
        """For requests alike but for the number of boards, the most known to be possible and the fewest not to be."""
        self._taken: dict[int, Planes] = {}
        self._given: dict[int, frozenset[Board]] = {}
        """What those who have given back nothing so far took."""
        self._takers: dict[Board, int] = {}
        """Who took a board last; it may be free again."""
        self._number = 0
        self._in_use = NO_BOARDS
        self._found: frozenset[Board] = frozenset()
        """What was found last, mostly to be taken next, and the same in planes."""
        self._found_planes = NO_BOARDS
        self._set_aside: frozenset[Board] = frozenset()
        self._kept: _Kept | None = None
        self._seen = self._looked = 0
        self._usable = self._fabric.live
        """The boards that are alive and not set aside."""
        self._free = self._usable
        self._all = Space(self._fabric, self._free)
        """What is free, as of when somebody last asked."""
        self._open = Space(self._fabric, self._free)
        """What is free and not kept, likewise; only a look adds boards to it."""
        self._empty = Space(self._fabric, self._fabric.live)
        """What would be free were no board in use or set aside."""
        self._open_up_to_date = True
        self._hope = Space(self._fabric)
        """What would be free soon, if a better place than the one that is kept is to be found."""

    @property
    def free_boards(self) -> int:
        """How many boards are free, kept ones included."""
        return self._free.size

    def is_free(self, board: Board) -> bool:
        """Return whether a board is free, kept or not."""
        return self._bitmaps.planes([board]) & self._free != NO_BOARDS

    @property
    def set_aside_boards(self) -> frozenset[Board]:
        """The boards that are given to no job until they are put back."""
        return self._set_aside

    @property
    def kept_boards(self) -> int:
        """How many boards belong to the place that is kept, free or not."""
        return 0 if self._kept is None else self._kept.boards.size

    @property
    def awaited(self) -> int:
        """How many of the boards of the place that is kept are not free yet."""
        return 0 if self._kept is None else (self._kept.boards - self._free).size

    @property
    def open_boards(self) -> int:
        """How many boards are available to jobs in general: free, and not kept."""
        return self._open_to_others().size

    @property
    def gained(self) -> int:
        """How many boards have become available to jobs in general, counted anew each time."""
        return self._open_to_others().gained

    @property
    def gained_for_kept(self) -> int:
        """How many boards have become available to the job that a place is kept for, counted anew each time."""
        return self._open_to_kept().gained

    # Changes

    def take(self, boards: Iterable[Board]) -> None:
        """Note that boards are in use, together; those that are already, or do not exist, are left out."""
        if boards is self._found:
            new, taken = self._found, self._found_planes
        else:
            new = self._every_board.intersection(boards)
            taken = self._bitmaps.planes(new)
        if taken & self._in_use != NO_BOARDS:
            taken -= self._in_use
            new = frozenset(self._bitmaps.boards(taken))
        if not new:
            return
        self._number += 1
        self._takers.update(dict.fromkeys(new, self._number))
        self._taken[self._number] = taken
        self._given[self._number] = new
        self._in_use |= taken
        self._free -= taken
        self._open_up_to_date = False

    def give_back(self, boards: Iterable[Board]) -> None:
        """Note that boards are no longer in use."""
        known = self._every_board.intersection(boards)
        if not known:
            return
        taker = self._takers.get(next(iter(known)), 0)
        if self._given.get(taker) == known:
            # Nearly always a job gives back all that it was given, and at once.
            self._give_back(taker, self._taken[taker])
            return
        rest = self._bitmaps.planes(known) & self._in_use
        for board in known:
            if rest == NO_BOARDS:
                return
            taker = self._takers.get(board, 0)
            returned = self._taken.get(taker, NO_BOARDS) & rest
            if returned != NO_BOARDS:
                self._give_back(taker, returned)
                rest -= returned

    def _give_back(self, taker: int, returned: Planes) -> None:
        held = self._taken[taker]
        self._given.pop(taker, None)
        if returned == held:
            del self._taken[taker]
        else:
            self._taken[taker] = held - returned
        self._in_use -= returned
        self._free |= returned & self._usable
        kept = self._kept
        if kept is not None:
            if kept.oldest < taker <= kept.latest:
                kept.hoped -= returned
            else:
                kept.stale = True
        self._open_up_to_date = False

    def take_over(self, earlier: "Packer") -> None:
        """Note what was in use and set aside while the machine was configured otherwise."""
        for boards in earlier._taken.values():
            self.take(earlier._bitmaps.boards(boards))
        for board in earlier.set_aside_boards:
            self.set_aside(board)

    def set_aside(self, board: Board) -> None:
        """Give a board to no job until it is put back; who has it keeps it."""
        if board in self._every_board:
            self._set_aside |= {board}
            planes = self._bitmaps.planes([board])
            self._usable -= planes
            self._free -= planes
            if self._kept is not None and planes & self._kept.boards != NO_BOARDS:
                self.keep_nothing()
            self._open_up_to_date = False

    def put_back(self, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if board in self._set_aside:
            self._set_aside -= {board}
            self._usable |= self._bitmaps.planes([board]) & self._fabric.live
            self._free = self._usable - self._in_use
            if self._kept is not None:
                self._kept.stale = True
            self._open_up_to_date = False

    # Boards come back one by one: what follows from that is worked out when somebody asks. Boards that have become
    # available are open to nobody before the next look: who was asked since the last could else have had them before
    # those who are asked later.

    def _open_to_others(self) -> Space:
        if not self._open_up_to_date:
            self._open_up_to_date = True
            self._open.become(self._open.boards & self._available())
        return self._open

    def _available(self) -> Planes:
        return self._free if self._kept is None else self._free - self._kept.boards

    def _open_to_kept(self) -> Space:
        self._all.become(self._free)
        return self._all

    # What can be had

    def is_known_to_meet(self, request: JobRequest) -> bool:
        """Return whether the request was asked about before, and could be met."""
        return self._demands.get(request) is not None

    def could_meet(self, request: JobRequest) -> Steps[bool]:
        """Return whether the request could be met were no board in use."""
        if request.max_dead_links is not None:
            unlimited = replace(request, max_dead_links=None)
            return (yield from self.could_meet(unlimited)) and (yield from self.wish(request)) is not None
        if not isinstance(request.shape, Boards):
            return (yield from self.wish(request)) is not None
        # What does for some boards does for fewer: of all counts, those at the limit alone are to be worked out.
        count, alike = request.shape.count, replace(request, shape=AnyBoard(), machine=None, tags=frozenset())
        unknown = 0, self.machine.size.boards + 1
        possible, impossible = self._limits.get(alike, unknown)
        if possible < count < impossible:
            wish = yield from self.wish(request)
            if len(self._limits) >= _KNOWN_REQUESTS:
                del self._limits[next(iter(self._limits))]
            # Others may have found out more meanwhile.
            possible, impossible = self._limits.get(alike, unknown)
            if wish is not None:
                possible = max(possible, count)
            else:
                impossible = min(impossible, count)
            self._limits[alike] = possible, impossible
        return count <= possible

    def wish(self, request: JobRequest) -> Steps[Wish | None]:
        """Return what the request comes to on this machine; None if it could not be met were no board in use."""
        match request.shape:
            case AnyBoard():
                return request.shape if self._fabric.live_boards else None
            case BoardAt(board):
                return request.shape if board in self._fabric.live_boards else None
        try:
            return self._demands[request]
        except KeyError:
            pass
        demand = yield from self._demand(request)
        if len(self._demands) >= _KNOWN_REQUESTS:
            del self._demands[next(iter(self._demands))]
        self._demands[request] = demand
        return demand

    def _demand(self, request: JobRequest) -> Steps[Demand | None]:
        perfect = self._fabric.is_perfect
        # What takes long, for each of the sizes, is done when all others have been looked at.
        for where in (
            EVERYWHERE if request.max_dead_links is not None and self._fabric.dead_links else EVERYWHERE[:1]
        ):
            for demand in demands(request, self.machine.size, every_size=not perfect):
                yield self._fabric.effort
                if demand.rectangles:
                    if perfect:
                        return demand
                    found = yield from find_rectangle(demand, self._empty, where=(where,))
                    if isinstance(found, Place):
                        return demand
        return None

    def look(self) -> int:
        """Open the boards to jobs that have become available since the last look.

        Returns:
            how many boards are available now; 0 if none has become so.
        """
        space = self._open
        # Whoever asked since the last look may have left out boards that had just become available.
        self._open_up_to_date = True
        space.become(self._available())
        self._seen, self._looked = self._looked, space.gained
        return space.size if self._seen < self._looked else 0

    def largest_gain(self, least: int) -> int:
        """Return how many boards the largest cluster has with one in it that became available before the last look.

        Who was found no place after the look before can have none now with more boards than that, unless boards of
        others kept it from one: see `Demand.minds_others`.

        Args:
            least: fewer boards than these are not worth counting: the answer may be too small then.
        """
        if self._seen == self._looked or self._open.size < least:
            return 0
        return self._open.largest_cluster(self._open.opened_since(self._seen))

    def find(self, wish: Wish, *, again: bool) -> Steps[Allocation | Missing]:
        """Return what a job can have now, outside the place that is kept; nothing is taken yet.

        Boards that were taken or set aside while the search went on are in nothing that is returned.

        Args:
            wish: what the job asks for.
            again: whether no place was found for it after the look before the last.
        """
        since = self._seen if again else 0
        while True:
            found = yield from self._find(wish, self._open_to_others(), since=since)
            if isinstance(found, Missing):
                return found
            if self._open_up_to_date or found.boards - self._available() == NO_BOARDS:
                return self._as_allocation(found)

    def find_for_kept(self) -> Steps[Allocation | Missing]:
        """Return what the job that a place is kept for can have now, there or anywhere; nothing is taken yet.

        Boards that were taken or set aside while the search went on are in nothing that is returned.
        """
        kept = self._kept
        assert kept is not None
        while True:
            space = self._open_to_kept()
            found = yield from self._find(kept.wish, space, since=kept.tried)
            if isinstance(found, Missing):
                kept.tried = space.gained
                return found
            if found.boards - self._free == NO_BOARDS:
                return self._as_allocation(found)

    def _as_allocation(self, found: Place) -> Allocation:
        given = allocation(self.machine.name, self._fabric, found)
        self._found, self._found_planes = given.boards, found.boards
        return given

    def _find(
        self, wish: Wish, space: Space, *, best_for: Space | None = None, since: int = 0
    ) -> Steps[Place | Missing]:
        match wish:
            case AnyBoard():
                return find_board(space)
            case BoardAt(board):
                return find_board_at(space, board)
            case Demand():
                return find_rectangle(wish, space, best_for=best_for, since=since)

    # The place that is kept

    def keep(self, wish: Wish) -> Steps[None]:
        """Keep a place for a job, if there is any: where the wait is likely to be shortest among the boards in use now.

        Most jobs are short and a few are very long, so one that has run for long is likely to run on. The place is
        therefore where the job that has been running longest has been running the shortest time.
        """
        yield from self._keep_best(wish, self._number, 0)

    def keep_nothing(self) -> None:
        """Open the place that is kept to everybody."""
        if self._kept is not None:
            self._kept = None
            self._open_up_to_date = False

    @property
    def keeps(self) -> bool:
        """Whether a place is kept."""
        return self._kept is not None

    def keep_better(self) -> Steps[None]:
        """Move the place that is kept if there is a better one since boards were freed."""
        kept = self._kept
        if kept is None or not kept.stale:
            return
        kept.stale = False
        hope = self._hope
        hope.become((self._free | kept.hoped) & self._usable)
        if (yield from self._fits(kept.wish, hope, since=kept.hoped_in_vain)):
            if self._kept is kept:
                yield from self._keep_best(kept.wish, kept.latest, kept.oldest + 1)
        else:
            kept.hoped_in_vain = hope.gained

    def _hoped_for(self, first: int, last: int) -> Planes:
        """Return the boards that are free, or were taken by those numbered from `first` to `last`."""
        z0, z1, z2 = self._free
        for number, boards in self._taken.items():
            if first <= number <= last:
                z0 |= boards[0]
                z1 |= boards[1]
                z2 |= boards[2]
        return Planes(z0, z1, z2) & self._usable

    def _keep_best(self, wish: Wish, latest: int, first: int) -> Steps[None]:
        """Keep the place in whose way the first is as late as can be, of those numbered from `first` to `latest`."""
        before = self._kept
        while True:
            best = yield from self._best_place(wish, latest, first)
            if self._kept is not before:
                return  # the job it was for has left, or boards of its place were set aside
            if best is None or best.boards - self._usable == NO_BOARDS:
                break
        if best is not None:
            in_the_way = (
                number
                for number, boards in self._taken.items()
                if first <= number <= latest and boards & best.boards != NO_BOARDS
            )
            oldest = next(in_the_way, latest)
            hoped = self._hoped_for(oldest + 1, latest) - self._free
            tried = 0 if before is None else before.tried
            self._kept = _Kept(wish, best.boards, latest, oldest, hoped, tried)
            self._open_up_to_date = False

    def _best_place(self, wish: Wish, latest: int, first: int) -> Steps[Place | None]:
        numbers = [number for number in self._taken if first <= number <= latest]
        numbers.append(latest + 1)
        # There is a place with those from `low` on, and none with those from `high` on.
        low, high = 0, len(numbers)
        if not (yield from self._fits(wish, self._hope_from(numbers[0], latest))):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if (yield from self._fits(wish, self._hope_from(numbers[middle], latest))):
                low = middle
            else:
                high = middle
        hope = self._hope_from(numbers[low], latest)
        best = yield from self._find(wish, hope, best_for=self._open_to_kept())
        return best if isinstance(best, Place) else None

    def _hope_from(self, first: int, last: int) -> Space:
        return Space(self._fabric, self._hoped_for(first, last))

    def _fits(self, wish: Wish, space: Space, *, since: int = 0) -> Steps[bool]:
        if isinstance(wish, Demand):
            return (yield from fits(wish, space, since=since))
        return isinstance((yield from self._find(wish, space)), Place)

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
    Missing,
    Place,
    allocation,
    find_board,
    find_board_at,
    find_rectangle,
    fits,
)
from spalloc_server.core.packing.space import Space
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest
from spinnaker.geometry import Board, boards_of

Wish = AnyBoard | BoardAt | Demand
"""A request as one machine sees it."""

_KNOWN_REQUESTS = 4096
"""How many requests a machine knows its answer to; then it begins anew, as no one knows how many more will come."""


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
        """What is free and not kept, likewise."""
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

    # Boards come back one by one: what follows from that is worked out when somebody asks.

    def _open_to_others(self) -> Space:
        if not self._open_up_to_date:
            self._open_up_to_date = True
            self._open.become(self._free if self._kept is None else self._free - self._kept.boards)
        return self._open

    def _open_to_kept(self) -> Space:
        self._all.become(self._free)
        return self._all

    # What can be had

    def could_meet(self, request: JobRequest) -> bool:
        """Return whether the request could be met were no board in use."""
        if not isinstance(request.shape, Boards) or request.max_dead_links is not None:
            return self.wish(request) is not None
        # What does for some boards does for fewer: of all counts, those at the limit alone are to be worked out.
        count, alike = request.shape.count, replace(request, shape=AnyBoard(), machine=None, tags=frozenset())
        possible, impossible = self._limits.get(alike, (0, self.machine.size.boards + 1))
        if possible < count < impossible:
            if self.wish(request) is not None:
                possible = count
            else:
                impossible = count
            if len(self._limits) >= _KNOWN_REQUESTS:
                self._limits.clear()
            self._limits[alike] = possible, impossible
        return count <= possible

    def wish(self, request: JobRequest) -> Wish | None:
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
        if len(self._demands) >= _KNOWN_REQUESTS:
            self._demands.clear()
        empty = Space(self._fabric, self._fabric.live)
        possible = (
            demand
            for demand in demands(request, self.machine.size, every_size=not self._fabric.is_perfect)
            if demand.rectangles
            and (self._fabric.is_perfect or isinstance(find_rectangle(demand, empty), Place))
        )
        demand = self._demands[request] = next(possible, None)
        return demand

    def look(self) -> int:
        """Take note of the boards that have become available since the last look.

        Returns:
            how many boards are available now; 0 if none has become so.
        """
        space = self._open_to_others()
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

    def find(self, wish: Wish, *, again: bool) -> Allocation | Missing:
        """Return what a job can have now, outside the place that is kept; nothing is taken yet.

        Args:
            wish: what the job asks for.
            again: whether no place was found for it after the look before the last.
        """
        return self._as_allocation(self._find(wish, self._open_to_others(), since=self._seen if again else 0))

    def find_for_kept(self) -> Allocation | Missing:
        """Return what the job that a place is kept for can have now, there or anywhere; nothing is taken yet."""
        assert self._kept is not None
        since, self._kept.tried = self._kept.tried, self.gained_for_kept
        return self._as_allocation(self._find(self._kept.wish, self._open_to_kept(), since=since))

    def _as_allocation(self, found: Place | Missing) -> Allocation | Missing:
        if isinstance(found, Missing):
            return found
        given = allocation(self.machine.name, self._fabric, found)
        self._found, self._found_planes = given.boards, found.boards
        return given

    def _find(
        self, wish: Wish, space: Space, *, best_for: Space | None = None, since: int = 0
    ) -> Place | Missing:
        match wish:
            case AnyBoard():
                return find_board(space)
            case BoardAt(board):
                return find_board_at(space, board)
            case Demand():
                return find_rectangle(wish, space, best_for=best_for, since=since)

    # The place that is kept

    def keep(self, wish: Wish) -> None:
        """Keep a place for a job: where the wait is likely to be shortest among the boards in use now.

        Most jobs are short and a few are very long, so one that has run for long is likely to run on. The place is
        therefore where the job that has been running longest has been running the shortest time.
        """
        self._keep_best(wish, self._number, 0)

    def keep_nothing(self) -> None:
        """Open the place that is kept to everybody."""
        if self._kept is not None:
            self._kept = None
            self._open_up_to_date = False

    @property
    def keeps(self) -> bool:
        """Whether a place is kept."""
        return self._kept is not None

    def keep_better(self) -> bool:
        """Move the place that is kept if there is a better one since boards were freed; return whether it moved."""
        kept = self._kept
        if kept is None or not kept.stale:
            return False
        kept.stale = False
        hope = self._hope
        hope.become((self._free | kept.hoped) & self._usable)
        if not self._fits(kept.wish, hope, since=kept.hoped_in_vain):
            kept.hoped_in_vain = hope.gained
            return False
        self._keep_best(kept.wish, kept.latest, kept.oldest + 1)
        return True

    def _hoped_for(self, first: int, last: int) -> Planes:
        """Return the boards that are free, or were taken by those numbered from `first` to `last`."""
        z0, z1, z2 = self._free
        for number, boards in self._taken.items():
            if first <= number <= last:
                z0 |= boards[0]
                z1 |= boards[1]
                z2 |= boards[2]
        return Planes(z0, z1, z2) & self._usable

    def _keep_best(self, wish: Wish, latest: int, first: int) -> None:
        """Keep the place in whose way the first is as late as can be, of those numbered from `first` to `latest`."""
        numbers = [number for number in self._taken if first <= number <= latest]
        numbers.append(latest + 1)
        low, high = (
            0,
            len(numbers),
        )  # there is a place with those from `low` on, not with those from `high` on
        if not self._fits(wish, self._hope_from(numbers[0], latest)):
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self._fits(wish, self._hope_from(numbers[middle], latest)):
                low = middle
            else:
                high = middle
        best = self._find(
            wish, Space(self._fabric, self._hoped_for(numbers[low], latest)), best_for=self._open_to_kept()
        )
        if isinstance(best, Place):
            tried = 0 if self._kept is None else self._kept.tried
            in_the_way = (number for number in numbers[:-1] if self._taken[number] & best.boards != NO_BOARDS)
            oldest = next(in_the_way, latest)
            hoped = self._hoped_for(oldest + 1, latest) - self._free
            self._kept = _Kept(wish, best.boards, latest, oldest, hoped, tried)
            self._open_up_to_date = False

    def _hope_from(self, first: int, last: int) -> Space:
        return Space(self._fabric, self._hoped_for(first, last))

    def _fits(self, wish: Wish, space: Space, *, since: int = 0) -> bool:
        if isinstance(wish, Demand):
            return fits(wish, space, since=since)
        return isinstance(self._find(wish, space), Place)

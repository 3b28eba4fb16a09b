"""One machine's boards: which place is kept for a job that waits, and what can be had.

Whose turn it is, is the scheduler's subject; how a place is found, search.py's; who has which boards, occupancy.py's.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.fabric import Fabric
from spalloc_server.core.packing.occupancy import Occupancy
from spalloc_server.core.packing.one_board import find_board, find_board_at
from spalloc_server.core.packing.search import Missing, Place, allocation, find_rectangle, fits
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.wishes import Wish, Wishes
from spalloc_server.core.requests import AnyBoard, BoardAt
from spinnaker.geometry import Board


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
    failed_version: int = 0
    """The version of what is free with which no place was found for the job; 0 if none was looked for."""
    next_version: int = 0
    """The first version of what is free with which there can be one."""
    failed_hope_version: int = 0
    """The version of the hope with which no better place was found; 0 if none was looked for."""
    stale: bool = False
    """Whether a better place may have appeared."""


class Packer:
    """One machine's boards, and what of them a job can have."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._fabric = Fabric(machine)
        self.wishes = Wishes(self._fabric)
        self._occupancy = Occupancy(self._fabric)
        self._found: frozenset[Board] = frozenset()
        """What was found last, mostly to be taken next, and the same in planes."""
        self._found_planes = NO_BOARDS
        self._kept: _Kept | None = None
        self._for_kept = Space(self._fabric, self._fabric.live)
        """What is free, as of when somebody last asked."""
        self._for_others = Space(self._fabric, self._fabric.live)
        """What is free and not kept, likewise; only a look adds boards to it."""
        self._up_to_date = True
        self._version = 0
        """The version of `_for_others` with the last look."""
        self.previous_version = 0
        """The version with the look before."""
        self._hope = Space(self._fabric)
        """What would be free soon, if a better place than the one that is kept is to be found."""

    @property
    def free_boards(self) -> int:
        """How many boards are free, kept ones included."""
        return self._occupancy.free.size

    def is_free(self, board: Board) -> bool:
        """Return whether a board is free, kept or not."""
        return self._occupancy.is_free(board)

    @property
    def set_aside_boards(self) -> frozenset[Board]:
        """The boards that are given to no job until they are put back."""
        return self._occupancy.set_aside_boards

    @property
    def kept_boards(self) -> int:
        """How many boards belong to the place that is kept, free or not."""
        return 0 if self._kept is None else self._kept.boards.size

    @property
    def awaited(self) -> int:
        """How many of the boards of the place that is kept are not free yet."""
        return 0 if self._kept is None else (self._kept.boards - self._occupancy.free).size

    @property
    def open_boards(self) -> int:
        """How many boards are available to jobs in general: free, and not kept."""
        return self._now_for_others().open.size

    @property
    def version(self) -> int:
        """The version of what is available to jobs in general."""
        # Nothing is opened by asking, but what has been taken is noted: it stays out until the next look, even if it is
        # given back before.
        return self._now_for_others().open.version

    # Changes

    def take(self, boards: Iterable[Board]) -> None:
        """Note that boards are in use, together; those that are already, or do not exist, are left out."""
        self._occupancy.take(boards, self._found_planes if boards is self._found else None)
        self._up_to_date = False

    def give_back(self, boards: Iterable[Board]) -> None:
        """Note that boards are no longer in use."""
        kept = self._kept
        for taker, returned in self._occupancy.give_back(boards):
            if kept is not None:
                if kept.oldest < taker <= kept.latest:
                    kept.hoped -= returned
                else:
                    kept.stale = True
        self._up_to_date = False

    def take_over(self, earlier: "Packer") -> None:
        """Note what was in use and set aside while the machine was configured otherwise."""
        self._occupancy.take_over(earlier._occupancy)
        self._up_to_date = False

    def set_aside(self, board: Board) -> None:
        """Give a board to no job until it is put back; who has it keeps it."""
        planes = self._occupancy.set_aside(board)
        if self._kept is not None and planes & self._kept.boards != NO_BOARDS:
            self.keep_nothing()
        self._up_to_date = False

    def put_back(self, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if self._occupancy.put_back(board):
            if self._kept is not None:
                self._kept.stale = True
            self._up_to_date = False

    # Boards come back one by one: what follows from that is worked out when somebody asks. Boards that have become
    # available are open to nobody before the next look: who was asked since the last could else have had them before
    # those who are asked later.

    def _now_for_others(self) -> Space:
        if not self._up_to_date:
            self._up_to_date = True
            self._for_others.become(self._for_others.open.boards & self._available())
        return self._for_others

    def _available(self) -> Planes:
        free = self._occupancy.free
        return free if self._kept is None else free - self._kept.boards

    def _now_for_kept(self) -> Space:
        self._for_kept.become(self._occupancy.free)
        return self._for_kept

    # What can be had

    def look(self) -> int:
        """Open the boards to jobs that have become available since the last look.

        Returns:
            how many boards are available now; 0 if none has become so.
        """
        # Whoever asked since the last look may have left out boards that had just become available.
        self._up_to_date = True
        self._for_others.become(self._available())
        self.previous_version, self._version = self._version, self._for_others.open.version
        return self._for_others.open.size if self.previous_version < self._version else 0

    def largest_gain(self, least: int) -> int:
        """Return how many boards the largest cluster has with one in it that became available before the last look.

        Who was found no place after the look before can have none now with more boards than that, unless boards of
        others kept it from one: see `Demand.minds_others`.

        Args:
            least: fewer boards than these are not worth counting: the answer may be too small then.
        """
        if self.previous_version == self._version or self._for_others.open.size < least:
            return 0
        return self._for_others.largest_cluster(self._for_others.opened_since(self.previous_version))

    def find(self, wish: Wish, *, failed_version: int = 0) -> Steps[Allocation | Missing]:
        """Return what a job can have now, outside the place that is kept; nothing is taken yet.

        Boards that were taken or set aside while the search went on are in nothing that is returned.

        Args:
            wish: what the job asks for.
            failed_version: the version with which no place was found for it last; 0 if none was looked for.
        """
        while True:
            found = yield from self._find(wish, self._now_for_others(), failed_version=failed_version)
            if isinstance(found, Missing):
                return found
            if self._up_to_date or found.boards - self._available() == NO_BOARDS:
                return self._as_allocation(found)

    def find_for_kept(self) -> Steps[Allocation | None]:
        """Return what the job that a place is kept for can have now, there or anywhere; nothing is taken yet.

        Boards that were taken or set aside while the search went on are in nothing that is returned.
        """
        kept, space = self._kept, self._now_for_kept()
        assert kept is not None
        version = space.open.version
        if version < kept.next_version:
            return None
        while True:
            found = yield from self._find(kept.wish, space, failed_version=kept.failed_version)
            if isinstance(found, Missing):
                kept.failed_version, kept.next_version = space.open.version, version + found.boards
                return None
            if found.boards - self._occupancy.free == NO_BOARDS:
                return self._as_allocation(found)
            space = self._now_for_kept()

    def _as_allocation(self, found: Place) -> Allocation:
        given = allocation(self.machine.name, self._fabric, found)
        self._found, self._found_planes = given.boards, found.boards
        return given

    def _find(
        self, wish: Wish, space: Space, *, best_for: Space | None = None, failed_version: int = 0
    ) -> Steps[Place | Missing]:
        match wish:
            case AnyBoard():
                return find_board(space)
            case BoardAt(board):
                return find_board_at(space, board)
            case Demand():
                return find_rectangle(wish, space, best_for=best_for, failed_version=failed_version)

    # The place that is kept

    def keep(self, wish: Wish) -> Steps[None]:
        """Keep a place for a job, if there is any: where the wait is likely to be shortest among the boards in use now.

        Most jobs are short and a few are very long, so one that has run for long is likely to run on. The place is
        therefore where the job that has been running longest has been running the shortest time.
        """
        yield from self._keep_best(wish, self._occupancy.latest, 0)

    def keep_nothing(self) -> None:
        """Open the place that is kept to everybody."""
        if self._kept is not None:
            self._kept = None
            self._up_to_date = False

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
        hope.become((self._occupancy.free | kept.hoped) & self._occupancy.usable)
        if (yield from self._fits(kept.wish, hope, failed_version=kept.failed_hope_version)):
            if self._kept is kept:
                yield from self._keep_best(kept.wish, kept.latest, kept.oldest + 1)
        else:
            kept.failed_hope_version = hope.open.version

    def _keep_best(self, wish: Wish, latest: int, first: int) -> Steps[None]:
        """Keep the place in whose way the first is as late as can be, of those numbered from `first` to `latest`."""
        occupancy, before = self._occupancy, self._kept
        while True:
            best = yield from self._best_place(wish, latest, first)
            if self._kept is not before:
                return  # the job it was for has left, or boards of its place were set aside
            if best is None or best.boards - occupancy.usable == NO_BOARDS:
                break
        if best is not None:
            in_the_way = (
                number
                for number, boards in occupancy.taken.items()
                if first <= number <= latest and boards & best.boards != NO_BOARDS
            )
            oldest = next(in_the_way, latest)
            hoped = occupancy.free_or_taken(oldest + 1, latest) - occupancy.free
            versions = (0, 0) if before is None else (before.failed_version, before.next_version)
            self._kept = _Kept(wish, best.boards, latest, oldest, hoped, *versions)
            self._up_to_date = False

    def _best_place(self, wish: Wish, latest: int, first: int) -> Steps[Place | None]:
        numbers = [number for number in self._occupancy.taken if first <= number <= latest]
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
        best = yield from self._find(wish, hope, best_for=self._now_for_kept())
        return best if isinstance(best, Place) else None

    def _hope_from(self, first: int, last: int) -> Space:
        return Space(self._fabric, self._occupancy.free_or_taken(first, last))

    def _fits(self, wish: Wish, space: Space, *, failed_version: int = 0) -> Steps[bool]:
        if isinstance(wish, Demand):
            return (yield from fits(wish, space, failed_version=failed_version))
        return isinstance((yield from self._find(wish, space)), Place)

"""Which boards of one machine are in use, set aside or free, and until when they are expected to be in use.

See packer.py for zones, and for where a request fits.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from copy import copy
from math import inf

from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.topology import Topology
from spinnaker.geometry import Board, boards_of

AT_ONCE = -inf
"""Until when boards are expected to be in use that no job has any more."""


class Occupancy:
    """Which boards of one machine are in use, set aside or free.

    Each taking of boards has a number, counting up.
    """

    def __init__(self, topology: Topology) -> None:
        self._bitmaps = topology.bitmaps
        self._live = topology.live
        self._every_board = frozenset(boards_of(topology.size))
        self.latest = 0
        """The latest number."""
        self.taken: dict[int, Planes] = {}
        """For each number, the boards that are still in use."""
        self._until: dict[int, float] = {}
        """For each number, until when its boards are expected to be in use."""
        self.ends: list[tuple[float, int]] = []
        """The same as pairs of time and number, in order."""
        self._untouched: dict[int, frozenset[Board]] = {}
        """The boards of the numbers of which no board has been given back."""
        self._numbers: dict[Board, int] = {}
        """With which number a board was taken last; it may be free again."""
        self._in_use = NO_BOARDS
        self.set_aside_boards: frozenset[Board] = frozenset()
        """The boards that no job is given until they are put back."""
        self.usable = topology.live
        """The boards that are alive and not set aside."""
        self.free = self.usable
        """The usable boards that are not in use."""

    def is_free(self, board: Board) -> bool:
        """Return whether a board is free."""
        return self._bitmaps.planes([board]) & self.free != NO_BOARDS

    def until(self, number: int) -> float | None:
        """Return until when the boards of a taking are expected to be in use; None if all have been given back."""
        return self._until.get(number)

    def boards_taken(self, number: int) -> frozenset[Board]:
        """Return the boards of a taking that are still in use."""
        untouched = self._untouched.get(number)
        return frozenset(self._bitmaps.boards(self.taken[number])) if untouched is None else untouched

    def take(self, boards: Iterable[Board], planes: Planes | None = None, *, until: float = AT_ONCE) -> int:
        """Note that boards are in use from now on; those that are already, or do not exist, are left out.

        Args:
            boards: the boards.
            planes: the same, if that is known and all of them exist.
            until: when they are expected to be given back.

        Returns:
            the number of the taking.
        """
        if planes is None:
            new = self._every_board.intersection(boards)
            taken = self._bitmaps.planes(new)
        else:
            new, taken = frozenset(boards), planes
        if taken & self._in_use != NO_BOARDS:
            taken -= self._in_use
            new = frozenset(self._bitmaps.boards(taken))
        self.latest += 1
        if new:
            self._note_taken(self.latest, new, taken, until)
        return self.latest

    def _note_taken(self, number: int, boards: frozenset[Board], planes: Planes, until: float) -> None:
        self._numbers.update(dict.fromkeys(boards, number))
        self.taken[number] = planes
        self._until[number] = until
        insort(self.ends, (until, number))
        self._untouched[number] = boards
        self._in_use |= planes
        self.free -= planes

    def expect(self, number: int, until: float) -> None:
        """Note when the boards of a taking are expected to be given back, if they have not been."""
        before = self._until.get(number)
        if before is not None and before != until:
            del self.ends[bisect_left(self.ends, (before, number))]
            self._until[number] = until
            insort(self.ends, (until, number))

    def overdue(self, now: float) -> list[int]:
        """Return the numbers of the takings by jobs that were expected to have ended by `now`."""
        first = bisect_right(self.ends, (AT_ONCE, self.latest))
        last = bisect_right(self.ends, (now, self.latest), first)
        return [number for _, number in self.ends[first:last]]

    def give_back(self, boards: Iterable[Board]) -> list[tuple[float, Planes]]:
        """Note that boards are no longer in use.

        Returns:
            until when they were expected to be in use, each time with its boards.
        """
        known = self._every_board.intersection(boards)
        if not known:
            return []
        number = self._numbers.get(next(iter(known)), 0)
        if self._untouched.get(number) == known:
            # Nearly always a job gives back all of its boards at once.
            planes = self.taken[number]
            return [(self._give_back(number, planes), planes)]
        returned: list[tuple[float, Planes]] = []
        rest = self._bitmaps.planes(known) & self._in_use
        for board in known:
            if rest == NO_BOARDS:
                break
            number = self._numbers.get(board, 0)
            planes = self.taken.get(number, NO_BOARDS) & rest
            if planes != NO_BOARDS:
                returned.append((self._give_back(number, planes), planes))
                rest -= planes
        return returned

    def _give_back(self, number: int, returned: Planes) -> float:
        held = self.taken[number]
        until = self._until[number]
        self._untouched.pop(number, None)
        if returned == held:
            del self.taken[number]
            del self._until[number]
            del self.ends[bisect_left(self.ends, (until, number))]
        else:
            self.taken[number] = held - returned
        self._in_use -= returned
        self.free |= returned & self.usable
        return until

    def set_aside(self, board: Board) -> Planes:
        """Give a board to no job until it is put back, and return it as a set; a job that has it keeps it."""
        if board not in self._every_board:
            return NO_BOARDS
        planes = self._bitmaps.planes([board])
        self.set_aside_boards |= {board}
        self.usable -= planes
        self.free -= planes
        return planes

    def put_back(self, board: Board) -> bool:
        """Let jobs have a board again; return whether it was set aside."""
        if board not in self.set_aside_boards:
            return False
        self.set_aside_boards -= {board}
        self.usable |= self._bitmaps.planes([board]) & self._live
        self.free = self.usable - self._in_use
        return True

    def copy(self) -> "Occupancy":
        """Return the same, which changes by itself from now on."""
        made = copy(self)
        made.taken, made._until, made.ends = dict(self.taken), dict(self._until), list(self.ends)
        made._untouched, made._numbers = dict(self._untouched), dict(self._numbers)
        return made

    def take_over(self, earlier: "Occupancy") -> None:
        """Copy what is in use and set aside from the same machine, as it was configured before; numbers stay."""
        self.latest = earlier.latest
        for number, planes in earlier.taken.items():
            boards = self._every_board.intersection(earlier._bitmaps.boards(planes))
            if boards:
                self._note_taken(number, boards, self._bitmaps.planes(boards), earlier._until[number])
        for board in earlier.set_aside_boards:
            self.set_aside(board)

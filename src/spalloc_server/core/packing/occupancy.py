"""Who has which boards of one machine, and which of them nobody is to be given.

What is kept for somebody, and where there is a place, are packer.py's.
"""

from collections.abc import Iterable

from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.fabric import Fabric
from spinnaker.geometry import Board, boards_of


class Occupancy:
    """Which boards of one machine are in use, set aside and free.

    Those who take boards are numbered in the order in which they do; a number says who has been running longest.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._bitmaps = fabric.bitmaps
        self._live = fabric.live
        self._every_board = frozenset(boards_of(fabric.size))
        self.latest = 0
        """The number of who took boards last."""
        self.taken: dict[int, Planes] = {}
        """What each has."""
        self._given: dict[int, frozenset[Board]] = {}
        """What those who have given back nothing so far took."""
        self._takers: dict[Board, int] = {}
        """Who took a board last; it may be free again."""
        self._in_use = NO_BOARDS
        self.set_aside_boards: frozenset[Board] = frozenset()
        """The boards that are given to no job until they are put back."""
        self.usable = fabric.live
        """The boards that are alive and not set aside."""
        self.free = self.usable
        """Those of them that nobody has."""

    def is_free(self, board: Board) -> bool:
        """Return whether a board is free."""
        return self._bitmaps.planes([board]) & self.free != NO_BOARDS

    def take(self, boards: Iterable[Board], planes: Planes | None = None) -> None:
        """Note that boards are in use, together; those that are already, or do not exist, are left out.

        Args:
            boards: the boards.
            planes: the same, if that is known and all of them exist.
        """
        if planes is None:
            new = self._every_board.intersection(boards)
            taken = self._bitmaps.planes(new)
        else:
            new, taken = frozenset(boards), planes
        if taken & self._in_use != NO_BOARDS:
            taken -= self._in_use
            new = frozenset(self._bitmaps.boards(taken))
        if not new:
            return
        self.latest += 1
        self._takers.update(dict.fromkeys(new, self.latest))
        self.taken[self.latest] = taken
        self._given[self.latest] = new
        self._in_use |= taken
        self.free -= taken

    def give_back(self, boards: Iterable[Board]) -> list[tuple[int, Planes]]:
        """Note that boards are no longer in use.

        Returns:
            the number of each who had some of them, and which.
        """
        known = self._every_board.intersection(boards)
        if not known:
            return []
        taker = self._takers.get(next(iter(known)), 0)
        if self._given.get(taker) == known:
            # Nearly always a job gives back all that it was given, and at once.
            planes = self.taken[taker]
            self._give_back(taker, planes)
            return [(taker, planes)]
        returned: list[tuple[int, Planes]] = []
        rest = self._bitmaps.planes(known) & self._in_use
        for board in known:
            if rest == NO_BOARDS:
                break
            taker = self._takers.get(board, 0)
            planes = self.taken.get(taker, NO_BOARDS) & rest
            if planes != NO_BOARDS:
                self._give_back(taker, planes)
                returned.append((taker, planes))
                rest -= planes
        return returned

    def _give_back(self, taker: int, returned: Planes) -> None:
        held = self.taken[taker]
        self._given.pop(taker, None)
        if returned == held:
            del self.taken[taker]
        else:
            self.taken[taker] = held - returned
        self._in_use -= returned
        self.free |= returned & self.usable

    def set_aside(self, board: Board) -> Planes:
        """Give a board to no job until it is put back, and return it as a set; who has it keeps it."""
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

    def free_or_taken(self, first: int, last: int) -> Planes:
        """Return the usable boards that are free, or were taken by those numbered from `first` to `last`."""
        z0, z1, z2 = self.free
        for number, boards in self.taken.items():
            if first <= number <= last:
                z0 |= boards[0]
                z1 |= boards[1]
                z2 |= boards[2]
        return Planes(z0, z1, z2) & self.usable

    def take_over(self, earlier: "Occupancy") -> None:
        """Note what was in use and set aside while the machine was configured otherwise."""
        for boards in earlier.taken.values():
            self.take(earlier._bitmaps.boards(boards))
        for board in earlier.set_aside_boards:
            self.set_aside(board)

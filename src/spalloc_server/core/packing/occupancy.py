"""Which boards of one machine are in use, set aside or free.

See packer.py for reservations, and for where a request fits.
"""

from collections.abc import Iterable

from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.topology import Topology
from spinnaker.geometry import Board, boards_of


class Occupancy:
    """Which boards of one machine are in use, set aside or free.

    Each taking of boards has a number, counting up: the smallest numbers belong to the jobs that have run longest.
    """

    def __init__(self, topology: Topology) -> None:
        self._bitmaps = topology.bitmaps
        self._live = topology.live
        self._every_board = frozenset(boards_of(topology.size))
        self.latest = 0
        """The latest number."""
        self.taken: dict[int, Planes] = {}
        """For each number, the boards that are still in use."""
        self._untouched: dict[int, frozenset[Board]] = {}
        """The same, only for the numbers of which no board has been given back."""
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

    def take(self, boards: Iterable[Board], planes: Planes | None = None) -> None:
        """Note that boards are in use from now on; those that are already, or do not exist, are left out.

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
        self._numbers.update(dict.fromkeys(new, self.latest))
        self.taken[self.latest] = taken
        self._untouched[self.latest] = new
        self._in_use |= taken
        self.free -= taken

    def give_back(self, boards: Iterable[Board]) -> list[tuple[int, Planes]]:
        """Note that boards are no longer in use.

        Returns:
            the numbers with which they had been taken, each with its boards.
        """
        known = self._every_board.intersection(boards)
        if not known:
            return []
        number = self._numbers.get(next(iter(known)), 0)
        if self._untouched.get(number) == known:
            # Nearly always a job gives back all of its boards at once.
            planes = self.taken[number]
            self._give_back(number, planes)
            return [(number, planes)]
        returned: list[tuple[int, Planes]] = []
        rest = self._bitmaps.planes(known) & self._in_use
        for board in known:
            if rest == NO_BOARDS:
                break
            number = self._numbers.get(board, 0)
            planes = self.taken.get(number, NO_BOARDS) & rest
            if planes != NO_BOARDS:
                self._give_back(number, planes)
                returned.append((number, planes))
                rest -= planes
        return returned

    def _give_back(self, number: int, returned: Planes) -> None:
        held = self.taken[number]
        self._untouched.pop(number, None)
        if returned == held:
            del self.taken[number]
        else:
            self.taken[number] = held - returned
        self._in_use -= returned
        self.free |= returned & self.usable

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

    def free_or_taken(self, first: int, last: int) -> Planes:
        """Return the usable boards that are free, or were taken with numbers from `first` to `last`."""
        z0, z1, z2 = self.free
        for number, boards in self.taken.items():
            if first <= number <= last:
                z0 |= boards[0]
                z1 |= boards[1]
                z2 |= boards[2]
        return Planes(z0, z1, z2) & self.usable

    def take_over(self, earlier: "Occupancy") -> None:
        """Copy what is in use and set aside from the same machine, as it was configured before."""
        for boards in earlier.taken.values():
            self.take(earlier._bitmaps.boards(boards))
        for board in earlier.set_aside_boards:
            self.set_aside(board)

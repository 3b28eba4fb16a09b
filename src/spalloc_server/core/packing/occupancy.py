# Which boards of one machine can be had just now.
#
# Bookkeeping only: no search, no requests, no jobs.
"""The boards of a machine that are alive, not set aside and in no job's hands."""

from collections.abc import Iterable

from spalloc_server.core.packing.fabric import Fabric, Planes
from spinnaker.geometry import BOARDS_PER_TRIAD, Board


class Occupancy:
    """Available boards, as bitmaps and counted for each triad."""

    def __init__(self, fabric: Fabric) -> None:
        self._width = fabric.size.width
        triads = fabric.size.width * fabric.size.height
        self._planes = [0, 0, 0]
        self.counts = [0] * triads
        """For each triad, row by row, how many of its boards are available."""
        self.free_boards = 0
        """How many boards are available."""
        self.version = 0
        """Grows with every change."""
        self.add(fabric.live_boards)

    @property
    def planes(self) -> Planes:
        """The available boards."""
        return Planes(*self._planes)

    def has(self, board: Board) -> bool:
        """Return whether a board of the machine is available."""
        return bool(self._planes[board.z] >> (board.y * self._width + board.x) & 1)

    def add(self, boards: Iterable[Board]) -> None:
        """Make boards available; none of them may be so already."""
        self._change(boards, 1)

    def remove(self, boards: Iterable[Board]) -> None:
        """Take available boards away."""
        self._change(boards, -1)

    def _change(self, boards: Iterable[Board], by: int) -> None:
        changed = [0] * BOARDS_PER_TRIAD
        for board in boards:
            triad = board.y * self._width + board.x
            changed[board.z] |= 1 << triad
            self.counts[triad] += by
            self.free_boards += by
        for z, bits in enumerate(changed):
            self._planes[z] ^= bits
        self.version += 1

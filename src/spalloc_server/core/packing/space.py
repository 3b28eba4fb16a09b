# The boards that are open to some job just now, with the sums that searches need, worked out once and kept.
#
# Arithmetic on what is open; why it is open, or to whom, is packer.py's.
"""Open boards, and how many of them there are in every rectangle."""

from collections import deque

from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.fabric import Fabric
from spalloc_server.core.packing.grids import Grids
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size

_REMEMBERED = 64
"""Changes that a space remembers, so that a search need not repeat what was in vain before."""

_MOST_SUMS = 512
"""Grids that a space keeps: as many as all sizes need on a machine of 20 x 20 triads."""


class Space:
    """A set of open boards of one machine that changes over time."""

    def __init__(self, fabric: Fabric, boards: Planes = NO_BOARDS) -> None:
        self.fabric = fabric
        self.boards = boards
        self.size = boards.size
        """How many boards are open."""
        self.gained = 0
        """How many boards have been opened so far, counted anew each time."""
        self._most: dict[Size, tuple[int, int]] = {}
        self._sums: dict[object, int] = {}
        self._clusters: list[Planes] = []
        self._opened: deque[tuple[int, Planes]] = deque(maxlen=_REMEMBERED)

    def become(self, boards: Planes) -> None:
        """Have other boards open than before."""
        if boards != self.boards:
            opened = boards - self.boards
            if opened != NO_BOARDS:
                self.gained += opened.size
                self._opened.append((self.gained, opened))
            self.boards = boards
            self.size = boards.size
            self._sums.clear()
            self._clusters.clear()

    def opened_since(self, gained: int) -> Planes:
        """Return the boards that have been opened since so many had been gained; all that are open, if long ago."""
        opened = NO_BOARDS
        for after, boards in reversed(self._opened):
            if after <= gained:
                return opened & self.boards
            opened |= boards
        return self.boards

    def clusters_of(self, boards: Planes, fewest: int) -> Planes:
        """Return the clusters of at least `fewest` open boards that some of `boards`, all open, are in."""
        rest, large = boards, NO_BOARDS
        while rest != NO_BOARDS:
            z = next(z for z in range(BOARDS_PER_TRIAD) if rest[z])
            cluster = self._cluster(z, rest[z] & -rest[z])
            rest -= cluster
            if cluster.size >= fewest:
                large |= cluster
        return large

    def largest_cluster(self, boards: Planes) -> int:
        """Return how many boards the largest cluster has that some of `boards`, all open, are in."""
        rest, most = boards, 0
        while rest != NO_BOARDS:
            z = next(z for z in range(BOARDS_PER_TRIAD) if rest[z])
            cluster = self._cluster(z, rest[z] & -rest[z])
            rest -= cluster
            most = max(most, cluster.size)
        return most

    @property
    def is_everything(self) -> bool:
        """Whether all live boards are open."""
        return self.boards == self.fabric.live

    @property
    def whole(self) -> int:
        """Bitmap of the triads all of whose boards are open."""
        return self.boards.z0 & self.boards.z1 & self.boards.z2

    def ceiling(self, size: Size) -> int:
        """Return a number that the open boards of no rectangle of a size exceed."""
        known = self._most.get(size)
        if known is None:
            return size.boards
        most, gained = known
        return most + self.gained - gained

    def find_ceiling(self, size: Size) -> int:
        """Return how many open boards the best rectangle of a size has, and remember it as the ceiling."""
        most, gained = self._most.get(size, (0, -1))
        if gained != self.gained:
            grids = self.fabric.grids(size)
            most, _ = grids.largest(self.open_boards(size), self.fabric.places(size), size.boards)
            self._most[size] = most, self.gained
        return most

    def has_place(self, size: Size, boards: int) -> bool:
        """Return whether so many open boards are in some rectangle of a size."""
        return bool(
            self.fabric.grids(size).at_least(self.open_boards(size), boards) & self.fabric.places(size)
        )

    def open_boards(self, size: Size) -> int:
        """Return the grid of the open boards in the rectangle that has each triad at its bottom left."""
        sums = self._sums.get(size)
        if sums is None:
            grids = self.fabric.grids(size)
            key = "boards", grids.bits, size.width
            across = self._sums.get(key)
            if across is None:
                across = self._sums[key] = grids.across(self._counts(grids), size.width)
            if len(self._sums) >= _MOST_SUMS:
                self._sums.clear()
            sums = self._sums[size] = grids.up(across, size.height)
        return sums

    def _counts(self, grids: Grids) -> int:
        key = "counts", grids.bits
        counts = self._sums.get(key)
        if counts is None:
            counts = self._sums[key] = grids.counts(self.boards)
        return counts

    def origins(self, size: Size) -> int:
        """Return the triads that can be at a rectangle's bottom left because their bottom-left board is open."""
        grids = self.fabric.grids(size)
        key = "origins", grids.bits
        guards = self._sums.get(key)
        if guards is None:
            guards = self._sums[key] = grids.guards_of(self.boards.z0)
        return guards & self.fabric.places(size)

    def cluster(self, board: Board) -> Planes:
        """Return the open boards that are connected to one of them."""
        return self._cluster(board.z, self.fabric.bitmaps.triad(board.x, board.y))

    def _cluster(self, z: int, triad: int) -> Planes:
        for cluster in self._clusters:
            if cluster[z] & triad:
                return cluster
        seed = [0, 0, 0]
        seed[z] = triad
        cluster = self.fabric.cluster(Planes(*seed), self.boards)
        self._clusters.append(cluster)
        return cluster

    def shut_edge(self, size: Size) -> tuple[int, int]:
        """Return, for the rectangle at each triad, how much of its edge touches no wholly open triad.

        Returns:
            the grid, and the length of the whole edge, in triads.
        """
        grids, fabric = self.fabric.grids(size), self.fabric
        width, height = fabric.size
        open_edge, edge = 0, 0
        if size.height < height:
            row = self._whole_triads(grids, size.width, 1)
            below, above = grids.shifted(row, 0, height - 1), grids.shifted(row, 0, size.height)
            if not fabric.joined_y:
                below, above = grids.above_bottom(below), grids.below_top(above, size.height)
            open_edge += below + above
            edge += 2 * size.width
        if size.width < width:
            column = self._whole_triads(grids, 1, size.height)
            left, right = grids.shifted(column, width - 1, 0), grids.shifted(column, size.width, 0)
            if not fabric.joined_x:
                left, right = grids.right_of_left(left), grids.left_of_right(right, size.width)
            open_edge += left + right
            edge += 2 * size.height
        return edge * grids.ones - grids.first_copy(open_edge), edge

    def _whole_triads(self, grids: Grids, width: int, height: int) -> int:
        key = "whole", grids.bits, width, height
        sums = self._sums.get(key)
        if sums is None:
            one = "whole", grids.bits
            whole = self._sums.get(one)
            if whole is None:
                whole = self._sums[one] = grids.number(self.whole)
            sums = grids.across(whole, width) if height == 1 else grids.up(whole, height)
            self._sums[key] = sums
        return sums

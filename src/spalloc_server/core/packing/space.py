"""The boards that are open to a job now, and what follows from that for the rectangles of each size.

Arithmetic only: why a board is open, and to whom, is decided in packer.py.
"""

from collections import deque

from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.topology import Topology
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size

_REMEMBERED = 64
"""How many changes a space remembers."""

_MOST_SUMS = 512
"""How many grids a space keeps: as many as all sizes need on a machine of 20 x 20 triads."""


class OpenBoards:
    """The boards that are open now, and grids calculated from them: what a space and its rectangles share.

    Rectangles refer to this and not to their space, so that a space is freed with the last reference to it.
    """

    __slots__ = ("boards", "size", "sums", "topology", "version")

    def __init__(self, topology: Topology, boards: Planes) -> None:
        self.topology = topology
        self.boards = boards
        self.size = boards.size
        """How many boards are open."""
        self.version = 0
        """How many boards have been opened so far, counting a board each time: see `packing/__init__.py`."""
        self.sums: dict[object, int] = {}


class Space:
    """A set of open boards of one machine that changes over time."""

    def __init__(self, topology: Topology, boards: Planes = NO_BOARDS) -> None:
        self.topology = topology
        self.open = OpenBoards(topology, boards)
        self._opened: deque[tuple[int, Planes]] = deque(maxlen=_REMEMBERED)
        """What has been opened, each with the version from then on."""
        self._rectangles: dict[Size, Rectangles] = {}
        self._clusters: list[Planes] = []

    def become(self, boards: Planes) -> None:
        """Have these boards open, and no others."""
        now = self.open
        if boards != now.boards:
            opened = boards - now.boards
            if opened != NO_BOARDS:
                now.version += opened.size
                self._opened.append((now.version, opened))
            now.boards = boards
            now.size = boards.size
            now.sums.clear()
            self._clusters.clear()

    def opened_since(self, version: int) -> Planes:
        """Return the open boards that have been opened since a version; all open boards, if that was long ago."""
        opened = NO_BOARDS
        for after, boards in reversed(self._opened):
            if after <= version:
                return opened & self.open.boards
            opened |= boards
        return self.open.boards

    def rectangles(self, size: Size) -> "Rectangles":
        """Return the rectangles of a size, with what is open of them."""
        rectangles = self._rectangles.get(size)
        if rectangles is None:
            rectangles = self._rectangles[size] = Rectangles(size, self.open)
        return rectangles

    @property
    def is_everything(self) -> bool:
        """Whether all live boards are open."""
        return self.open.boards == self.topology.live

    def clusters_of(self, boards: Planes, fewest: int) -> Planes:
        """Return the boards of all clusters of at least `fewest` open boards that have one of `boards`, all open."""
        rest, large = boards, NO_BOARDS
        while rest != NO_BOARDS:
            cluster = self._first_cluster(rest)
            rest -= cluster
            if cluster.size >= fewest:
                large |= cluster
        return large

    def largest_cluster(self, boards: Planes) -> int:
        """Return how many boards the largest cluster with one of `boards` has; all of them are open."""
        rest, most = boards, 0
        while rest != NO_BOARDS:
            cluster = self._first_cluster(rest)
            rest -= cluster
            most = max(most, cluster.size)
        return most

    def cluster(self, board: Board) -> Planes:
        """Return the open boards that are connected to an open board, itself included."""
        return self._cluster(board.z, self.topology.bitmaps.triad(board.x, board.y))

    def _first_cluster(self, boards: Planes) -> Planes:
        z = next(z for z in range(BOARDS_PER_TRIAD) if boards[z])
        return self._cluster(z, boards[z] & -boards[z])

    def _cluster(self, z: int, triad: int) -> Planes:
        for cluster in self._clusters:
            if cluster[z] & triad:
                return cluster
        seed = [0, 0, 0]
        seed[z] = triad
        cluster = self.topology.cluster(Planes(*seed), self.open.boards)
        self._clusters.append(cluster)
        return cluster


class Rectangles:
    """The rectangles of one size on a machine, and what is open of them: all that a search asks about a size.

    A rectangle is named by its origin, the triad at its bottom left. Grids and guards are those of `grids`.
    """

    __slots__ = ("_most", "_version", "grids", "open", "origins", "size")

    def __init__(self, size: Size, open_boards: OpenBoards) -> None:
        self.size = size
        self.open = open_boards
        self.grids = open_boards.topology.grids(size)
        self.origins = open_boards.topology.origins(size)
        """Guards of the rectangles that the machine's edges allow."""
        self._most: int | None = None
        """How many open boards the fullest one had with `_version`; None if not known."""
        self._version = -1

    @property
    def ceiling(self) -> int:
        """No rectangle has more open boards than this, which is known without counting."""
        if self._most is None:
            return self.size.boards
        return self._most + self.open.version - self._version

    def find_ceiling(self) -> int:
        """Return how many open boards the fullest one has, or had with this version, and remember the number."""
        if self._most is None or self._version != self.open.version:
            self._most, _ = self.grids.largest(self.open_boards, self.origins, self.size.boards)
            self._version = self.open.version
        return self._most

    def any_has(self, boards: int) -> bool:
        """Return whether any of them has at least this many open boards."""
        return bool(self.grids.at_least(self.open_boards, boards) & self.origins)

    @property
    def open_boards(self) -> int:
        """The grid of the open boards in each."""
        sums = self.open.sums
        open_boards = sums.get(self.size)
        if open_boards is None:
            grids, size = self.grids, self.size
            key = "boards", grids.bits, size.width
            across = sums.get(key)
            if across is None:
                across = sums[key] = grids.across(self._counts(), size.width)
            if len(sums) >= _MOST_SUMS:
                sums.clear()
            open_boards = sums[size] = grids.up(across, size.height)
        return open_boards

    def _counts(self) -> int:
        sums, key = self.open.sums, ("counts", self.grids.bits)
        counts = sums.get(key)
        if counts is None:
            counts = sums[key] = self.grids.counts(self.open.boards)
        return counts

    @property
    def open_origins(self) -> int:
        """Guards of the rectangles whose bottom-left board is open."""
        sums, key = self.open.sums, ("origins", self.grids.bits)
        guards = sums.get(key)
        if guards is None:
            guards = sums[key] = self.grids.guards_of(self.open.boards.z0)
        return guards & self.origins

    def live_in_use(self) -> int:
        """Return the grid of the live boards in each that are not open."""
        grids, now = self.grids, self.open
        in_use = grids.counts(now.topology.live - now.boards)
        return grids.up(grids.across(in_use, self.size.width), self.size.height)

    def closed_edge(self) -> tuple[int, int]:
        """Return how much of each rectangle's edge touches no wholly open triad.

        Returns:
            the grid of these lengths, and the length of the whole edge, in triads.
        """
        size, grids, topology = self.size, self.grids, self.open.topology
        width, height = topology.size
        open_edge, edge = 0, 0
        if size.height < height:
            row = self._whole_triads(size.width, 1)
            below, above = grids.shifted(row, 0, height - 1), grids.shifted(row, 0, size.height)
            if not topology.joined_y:
                below, above = grids.above_bottom(below), grids.below_top(above, size.height)
            open_edge += below + above
            edge += 2 * size.width
        if size.width < width:
            column = self._whole_triads(1, size.height)
            left, right = grids.shifted(column, width - 1, 0), grids.shifted(column, size.width, 0)
            if not topology.joined_x:
                left, right = grids.right_of_left(left), grids.left_of_right(right, size.width)
            open_edge += left + right
            edge += 2 * size.height
        return edge * grids.ones - grids.first_copy(open_edge), edge

    def _whole_triads(self, width: int, height: int) -> int:
        """Return, for each triad, the number of wholly open triads in the row or column that begins there."""
        sums, grids = self.open.sums, self.grids
        key = "whole", grids.bits, width, height
        in_line = sums.get(key)
        if in_line is None:
            one = "whole", grids.bits
            whole = sums.get(one)
            if whole is None:
                z0, z1, z2 = self.open.boards
                whole = sums[one] = grids.number(z0 & z1 & z2)
            in_line = grids.across(whole, width) if height == 1 else grids.up(whole, height)
            sums[key] = in_line
        return in_line

"""Sets of boards of one machine as integers with a bit for each triad.

Set arithmetic only: callers decide what it means to be in a set. See grids.py for sums over rectangles.
"""

from collections.abc import Iterable
from typing import NamedTuple

from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size


class Planes(NamedTuple):
    """A set of boards: for each z, the bitmap of the triads whose board z is in the set."""

    z0: int
    z1: int
    z2: int

    # Each decision combines dozens of sets, and `_new` is three times as fast as the class.

    def __and__(self, other: "Planes") -> "Planes":
        z0, z1, z2 = self
        other0, other1, other2 = other
        return _new(Planes, (z0 & other0, z1 & other1, z2 & other2))

    def __or__(self, other: "Planes") -> "Planes":
        z0, z1, z2 = self
        other0, other1, other2 = other
        return _new(Planes, (z0 | other0, z1 | other1, z2 | other2))

    def __sub__(self, other: "Planes") -> "Planes":
        z0, z1, z2 = self
        other0, other1, other2 = other
        return _new(Planes, (z0 & ~other0, z1 & ~other1, z2 & ~other2))

    def within(self, triads: int) -> "Planes":
        """The boards of the set that are in these triads."""
        z0, z1, z2 = self
        return _new(Planes, (z0 & triads, z1 & triads, z2 & triads))

    @property
    def size(self) -> int:
        """How many boards there are in the set."""
        z0, z1, z2 = self
        return z0.bit_count() + z1.bit_count() + z2.bit_count()


_new = tuple.__new__

NO_BOARDS = Planes(0, 0, 0)


class Bitmaps:
    """Bitmaps for machines of one size.

    A bitmap has a bit for each triad, row by row from the bottom, and as many clear bits after each row as
    the row is long.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.stride = 2 * size.width
        """Bits from one row to the next."""
        self._length = size.height * self.stride
        self._corners: dict[Size, int] = {}
        rows = range(0, self._length, self.stride)
        self._blank = sum((1 << size.width) - 1 << row + size.width for row in rows)
        self.every_triad = self.rectangle(0, 0, size)
        self._boards = {
            self.stride * y + x: tuple(Board(x, y, z) for z in range(BOARDS_PER_TRIAD))
            for x in range(size.width)
            for y in range(size.height)
        }
        self._first_column = sum(1 << row for row in rows)

    def triad(self, x: int, y: int) -> int:
        """Return the bit of a triad."""
        return 1 << (self.stride * y + x)

    def rectangle(self, x: int, y: int, size: Size) -> int:
        """Return the bitmap of a rectangle of triads whose bottom-left one is (x, y), around the machine's edges."""
        corner = self._corners.get(size)
        if corner is None:
            row = (1 << size.width) - 1
            corner = self._corners[size] = sum(row << above * self.stride for above in range(size.height))
        triads = corner << y * self.stride + x
        over = triads >> self._length
        triads ^= over << self._length | over
        over = triads & self._blank
        return triads ^ (over | over >> self.size.width)

    def planes(self, boards: Iterable[Board]) -> Planes:
        """Return a set of boards as bitmaps."""
        planes = [0, 0, 0]
        for x, y, z in boards:
            planes[z] |= 1 << (self.stride * y + x)
        return Planes(*planes)

    def boards(self, planes: Planes) -> list[Board]:
        """Return the boards of a set."""
        boards = []
        for z, bits in enumerate(planes):
            rest = bits
            while rest:
                lowest = rest & -rest
                boards.append(self._boards[lowest.bit_length() - 1][z])
                rest ^= lowest
        return boards

    def moved(self, triads: int, x: int, y: int) -> int:
        """Return the bitmap moved by -1, 0 or 1 along each axis, around the machine's edges."""
        width = self.size.width
        if x == 1:
            triads <<= 1
            over = triads & self._first_column << width
            triads ^= over | over >> width
        elif x == -1:
            over = triads & self._first_column
            triads = (triads ^ over | over << width) >> 1
        if y == 1:
            triads <<= self.stride
            over = triads >> self._length
            triads ^= over << self._length | over
        elif y == -1:
            over = triads & ((1 << self.stride) - 1)
            triads = (triads ^ over | over << self._length) >> self.stride
        return triads

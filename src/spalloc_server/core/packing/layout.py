# How the boards and triads of one machine are laid out in integers: as bitmaps, and as lanes that can be summed.
#
# Arithmetic only: what a bit or a number says about a triad is for the callers.
"""Sets of boards as bitmaps, and sums over every rectangle of a machine at once."""

from collections.abc import Iterable
from typing import NamedTuple

from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size

_NARROW_BITS, _WIDE_BITS = 16, 32
_ENCODINGS = {_NARROW_BITS: "utf-16-be", _WIDE_BITS: "utf-32-be"}


class Planes(NamedTuple):
    """A set of boards: for each z, the bitmap of the triads whose board z is in the set."""

    z0: int
    z1: int
    z2: int

    def __and__(self, other: "Planes") -> "Planes":
        return Planes(self[0] & other[0], self[1] & other[1], self[2] & other[2])

    def __or__(self, other: "Planes") -> "Planes":
        return Planes(self[0] | other[0], self[1] | other[1], self[2] | other[2])

    def __sub__(self, other: "Planes") -> "Planes":
        return Planes(self[0] & ~other[0], self[1] & ~other[1], self[2] & ~other[2])

    def within(self, triads: int) -> "Planes":
        """The boards of the set that are in these triads."""
        return Planes(self[0] & triads, self[1] & triads, self[2] & triads)

    @property
    def size(self) -> int:
        """How many boards there are in the set."""
        return self[0].bit_count() + self[1].bit_count() + self[2].bit_count()


NO_BOARDS = Planes(0, 0, 0)


class Layout:
    """Bitmaps and grids for machines of one size.

    A bitmap has a bit for each triad, row by row from the bottom, with as many clear bits after each row as the row is
    long. A grid has a lane of several bits in place of each bit, holding a small number, and each row is written twice
    side by side, so that a rectangle that crosses the machine's right edge is in one piece. The top bit of a lane, its
    guard, is clear in numbers and marks triads in the results of comparisons; only the first copy of a row counts there.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.stride = 2 * size.width
        self.bits = _NARROW_BITS if size.boards < 1 << (_NARROW_BITS - 1) else _WIDE_BITS
        self._row_bits = self.stride * self.bits
        self._grid_bits = size.height * self._row_bits
        self._length = size.height * self.stride
        self._encoding = _ENCODINGS[self.bits]
        every_lane = ((1 << self._grid_bits) - 1) // ((1 << self.bits) - 1)
        self._numbers = every_lane * BOARDS_PER_TRIAD
        self.every_triad = self.rectangle(0, 0, size)
        self.ones = self.guards_of(self.every_triad) >> (self.bits - 1)
        """1 in each triad's lane: multiplied by a number, that number everywhere."""
        self.guards = self.ones << (self.bits - 1)
        self._first_copy = self.lanes_of(self.every_triad)
        self._right_of_left = self._first_copy << self.bits & self._first_copy
        self._boards = {
            self.stride * y + x: tuple(Board(x, y, z) for z in range(BOARDS_PER_TRIAD))
            for x in range(size.width)
            for y in range(size.height)
        }
        self._first_column = sum(1 << y * self.stride for y in range(size.height))

    # Bitmaps

    def triad(self, x: int, y: int) -> int:
        """Return the bit of a triad."""
        return 1 << (self.stride * y + x)

    def rectangle(self, x: int, y: int, size: Size) -> int:
        """Return the bitmap of a rectangle of triads whose bottom-left one is (x, y), around the machine's edges."""
        width, height = self.size
        row = ((1 << size.width) - 1) << x
        row = row & ((1 << width) - 1) | row >> width
        triads = 0
        for above in range(size.height):
            triads |= row << (y + above) % height * self.stride
        return triads

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
        width, height = self.size
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

    def first(self, guards: int) -> tuple[int, int]:
        """Return x and y of the lowest, then leftmost triad among `guards`."""
        lane = ((guards & -guards).bit_length() - 1) // self.bits
        y, x = divmod(lane, self.stride)
        return x, y

    # Grids

    def guards_of(self, triads: int) -> int:
        """Return the guards of the triads of a bitmap."""
        return self._spread(format(triads, "b")) << (self.bits - 1)

    def lanes_of(self, triads: int) -> int:
        """Return the grid with all bits below the guards set in the triads of a bitmap."""
        return self._spread(format(triads, "b")) * ((1 << (self.bits - 1)) - 1)

    def counts(self, planes: Planes) -> int:
        """Return the grid of how many boards of each triad are in a set."""
        width = self.size.width
        digits = 0
        for bits in planes:
            digits += int(format(bits | bits << width, "b"), 16)
        return self._spread(format(digits, "x"))

    def number(self, triads: int) -> int:
        """Return the grid of 1 for the triads of a bitmap and 0 for the others."""
        return self._spread(format(triads | triads << self.size.width, "b"))

    def _spread(self, digits: str) -> int:
        # A string of digits as fixed-width characters is a number a lane already: '0' to '3' are 0x30 to 0x33.
        return int.from_bytes(digits.encode(self._encoding), "big") & self._numbers

    def across(self, grid: int, width: int) -> int:
        """Return, for each triad, the sum over it and the `width` - 1 triads to its right."""
        return _sums(grid, width, self.bits)

    def up(self, grid: int, height: int) -> int:
        """Return, for each triad, the sum over it and the `height` - 1 triads above it."""
        overlap = grid & ((1 << (height - 1) * self._row_bits) - 1)
        return _sums(grid | overlap << self._grid_bits, height, self._row_bits)

    def shifted(self, grid: int, x: int, y: int) -> int:
        """Return the grid in which each triad has the number of the triad at (+x, +y), around the edges.

        Args:
            grid: numbers below the guards; for x other than 0, with both copies of each row good.
            x: 0 to the machine's width.
            y: 0 to the machine's height.
        """
        rows = y * self._row_bits
        if rows:
            below = grid & ((1 << rows) - 1)
            grid = (grid & ((1 << self._grid_bits) - 1)) >> rows | below << (self._grid_bits - rows)
        return grid >> x * self.bits

    def first_copy(self, grid: int) -> int:
        """Return the numbers of a grid with only the first copy of each row."""
        return grid & self._first_copy

    def above_bottom(self, grid: int) -> int:
        """Return a grid without the numbers of the bottom row."""
        return grid >> self._row_bits << self._row_bits

    def below_top(self, grid: int, rows: int) -> int:
        """Return a grid without the numbers of the `rows` top rows."""
        return grid & ((1 << self._grid_bits - rows * self._row_bits) - 1)

    def right_of_left(self, grid: int) -> int:
        """Return the first copy of a grid without the numbers of the leftmost column."""
        return grid & self._right_of_left

    def left_of_right(self, grid: int, columns: int) -> int:
        """Return the first copy of a grid without the numbers of the `columns` rightmost columns."""
        return grid & self._first_copy >> columns * self.bits & self._first_copy

    def at_least(self, grid: int, number: int) -> int:
        """Return the guards of the triads whose lane is `number` or more."""
        return grid + ((1 << (self.bits - 1)) - number) * self.ones & self.guards

    def largest(self, grid: int, among: int, bound: int) -> tuple[int, int]:
        """Return the largest number in some lanes, and the guards of those that have it.

        Args:
            grid: the numbers.
            among: the guards of the lanes to compare; not 0.
            bound: no number is larger.
        """
        best = 0
        for bit in range(bound.bit_length() - 1, -1, -1):
            having = among & grid << (self.bits - 1 - bit)
            if having:
                among = having
                best |= 1 << bit
        return best, among


def _sums(grid: int, count: int, step: int) -> int:
    """Sum `count` lanes that are `step` bits apart, from each lane on, by doubling."""
    total, offset = 0, 0
    run, length = grid, 1
    while True:
        if count & length:
            total += run >> offset
            offset += length * step
        if 2 * length > count:
            return total
        run += run >> length * step
        length *= 2

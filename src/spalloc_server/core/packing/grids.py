"""Numbers for all triads of one machine in one integer, so that every rectangle is summed at once.

Arithmetic only: callers decide what the numbers count. See bitmaps.py for sets.
"""

from spalloc_server.core.packing.bitmaps import Bitmaps, Planes

_ENCODINGS = {8: "latin-1", 16: "utf-16-be", 32: "utf-32-be"}
"""For each number of bits, the encoding whose characters have that many."""

LANE_BITS = tuple(_ENCODINGS)


class Grids:
    """Grids for machines of one size, of numbers up to one limit.

    A grid is an integer with a lane of several bits for each triad, holding a small number. Lanes are in the
    order of the bits of a bitmap, but each row is written twice side by side: so a rectangle that crosses the
    machine's right edge is in one piece. The top bit of a lane, its guard, is 0 in numbers and marks triads in
    the results of comparisons, where only the first copy of each row counts.
    """

    def __init__(self, bitmaps: Bitmaps, bits: int) -> None:
        self.size = bitmaps.size
        self.bits = bits
        self.most = (1 << (bits - 1)) - 1
        """The largest number that fits into a lane."""
        self._stride = bitmaps.stride
        self._row_bits = self._stride * bits
        self._grid_bits = self.size.height * self._row_bits
        self._encoding = _ENCODINGS[bits]
        self._every_one = ((1 << self._grid_bits) - 1) // ((1 << bits) - 1)
        self.guards = self.guards_of(bitmaps.every_triad)
        self.ones = self.guards >> (bits - 1)
        """1 in each triad's lane: multiplied by a number, it has that number in each lane."""
        self._first_copy = self.ones * self.most
        self._right_of_left = self._first_copy << bits & self._first_copy

    def first(self, guards: int) -> tuple[int, int]:
        """Return x and y of the lowest, then leftmost triad among `guards`."""
        lane = ((guards & -guards).bit_length() - 1) // self.bits
        y, x = divmod(lane, self._stride)
        return x, y

    def guards_of(self, triads: int) -> int:
        """Return the guards of the triads of a bitmap."""
        return self._spread(format(triads, "b")) << (self.bits - 1)

    def counts(self, planes: Planes) -> int:
        """Return the grid of how many boards of each triad are in a set."""
        z0, z1, z2 = planes
        return self.number(z0) + self.number(z1) + self.number(z2)

    def number(self, triads: int) -> int:
        """Return the grid of 1 for the triads of a bitmap and 0 for the others."""
        return self._spread(format(triads | triads << self.size.width, "b"))

    def _spread(self, digits: str) -> int:
        # Digits as fixed-width characters are one number per lane already: '0' and '1' are 0x30 and 0x31.
        return int.from_bytes(digits.encode(self._encoding), "big") & self._every_one

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
            grid: numbers, with all guards 0; for x other than 0, every row must be written twice, as `number` and
                `counts` do.
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
        return grid + (self.most + 1 - number) * self.ones & self.guards

    def largest(self, grid: int, among: int, bound: int) -> tuple[int, int]:
        """Return the largest number in some lanes, and the guards of the lanes that have it.

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

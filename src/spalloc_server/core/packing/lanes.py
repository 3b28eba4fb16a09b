# Arithmetic on all triads of a machine at once: one big integer holds a small number, a lane, for each triad.
#
# Pure integers; what the numbers mean (boards, edges) is for the callers.
"""Grids of small numbers in one integer, and sums over every rectangle of a size."""

from array import array
from collections.abc import Sequence

from spinnaker.geometry import Size

_NARROW, _WIDE = 16, 32


class Lanes:
    """The layout of grids for one machine size.

    A grid is an integer with a lane for each triad, from the lowest bits up: row by row, each row written twice side
    by side, so that a rectangle that crosses the right edge is still contiguous. The top bit of each lane, the guard,
    is clear in numbers and used by comparisons.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.bits = _NARROW if size.boards < 1 << (_NARROW - 1) else _WIDE
        self._typecode = "H" if self.bits == _NARROW else "I"
        self._row_bits = 2 * size.width * self.bits
        self._grid_bits = size.height * self._row_bits
        self.ones = self.grid([1] * (size.width * size.height), twice=False)
        """1 in the first copy of each triad's lane: multiplied by a number, that number everywhere."""
        self.guards = self.ones << (self.bits - 1)

    def grid(self, numbers: Sequence[int], *, twice: bool = True) -> int:
        """Return the grid of one number for each triad, given row by row from the bottom."""
        width = self.size.width
        lanes = array(self._typecode)
        blank = [0] * width
        for start in range(0, len(numbers), width):
            row = numbers[start : start + width]
            lanes.extend(row)
            lanes.extend(row if twice else blank)
        return int.from_bytes(lanes.tobytes(), "little")

    def across(self, grid: int, width: int) -> int:
        """Return, for each triad, the sum over it and the `width` - 1 triads to its right."""
        return self._sums(grid, width, self.bits)

    def up(self, grid: int, height: int) -> int:
        """Return, for each triad, the sum over it and the `height` - 1 triads above it, around the top edge."""
        overlap = grid & ((1 << (height - 1) * self._row_bits) - 1)
        return self._sums(grid | overlap << self._grid_bits, height, self._row_bits)

    @staticmethod
    def _sums(grid: int, count: int, step: int) -> int:
        total, shift = 0, 0
        run, length = grid, 1  # sums over runs of 1, 2, 4, ... lanes
        while True:
            if count & length:
                total += run >> shift
                shift += length * step
            length *= 2
            if length > count:
                return total
            run += run >> (length // 2) * step

    def moved(self, grid: int, x: int, y: int) -> int:
        """Return the grid in which each triad has the number of the triad at (+x, +y), around the edges.

        Args:
            grid: a grid whose rows are written twice.
            x: 0 to the machine's width.
            y: 0 to the machine's height.
        """
        rows = y * self._row_bits
        below = grid & ((1 << rows) - 1)
        return (grid >> rows | below << (self._grid_bits - rows)) >> x * self.bits

    def at_least(self, grid: int, number: int) -> int:
        """Return the guards of the triads whose lane is `number` or more."""
        return grid + (((1 << (self.bits - 1)) - number) * self.ones) & self.guards

    def largest(self, grid: int, among: int, bound: int) -> tuple[int, int]:
        """Return the largest number in the lanes `among` (guards, at least one), and the guards of those that have it.

        Args:
            grid: the numbers.
            among: guards of the lanes to compare.
            bound: no number is larger.
        """
        best = 0
        for bit in range(bound.bit_length() - 1, -1, -1):
            having = among & grid << (self.bits - 1 - bit)
            if having:
                among = having
                best |= 1 << bit
        return best, among

    def first(self, guards: int) -> tuple[int, int]:
        """Return x and y of the lowest, then leftmost triad among `guards`."""
        lane = ((guards & -guards).bit_length() - 1) // self.bits
        y, x = divmod(lane, 2 * self.size.width)
        return x, y

    def guard(self, x: int, y: int) -> int:
        """Return the guard of one triad."""
        return 1 << (y * self._row_bits + (x + 1) * self.bits - 1)

    def origins(self, width: int, height: int) -> int:
        """Return the guards of the triads in the first `width` columns and `height` rows."""
        row = int.from_bytes(array(self._typecode, [1] * width).tobytes(), "little") << (self.bits - 1)
        guards = 0
        for _ in range(height):
            guards = guards << self._row_bits | row
        return guards

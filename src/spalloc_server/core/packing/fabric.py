# Which boards of one machine are alive, and which of them live links connect.
#
# Facts of the hardware only, as bitmaps; which boards are in use is occupancy.py's.
"""A machine's live boards and links as bitmaps, and what can be reached by them."""

from collections.abc import Iterable
from typing import NamedTuple

from spalloc_server.core.machine import Machine
from spinnaker.geometry import (
    BOARDS_PER_TRIAD,
    Board,
    BoardLink,
    Link,
    Size,
    boards_of,
    far_end,
    neighbour,
    wraps,
)


class Planes(NamedTuple):
    """A set of boards: for each z, a bitmap of the triads, bit `y * width + x`, whose board z is in the set."""

    z0: int
    z1: int
    z2: int


class _Step(NamedTuple):
    """Links of one direction from the boards at one z: which are alive, and where they lead."""

    source: int
    target: int
    x: int
    y: int
    live: int


class Fabric:
    """The boards of one machine and the links between them."""

    def __init__(self, machine: Machine) -> None:
        self.size = machine.size
        self.live_boards = frozenset(boards_of(self.size)) - machine.dead_boards
        self.dead_links = self._dead_links(machine)
        """Both ends of each dead link between live boards."""
        self.joined_x, self.joined_y = self._joined()
        """Whether any live link crosses the left and right, and the bottom and top edges."""
        self.flawed = self._flawed()
        """Bitmap of the triads that have a dead board or a dead link."""
        self._every_triad = (1 << self.size.width * self.size.height) - 1
        self._steps = self._all_steps()
        self._columns = {
            x: sum(1 << (y * self.size.width + x) for y in range(self.size.height))
            for x in range(self.size.width)
        }

    def _dead_links(self, machine: Machine) -> frozenset[BoardLink]:
        ends = machine.dead_links | {far_end(self.size, end) for end in machine.dead_links}
        return frozenset(
            end
            for end in ends
            if end.board in self.live_boards and neighbour(self.size, end.board, end.link) in self.live_boards
        )

    def is_live(self, board: Board, link: Link) -> bool:
        """Return whether `link` of a live board works and leads to a live board."""
        return (
            neighbour(self.size, board, link) in self.live_boards
            and BoardLink(board, link) not in self.dead_links
        )

    def _joined(self) -> tuple[bool, bool]:
        joined_x = joined_y = False
        width, height = self.size
        edge = (b for b in self.live_boards if b.x in (0, width - 1) or b.y in (0, height - 1))
        for board in edge:
            for link in Link:
                over_x, over_y = wraps(self.size, board, link)
                if (over_x or over_y) and self.is_live(board, link):
                    joined_x |= over_x
                    joined_y |= over_y
        return joined_x, joined_y

    def _flawed(self) -> int:
        flawed = 0
        for board in boards_of(self.size):
            if board not in self.live_boards:
                flawed |= self.triad(board)
        for end in self.dead_links:
            flawed |= self.triad(end.board)
        return flawed

    def _all_steps(self) -> tuple[_Step, ...]:
        steps = []
        middle = Board(1, 1, 0)
        room = Size(3, 3)
        for z in range(BOARDS_PER_TRIAD):
            for link in Link:
                target = neighbour(room, middle._replace(z=z), link)
                live = 0
                for board in self.live_boards:
                    if board.z == z and self.is_live(board, link):
                        live |= self.triad(board)
                steps.append(_Step(z, target.z, target.x - middle.x, target.y - middle.y, live))
        return tuple(steps)

    def triad(self, board: Board) -> int:
        """Return the bit of the board's triad."""
        return 1 << (board.y * self.size.width + board.x)

    def planes(self, boards: Iterable[Board]) -> Planes:
        """Return a set of boards as bitmaps."""
        planes = [0, 0, 0]
        for board in boards:
            planes[board.z] |= self.triad(board)
        return Planes(*planes)

    def rectangle(self, origin: Board, size: Size) -> int:
        """Return the bitmap of the triads of a rectangle, around the machine's edges."""
        width, height = self.size
        row = 0
        for x in range(origin.x, origin.x + size.width):
            row |= 1 << x % width
        triads = 0
        for y in range(origin.y, origin.y + size.height):
            triads |= row << (y % height) * width
        return triads

    def reachable(self, origin: Board, within: Planes) -> Planes:
        """Return the boards of `within` that live links inside it connect to `origin`, one of them."""
        reached = [0, 0, 0]
        reached[origin.z] = self.triad(origin)
        new = list(reached)
        while any(new):
            found = [0, 0, 0]
            for step in self._steps:
                leaving = new[step.source] & step.live
                if leaving:
                    found[step.target] |= self._moved(leaving, step.x, step.y)
            new = [found[z] & within[z] & ~reached[z] for z in range(BOARDS_PER_TRIAD)]
            reached = [reached[z] | new[z] for z in range(BOARDS_PER_TRIAD)]
        return Planes(*reached)

    def _moved(self, bits: int, x: int, y: int) -> int:
        width, height = self.size
        if x == 1:
            edge = bits & self._columns[width - 1]
            bits = (bits ^ edge) << 1 | edge >> (width - 1)
        elif x == -1:
            edge = bits & self._columns[0]
            bits = (bits ^ edge) >> 1 | edge << (width - 1)
        if y == 1:
            bits = bits << width | bits >> width * (height - 1)
        elif y == -1:
            bits = bits >> width | bits << width * (height - 1)
        return bits & self._every_triad

"""Which boards of one machine are alive, and which of them live links connect.

Facts of the hardware only; occupancy.py knows which boards are in use.
"""

from collections.abc import Iterator
from typing import NamedTuple

from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.bitmaps import Bitmaps, Planes
from spalloc_server.core.packing.grids import LANE_BITS, Grids
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

_TRIADS_PER_STEP = 512
"""Work on all triads of a machine takes one step, and one more for every 512 of them."""


class _Hop(NamedTuple):
    """The links of one direction from the boards at one z: which are alive, and where they lead."""

    source: int
    target: int
    x: int
    y: int
    live: int
    """Bitmap of the boards whose link is alive."""
    hard: int
    """Bitmap of those whose link crosses an edge of the machine, or leads from or to a flawed triad."""


class Topology:
    """The boards of one machine and the links between them."""

    def __init__(self, machine: Machine) -> None:
        self.size = machine.size
        self.bitmaps = Bitmaps(machine.size)
        self._grids = [Grids(self.bitmaps, bits) for bits in LANE_BITS]
        self.live_boards = frozenset(boards_of(self.size)) - machine.dead_boards
        self.live = self.bitmaps.planes(self.live_boards)
        self.dead_links = self._dead_links(machine)
        """Both ends of each dead link between live boards."""
        self.joined_x, self.joined_y = self._joined()
        """Whether any live link crosses the left and right, and the bottom and top edges."""
        self.flawed = self._flawed()
        """Bitmap of the triads that have a dead board or a dead link."""
        self._hops = self._all_hops()
        self._dead_hops = self._all_dead_hops()
        """The dead links, each once: z from and to, triads to the right and up, and the triads they lead from."""
        self.effort = 1 + machine.size.width * machine.size.height // _TRIADS_PER_STEP
        """How many steps of work it takes to look at one spot, or at all spots of one size."""
        self._hard_hops = self._as_shifts()
        self._sound = self.bitmaps.every_triad & ~self.flawed
        self._uneasy = 0
        """Bitmap of the triads from which a hard hop leads."""
        for hop in self._hops:
            self._uneasy |= hop.hard
        self.dead_links_in: dict[Size, dict[int, int]] = {}
        """What dead_links.py has found out for some sizes: bitmaps of origins, by number of ends of dead links."""
        self._grids_for: dict[Size, Grids] = {}
        self._origins: dict[Size, int] = {}

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
        sound = self.live.z0 & self.live.z1 & self.live.z2
        flawed = self.bitmaps.every_triad & ~sound
        for end in self.dead_links:
            flawed |= self.bitmaps.triad(end.board.x, end.board.y)
        return flawed

    def _all_hops(self) -> tuple[_Hop, ...]:
        hops = []
        middle, room = Board(1, 1, 0), Size(3, 3)
        for z in range(BOARDS_PER_TRIAD):
            for link in Link:
                target = neighbour(room, middle._replace(z=z), link)
                x, y = target.x - middle.x, target.y - middle.y
                live = self.live[z] & self.bitmaps.moved(self.live[target.z], -x, -y)
                for end in self.dead_links:
                    if end.board.z == z and end.link is link:
                        live &= ~self.bitmaps.triad(end.board.x, end.board.y)
                flawed = self.flawed | self.bitmaps.moved(self.flawed, -x, -y)
                hops.append(_Hop(z, target.z, x, y, live, live & (flawed | self._leaving(x, y))))
        return tuple(hops)

    def _all_dead_hops(self) -> tuple[tuple[int, int, int, int, int], ...]:
        triads: dict[tuple[int, int, int, int], int] = {}
        middle, room = Board(1, 1, 0), Size(3, 3)
        for board, link in self.dead_links:
            target = neighbour(room, middle._replace(z=board.z), link)
            x, y = target.x - middle.x, target.y - middle.y
            # Both ends are listed. Inside a triad, the end at the lower z is taken.
            if x > 0 or y > 0 or (x == y == 0 and board.z < target.z):
                key = board.z, target.z, x, y
                triads[key] = triads.get(key, 0) | self.bitmaps.triad(board.x, board.y)
        return tuple((*key, dead) for key, dead in triads.items())

    def _as_shifts(self) -> tuple[tuple[int, int, int, int, int], ...]:
        """Return the hard hops in parts, each a plain shift: z from and to, source triads, bits left and right."""
        width, height = self.size
        parts = []
        for source, target, x, y, _, hard in self._hops:
            over_x, over_y = self._leaving(x, 0), self._leaving(0, y)
            for across, around_x in ((over_x, -x * width), (~over_x, 0)):
                for up, around_y in ((over_y, -y * height), (~over_y, 0)):
                    part = hard & across & up
                    if part:
                        bits = (y + around_y) * self.bitmaps.stride + x + around_x
                        parts.append((source, target, part, max(0, bits), max(0, -bits)))
        return tuple(parts)

    def _leaving(self, x: int, y: int) -> int:
        """Return the triads from which a hop leads across the machine's edge."""
        width, height = self.size
        row, column = Size(width, 1), Size(1, height)
        leaving = 0
        if x:
            leaving |= self.bitmaps.rectangle(width - 1 if x > 0 else 0, 0, column)
        if y:
            leaving |= self.bitmaps.rectangle(0, height - 1 if y > 0 else 0, row)
        return leaving

    def grids(self, size: Size) -> Grids:
        """Return the narrowest grids whose numbers go up to the boards of a rectangle."""
        grids = self._grids_for.get(size)
        if grids is None:
            grids = self._grids_for[size] = next(grids for grids in self._grids if grids.most >= size.boards)
        return grids

    def origins(self, size: Size) -> int:
        """Return the triads that a rectangle may have at its bottom left, as guards.

        It lies across edges only where links join them, or where it reaches all around.
        """
        guards = self._origins.get(size)
        if guards is None:
            free_x = self.joined_x or size.width == self.size.width
            free_y = self.joined_y or size.height == self.size.height
            width = self.size.width if free_x else self.size.width - size.width + 1
            height = self.size.height if free_y else self.size.height - size.height + 1
            corner = self.bitmaps.rectangle(0, 0, Size(width, height))
            guards = self._origins[size] = self.grids(size).guards_of(corner)
        return guards

    def is_whole(self, triads: int, inside: Planes) -> bool:
        """Return whether a set has all boards of a rectangle in which nothing is dead: then all are connected."""
        return inside.z0 & inside.z1 & inside.z2 == triads and not triads & self.flawed

    @property
    def is_torus(self) -> bool:
        """Whether live links join both pairs of the machine's edges."""
        return self.joined_x and self.joined_y

    @property
    def is_perfect(self) -> bool:
        """Whether the machine is a torus in which nothing is dead."""
        return self.is_torus and not self.flawed

    def connected(self, origin: Board, size: Size, inside: Planes) -> Planes:
        """Return the boards of a rectangle that live links inside it connect to its origin.

        Args:
            origin: the rectangle's bottom-left board, one of `inside`.
            size: the rectangle's size.
            inside: boards in the rectangle.
        """
        flawless = not (inside.z0 | inside.z1 | inside.z2) & self.flawed
        if flawless and origin.x + size.width < self.size.width and origin.y + size.height < self.size.height:
            return _spread(self.bitmaps.planes([origin]), inside, self.bitmaps.stride)
        return self.cluster(self.bitmaps.planes([origin]), inside)

    def cluster(self, seed: Planes, among: Planes) -> Planes:
        """Return the boards of a set that live links inside it connect to a seed, the seed included."""
        flawed, row = self.flawed, self.bitmaps.stride
        easy = among.within(self._sound) if flawed else among
        reached = seed
        while True:
            if flawed:
                reached |= _spread(reached.within(self._sound), easy, row)
            else:
                reached = _spread(reached, easy, row)
            z0, z1, z2 = reached
            if not (z0 | z1 | z2) & self._uneasy or reached == among:
                return reached
            further = [z0, z1, z2]
            for source, target, hard, left, right in self._hard_hops:
                leaving = further[source] & hard
                if leaving:
                    further[target] |= leaving << left >> right & among[target]
            if further[0] == z0 and further[1] == z1 and further[2] == z2:
                return reached
            reached = Planes(*further)

    # Links inside an allocation

    def wrapped(self, boards: Planes, origin: Board, size: Size) -> tuple[bool, bool]:
        """Return whether live links between boards of a rectangle join its left and right, bottom and top edges."""
        bitmaps, (width, height) = self.bitmaps, self.size
        left = bitmaps.rectangle(origin.x, 0, Size(1, height)) if size.width == width else 0
        bottom = bitmaps.rectangle(0, origin.y, Size(width, 1)) if size.height == height else 0
        if not left and not bottom:
            return False, False
        wraps_x = wraps_y = False
        for source, target, x, y, live, _ in self._hops:
            # Each link is a hop from both its ends: it is enough to look at those that lead left or down.
            out_left = left if x < 0 else 0
            out_below = bottom if y < 0 else 0
            leaving = boards[source] & live & (out_left | out_below)
            if leaving:
                arriving = bitmaps.moved(boards[target], -x, -y)
                wraps_x |= bool(leaving & out_left & arriving)
                wraps_y |= bool(leaving & out_below & arriving)
        return wraps_x, wraps_y

    def dead_links_between(self, boards: Planes, origin: Board, size: Size, *, around: bool) -> int:
        """Return how many ends of dead links there are between boards of a rectangle.

        Args:
            boards: the boards.
            origin: the rectangle's bottom-left board.
            size: the rectangle's size.
            around: whether links that join the rectangle's opposite edges count.
        """
        count = 0
        for source, target, x, y, dead in self._dead_hops:
            ends = boards[source] & dead
            if ends:
                ends &= self.bitmaps.moved(boards[target], -x, -y)
                if ends and not around:
                    ends &= ~self._last(origin, size, x, y)
                count += ends.bit_count()
        return 2 * count

    def _last(self, origin: Board, size: Size, x: int, y: int) -> int:
        """Return the triads of a rectangle from which a hop to the right or up comes back in at its other side."""
        last = 0
        if x and size.width == self.size.width:
            last |= self.bitmaps.rectangle((origin.x - 1) % size.width, 0, Size(1, self.size.height))
        if y and size.height == self.size.height:
            last |= self.bitmaps.rectangle(0, (origin.y - 1) % size.height, Size(self.size.width, 1))
        return last

    def dead_links_among(self, boards: Planes) -> Iterator[tuple[int, int, int]]:
        """Yield the dead links between boards, each once: seen from the end from which it leads right, up or nowhere.

        Yields:
            how many triads a link leads right, how many up, and the bitmap of the triads it leads from.
        """
        for source, target, x, y, dead in self._dead_hops:
            yield x, y, boards[source] & dead & self.bitmaps.moved(boards[target], -x, -y)


def _spread(boards: Planes, among: Planes, row: int) -> Planes:
    """Return the boards that are connected to some boards inside a set.

    Every link is taken to be alive, and none to wrap around. It is `Topology.cluster` for that case, with all links
    written out, since a busy machine's scheduler spends much of its time here.

    Args:
        boards: the boards to start from, all of `among`.
        among: the set that connections must stay inside.
        row: bits from one row of a bitmap to the next.
    """
    in0, in1, in2 = among
    up = row + 1
    r0, r1, r2 = boards
    while True:
        near = r0 | r0 >> up
        f1 = (near | r0 >> 1 | r1 | r2 | r2 << row | r2 >> 1) & in1
        f2 = (near | r0 >> row | f1 | f1 << 1 | f1 >> row | r2) & in2
        near = f1 | f2
        f0 = (r0 | near | near << up | f1 << 1 | f2 << row) & in0
        if (f0 == r0 and f1 == r1 and f2 == r2) or (f0 == in0 and f1 == in1 and f2 == in2):
            return Planes(f0, f1, f2)
        r0, r1, r2 = f0, f1, f2

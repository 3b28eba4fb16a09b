# Finding places on one machine: every placement of every rectangle that would do, and the choice among them.
#
# Values in, values out. Whose turn it is and what a job is, is the scheduler's subject.
"""Where requests can be met on one machine."""

from collections.abc import Iterable
from dataclasses import dataclass

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.fabric import Fabric, Planes
from spalloc_server.core.packing.lanes import Lanes
from spalloc_server.core.packing.occupancy import Occupancy
from spalloc_server.core.packing.shapes import holds, rectangles
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Link, Size, neighbour, wraps


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Where one size of rectangle may be put, by counting boards, and how well each place would do."""

    size: Size
    snugness: float
    """The share of the rectangle's edge that would touch what is in use, at the best places."""
    best: int
    """Guards of the best places."""
    rest: int
    """Guards of the others."""


class Packer:
    """One machine's boards, and the search for places among them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.fabric = Fabric(machine)
        self._lanes = Lanes(machine.size)
        self._triads = [
            tuple(Board(x, y, z) for z in range(BOARDS_PER_TRIAD))
            for y in range(machine.size.height)
            for x in range(machine.size.width)
        ]
        self._empty = Occupancy(self.fabric)
        self._available = Occupancy(self.fabric)
        self._set_aside: set[Board] = set()
        self._in_use: set[Board] = set()
        self._demands: dict[tuple[object, ...], Demand] = {}

    # What is available

    @property
    def free_boards(self) -> int:
        """How many boards could be given to a job now."""
        return self._available.free_boards

    def take(self, boards: Iterable[Board]) -> None:
        """Note that boards are in use; those that are already, or are not there, make no difference."""
        new = {board for board in boards if board not in self._in_use}
        self._in_use |= new
        self._available.remove(board for board in new if self._usable(board))

    def give_back(self, boards: Iterable[Board]) -> None:
        """Note that boards are no longer in use."""
        old = {board for board in boards if board in self._in_use}
        self._in_use -= old
        self._available.add(board for board in old if self._usable(board))

    def set_aside(self, board: Board) -> None:
        """Stop giving a board to jobs, until it is put back."""
        if board in self._set_aside:
            return
        if self._usable(board) and board not in self._in_use:
            self._available.remove([board])
        self._set_aside.add(board)

    def put_back(self, board: Board) -> None:
        """Let jobs have a board again that was set aside."""
        if board not in self._set_aside:
            return
        self._set_aside.remove(board)
        if self._usable(board) and board not in self._in_use:
            self._available.add([board])

    def _usable(self, board: Board) -> bool:
        return board in self.fabric.live_boards and board not in self._set_aside

    # What can be had

    def is_possible(self, request: JobRequest) -> bool:
        """Return whether the machine could meet the request if no job were running."""
        match request.shape:
            case AnyBoard():
                return bool(self.fabric.live_boards)
            case BoardAt(board):
                return board in self.fabric.live_boards
            case _:
                return bool(self._demand(request).rectangles)

    def find(self, request: JobRequest) -> Allocation | None:
        """Return the boards that the request should be given now, or None; nothing is taken yet."""
        return self._find(request, self._available)

    def _find(self, request: JobRequest, occupancy: Occupancy) -> Allocation | None:
        match request.shape:
            case AnyBoard():
                return self._find_board(occupancy)
            case BoardAt(board):
                if board in self.fabric.live_boards and occupancy.has(board):
                    return self._single(board)
                return None
            case _:
                return self._find_rectangle(self._demand(request), occupancy)

    def _single(self, board: Board) -> Allocation:
        return Allocation(self.machine.name, board, None, frozenset([board]))

    def _find_board(self, occupancy: Occupancy) -> Allocation | None:
        if not occupancy.free_boards:
            return None
        counts = occupancy.counts
        fewest = min(count for count in counts if count)
        triad = counts.index(fewest)
        if fewest == BOARDS_PER_TRIAD:
            place = self._find_rectangle(Demand((Size(1, 1),), 3, 3, None, False), occupancy)
            if place is not None:
                triad = place.origin.y * self.machine.size.width + place.origin.x
        return self._single(next(board for board in self._triads[triad] if occupancy.has(board)))

    # Rectangles

    def _demand(self, request: JobRequest) -> Demand:
        key = (
            request.shape,
            request.min_ratio,
            request.max_dead_boards,
            request.max_dead_links,
            request.require_torus,
        )
        demand = self._demands.get(key)
        if demand is None:
            demand = self._demands[key] = self._smallest_possible(self._every_rectangle(request))
        return demand

    def _every_rectangle(self, request: JobRequest) -> Demand:
        limit = self.machine.size
        match request.shape:
            case Rectangle(size):
                sizes = [size] if holds(limit, size) else []
                count = size.boards
            case Boards(count):
                sizes = rectangles(count, request.min_ratio, limit)
            case _:
                raise AssertionError(request.shape)
        if request.require_torus:
            sizes = [size for size in sizes if size == limit]
        fewest = 1 if request.max_dead_boards is None else max(1, count - request.max_dead_boards)
        return Demand(tuple(sizes), count, fewest, request.max_dead_links, request.require_torus)

    def _smallest_possible(self, demand: Demand) -> Demand:
        chosen: list[Size] = []
        for size in demand.rectangles:
            if not any(holds(size, smaller) for smaller in chosen):
                one = Demand(
                    (size,), demand.boards, demand.fewest, demand.max_dead_links, demand.require_torus
                )
                if self._find_rectangle(one, self._empty) is not None:
                    chosen.append(size)
        return Demand(
            tuple(chosen), demand.boards, demand.fewest, demand.max_dead_links, demand.require_torus
        )

    def _find_rectangle(self, demand: Demand, occupancy: Occupancy) -> Allocation | None:
        candidates = [
            found
            for size in demand.rectangles
            if (found := self._candidates(demand, size, occupancy)) is not None
        ]
        candidates.sort(key=lambda found: (-found.snugness, found.size.boards))
        for guards in ("best", "rest"):
            for found in candidates:
                remaining = getattr(found, guards)
                while remaining:
                    x, y = self._lanes.first(remaining)
                    allocation = self._verified(demand, Board(x, y, 0), found.size, occupancy)
                    if allocation is not None:
                        return allocation
                    remaining &= remaining - 1
        return None

    def _candidates(self, demand: Demand, size: Size, occupancy: Occupancy) -> _Candidates | None:
        lanes = self._lanes
        free = lanes.grid(occupancy.counts)
        in_rectangle = lanes.up(lanes.across(free, size.width), size.height)
        places = lanes.at_least(in_rectangle, demand.fewest) & self._origins(size, occupancy)
        if demand.fewest < demand.boards:
            live = lanes.grid(self._empty.counts)
            in_use = lanes.up(lanes.across(live - free, size.width), size.height)
            places &= ~lanes.at_least(in_use, demand.spare(size) + 1)
        if not places:
            return None
        touching, edge = self._touching(size, occupancy)
        most, best = lanes.largest(touching, places, edge)
        return _Candidates(size, most / edge, best, places ^ best)

    def _origins(self, size: Size, occupancy: Occupancy) -> int:
        """Guards of the triads that may be a rectangle's bottom-left one."""
        lanes, machine = self._lanes, self.machine.size
        columns = machine.width if self.fabric.joined_x else machine.width - size.width + 1
        rows = machine.height if self.fabric.joined_y else machine.height - size.height + 1
        bits = occupancy.planes.z0
        free = lanes.grid([bits >> triad & 1 for triad in range(machine.width * machine.height)], twice=False)
        return free << (lanes.bits - 1) & lanes.origins(columns, rows)

    def _touching(self, size: Size, occupancy: Occupancy) -> tuple[int, int]:
        """How much of a rectangle's edge touches triads in use, at each place; and how long the edge is."""
        lanes, machine = self._lanes, self.machine.size
        busy = lanes.grid([0 if count == BOARDS_PER_TRIAD else 1 for count in occupancy.counts])
        across = lanes.across(busy, size.width)
        up = lanes.up(busy, size.height)
        touching = edge = 0
        if size.height < machine.height:
            touching += lanes.moved(across, 0, machine.height - 1) + lanes.moved(across, 0, size.height)
            edge += 2 * size.width
        if size.width < machine.width:
            touching += lanes.moved(up, machine.width - 1, 0) + lanes.moved(up, size.width, 0)
            edge += 2 * size.height
        return touching, max(1, edge)

    def _verified(self, demand: Demand, origin: Board, size: Size, occupancy: Occupancy) -> Allocation | None:
        """Return what a job would get at a place, if that is enough."""
        triads = self.fabric.rectangle(origin, size)
        inside = Planes(*(plane & triads for plane in occupancy.planes))
        whole = inside.z0 & inside.z1 & inside.z2 == triads and not triads & self.fabric.flawed
        held = inside if whole else self.fabric.reachable(origin, inside)
        boards = self._boards(held)
        if len(boards) < demand.fewest:
            return None
        wraps_x, wraps_y = self._wraps(boards, origin, size)
        if demand.require_torus and not (wraps_x and wraps_y):
            return None
        if demand.max_dead_links is not None:
            dead = self._dead_links(boards, origin, around=demand.require_torus)
            if dead > demand.max_dead_links:
                return None
        return Allocation(self.machine.name, origin, size, boards, wraps_x, wraps_y)

    def _boards(self, planes: Planes) -> frozenset[Board]:
        boards = []
        for z, bits in enumerate(planes):
            rest = bits
            while rest:
                triad = (rest & -rest).bit_length() - 1
                boards.append(self._triads[triad][z])
                rest &= rest - 1
        return frozenset(boards)

    def _around(self, board: Board, link: Link, origin: Board) -> tuple[bool, bool]:
        """Whether a link inside a rectangle leaves it at one side and comes back at the other, across and up."""
        width, height = self.machine.size
        inside = Board((board.x - origin.x) % width, (board.y - origin.y) % height, board.z)
        return wraps(self.machine.size, inside, link)

    def _wraps(self, boards: frozenset[Board], origin: Board, size: Size) -> tuple[bool, bool]:
        if size.width < self.machine.size.width and size.height < self.machine.size.height:
            return False, False
        wraps_x = wraps_y = False
        for board in boards:
            for link in Link:
                if neighbour(self.machine.size, board, link) in boards and self.fabric.is_live(board, link):
                    over_x, over_y = self._around(board, link, origin)
                    wraps_x |= over_x
                    wraps_y |= over_y
        return wraps_x, wraps_y

    def _dead_links(self, boards: frozenset[Board], origin: Board, *, around: bool) -> int:
        return sum(
            end.board in boards
            and neighbour(self.machine.size, end.board, end.link) in boards
            and (around or not any(self._around(end.board, end.link, origin)))
            for end in self.fabric.dead_links
        )

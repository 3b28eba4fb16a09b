"""A second implementation of what a spot must be, as plain as possible: sets of boards, one link at a time.

Shares nothing with the server's packing but the values; slow, and meant to be read.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from hypothesis import strategies as st

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle, RectangleAt
from spinnaker.geometry import Board, BoardLink, Link, Size, boards_of, far_end, neighbour


def live_boards(machine: Machine) -> set[Board]:
    return set(boards_of(machine.size)) - machine.dead_boards


def region(machine: Machine, origin: Board, size: Size) -> set[Board]:
    width, height = machine.size
    return {
        Board((origin.x + x) % width, (origin.y + y) % height, z)
        for x in range(size.width)
        for y in range(size.height)
        for z in range(3)
    }


def is_dead(machine: Machine, board: Board, link: Link) -> bool:
    end = BoardLink(board, link)
    return end in machine.dead_links or far_end(machine.size, end) in machine.dead_links


def reached(machine: Machine, start: Board, inside: AbstractSet[Board]) -> set[Board]:
    found, new = {start}, [start]
    while new:
        board = new.pop()
        for link in Link:
            other = neighbour(machine.size, board, link)
            if other in inside and other not in found and not is_dead(machine, board, link):
                found.add(other)
                new.append(other)
    return found


def crosses(machine: Machine, origin: Board, size: Size, board: Board, link: Link) -> tuple[bool, bool]:
    """Whether a link joins opposite edges of a rectangle: the far end is not where it would be in the plane."""
    width, height = machine.size
    other = neighbour(machine.size, board, link)
    step_x = (other.x - origin.x) % width - (board.x - origin.x) % width
    step_y = (other.y - origin.y) % height - (board.y - origin.y) % height
    plane = neighbour(Size(99, 99), Board(50, 50, board.z), link)
    return size.width == width and step_x != plane.x - 50, size.height == height and step_y != plane.y - 50


def joins(machine: Machine, origin: Board, size: Size, boards: AbstractSet[Board]) -> tuple[bool, bool]:
    across = up = False
    for board in boards:
        for link in Link:
            if neighbour(machine.size, board, link) in boards and not is_dead(machine, board, link):
                x, y = crosses(machine, origin, size, board, link)
                across, up = across or x, up or y
    return across, up


def dead_ends(
    machine: Machine, origin: Board, size: Size, boards: AbstractSet[Board], *, around: bool
) -> int:
    return sum(
        neighbour(machine.size, board, link) in boards
        and is_dead(machine, board, link)
        and (around or not any(crosses(machine, origin, size, board, link)))
        for board in boards
        for link in Link
    )


def wanted(request: JobRequest) -> int:
    match request.shape:
        case Boards(count):
            return count
        case Rectangle(size) | RectangleAt(_, size):
            return size.boards
        case _:
            return 1


def faults(machine: Machine, request: JobRequest, given: Allocation, free: AbstractSet[Board]) -> list[str]:
    """What is wrong with an allocation that was made when the boards `free` were free."""
    wrong = []
    if not given.boards <= free:
        wrong.append("boards that were not free")
    if given.origin not in given.boards:
        wrong.append("no bottom-left board")
    if given.machine != machine.name:
        wrong.append("another machine")
    match request.shape:
        case AnyBoard():
            return wrong + ["not one board"] * (given.size is not None or len(given.boards) != 1)
        case BoardAt(board):
            return wrong + ["not that board"] * (given.size is not None or given.boards != {board})
        case RectangleAt(origin, _) if given.origin != origin:
            return [*wrong, "not at that place"]
    size = given.size
    if size is None or given.origin.z != 0:
        return [*wrong, "no rectangle"]
    inside = region(machine, given.origin, size)
    return [
        *wrong,
        *_shape_faults(machine, request, size),
        *_board_faults(machine, request, given, inside, free),
        *_link_faults(machine, request, given, size),
    ]


def _shape_faults(machine: Machine, request: JobRequest, size: Size) -> Iterable[str]:
    if isinstance(request.shape, Rectangle | RectangleAt) and size != request.shape.size:
        yield "another rectangle"
    if isinstance(request.shape, Boards) and min(size) / max(size) < request.min_ratio:
        yield "too long for its width"
    if size.width > machine.size.width or size.height > machine.size.height:
        yield "larger than the machine"


def _board_faults(
    machine: Machine,
    request: JobRequest,
    given: Allocation,
    inside: AbstractSet[Board],
    free: AbstractSet[Board],
) -> Iterable[str]:
    if not given.boards <= inside:
        yield "boards outside the rectangle"
    if reached(machine, given.origin, given.boards) != given.boards:
        yield "not connected inside itself"
    if request.max_dead_boards is not None and len(given.boards) < wanted(request) - request.max_dead_boards:
        yield "too few boards"
    others = (inside & live_boards(machine)) - free
    if len(given.boards) < wanted(request) and len(others) > len(inside) - wanted(request):
        yield "boards missing because others have them"
    if request.require_torus and others:
        yield "a torus with others in it"


def _link_faults(machine: Machine, request: JobRequest, given: Allocation, size: Size) -> Iterable[str]:
    if joins(machine, given.origin, size, given.boards) != (given.wraps_x, given.wraps_y):
        yield "edges joined up otherwise than told"
    if request.require_torus and not (given.wraps_x and given.wraps_y and size == machine.size):
        yield "not a torus"
    dead = dead_ends(machine, given.origin, size, given.boards, around=request.require_torus)
    if request.max_dead_links is not None and dead > request.max_dead_links:
        yield "too many dead links"


def has_spot(machine: Machine, request: JobRequest, sizes: Iterable[Size], free: AbstractSet[Board]) -> bool:
    """Whether any rectangle of the sizes, at any triad, has enough connected free boards."""
    live = live_boards(machine)
    joined_x, joined_y = joins(machine, Board(0, 0, 0), machine.size, live)
    for size in sizes:
        free_x = joined_x or size.width == machine.size.width
        free_y = joined_y or size.height == machine.size.height
        for x in range(machine.size.width if free_x else machine.size.width - size.width + 1):
            for y in range(machine.size.height if free_y else machine.size.height - size.height + 1):
                origin = Board(x, y, 0)
                inside = region(machine, origin, size)
                if origin not in free or (
                    isinstance(request.shape, RectangleAt) and origin != request.shape.origin
                ):
                    continue
                boards = reached(machine, origin, inside & free)
                fewest = 1 if request.max_dead_boards is None else wanted(request) - request.max_dead_boards
                if len(boards) < max(1, fewest):
                    continue
                others = len((inside & live) - free)
                if len(boards) < wanted(request) and others > size.boards - wanted(request):
                    continue
                torus = joined_x and joined_y and all(joins(machine, origin, size, boards))
                if request.require_torus and (others or not torus):
                    continue
                dead = dead_ends(machine, origin, size, boards, around=request.require_torus)
                if request.max_dead_links is not None and dead > request.max_dead_links:
                    continue
                return True
    return False


@st.composite
def machines(draw: st.DrawFn, name: str = "m", largest: int = 4) -> Machine:
    """Machines of any shape, with some boards and links dead, and perhaps with edges that are not joined up."""
    size = Size(draw(st.integers(1, largest)), draw(st.integers(1, largest)))
    boards = boards_of(size)
    dead = draw(
        st.frozensets(st.sampled_from(boards), max_size=draw(st.sampled_from([0, 0, 2, len(boards) // 3])))
    )
    ends = [BoardLink(board, link) for board in boards for link in Link]
    broken = draw(st.sets(st.sampled_from(ends), max_size=draw(st.sampled_from([0, 0, 3, 12]))))
    for axis in draw(st.sampled_from(["", "", "x", "y", "xy"])):
        at = "xy".index(axis)
        whole = Board(0, 0, 0)
        broken |= {end for end in ends if crosses(Machine("", size), whole, size, end.board, end.link)[at]}
    broken |= {far_end(size, end) for end in broken}
    return Machine(name, size, dead_boards=dead, dead_links=frozenset(broken))


@st.composite
def requests(draw: st.DrawFn, largest: int = 4) -> JobRequest:
    """Requests of any kind, most of them modest."""
    limits = {
        "max_dead_boards": draw(st.sampled_from([0, 0, 0, 1, 4, None])),
        "max_dead_links": draw(st.sampled_from([None, None, None, 0, 2])),
    }
    coordinate = st.integers(0, largest - 1)
    match draw(
        st.sampled_from(["any", "any", "at", "boards", "boards", "boards", "rectangle", "place", "torus"])
    ):
        case "any":
            return JobRequest(AnyBoard())
        case "at":
            return JobRequest(BoardAt(Board(draw(coordinate), draw(coordinate), draw(st.integers(0, 2)))))
        case "boards":
            count = draw(st.one_of(st.integers(2, 9), st.integers(2, 3 * largest * largest)))
            ratio, torus = (
                draw(st.sampled_from([0.0, 0.333, 1.0])),
                draw(st.sampled_from([False] * 7 + [True])),
            )
            return JobRequest(Boards(count), min_ratio=ratio, require_torus=torus, **limits)
        case kind:
            size = Size(draw(coordinate) + 1, draw(coordinate) + 1)
            if kind == "place":
                return JobRequest(RectangleAt(Board(draw(coordinate), draw(coordinate), 0), size), **limits)
            return JobRequest(Rectangle(size), require_torus=kind == "torus", **limits)

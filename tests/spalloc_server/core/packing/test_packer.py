"""What a job is given on one machine: all that it asked for, and a spot whenever there is one."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.demand import Demand, every_rectangle
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.steps import whole
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle, RectangleAt
from spinnaker.geometry import Board, BoardLink, Link, Size, boards_of, far_end
from tests.examples import examples
from tests.spalloc_server.core.packing import naive


def found(packer: Packer, request: JobRequest) -> Allocation | None:
    wish = whole(packer.wishes.of(request))
    if wish is None:
        return None
    packer.look()
    allocation = whole(packer.find(wish))
    return allocation if isinstance(allocation, Allocation) else None


def test_a_job_for_four_boards_is_given_two_whole_triads() -> None:
    given = found(Packer(Machine("m", Size(4, 4))), JobRequest(Boards(4)))
    assert given is not None
    assert len(given.boards) == 6
    assert given.size in {Size(1, 2), Size(2, 1)}


def test_a_job_is_given_no_more_triads_than_it_needs() -> None:
    given = found(Packer(Machine("m", Size(8, 8))), JobRequest(Boards(13)))
    assert given is not None
    assert given.size is not None
    assert given.size.width * given.size.height == 6, "five in a row are too long for their width"
    assert len(given.boards) == 15


def test_a_spot_is_found_though_the_boards_of_a_better_one_are_not_connected() -> None:
    packer = Packer(Machine("m", Size(4, 1)))
    packer.take(Board(x, 0, z) for x, z in [(0, 0), (0, 1), (2, 0), (2, 2)])
    given = found(packer, JobRequest(Boards(6), max_dead_boards=2))
    assert given is not None
    assert given.boards == {Board(0, 0, 2), *(Board(x, 0, z) for x in (1, 3) for z in range(3))}


def test_a_rectangle_is_given_whole() -> None:
    given = found(Packer(Machine("m", Size(8, 8))), JobRequest(Rectangle(Size(3, 2))))
    assert given is not None
    assert (given.size, len(given.boards)) == (Size(3, 2), 18)


def test_single_boards_fill_a_broken_triad_before_they_break_another() -> None:
    packer = Packer(Machine("m", Size(4, 4)))
    triads = []
    for _ in range(6):
        given = found(packer, JobRequest(AnyBoard()))
        assert given is not None
        packer.take(given.boards)
        triads.append(given.origin[:2])
    assert [triads.count(triad) for triad in dict.fromkeys(triads)] == [3, 3]


def test_what_a_single_board_leaves_of_a_triad_does_for_a_job_for_two() -> None:
    packer = Packer(Machine("m", Size(1, 1)))
    packer.take(found_boards(packer, JobRequest(AnyBoard())))
    assert len(found_boards(packer, JobRequest(Boards(2)))) == 2


def test_a_job_fills_a_gap_of_its_size_and_leaves_the_larger_one_whole() -> None:
    packer = Packer(Machine("m", Size(6, 6)))
    gap = {(4, 4)} | {(x, y) for x in range(1, 4) for y in range(1, 4)}
    packer.take(board for board in boards_of(Size(6, 6)) if board[:2] not in gap)
    assert {board[:2] for board in found_boards(packer, JobRequest(Boards(3)))} == {(4, 4)}
    assert {board[:2] for board in found_boards(packer, JobRequest(AnyBoard()))} == {(4, 4)}


def test_a_job_is_placed_where_its_edge_touches_the_fewest_open_triads() -> None:
    """Of two gaps, both too large: in the corner of the one that has more of the machine's jobs around it."""
    size = Size(8, 8)
    packer = Packer(Machine("m", size))
    row = {(x, 6) for x in range(1, 4)}
    field = {(x, y) for x in range(1, 5) for y in range(1, 4)}
    packer.take(board for board in boards_of(size) if board[:2] not in row | field)
    one = {board[:2] for board in found_boards(packer, JobRequest(Boards(3)))}
    assert one in ({(1, 6)}, {(3, 6)}), (
        "at an end of the row, one open triad is beside it; in a corner of the field, two"
    )
    two = {board[:2] for board in found_boards(packer, JobRequest(Rectangle(Size(2, 2))))}
    corners = [{(x + dx, y + dy) for dx in (0, 1) for dy in (0, 1)} for x in (1, 3) for y in (1, 2)]
    assert two in corners


def test_of_two_shapes_the_one_is_given_whose_edge_touches_the_fewest_open_triads() -> None:
    size = Size(8, 8)
    field = {(x, y) for x in range(1, 4) for y in range(1, 4)}
    for gap in ({(6, 4), (6, 5)}, {(5, 6), (6, 6)}):
        packer = Packer(Machine("m", size))
        packer.take(board for board in boards_of(size) if board[:2] not in gap | field)
        assert {board[:2] for board in found_boards(packer, JobRequest(Boards(6)))} == gap


def found_boards(packer: Packer, request: JobRequest) -> frozenset[Board]:
    given = found(packer, request)
    assert given is not None
    return given.boards


def test_a_rectangle_may_lie_across_the_edges_of_a_torus() -> None:
    packer = Packer(Machine("m", Size(4, 4)))
    packer.take(board for board in boards_of(Size(4, 4)) if board.x in {1, 2} or board.y in {1, 2})
    given = found(packer, JobRequest(Rectangle(Size(2, 2))))
    assert given is not None
    assert {board[:2] for board in given.boards} == {(0, 0), (3, 0), (0, 3), (3, 3)}
    assert given.origin == Board(3, 3, 0)


def test_a_rectangle_is_allocated_at_the_place_that_was_asked_for_or_not_at_all() -> None:
    packer = Packer(Machine("m", Size(4, 4)))
    request = JobRequest(RectangleAt(Board(3, 1, 0), Size(2, 1)))
    given = found(packer, request)
    assert given is not None
    assert (given.origin, given.size) == (Board(3, 1, 0), Size(2, 1))
    assert {board[:2] for board in given.boards} == {(3, 1), (0, 1)}, "across the edge"
    packer.take([Board(0, 1, 2)])
    assert found(packer, request) is None


def test_a_rectangle_does_not_lie_across_edges_that_are_not_joined_up() -> None:
    size = Size(4, 4)
    seam = {
        end
        for board in boards_of(size)
        for link in Link
        if any(naive.crosses(Machine("", size), Board(0, 0, 0), size, *(end := BoardLink(board, link))))
    }
    packer = Packer(Machine("m", size, dead_links=frozenset(seam | {far_end(size, end) for end in seam})))
    whole = found(packer, JobRequest(Rectangle(size)))
    assert whole is not None
    assert (whole.wraps_x, whole.wraps_y) == (False, False)
    assert found(packer, JobRequest(Rectangle(size), require_torus=True)) is None
    packer.take(board for board in boards_of(size) if board.x in {1, 2} or board.y in {1, 2})
    assert found(packer, JobRequest(Rectangle(Size(2, 2)))) is None


def test_a_torus_has_no_other_jobs_boards_in_it_however_few_are_asked_for() -> None:
    packer = Packer(Machine("m", Size(2, 2)))
    request = JobRequest(Boards(3), require_torus=True)
    packer.take([Board(1, 1, 0)])
    assert found(packer, request) is None
    packer.give_back([Board(1, 1, 0)])
    assert found_boards(packer, request) == frozenset(boards_of(Size(2, 2)))


def test_another_jobs_boards_may_be_in_a_rectangle_only_as_its_surplus() -> None:
    packer = Packer(Machine("m", Size(2, 1)))
    packer.take([Board(1, 0, 2)])
    assert found(packer, JobRequest(Boards(6))) is None
    assert found(packer, JobRequest(Boards(6), max_dead_boards=None)) is None
    given = found(packer, JobRequest(Boards(5)))
    assert given is not None
    assert len(given.boards) == 5


def test_a_larger_rectangle_than_usual_does_when_dead_boards_leave_no_other() -> None:
    dead = frozenset(board for board in boards_of(Size(4, 4)) if board.z == 2)
    given = found(Packer(Machine("m", Size(4, 4), dead_boards=dead)), JobRequest(Boards(32)))
    assert given is not None
    assert given.size == Size(4, 4)


def test_with_any_number_of_dead_boards_allowed_as_few_as_possible_are_missing() -> None:
    machine = Machine("m", Size(4, 4), dead_boards=frozenset([Board(0, 0, 1), Board(1, 1, 2)]))
    given = found(Packer(machine), JobRequest(Rectangle(Size(3, 3)), max_dead_boards=None))
    assert given is not None
    assert len(given.boards) == 27


def test_boards_set_aside_go_to_nobody_until_they_are_put_back() -> None:
    packer = Packer(Machine("m", Size(1, 1)))
    packer.set_aside(Board(0, 0, 1))
    assert found(packer, JobRequest(BoardAt(Board(0, 0, 1)))) is None
    assert found(packer, JobRequest(Rectangle(Size(1, 1)))) is None
    packer.take([Board(0, 0, 0)])
    packer.set_aside(Board(0, 0, 0))
    packer.give_back([Board(0, 0, 0)])
    assert packer.free_boards == 1
    packer.put_back(Board(0, 0, 0))
    packer.put_back(Board(0, 0, 1))
    assert found(packer, JobRequest(Rectangle(Size(1, 1)))) is not None


@st.composite
def _busy(draw: st.DrawFn) -> tuple[Machine, frozenset[Board]]:
    machine = draw(naive.machines())
    boards = boards_of(machine.size)
    return machine, draw(
        st.frozensets(st.sampled_from(boards), max_size=draw(st.sampled_from([0, 3, len(boards)])))
    )


@st.composite
def _ragged(draw: st.DrawFn) -> tuple[Machine, frozenset[Board]]:
    """Machines on which whole triads, and single boards, are in use here and there: what is free is in odd shapes."""
    size = Size(draw(st.integers(4, 6)), draw(st.integers(4, 6)))
    use = draw(
        st.lists(st.sampled_from(["", "", "", "012", "012", "0", "12", "2"]), min_size=36, max_size=36)
    )
    taken = {board for board in boards_of(size) if str(board.z) in use[6 * board.x + board.y]}
    dead = draw(st.sampled_from([frozenset(), frozenset(), frozenset({Board(1, 1, 0), Board(2, 3, 1)})]))
    return Machine("m", size, dead_boards=dead), frozenset(taken)


@given(_ragged(), st.integers(2, 30), st.sampled_from([0, 0, 2]))
@examples(300)
def test_what_is_found_among_odd_shapes_is_connected_and_enough(
    busy: tuple[Machine, frozenset[Board]], count: int, max_dead_boards: int
) -> None:
    machine, taken = busy
    packer = Packer(machine)
    packer.take(taken)
    request = JobRequest(Boards(count), max_dead_boards=max_dead_boards)
    given = found(packer, request)
    if given is not None:
        assert naive.faults(machine, request, given, naive.live_boards(machine) - taken) == []


@given(_busy(), naive.requests())
@examples(150)
def test_what_is_found_satisfies_the_request(
    busy: tuple[Machine, frozenset[Board]], request: JobRequest
) -> None:
    machine, taken = busy
    packer = Packer(machine)
    packer.take(taken)
    given = found(packer, request)
    if given is not None:
        assert naive.faults(machine, request, given, naive.live_boards(machine) - taken) == []


@given(_busy(), naive.requests())
@examples(150)
def test_a_spot_is_found_whenever_the_naive_search_finds_one(
    busy: tuple[Machine, frozenset[Board]], request: JobRequest
) -> None:
    machine, taken = busy
    packer = Packer(machine)
    packer.take(taken)
    free = naive.live_boards(machine) - taken
    given = found(packer, request)
    match request.shape, whole(packer.wishes.of(request)):
        case AnyBoard(), _:
            assert (given is not None) == bool(free)
        case BoardAt(board), _:
            assert (given is not None) == (board in free)
        case _, Demand(rectangles):
            sizes = [size for same in rectangles for size in same]
            assert given is not None or not naive.has_spot(machine, request, sizes, free)
        case _, _:
            assert given is None


@st.composite
def _busy_torus(draw: st.DrawFn) -> tuple[Size, frozenset[Board]]:
    size = Size(draw(st.integers(2, 7)), draw(st.integers(2, 7)))
    triads = [board for board in boards_of(size) if board.z == 0]
    taken = draw(st.frozensets(st.sampled_from(triads), max_size=len(triads)))
    return size, frozenset(Board(x, y, z) for x, y, _ in taken for z in range(3))


@given(_busy_torus(), st.integers(2, 60), st.sampled_from([0.0, 0.333, 1.0]))
@examples(100)
def test_a_job_that_fits_into_the_smallest_rectangle_of_any_width_is_given_a_spot(
    busy: tuple[Size, frozenset[Board]], count: int, min_ratio: float
) -> None:
    size, taken = busy
    machine = Machine("m", size)
    packer = Packer(machine)
    packer.take(taken)
    request = JobRequest(Boards(count), min_ratio=min_ratio)
    lowest: dict[int, Size] = {}
    for smallest in every_rectangle(-(-count // 3), min_ratio, size):
        lowest.setdefault(smallest.width, smallest)
    least = min((smallest.boards for smallest in lowest.values()), default=0)
    proportionate = [smallest for smallest in lowest.values() if smallest.boards <= 2 * least]
    if naive.has_spot(machine, request, proportionate, naive.live_boards(machine) - taken):
        assert found(packer, request) is not None


@given(naive.machines(), naive.requests())
@examples(100)
def test_a_request_is_possible_exactly_if_any_rectangle_would_do_on_the_empty_machine(
    machine: Machine, request: JobRequest
) -> None:
    free = naive.live_boards(machine)
    possible = whole(Packer(machine).wishes.of(request)) is not None
    match request.shape:
        case AnyBoard():
            assert possible == bool(free)
        case BoardAt(board):
            assert possible == (board in free)
        case Rectangle(size) | RectangleAt(_, size):
            fits = size.width <= machine.size.width and size.height <= machine.size.height
            sizes = [size] if fits and (size == machine.size or not request.require_torus) else []
            assert possible == naive.has_spot(machine, request, sizes, free)
        case Boards(count):
            sizes = every_rectangle(-(-count // 3), request.min_ratio, machine.size)
            if request.require_torus:
                sizes = [size for size in sizes if size == machine.size]
            if naive.has_spot(machine, request, sizes, free):
                assert possible
            elif request.max_dead_links is None:
                assert not possible, "with fewer boards, dead links between them can be avoided"


@given(_busy(), st.data())
@examples(100)
def test_a_second_search_after_boards_were_freed_finds_what_a_first_one_would(
    busy: tuple[Machine, frozenset[Board]], data: st.DataObject
) -> None:
    machine, taken = busy
    request = data.draw(naive.requests())
    packer = Packer(machine)
    wish = whole(packer.wishes.of(request))
    packer.take(taken)
    packer.look()
    if wish is None or isinstance(whole(packer.find(wish)), Allocation) or not taken:
        return
    freed = data.draw(st.frozensets(st.sampled_from(sorted(taken)), min_size=1))
    packer.give_back(freed)
    packer.look()
    largest = packer.largest_gain(1)
    again = whole(packer.find(wish, failed_version=packer.previous_version))
    fresh = Packer(machine)
    fresh.take(taken - freed)
    first = whole(fresh.find(wish))
    assert isinstance(again, Allocation) == isinstance(first, Allocation)
    if isinstance(first, Allocation):
        assert again == first
        fewest = 1 if request.max_dead_boards is None else naive.wanted(request) - request.max_dead_boards
        assert largest >= fewest


@given(
    naive.machines(),
    st.lists(naive.requests(), min_size=1, max_size=4),
    st.lists(st.integers(2, 40), max_size=8),
)
@examples(100)
def test_what_is_possible_does_not_depend_on_what_was_asked_before(
    machine: Machine, requests: list[JobRequest], counts: list[int]
) -> None:
    packer = Packer(machine)
    for request in requests:
        for shape in [request.shape, *map(Boards, counts)]:
            asked = replace(request, shape=shape)
            if asked.require_torus and isinstance(shape, AnyBoard | BoardAt):
                continue
            assert whole(packer.wishes.could_meet(asked)) == (
                whole(Packer(machine).wishes.of(asked)) is not None
            )

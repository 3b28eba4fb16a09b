"""Which chips a boot reaches, what coordinates they take, and how packets go between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinnaker.geometry import (
    BOARD_CHIPS,
    LINK_VECTORS,
    Board,
    BoardLink,
    Chip,
    Link,
    Size,
    boards_of,
    neighbour,
)
from spinnaker.memory_map import P2P_HERE
from spinnaker_virtual import DeadChipLink, Timings, VirtualMachine
from spinnaker_virtual.region import Region
from tests.examples import examples
from tests.spinnaker import oracle
from tests.spinnaker_virtual.bench import ROOT, Bench, booted

CHIPS = st.sampled_from(BOARD_CHIPS)


def region_of(bench: Bench, root: Board = ROOT) -> Region:
    machine = bench.hardware.booted(root)
    assert machine is not None
    return machine.region


def chips_of(region: Region) -> dict[tuple[int, int], tuple[frozenset[int], tuple[int, int]]]:
    """Return each chip's working links and Ethernet chip, by coordinate."""
    found = {}
    for address, chip in region.chips.items():
        links = frozenset(exit_.link for exit_ in region.exits(chip))
        ethernet = region.ethernet(chip)
        found[address >> 8, address & 0xFF] = links, (ethernet >> 8, ethernet & 0xFF)
    return found


def expected(width: int, height: int) -> dict[tuple[int, int], tuple[frozenset[int], tuple[int, int]]]:
    return {at: (frozenset(chip.links), chip.ethernet) for at, chip in oracle.chips(width, height).items()}


@pytest.mark.parametrize("size", [Size(1, 1), Size(2, 1), Size(1, 3), Size(3, 2)], ids=str)
def test_a_whole_machine_has_the_chips_links_and_ethernet_chips_of_spinn_machines(size: Size) -> None:
    region = region_of(booted(*size))
    assert (region.width, region.height) == (12 * size.width, 12 * size.height)
    assert chips_of(region) == expected(region.width, region.height)


def cut_edges(bench: Bench, boards: set[Board]) -> None:
    """Stop the links that leave a set of boards, as a server does for a job."""
    size = bench.machine.size
    for board in boards:
        bench.stop(board, [link for link in Link if neighbour(size, board, link) not in boards])


def test_a_single_board_cut_off_from_the_others_is_a_machine_of_its_own() -> None:
    bench = Bench.of(2, 2)
    bench.power()
    board = Board(1, 1, 2)
    cut_edges(bench, {board})
    bench.boot(board)
    region = region_of(bench, board)
    assert chips_of(region) == expected(8, 8)
    assert not bench.answers(Board(0, 0, 0))


def test_a_triad_cut_off_from_the_others_has_16_by_16_chips() -> None:
    bench = Bench.of(3, 3)
    bench.power()
    triad = {Board(1, 1, z) for z in range(3)}
    cut_edges(bench, triad)
    bench.boot(Board(1, 1, 0))
    region = region_of(bench, Board(1, 1, 0))
    assert (region.width, region.height, region.root) == (16, 16, 0)
    assert chips_of(region) == expected(16, 16)


def test_chips_to_the_left_of_the_booted_one_move_it_away_from_the_origin() -> None:
    bench = Bench.of(3, 3)
    bench.power()
    pair = {Board(1, 1, 1), Board(1, 1, 2)}
    cut_edges(bench, pair)
    bench.boot(Board(1, 1, 1))
    region = region_of(bench, Board(1, 1, 1))
    # The second board's chip (0, 0) is at (-4, 4) from the first one's.
    assert (region.width, region.height, region.root) == (12, 12, 4 << 8)
    assert bench.information(board=Board(1, 1, 1)).ethernet_chip == Chip(4, 0)
    assert bench.information(board=Board(1, 1, 2)).ethernet_chip == Chip(0, 4)


def test_coordinates_wrap_around_only_where_the_links_go_all_the_way_around() -> None:
    bench = Bench.of(2, 2)
    bench.power()
    row = {board for board in boards_of(Size(2, 2)) if board.y == 0}
    cut_edges(bench, row)
    bench.boot()
    region = region_of(bench)
    assert region.width == 24
    assert region.height == 16
    assert len(region.chips) == 6 * 48


@given(
    st.dictionaries(
        st.sampled_from(boards_of(Size(1, 1))),
        st.frozensets(CHIPS.filter(lambda chip: chip != (0, 0)), max_size=8),
        max_size=3,
    ),
    st.frozensets(
        st.builds(BoardLink, st.sampled_from(boards_of(Size(1, 1))), st.sampled_from(Link)), max_size=6
    ),
    st.frozensets(st.builds(DeadChipLink, CHIPS, st.sampled_from(Link)), max_size=6),
)
@examples(40)
def test_packets_take_working_links_only_and_arrive(
    dead_chips: dict[Board, frozenset[Chip]],
    dead_links: frozenset[BoardLink],
    chip_links: frozenset[DeadChipLink],
) -> None:
    bench = booted(
        dead_chips=dead_chips,
        dead_links=dead_links,
        dead_chip_links={Board(0, 0, 0): chip_links},
        timings=Timings.instant(),
    )
    region = region_of(bench)
    exits = {chip: {exit_.link: exit_ for exit_ in region.exits(chip)} for chip in region.chips.values()}
    wide, high = region.width, region.height
    for start in (0, max(region.chips.values())):
        routes = region.routes(start)
        assert set(routes) == set(region.chips.values())
        assert routes.pop(start) == P2P_HERE
        assert set(routes.values()) <= set(exits[start])
        tables = {start: routes}
        for end in list(routes)[::17]:
            at, hops = start, 0
            while at != end:
                if at not in tables:
                    tables[at] = region.routes(at)
                link = tables[at][end]
                step = exits[at][link]
                here, vector = region.address(at), LINK_VECTORS[link]
                at = region.find(step.board, step.local)
                assert at is not None
                there = region.address(at)
                assert ((here >> 8) + vector.x - (there >> 8)) % 12 == 0 or wide != 12
                assert ((here & 0xFF) + vector.y - (there & 0xFF)) % 12 == 0 or high != 12
                hops += 1
                assert hops <= len(region.chips)


@given(st.frozensets(CHIPS.filter(lambda chip: chip != (0, 0)), min_size=1, max_size=20))
@examples(30)
def test_dead_chips_are_in_no_table_and_nothing_leads_to_them(dead: frozenset[Chip]) -> None:
    board = Board(0, 0, 0)
    machine = VirtualMachine(size=Size(2, 2), dead_chips={board: dead}, timings=Timings.instant())
    bench = Bench(machine)
    bench.power(boards=[board])
    bench.boot(board)
    region = region_of(bench)
    present = {Chip(address >> 8, address & 0xFF) for address in region.chips}
    assert not present & dead
    whole = expected(8, 8)
    for chip in present:
        at_end = {(chip.x + vector.x, chip.y + vector.y) for vector in LINK_VECTORS} & set(whole) - dead
        info = bench.information(chip.x, chip.y)
        assert {
            (chip.x + LINK_VECTORS[link].x, chip.y + LINK_VECTORS[link].y) for link in info.links
        } == at_end

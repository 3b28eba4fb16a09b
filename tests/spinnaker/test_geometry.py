"""Which board a chip is on and where its links lead: against SpiNNMachine, an independent implementation."""

import random

import pytest

from spinnaker.geometry import (
    BOARD_CHIPS,
    LINK_VECTORS,
    BoardLink,
    Chip,
    Link,
    Size,
    board_of_chip,
    boards_of,
    chip_links,
    chip_size,
    far_end,
    first_chip,
    neighbour,
)
from tests.seeds import SEED
from tests.spinnaker import oracle

SIZES = [Size(1, 1), Size(2, 1), Size(1, 3), Size(3, 2), Size(5, 4), Size(4, 6)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_spinn_machine_has_every_chip_of_a_machine_on_the_same_board(size: Size) -> None:
    theirs = oracle.chips(*chip_size(size))
    assert len(theirs) == 48 * size.boards
    for place, chip in theirs.items():
        board, local = board_of_chip(size, Chip(*place))
        first = first_chip(size, board)
        assert first == chip.ethernet
        width, height = chip_size(size)
        assert ((first.x + local.x) % width, (first.y + local.y) % height) == place


def test_coordinates_beyond_the_machine_wrap_around_thousands_of_times() -> None:
    dice = random.Random(SEED)
    machines = {size: oracle.chips(*chip_size(size)) for size in SIZES}
    for _ in range(5_000):
        size = dice.choice(SIZES)
        width, height = chip_size(size)
        chip = Chip(dice.randrange(-500, 500), dice.randrange(-500, 500))
        board, _ = board_of_chip(size, chip)
        assert first_chip(size, board) == machines[size][chip.x % width, chip.y % height].ethernet


@pytest.mark.parametrize("text", ["20x12", "20X12", "20×12", "020x12"])
def test_a_size_is_read_as_people_write_it(text: str) -> None:
    assert Size.parse(text) == Size(20, 12)
    assert Size.parse(str(Size.parse(text))) == Size(20, 12)


@pytest.mark.parametrize(
    "text",
    ["", "x", "2", "2x", "2x2x2", "0x2", "-1x2", "2 x 2", "2by2", "²x2", "٢x2", "10000x1", "1" * 5000 + "x1"],
)
def test_what_is_no_size_is_refused_with_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size in triads; write WIDTHxHEIGHT, such as 2x2"):
        Size.parse(text)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_boards_first_chip_is_one_that_spinn_machine_has_connected(size: Size) -> None:
    theirs = {chip.ethernet for chip in oracle.chips(*chip_size(size)).values()}
    assert {tuple(first_chip(size, board)) for board in boards_of(size)} == theirs


@pytest.mark.parametrize("size", [Size(1, 1), Size(2, 1), Size(1, 3), Size(3, 2)], ids=str)
def test_every_chips_links_lead_where_the_machines_geometry_says(size: Size) -> None:
    for board in boards_of(size):
        corner = first_chip(size, board)
        for chip in BOARD_CHIPS:
            for vector, hop in zip(LINK_VECTORS, chip_links()[chip], strict=True):
                place = Chip(corner.x + chip.x + vector.x, corner.y + chip.y + vector.y)
                other = board if hop.board_link is None else neighbour(size, board, hop.board_link)
                assert board_of_chip(size, place) == (other, hop.chip)


def test_links_lead_back() -> None:
    for chip, hops in chip_links().items():
        for link, hop in zip(Link, hops, strict=True):
            back = chip_links()[hop.chip][link.opposite]
            assert back.chip == chip
            assert back.board_link == (
                None
                if hop.board_link is None
                else far_end(Size(3, 3), BoardLink(boards_of(Size(3, 3))[0], hop.board_link)).link
            )


def test_eight_chip_links_cross_each_of_a_boards_six_links() -> None:
    crossing = [
        hop.board_link for hops in chip_links().values() for hop in hops if hop.board_link is not None
    ]
    assert {link: crossing.count(link) for link in Link} == dict.fromkeys(Link, 8)


def test_spinn_machine_agrees_about_a_boards_chips_and_which_links_stay_on_it() -> None:
    inside = {
        chip: {link: hop.chip for link, hop in enumerate(hops) if hop.board_link is None}
        for chip, hops in chip_links().items()
    }
    assert {chip: known.links for chip, known in oracle.chips(8, 8).items()} == inside

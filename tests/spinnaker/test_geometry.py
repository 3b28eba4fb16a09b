"""Which board a chip is on, and where: against SpiNNMachine, which other hands wrote."""

import random

import pytest

from spinnaker.geometry import Chip, Size, board_of_chip, boards_of, chip_size, first_chip
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

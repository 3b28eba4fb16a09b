"""Where chips' links lead, against the geometry of boards and against SpiNNMachine's."""

import pytest

from spinnaker.chips import HOPS, LINK_VECTORS
from spinnaker.geometry import (
    BOARD_CHIPS,
    BoardLink,
    Chip,
    Link,
    Size,
    board_of_chip,
    boards_of,
    far_end,
    first_chip,
    neighbour,
)
from tests.spinnaker import oracle


@pytest.mark.parametrize("size", [Size(1, 1), Size(2, 1), Size(1, 3), Size(3, 2)], ids=str)
def test_every_chips_links_lead_where_the_machines_geometry_says(size: Size) -> None:
    for board in boards_of(size):
        corner = first_chip(size, board)
        for chip in BOARD_CHIPS:
            for vector, hop in zip(LINK_VECTORS, HOPS[chip], strict=True):
                place = Chip(corner.x + chip.x + vector.x, corner.y + chip.y + vector.y)
                other = board if hop.cable is None else neighbour(size, board, hop.cable)
                assert board_of_chip(size, place) == (other, hop.chip)


def test_links_lead_back() -> None:
    for chip, hops in HOPS.items():
        for link, hop in zip(Link, hops, strict=True):
            back = HOPS[hop.chip][link.opposite]
            assert back.chip == chip
            assert back.cable == (
                None
                if hop.cable is None
                else far_end(Size(3, 3), BoardLink(boards_of(Size(3, 3))[0], hop.cable)).link
            )


def test_eight_chip_links_cross_each_of_a_boards_six_links() -> None:
    crossing = [hop.cable for hops in HOPS.values() for hop in hops if hop.cable is not None]
    assert {link: crossing.count(link) for link in Link} == dict.fromkeys(Link, 8)


def test_spinn_machine_agrees_about_a_boards_chips_and_which_links_stay_on_it() -> None:
    inside = {
        chip: {link: hop.chip for link, hop in enumerate(hops) if hop.cable is None}
        for chip, hops in HOPS.items()
    }
    assert {chip: known.links for chip, known in oracle.chips(8, 8).items()} == inside

"""Where each link of each chip of a board leads: to another chip of the board, or over a cable to another board.

One board's shape only; which boards are neighbours is in geometry.py.
"""

from typing import NamedTuple

from spinnaker.geometry import BOARD_CHIPS, Board, Chip, Link, Size, board_of_chip, first_chip, neighbour

LINK_VECTORS: tuple[Chip, ...] = (Chip(1, 0), Chip(1, 1), Chip(0, 1), Chip(-1, 0), Chip(-1, -1), Chip(0, -1))
"""For each link, the change of a chip's x and y."""

ETHERNET_CHIP = Chip(0, 0)
"""The chip of a board that its Ethernet socket is wired to."""


class Hop(NamedTuple):
    """Where a chip's link leads."""

    cable: Link | None
    """The board's link that it crosses, or None when it stays on the board."""
    chip: Chip
    """The chip it leads to, relative to that chip's own board."""


def _hops() -> dict[Chip, tuple[Hop, ...]]:
    # On a machine of 4 x 4 triads a board's six neighbours are six boards, so each cable has one meaning; boards are
    # all of one shape, so one board says it for all.
    size, board = Size(4, 4), Board(1, 1, 0)
    corner = first_chip(size, board)
    cables = {neighbour(size, board, link): link for link in Link}

    def hop(chip: Chip, vector: Chip) -> Hop:
        place = Chip(corner.x + chip.x + vector.x, corner.y + chip.y + vector.y)
        other, local = board_of_chip(size, place)
        return Hop(None if other == board else cables[other], local)

    return {chip: tuple(hop(chip, vector) for vector in LINK_VECTORS) for chip in BOARD_CHIPS}


HOPS = _hops()
"""For each chip of a board, where its six links lead; the same for every board of every machine."""

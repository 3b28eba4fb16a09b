"""Where boards and chips are on a machine of triads, and where the links of each lead.

Facts of the SpiNN-5 board only: no machine's configuration, no cabinets (places.py), no drawing.
"""

from enum import IntEnum
from functools import cache
from typing import NamedTuple, Self

BOARDS_PER_TRIAD = 3
TRIAD_CHIPS = 12
"""Chips along each side of a triad's repeating square."""

BOARD_BOX_CHIPS = 8
"""Chips along each side of the box around one board's hexagon."""

CORES_PER_CHIP = 18


class Link(IntEnum):
    """One of a board's (or a chip's) six links, numbered anticlockwise from east."""

    EAST = 0
    NORTH_EAST = 1
    NORTH = 2
    WEST = 3
    SOUTH_WEST = 4
    SOUTH = 5

    @property
    def opposite(self) -> "Link":
        """The same link as seen from the neighbour."""
        return _OPPOSITE[self]


_OPPOSITE = {link: Link((link + 3) % 6) for link in Link}


_LARGEST_SIDE = 9999


def _is_side(text: str) -> bool:
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(_LARGEST_SIDE))
    return digits and int(text) > 0


class Size(NamedTuple):
    """A rectangle's width and height in triads."""

    width: int
    height: int

    @property
    def boards(self) -> int:
        """How many boards there are in the rectangle."""
        return self.width * self.height * BOARDS_PER_TRIAD

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the size that a string such as `20x12` means; `x`, `X` and `×` are accepted.

        Raises:
            ValueError: The string is not a size, or a side is 0 or more than 9999 triads.
        """
        sides = text.replace("X", "x").replace("×", "x").split("x")
        if len(sides) != 2 or not all(map(_is_side, sides)):
            raise ValueError(
                f"{text!r} is not a size in triads; write WIDTHxHEIGHT, such as 2x2, each 1 to {_LARGEST_SIDE}"
            )
        return cls(int(sides[0]), int(sides[1]))


class Board(NamedTuple):
    """A board's logical coordinate: its triad's x and y, and z, 0 to 2, within the triad."""

    x: int
    y: int
    z: int

    def __str__(self) -> str:
        return f"({self.x}, {self.y}, {self.z})"


class Chip(NamedTuple):
    """A chip's coordinate within a machine, a job or a board; the context says which."""

    x: int
    y: int

    def __str__(self) -> str:
        return f"({self.x}, {self.y})"


class BoardLink(NamedTuple):
    """One end of a link between boards."""

    board: Board
    link: Link


class Hexagon(NamedTuple):
    """Where a board is in a drawing, in columns and rows of half a hexagon each; rows count upwards."""

    column: int
    row: int


# For z = 0, 1 and 2: the bottom-left chip of board z of triad (0, 0).
_BOARD_ORIGIN = (Chip(0, 0), Chip(8, 4), Chip(4, 8))

# For z = 0, 1 and 2, and for each link: how x, y and z change over that link.
_LINK_STEP: tuple[tuple[Board, ...], ...] = (
    (Board(0, -1, 2), Board(0, 0, 1), Board(0, 0, 2), Board(-1, 0, 1), Board(-1, -1, 2), Board(-1, -1, 1)),
    (Board(1, 0, -1), Board(1, 0, 1), Board(1, 1, -1), Board(0, 0, 1), Board(0, 0, -1), Board(0, -1, 1)),
    (Board(0, 0, -1), Board(1, 1, -2), Board(0, 1, -1), Board(0, 1, -2), Board(-1, 0, -1), Board(0, 0, -2)),
)

BOARD_CHIPS: tuple[Chip, ...] = tuple(
    Chip(x, y) for y in range(BOARD_BOX_CHIPS) for x in range(max(0, y - 3), min(7, y + 4) + 1)
)
"""The 48 chips of a board, relative to its bottom-left one, row by row from the bottom."""


LINK_VECTORS: tuple[Chip, ...] = (Chip(1, 0), Chip(1, 1), Chip(0, 1), Chip(-1, 0), Chip(-1, -1), Chip(0, -1))
"""For each link, the change of a chip's x and y."""

ETHERNET_CHIP = Chip(0, 0)
"""The chip of a board that its Ethernet socket is wired to."""


class _Owner(NamedTuple):
    """The board that a chip is on, relative to the triad in whose square the chip is."""

    board: Board
    local: Chip


def _owners() -> dict[Chip, _Owner]:
    owners = {}
    for z, origin in enumerate(_BOARD_ORIGIN):
        for local in BOARD_CHIPS:
            x, y = origin.x + local.x, origin.y + local.y
            square = Chip(x % TRIAD_CHIPS, y % TRIAD_CHIPS)
            owners[square] = _Owner(Board(-(x // TRIAD_CHIPS), -(y // TRIAD_CHIPS), z), local)
    return owners


_OWNERS = _owners()


def chip_size(size: Size) -> Chip:
    """Return the width and height in chips of a whole machine of `size` triads."""
    return Chip(size.width * TRIAD_CHIPS, size.height * TRIAD_CHIPS)


def boards_of(size: Size) -> tuple[Board, ...]:
    """Return all boards of a machine of `size` triads, ordered by x, then y, then z."""
    return tuple(
        Board(x, y, z) for x in range(size.width) for y in range(size.height) for z in range(BOARDS_PER_TRIAD)
    )


def contains(size: Size, board: Board) -> bool:
    """Return whether a machine of `size` triads has `board`."""
    return 0 <= board.x < size.width and 0 <= board.y < size.height and 0 <= board.z < BOARDS_PER_TRIAD


def neighbour(size: Size, board: Board, link: Link) -> Board:
    """Return the board that `link` of `board` leads to, on a machine that is a torus."""
    step = _LINK_STEP[board.z][link]
    return Board((board.x + step.x) % size.width, (board.y + step.y) % size.height, board.z + step.z)


def wraps(size: Size, board: Board, link: Link) -> tuple[bool, bool]:
    """Return whether `link` of `board` crosses the machine's left or right edge, and its top or bottom one."""
    step = _LINK_STEP[board.z][link]
    return not 0 <= board.x + step.x < size.width, not 0 <= board.y + step.y < size.height


def far_end(size: Size, end: BoardLink) -> BoardLink:
    """Return the other end of the same link."""
    return BoardLink(neighbour(size, end.board, end.link), end.link.opposite)


def first_chip(size: Size, board: Board) -> Chip:
    """Return the machine coordinate of the board's bottom-left chip, the Ethernet-connected one."""
    origin = _BOARD_ORIGIN[board.z]
    width, height = chip_size(size)
    return Chip((board.x * TRIAD_CHIPS + origin.x) % width, (board.y * TRIAD_CHIPS + origin.y) % height)


def board_of_chip(size: Size, chip: Chip) -> tuple[Board, Chip]:
    """Return the board that a machine's chip is on, and the chip's coordinate within that board.

    Coordinates beyond the machine wrap around.
    """
    width, height = chip_size(size)
    x, y = chip.x % width, chip.y % height
    owner = _OWNERS[Chip(x % TRIAD_CHIPS, y % TRIAD_CHIPS)]
    board = Board(
        (x // TRIAD_CHIPS + owner.board.x) % size.width,
        (y // TRIAD_CHIPS + owner.board.y) % size.height,
        owner.board.z,
    )
    return board, owner.local


def hexagon(board: Board) -> Hexagon:
    """Return where a board is drawn; its neighbours by link are at (+1, -1), (+1, +1), (0, +2) and opposite."""
    return Hexagon(2 * board.x - board.y + (1 if board.z == 1 else 0), 3 * board.y + board.z)


class Hop(NamedTuple):
    """Where a chip's link leads."""

    board_link: Link | None
    """The board's link that the chip's link crosses; None if it stays on the board."""
    chip: Chip
    """The chip at the other end, relative to that chip's own board."""


@cache
def chip_links() -> dict[Chip, tuple[Hop, ...]]:
    """Return, for each chip of a board, where its six links lead; the same for every board of every machine."""
    # On a machine of 4 x 4 triads a board's six neighbours are six different boards, so each link is unambiguous.
    # All boards have the same shape, so one board stands for all.
    size, board = Size(4, 4), Board(1, 1, 0)
    corner = first_chip(size, board)
    board_links = {neighbour(size, board, link): link for link in Link}

    def hop(chip: Chip, vector: Chip) -> Hop:
        target = Chip(corner.x + chip.x + vector.x, corner.y + chip.y + vector.y)
        other, local = board_of_chip(size, target)
        return Hop(None if other == board else board_links[other], local)

    return {chip: tuple(hop(chip, vector) for vector in LINK_VECTORS) for chip in BOARD_CHIPS}

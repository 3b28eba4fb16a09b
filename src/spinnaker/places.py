"""Places of boards in cabinets and frames, and the addresses that a standard installation gives them.

Which logical board is at which place is a machine's configuration, not a fact of the hardware.
"""

from ipaddress import IPv4Address
from typing import NamedTuple

from spinnaker.geometry import Board, Size, boards_of

BOARDS_PER_FRAME = 24
FRAMES_PER_CABINET = 5

_FRAME_ADDRESSES = 256
_BOARD_ADDRESSES = 8


class Frame(NamedTuple):
    """A frame of up to 24 boards, served by one BMP address."""

    cabinet: int
    frame: int

    def __str__(self) -> str:
        return f"cabinet {self.cabinet}, frame {self.frame}"


class Place(NamedTuple):
    """Where a board stands: cabinet, frame (0 to 4) in the cabinet, and board number (0 to 23) in the frame."""

    cabinet: int
    frame: int
    board: int

    @property
    def in_frame(self) -> Frame:
        """The frame that the place is in."""
        return Frame(self.cabinet, self.frame)

    def __str__(self) -> str:
        return f"cabinet {self.cabinet}, frame {self.frame}, board {self.board}"


def _frame_offset(frame: Frame) -> int:
    return (FRAMES_PER_CABINET * frame.cabinet + frame.frame) * _FRAME_ADDRESSES


def bmp_address(base: IPv4Address, frame: Frame) -> IPv4Address:
    """Return the standard address of a frame's BMP on a machine whose addresses start at `base`."""
    return base + _frame_offset(frame)


def board_address(base: IPv4Address, place: Place) -> IPv4Address:
    """Return the standard address of the SpiNNaker chip of the board at `place`."""
    return base + _frame_offset(place.in_frame) + _BOARD_ADDRESSES * place.board + 1


def sequential_places(size: Size) -> dict[Board, Place]:
    """Return places for all boards of a machine, filled triad by triad in the order of `boards_of`.

    A frame holds eight triads and a cabinet five frames, so every board's place follows from the size alone.
    """
    places = {}
    for index, board in enumerate(boards_of(size)):
        frame, slot = divmod(index, BOARDS_PER_FRAME)
        places[board] = Place(frame // FRAMES_PER_CABINET, frame % FRAMES_PER_CABINET, slot)
    return places

"""Checked values that name boards, links, places and sizes.

One value at a time: what must fit together is machines.py's subject.
"""

from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address

from spalloc_server.config.reading import Entry, Kind
from spinnaker.geometry import Board, BoardLink, Link, Size, contains
from spinnaker.places import BOARDS_PER_FRAME, Frame, Place

LARGEST_SIDE_TRIADS = 21
"""A chip's x and y have 8 bits each: 256 chips, or 21 triads, to a side."""
_LARGEST_CABINET = 255
_LARGEST_FRAME = 255
_LINK_NAMES = {link.name.lower(): link for link in Link}


def a_board(size: Size | None) -> Kind[Board]:
    """Take a board, `[x, y, z]`, of a machine of `size`; None if its size is not known."""

    def kind(entry: Entry) -> Board | None:
        board = _board(entry.value, size)
        if board is None:
            entry.wrong(f"a board's [x, y, z]{_inside(size)}")
        return board

    return kind


def a_link(size: Size | None) -> Kind[BoardLink]:
    """Take a link, `[x, y, z, LINK]`, of a machine of `size`; None if its size is not known."""

    def kind(entry: Entry) -> BoardLink | None:
        if isinstance(entry.value, list) and entry.value:
            board, link = _board(entry.value[:-1], size), _link(entry.value[-1])
            if board is not None and link is not None:
                return BoardLink(board, link)
        entry.wrong(
            f"a board and a link, [x, y, z, LINK]{_inside(size)}, LINK one of {', '.join(_LINK_NAMES)}"
        )
        return None

    return kind


def a_size(entry: Entry) -> Size | None:
    """Take a size in triads, `WIDTHxHEIGHT`."""
    if isinstance(entry.value, str):
        with suppress(ValueError):
            size = Size.parse(entry.value)
            if max(size) <= LARGEST_SIDE_TRIADS:
                return size
    entry.wrong(
        f'a size in triads, "WIDTHxHEIGHT", from "1x1" to "{LARGEST_SIDE_TRIADS}x{LARGEST_SIDE_TRIADS}"'
    )
    return None


def a_place(entry: Entry) -> Place | None:
    """Take a board's place, `[cabinet, frame, board]`."""
    numbers = _numbers(entry.value, 3)
    if numbers is not None:
        place = Place(*numbers)
        if _is_frame(place.in_frame) and 0 <= place.board < BOARDS_PER_FRAME:
            return place
    entry.wrong(f"[cabinet, frame, board] with a board from 0 to {BOARDS_PER_FRAME - 1}")
    return None


def a_frame(entry: Entry) -> Frame | None:
    """Take a frame, `[cabinet, frame]`."""
    numbers = _numbers(entry.value, 2)
    if numbers is not None and _is_frame(Frame(*numbers)):
        return Frame(*numbers)
    entry.wrong("[cabinet, frame]")
    return None


def _is_frame(frame: Frame) -> bool:
    return 0 <= frame.cabinet <= _LARGEST_CABINET and 0 <= frame.frame <= _LARGEST_FRAME


def _link(value: object) -> Link | None:
    if isinstance(value, str):
        return _LINK_NAMES.get(value)
    return Link(value) if type(value) is int and 0 <= value < len(Link) else None


def an_ipv4_address(entry: Entry) -> IPv4Address | None:
    """Take an IPv4 address."""
    if isinstance(entry.value, str):
        try:
            return IPv4Address(entry.value)
        except AddressValueError:
            pass
    entry.wrong('an IPv4 address, such as "10.11.0.0"')
    return None


def _board(value: object, size: Size | None) -> Board | None:
    numbers = _numbers(value, 3)
    if numbers is None or (size is not None and not contains(size, Board(*numbers))):
        return None
    return Board(*numbers)


def _inside(size: Size | None) -> str:
    return "" if size is None else f" with x below {size.width}, y below {size.height} and z below 3"


def _numbers(value: object, count: int) -> list[int] | None:
    if isinstance(value, list) and len(value) == count and all(type(number) is int for number in value):
        return value
    return None

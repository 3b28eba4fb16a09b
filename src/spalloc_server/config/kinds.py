"""The kinds of values that a configuration has: what each may be, and what it stands for.

One value at a time: which keys there are, and what must fit together, is for document.py and machines.py.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import Enum
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import TypeVar

from spalloc_client.durations import read
from spalloc_server.config.mistakes import shown
from spalloc_server.config.reading import Entry, Kind
from spalloc_server.core.accounts import NAMES, name_flaw
from spalloc_server.core.networks import Network, NetworkNames, Networks
from spinnaker.geometry import Board, BoardLink, Link, Size, contains
from spinnaker.places import BOARDS_PER_FRAME, Frame, Place

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

LARGEST_SIDE_TRIADS = 21
"""A chip's x and y have 8 bits each: 256 chips, or 21 triads, to a side."""
_LARGEST_CABINET = 255
_LARGEST_FRAME = 255
_LARGEST_PORT = 65535
_LONGEST = 1e9


def _kind(expected: str, convert: Callable[[object], T | None]) -> Kind[T]:
    """Return a function that converts an entry's value, or notes a mistake and returns None.

    Args:
        expected: what is allowed, in words.
        convert: returns what a value stands for; returns None or raises ValueError for one that is not allowed.
    """

    def kind(entry: Entry) -> T | None:
        with suppress(ValueError):
            found = convert(entry.value)
            if found is not None:
                return found
        entry.wrong(expected)
        return None

    return kind


def _of_string(convert: Callable[[str], T | None]) -> Callable[[object], T | None]:
    return lambda value: convert(value) if isinstance(value, str) else None


# Strings and numbers


def a_string_that(expected: str, convert: Callable[[str], T | None]) -> Kind[T]:
    """A string that `convert` takes: it returns what the string stands for, or None, or raises ValueError."""
    return _kind(expected, _of_string(convert))


a_string = _kind(
    "a string of printable characters",
    _of_string(lambda value: value if value.strip() and value.isprintable() else None),
)
"""A string that is not blank and can be shown on one line."""


def whole_number(least: int, most: int) -> Kind[int]:
    """A whole number from `least` to `most`."""
    return _kind(
        f"a whole number from {least} to {most}",
        lambda value: value if type(value) is int and least <= value <= most else None,
    )


def a_duration(unit: str, *, above: float | None = None) -> Kind[float]:
    """A length of time in `unit`: 0 or more, or more than `above`."""
    if above is None:
        return _number(f"a number of {unit}, 0 or more", lambda value: 0 <= value <= _LONGEST)
    return _number(f"a number of {unit}, more than {above:g}", lambda value: above < value <= _LONGEST)


def _number(expected: str, is_allowed: Callable[[float], bool]) -> Kind[float]:
    def convert(value: object) -> float | None:
        if isinstance(value, int | float) and not isinstance(value, bool) and is_allowed(value):
            return float(value)
        return None

    return _kind(expected, convert)


a_share = _number("a number from 0 to 1", lambda value: 0 <= value <= 1)
"""A part of a whole, from 0 to 1."""


a_flag = _kind("true or false", lambda value: value if isinstance(value, bool) else None)

a_time = _kind(
    "a date and time with its offset from UTC, such as 2026-12-01T09:00:00+01:00, without quotation marks",
    lambda value: value.timestamp() if isinstance(value, datetime) and value.tzinfo is not None else None,
)
"""A moment, in seconds of Unix time."""


def one_of(choices: type[E]) -> Kind[E]:
    """One of an enumeration's values."""
    return _kind(" or ".join(shown(choice.value) for choice in choices), _of_string(choices))


def list_of(kind: Kind[T], what: str) -> Kind[tuple[T, ...]]:
    """A list whose elements are of a kind; those that are not are left out, and reported."""

    def of_list(entry: Entry) -> tuple[T, ...] | None:
        if not isinstance(entry.value, list):
            entry.wrong(f"a list of {what}")
            return None
        taken = (
            kind(Entry(value, (*entry.path, index), entry.mistakes))
            for index, value in enumerate(entry.value)
        )
        return tuple(value for value in taken if value is not None)

    return of_list


def _seconds(value: object) -> float | None:
    seconds = read(value) if isinstance(value, str) else value
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return float(seconds) if is_number and 0 < seconds <= _LONGEST else None  # type: ignore[arg-type, operator]


a_time_limit = _kind('a duration, such as "30m" or "1d", or a number of seconds, more than 0', _seconds)
"""A length of time as people write it, or in seconds; more than 0."""


def _moved(value: object) -> float | None:
    back = isinstance(value, str) and value.startswith("-")
    seconds = read(value.removeprefix("-")) if isinstance(value, str) else value
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not abs(seconds) <= _LONGEST:  # type: ignore[arg-type]
        return None
    return -float(seconds) if back else float(seconds)  # type: ignore[arg-type]


a_priority = _kind(
    'a duration, such as "2h", or "-2h" for later, or a number of seconds, below 0 for later', _moved
)
"""A length of time by which something is moved forward; back with a minus sign."""

true_or_false = _kind("true or false", lambda value: value if isinstance(value, bool) else None)


# Networks, hosts and files

a_network: Kind[Network] = _kind(
    'a network, such as "10.0.0.0/8" (no bits set after the first 8), or an address', _of_string(ip_network)
)


_an_account = _kind(
    f"the name of an account: {NAMES}", _of_string(lambda value: None if name_flaw(value) else value)
)


def networks(entry: Entry) -> Networks | None:
    """A list of networks."""
    read: Kind[tuple[Network, ...]] = list_of(a_network, "networks")
    found = read(entry)
    return None if found is None else Networks(found)


def account_names(entry: Entry) -> frozenset[str] | None:
    """A list of names of accounts."""
    read: Kind[tuple[str, ...]] = list_of(_an_account, "names of accounts")
    found = read(entry)
    return None if found is None else frozenset(found)


def accounts_of_networks(entry: Entry) -> NetworkNames | None:
    """A table with an account's name for each network."""
    if not isinstance(entry.value, dict):
        entry.wrong('a table of networks, each with an account, such as { "10.0.0.0/8" = "lab" }')
        return None
    found: list[tuple[Network, str]] = []
    for written, value in entry.value.items():
        inside = (*entry.path, written)
        network, name = (
            a_network(Entry(written, inside, entry.mistakes)),
            _an_account(Entry(value, inside, entry.mistakes)),
        )
        if network is not None and name is not None:
            found.append((network, name))
    return NetworkNames(tuple(found))


an_ipv4_address = _kind('an IPv4 address, such as "10.11.0.0"', _of_string(IPv4Address))

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,250}[A-Za-z0-9])?\.?|[0-9a-fA-F:]*:[0-9a-fA-F:.]*(%\w+)?")
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9._-]+:([0-9]{1,5})")

a_host = _kind(
    "a host's name or address", _of_string(lambda value: value if _HOST.fullmatch(value) else None)
)


def _host_or_host_with_port(value: str) -> str | None:
    port = _HOST_AND_PORT.fullmatch(value)
    is_valid = int(port[1]) in range(1, _LARGEST_PORT + 1) if port else _HOST.fullmatch(value)
    return value if is_valid else None


a_host_or_host_with_port = _kind(
    "a host's name or address, with :PORT where it is not the usual one", _of_string(_host_or_host_with_port)
)
a_port = whole_number(0, _LARGEST_PORT)


def a_file(folder: Path) -> Kind[Path]:
    """The path of a file, relative to `folder`; messages about the file must stay on one line."""
    return _kind(
        "the path of a file, in printable characters",
        _of_string(lambda value: folder / value if value and value.isprintable() else None),
    )


_PATH_OF_ADDRESSES = re.compile(r"/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,63}/){0,8}")

a_path_of_addresses = _kind(
    'a path that begins and ends with /, such as "/spalloc/", of letters, digits and ._~-',
    _of_string(lambda value: value if _PATH_OF_ADDRESSES.fullmatch(value) else None),
)
"""What web addresses of a server begin with, after its host."""


# Boards


def a_board(size: Size | None) -> Kind[Board]:
    """A board, `[x, y, z]`, of a machine of `size`; None if its size is not known."""
    return _kind(f"a board's [x, y, z]{_inside(size)}", lambda value: _board(value, size))


def a_link(size: Size | None) -> Kind[BoardLink]:
    """A link, `[x, y, z, LINK]`, of a machine of `size`; None if its size is not known."""

    def convert(value: object) -> BoardLink | None:
        if isinstance(value, list) and value:
            board, link = _board(value[:-1], size), _link(value[-1])
            if board is not None and link is not None:
                return BoardLink(board, link)
        return None

    names = ", ".join(_LINK_NAMES)
    return _kind(f"a board and a link, [x, y, z, LINK]{_inside(size)}, LINK one of {names}", convert)


_LINK_NAMES = {link.name.lower(): link for link in Link}


def _link(value: object) -> Link | None:
    if isinstance(value, str):
        return _LINK_NAMES.get(value)
    return Link(value) if type(value) is int else None


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


def _size(value: str) -> Size | None:
    size = Size.parse(value)
    return size if max(size) <= LARGEST_SIDE_TRIADS else None


a_size = _kind(
    f'a size in triads, "WIDTHxHEIGHT", from "1x1" to "{LARGEST_SIDE_TRIADS}x{LARGEST_SIDE_TRIADS}"',
    _of_string(_size),
)


def _place(value: object) -> Place | None:
    numbers = _numbers(value, 3)
    if numbers is None or _frame(numbers[:2]) is None or not 0 <= numbers[2] < BOARDS_PER_FRAME:
        return None
    return Place(*numbers)


def _frame(value: object) -> Frame | None:
    numbers = _numbers(value, 2)
    if numbers is None:
        return None
    frame = Frame(*numbers)
    return frame if 0 <= frame.cabinet <= _LARGEST_CABINET and 0 <= frame.frame <= _LARGEST_FRAME else None


a_place = _kind(f"[cabinet, frame, board] with a board from 0 to {BOARDS_PER_FRAME - 1}", _place)
a_frame = _kind("[cabinet, frame]", _frame)

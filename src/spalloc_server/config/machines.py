"""The `[[machine]]` tables: from what an administrator writes to the core's values.

A machine is returned only if nothing is wrong with its table. All that is wrong is noted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path as Folder
from typing import TYPE_CHECKING, TypeVar

from spalloc_server.config.kinds import (
    LARGEST_SIDE_TRIADS,
    a_board,
    a_duration,
    a_file,
    a_frame,
    a_host,
    a_host_or_host_with_port,
    a_link,
    a_place,
    a_share,
    a_size,
    a_string,
    an_ipv4_address,
    list_of,
    whole_number,
)
from spalloc_server.config.reading import Kind, Table
from spalloc_server.core.machine import DEFAULT_TAG, Machine
from spinnaker.geometry import Board, Size, boards_of, contains, far_end
from spinnaker.places import BOARDS_PER_FRAME, Frame, Place, bmp_address, board_address

if TYPE_CHECKING:
    from spalloc_server.config.spinner import Layout

_MOST_NAMED = 5
"""How many boards a mistake names; the others are only counted."""
_ANY_SECONDS = a_duration("seconds")
_SOME_SECONDS = a_duration("seconds", above=0.0)

CARE: Mapping[str, Kind[object]] = {
    "settle_seconds": _ANY_SECONDS,
    "cool_down_seconds": _ANY_SECONDS,
    "board_retry_seconds": _SOME_SECONDS,
    "bmp_check_seconds": _SOME_SECONDS,
    "reports_to_set_aside": whole_number(1, 1000),
    "reports_share": a_share,
    "report_rest_seconds": _ANY_SECONDS,
}
"""How a machine's boards are treated: fields of `Machine` that a site may set for all machines, or for each."""

K = TypeVar("K")


def read_machines(tables: list[Table], folder: Folder, default: Machine) -> tuple[Machine, ...]:
    """Return the machines that are valid, and note what is wrong with the others.

    Args:
        tables: One for each machine.
        folder: What paths are relative to.
        default: How boards are treated where a machine's table doesn't say.
    """
    used = _Used()
    machines = [_Reader(table, folder, default, used).read() for table in tables]
    return tuple(machine for machine in machines if machine is not None)


@dataclass(slots=True)
class _Used:
    """What no two machines may share; each address with what has it."""

    names: set[str] = field(default_factory=set)
    bmps: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)


class _Reader:
    """Reads one machine."""

    def __init__(self, table: Table, folder: Folder, default: Machine, used: _Used) -> None:
        self._table = table
        self._mistakes = table.mistakes
        self._before = len(table.mistakes.found)
        self._folder = folder
        self._default = default
        self._used = used
        self._size: Size | None = None

    def read(self) -> Machine | None:
        name = self._name()
        tags = self._table.take("tags", list_of(a_string, "tags"), (DEFAULT_TAG,))
        layout = self._layout()
        self._size = self._its_size(layout)
        dead_boards = frozenset(
            self._table.take("dead_boards", list_of(a_board(self._size), "boards, each [x, y, z]"), ())
        )
        dead_links = self._table.take(
            "dead_links", list_of(a_link(self._size), 'links, each [x, y, z, "north"]'), ()
        )
        by_hand = self._boards()
        places = {**(layout.places if layout else {}), **{board: one.place for board, one in by_hand.items()}}
        bmps = self._bmps()
        base = self._table.take("base_address", an_ipv4_address, None)
        machine = self._table.whole(self._default, CARE)
        size = self._size
        # What follows is about the places of boards: if their file can't be read, it would only repeat that.
        unread = layout is None and self._table.has("places")
        if size is None or name is None or unread:
            return None
        self._check_places(size, places, dead_boards)
        live = {board: place for board, place in sorted(places.items()) if board not in dead_boards}
        addresses = self._addresses(live, {board: one.address for board, one in by_hand.items()}, base)
        frames = self._frames(live, bmps, base)
        self._check_shared(name, addresses, frames)
        if len(self._mistakes.found) > self._before:
            return None
        ends = frozenset(dead_links)
        return replace(
            machine,
            name=name,
            size=size,
            tags=frozenset(tags),
            dead_boards=dead_boards,
            dead_links=ends | {far_end(size, end) for end in ends},
            places=live,
            addresses=addresses,
            bmps=frames,
        )

    # What the table says

    def _name(self) -> str | None:
        name = self._table.need("name", a_string, 'a name, such as name = "desk"')
        if name is not None:
            self._mistakes.call(self._table.path, name)
            if name in self._used.names:
                self._mistakes.add((*self._table.path, "name"), "is the name of another machine as well")
            self._used.names.add(name)
        return name

    def _layout(self) -> "Layout | None":
        path = self._table.take("places", a_file(self._folder), None)
        if path is None:
            return None
        # Few sites have such a file, and every import takes time at each start.
        from spalloc_server.config.spinner import read_places

        return read_places(path, self._mistakes)

    def _its_size(self, layout: "Layout | None") -> Size | None:
        # A file of places does not replace the size: one that lost its last lines would be that of a smaller machine.
        likely = layout.size if layout is not None and max(layout.size) <= LARGEST_SIDE_TRIADS else "20x20"
        size = self._table.need("size", a_size, f'a size in triads, such as size = "{likely}"')
        if size is not None and layout is not None:
            outside = [board for board in layout.places if not contains(size, board)]
            if outside:
                self._mistakes.add(
                    (*self._table.path, "size"),
                    f"is {size}, and places has boards outside it: {_some(outside)}",
                )
        return size

    def _boards(self) -> "dict[Board, _ByHand]":
        boards: dict[Board, _ByHand] = {}
        for table in self._table.tables("boards"):
            board = table.need(
                "board", a_board(self._size), "a logical coordinate, such as board = [0, 0, 0]"
            )
            place = table.need("place", a_place, "a cabinet, frame and board, such as place = [0, 0, 0]")
            address = table.take("address", a_host, None)
            table.finish()
            if board is not None and board in boards:
                self._mistakes.add((*table.path, "board"), f"is {board}, which has an earlier table")
            if board is not None and place is not None:
                boards[board] = _ByHand(place, address)
        return boards

    def _bmps(self) -> dict[Frame, str]:
        bmps: dict[Frame, str] = {}
        for table in self._table.tables("bmps"):
            frame = table.need("frame", a_frame, "a cabinet and frame, such as frame = [0, 0]")
            address = table.need("address", a_host_or_host_with_port, "the BMP's address")
            table.finish()
            if frame is not None and frame in bmps:
                self._mistakes.add((*table.path, "frame"), f"is {frame}, which has an earlier table")
            if frame is not None and address is not None:
                bmps[frame] = address
        return bmps

    # What must fit together

    def _check_places(self, size: Size, places: Mapping[Board, Place], dead_boards: frozenset[Board]) -> None:
        missing = [board for board in boards_of(size) if board not in places and board not in dead_boards]
        if missing:
            self._mistakes.add(
                self._table.path,
                f"has neither a place for {_some(missing)} nor an entry in dead_boards; expected a "
                '[[machine.boards]] table, a line in the file named by "places", or an entry in dead_boards',
            )
        boards_at: dict[Place, Board] = {}
        for board, place in places.items():
            if place.board >= BOARDS_PER_FRAME:
                self._mistakes.add(
                    self._table.path,
                    f"has {board} at {place}; a frame has boards 0 to {BOARDS_PER_FRAME - 1}",
                )
            other = boards_at.setdefault(place, board)
            if other != board:
                self._mistakes.add(self._table.path, f"has both {other} and {board} at {place}")

    def _addresses(
        self, live: Mapping[Board, Place], by_hand: Mapping[Board, str | None], base: IPv4Address | None
    ) -> dict[Board, str]:
        def address(board: Board, place: Place) -> str | None:
            return by_hand.get(board) or _standard(base, partial(board_address, place=place))

        addresses = {board: address(board, place) for board, place in live.items()}
        missing = [board for board, found in addresses.items() if found is None]
        if missing:
            self._mistakes.add(
                self._table.path,
                f"has no address for {_some(missing)}; expected a base_address from which standard addresses are "
                "counted, or an address in each [[machine.boards]] table",
            )
        return {board: found for board, found in addresses.items() if found is not None}

    def _frames(
        self, live: Mapping[Board, Place], by_hand: Mapping[Frame, str], base: IPv4Address | None
    ) -> dict[Frame, str]:
        frames = sorted({place.in_frame for place in live.values()} | set(by_hand))
        found = {
            frame: by_hand.get(frame) or _standard(base, partial(bmp_address, frame=frame))
            for frame in frames
        }
        missing = [frame for frame, address in found.items() if address is None]
        if missing:
            self._mistakes.add(
                self._table.path,
                f"has no BMP for {_some(missing)}; expected a base_address from which standard addresses are "
                "counted, or a [[machine.bmps]] table for each frame",
            )
        return {frame: address for frame, address in found.items() if address is not None}

    def _check_shared(self, name: str, addresses: Mapping[Board, str], bmps: Mapping[Frame, str]) -> None:
        for what, used, theirs in (
            ("BMP", self._used.bmps, list(bmps.items())),
            ("board", self._used.addresses, list(addresses.items())),
        ):
            twice = [
                f"{address} ({thing})"
                for thing, address in theirs
                if used.setdefault(address, f"{name} {thing}") != f"{name} {thing}"
            ]
            if twice:
                first = twice[0].split(" (")[0]
                self._mistakes.add(
                    self._table.path,
                    f"has a {what} with the address of another: {_some(twice)}; {first} is that of {used[first]}",
                )


@dataclass(frozen=True, slots=True)
class _ByHand:
    """A board as a `[[machine.boards]]` table describes it."""

    place: Place
    address: str | None


def _standard(base: IPv4Address | None, count: Callable[[IPv4Address], IPv4Address]) -> str | None:
    """Return the address that is counted from `base`, or None if there is no such address."""
    try:
        return None if base is None else str(count(base))
    except AddressValueError:
        return None


def _some(things: list[K]) -> str:
    named = ", ".join(map(str, things[:_MOST_NAMED]))
    more = len(things) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named

"""From a configuration's values to a TOML text that means the same.

Only machines and the v1 front are written; of these, document.py reads the same values again.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address

from spalloc_server.config.settings import Configuration
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board
from spinnaker.places import Frame, Place, bmp_address, board_address


def to_toml(configuration: Configuration) -> str:
    """Return a TOML text with a configuration's machines and v1 front."""
    return "\n".join(_lines(configuration)) + "\n"


def _lines(configuration: Configuration) -> Iterator[str]:
    if not configuration.machines:
        yield "machine = []"
        yield ""
    yield "[v1]"
    yield f"listen = [{', '.join(map(_string, configuration.v1.addresses))}]"
    yield f"port = {configuration.v1.port}"
    for machine in configuration.machines:
        yield ""
        yield from _machine(machine)


def _machine(machine: Machine) -> Iterator[str]:
    yield "[[machine]]"
    yield f"name = {_string(machine.name)}"
    yield f"tags = [{', '.join(map(_string, sorted(machine.tags)))}]"
    yield f'size = "{machine.size}"'
    yield f"settle_seconds = {machine.settle_seconds}"
    yield f"cool_down_seconds = {machine.cool_down_seconds}"
    base = _base(machine)
    if base is not None:
        yield f'base_address = "{base}"'
    yield from _array("dead_boards", (f"{list(board)}" for board in sorted(machine.dead_boards)))
    yield from _array(
        "dead_links",
        (
            f"[{end.board.x}, {end.board.y}, {end.board.z}, {_string(end.link.name.lower())}]"
            for end in sorted(machine.dead_links)
        ),
    )
    yield from _array(
        "bmps",
        (
            f"{{ frame = {list(frame)}, address = {_string(address)} }}"
            for frame, address in sorted(machine.bmps.items())
            if address != _standard_bmp(base, frame)
        ),
    )
    yield from _array("boards", _boards(machine, base))


def _boards(machine: Machine, base: IPv4Address | None) -> Iterator[str]:
    for board, place in sorted(machine.places.items()):
        address = machine.addresses.get(board)
        by_hand = (
            f", address = {_string(address)}" if address not in (None, _standard_board(base, place)) else ""
        )
        yield f"{{ board = {list(board)}, place = {list(place)}{by_hand} }}"


def _array(key: str, elements: Iterator[str]) -> Iterator[str]:
    lines = [f"    {element}," for element in elements]
    if lines:
        yield f"{key} = ["
        yield from lines
        yield "]"


def _string(value: str | None) -> str:
    # A JSON string is a TOML string once the only control character that JSON does not escape is escaped as well.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _base(machine: Machine) -> IPv4Address | None:
    """Return the base address from which more than half of a machine's addresses are counted; None if there is none."""
    bases = Counter(_bases(machine.places, machine.addresses, machine.bmps))
    if not bases:
        return None
    ((base, count),) = bases.most_common(1)
    return base if 2 * count > len(machine.addresses) + len(machine.bmps) else None


def _bases(
    places: Mapping[Board, Place], addresses: Mapping[Board, str], bmps: Mapping[Frame, str]
) -> Iterator[IPv4Address]:
    zero = IPv4Address(0)
    counted = [(address, int(bmp_address(zero, frame))) for frame, address in bmps.items()]
    counted += [
        (address, int(board_address(zero, places[board])))
        for board, address in addresses.items()
        if board in places
    ]
    for address, offset in counted:
        try:
            yield IPv4Address(address) - offset
        except AddressValueError:
            continue


def _standard_bmp(base: IPv4Address | None, frame: Frame) -> str | None:
    return None if base is None else str(bmp_address(base, frame))


def _standard_board(base: IPv4Address | None, place: Place) -> str | None:
    return None if base is None else str(board_address(base, place))

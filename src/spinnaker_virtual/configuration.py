"""Reads the description of a virtual machine from TOML, and reports mistakes in it.

Takes the contents of a file; scripts/virtual.py opens it.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from spinnaker.geometry import Board, BoardLink, Chip, Link, Size, boards_of
from spinnaker.places import Place
from spinnaker.scp import SoftwareNumber
from spinnaker_virtual.faults import Faults
from spinnaker_virtual.machine import DeadChipLink, DeadCore, Timings, VirtualMachine

_Defect = TypeVar("_Defect", Chip, DeadCore, DeadChipLink)

_LINK_NAMES = {link.name.lower().replace("_", "-"): link for link in Link}
_TOP = ("width", "height", "seed", "bmp_version", "dead_boards", "dead_links", "timings", "faults", "board")
_BOARD = ("at", "place", "dead_chips", "dead_cores", "dead_links")


class MachineFileError(ValueError):
    """A mistake in the description of a machine; says where, what is wrong and what is allowed."""


def parse(text: str) -> VirtualMachine:
    """Return the machine that a configuration describes.

    Raises:
        MachineFileError: The configuration has a mistake.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MachineFileError(f"not TOML: {error}") from error
    _known(table, _TOP, "the configuration")
    size = Size(_number(table, "width", 1), _number(table, "height", 1))
    boards = {}
    for entry in _list(table, "board"):
        if not isinstance(entry, dict):
            raise MachineFileError("board must be a table; write [[board]]")
        _known(entry, _BOARD, "a [[board]]")
        board = Board(*_numbers(entry.get("at"), 3, "at of a [[board]]", "[x, y, z]"))
        if board in boards:
            raise MachineFileError(f"board {board} is described twice; put all of it into one [[board]]")
        boards[board] = entry
    dead = frozenset(
        Board(*_numbers(entry, 3, "an entry of dead_boards", "[x, y, z]"))
        for entry in _list(table, "dead_boards")
    )
    try:
        return VirtualMachine(
            size=size,
            places=_places(size, boards, dead),
            dead_boards=dead,
            dead_links=frozenset(_board_link(entry) for entry in _list(table, "dead_links")),
            dead_chips=_of_boards(boards, "dead_chips", _chip),
            dead_cores=_of_boards(boards, "dead_cores", _core),
            dead_chip_links=_of_boards(boards, "dead_links", _chip_link),
            bmp_version=_version(table.get("bmp_version", "2.1.1")),
            timings=_timings(table.get("timings", {})),
            faults=_faults(table.get("faults", {})),
            seed=_number(table, "seed", 0),
        )
    except MachineFileError:
        raise
    except ValueError as error:
        raise MachineFileError(str(error)) from error


def _known(table: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in names:
            raise MachineFileError(f"{where} has no setting {name!r}; it may have {', '.join(names)}")


def _number(table: Mapping[str, Any], name: str, default: int) -> int:
    value = table.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MachineFileError(f"{name} must be a whole number, 0 or more, not {value!r}")
    return value


def _list(table: Mapping[str, Any], name: str) -> list[Any]:
    value = table.get(name, [])
    if not isinstance(value, list):
        raise MachineFileError(f"{name} must be a list, not {value!r}")
    return value


def _numbers(value: object, count: int, where: str, shape: str) -> tuple[int, ...]:
    if (
        not isinstance(value, list)
        or len(value) != count
        or not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in value)
    ):
        raise MachineFileError(f"{where} must be {shape}, not {value!r}")
    return tuple(value)


def _link(value: object, where: str) -> Link:
    if not isinstance(value, str) or value not in _LINK_NAMES:
        raise MachineFileError(f"{where} must name a link, not {value!r}; links are {', '.join(_LINK_NAMES)}")
    return _LINK_NAMES[value]


def _board_link(value: object) -> BoardLink:
    where, shape = "an entry of dead_links", '[x, y, z, "north-east"]'
    if not isinstance(value, list) or len(value) != 4:
        raise MachineFileError(f"{where} must be {shape}, not {value!r}")
    board = Board(*_numbers(value[:3], 3, where, shape))
    return BoardLink(board, _link(value[3], f"the entry {value} of dead_links"))


def _chip(value: object, where: str) -> Chip:
    return Chip(*_numbers(value, 2, where, "[x, y]"))


def _core(value: object, where: str) -> DeadCore:
    x, y, core = _numbers(value, 3, where, "[x, y, core]")
    return DeadCore(Chip(x, y), core)


def _chip_link(value: object, where: str) -> DeadChipLink:
    shape = '[x, y, "north-east"]'
    if not isinstance(value, list) or len(value) != 3:
        raise MachineFileError(f"{where} must be {shape}, not {value!r}")
    return DeadChipLink(Chip(*_numbers(value[:2], 2, where, shape)), _link(value[2], f"{value}, {where},"))


def _of_boards(
    boards: Mapping[Board, Mapping[str, Any]], name: str, read: Callable[[object, str], _Defect]
) -> dict[Board, frozenset[_Defect]]:
    found = {
        board: frozenset(read(value, f"an entry of {name} of board {board}") for value in _list(entry, name))
        for board, entry in boards.items()
    }
    return {board: values for board, values in found.items() if values}


def _places(
    size: Size, boards: Mapping[Board, Mapping[str, Any]], dead: frozenset[Board]
) -> dict[Board, Place]:
    places = {
        board: Place(*_numbers(entry["place"], 3, "place of a [[board]]", "[cabinet, frame, board]"))
        for board, entry in boards.items()
        if "place" in entry
    }
    for board in boards_of(size) if places else ():
        if board not in places and board not in dead:
            raise MachineFileError(
                f"board {board} has no place although others have one: give every live board a place, or give none "
                "and they are numbered in order"
            )
    return places


def _version(value: object) -> SoftwareNumber:
    parts = value.split(".") if isinstance(value, str) else []
    if not 2 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
        raise MachineFileError(f'bmp_version must be like "2.1.1", not {value!r}')
    return SoftwareNumber(*map(int, parts))


def _values(table: object, kind: type[Timings] | type[Faults], where: str) -> dict[str, float]:
    if not isinstance(table, dict):
        raise MachineFileError(f"{where} must be a table, not {table!r}; write [{where}]")
    _known(table, tuple(entry.name for entry in fields(kind)), f"[{where}]")
    for name, value in table.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise MachineFileError(f"{name} of [{where}] must be a number, not {value!r}")
    return {name: float(value) for name, value in table.items()}


def _timings(table: object) -> Timings:
    return Timings(**_values(table, Timings, "timings"))


def _faults(table: object) -> Faults:
    return Faults(**_values(table, Faults, "faults"))

"""Machine definitions of the Java service: JSON, as its administrators import it.

The form is that of JavaSpiNNaker 7.4.2 (`MachineDefinitionLoader`) and of the program that writes it from a Python file
(`spinn_machine.spalloc_server.py2json` of SpiNNMachine 1!7.4.1), which differ in small things; both are read.
"""

import json
import re
from collections.abc import Iterator

import msgspec

from spalloc_client.wire import DEFAULT_PORT
from spalloc_server.config.migration.old import Converted, Old, OldMachine, Xyz, configuration_of, notes_of
from spinnaker.geometry import Link

_SERVICE = "the Java service"
_LINKS = {link.name.replace("_", "").lower(): link.value for link in Link}
"""The numbers of links, by their names there: east, northEast, north, west, southWest, south."""


class DefinitionError(ValueError):
    """A file is no definition of machines; the message says what is wrong in which line."""

    def __init__(self, message: str, line: int = 1) -> None:
        """Say what is wrong, in a line counted from 1."""
        super().__init__(message)
        self.line = line


class _Xyz(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    x: int
    y: int
    z: int


class _Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    c: int
    f: int
    b: int


class _Machine(msgspec.Struct, frozen=True, rename="kebab"):
    name: str
    width: int
    height: int
    board_locations: dict[str, _Place | str]
    bmp_ips: dict[str, str]
    spinnaker_ips: dict[str, str]
    tags: list[str] = []
    dead_boards: list[_Xyz | str] = []
    dead_links: dict[str, list[int | str]] = {}


class _Definitions(msgspec.Struct, frozen=True, rename="kebab"):
    machines: list[_Machine]
    port: int = DEFAULT_PORT
    ip: str = ""
    max_retired_jobs: int = 1200
    seconds_before_free: float = 30.0


_KNOWN = {*_Definitions.__struct_encode_fields__, "timeout-check-interval"}


def convert_definitions(text: str) -> Converted:
    """Return what a file of machine definitions means to this server.

    Raises:
        DefinitionError: The file is not JSON, or no definition of machines.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise DefinitionError(f"the file is not JSON: {error.msg}", error.lineno) from None
    except RecursionError:
        raise DefinitionError("the file's JSON is nested too deeply") from None
    if not isinstance(found, dict) or "machines" not in found:
        raise DefinitionError(
            "the file is JSON, but no machine definitions of the Java service: these are an object with machines"
        )
    try:
        definitions = msgspec.convert(found, _Definitions)
        old = Old(
            definitions.ip,
            definitions.port,
            definitions.seconds_before_free,
            definitions.max_retired_jobs,
            [_old(machine) for machine in definitions.machines],
        )
        configuration = configuration_of(old)
    except (msgspec.ValidationError, ValueError) as error:
        raise DefinitionError(str(error)) from None
    return Converted(configuration, (*notes_of(old, _SERVICE), *_left_out(found)))


def _old(machine: _Machine) -> OldMachine:
    return OldMachine(
        machine.name,
        machine.tags,
        machine.width,
        machine.height,
        [_board(board) for board in machine.dead_boards],
        [(*_board(board), _link(link)) for board, links in machine.dead_links.items() for link in links],
        [(_board(board), _place(place)) for board, place in machine.board_locations.items()],
        [(_frame(frame), address) for frame, address in machine.bmp_ips.items()],
        [(_board(board), address) for board, address in machine.spinnaker_ips.items()],
    )


def _board(board: _Xyz | str) -> Xyz:
    if isinstance(board, _Xyz):
        return board.x, board.y, board.z
    x, y, z = _numbers(board, "xyz")
    return x, y, z


def _place(place: _Place | str) -> Xyz:
    if isinstance(place, _Place):
        return place.c, place.f, place.b
    c, f, b = _numbers(place, "cfb")
    return c, f, b


def _frame(frame: str) -> tuple[int, int]:
    c, f = _numbers(frame, "cf")
    return c, f


def _numbers(text: str, letters: str) -> list[int]:
    """Return the numbers of a key such as [x:1,y:2,z:0]; py2json writes = for : in those of dead links."""
    found = re.fullmatch(r"\[" + ",".join(rf"{letter}[:=](\d{{1,6}})" for letter in letters) + r"\]", text)
    if found is None:
        expected = "[" + ",".join(f"{letter}:0" for letter in letters) + "]"
        raise ValueError(f"{text[:60]!r} can't be read; it must be like {expected}")
    return [int(number) for number in found.groups()]


def _link(link: int | str) -> int:
    number = link if isinstance(link, int) else _LINKS.get(link.replace("_", "").lower())
    if number is None or number not in _LINKS.values():
        raise ValueError(
            f"there is no link {str(link)[:60]!r}; links are east, northEast, north, west, southWest, south, or 0 to 5"
        )
    return number


def _left_out(found: dict[str, object]) -> Iterator[str]:
    for name in sorted(found.keys() - _KNOWN):
        yield f"{name[:60]} was left out: this server does not know it"
    known = set(_Machine.__struct_encode_fields__)
    machines = found["machines"]
    assert isinstance(machines, list)
    for name in sorted(set().union(*machines) - known):
        yield f"{name[:60]} of machines was left out: this server does not know it"

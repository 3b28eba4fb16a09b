"""The names that a Python file of an older server may use, with the meaning that they had there.

There are two such servers' files: those of 2023 import from `spalloc_server`, and those of 2025 from
`spinn_machine.spalloc_server` (SpiNNMachine 1!7.4.1), where some names are others. SpiNNMachine need not be installed.
Imported only by the process that runs such a file (runner.py). Little is checked here: the result is checked as any
configuration is.
"""

import csv
import re
from collections import namedtuple
from collections.abc import Iterable, Mapping
from enum import IntEnum
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from spinnaker.geometry import (
    Board,
    Chip,
    Link,
    Size,
    board_of_chip,
    first_chip,
    neighbour,
    wraps,
)

_BoardXyz = tuple[int, int, int]
_Overhang = 4

Links = IntEnum(  # type: ignore[misc]
    "Links", {name: link.value for link in Link for name in (link.name.lower(), link.name.upper())}
)
"""A board's links, by the names they had in 2023, such as `north_east`, and in 2025, `NORTH_EAST`."""


class WrapAround(IntEnum):
    """Which edges of a machine are joined up, or were crossed."""

    none = 0
    x = 1
    y = 2
    both = 3


def board_to_chip(x: int, y: int, z: int) -> tuple[int, int]:
    """Return the bottom-left chip of a board."""
    chip = first_chip(Size(x + 2, y + 2), Board(x, y, z))
    return chip.x, chip.y


def chip_to_board(x: int, y: int, w: int, h: int) -> _BoardXyz:
    """Return the board that a chip of a machine of w by h chips is on."""
    board, _ = board_of_chip(Size(w // 12, h // 12), Chip(x, y))
    return board.x, board.y, board.z


def board_down_link(
    x1: int, y1: int, z1: int, link: int, width: int, height: int
) -> tuple[int, int, int, WrapAround]:
    """Return the board that a link leads to, and which edges it crosses."""
    size, board = Size(width, height), Board(x1, y1, z1)
    over_x, over_y = wraps(size, board, Link(link))
    crossed = WrapAround((WrapAround.x if over_x else 0) | (WrapAround.y if over_y else 0))
    return (*neighbour(size, board, Link(link)), crossed)


def triad_dimensions_to_chips(w: int, h: int, torus: int) -> tuple[int, int]:
    """Return a machine's width and height in chips, with the chips that stick out at edges that are not joined."""
    return (
        w * 12 + (0 if torus & WrapAround.x else _Overhang),
        h * 12 + (0 if torus & WrapAround.y else _Overhang),
    )


class Configuration(
    namedtuple(  # noqa: PYI024 — files may use what a namedtuple has, such as _replace
        "Configuration",
        "machines,port,ip_address,timeout_check_interval,max_retired_jobs,seconds_before_free",
    )
):
    """What the file must call `configuration`."""

    __slots__ = ()

    def __new__(
        cls,
        machines: Iterable[object] | None = None,
        port: int = 22244,
        ip_address: str = "",
        timeout_check_interval: float = 5.0,
        max_retired_jobs: int = 1200,
        seconds_before_free: float = 30,
        *,
        ip: str = "",
    ) -> Self:
        """Make a configuration; 2023 it was `ip`, which is `ip_address` since 2025."""
        return super().__new__(
            cls,
            machines,
            port,
            ip_address or ip,
            timeout_check_interval,
            max_retired_jobs,
            seconds_before_free,
        )

    @property
    def ip(self) -> str:
        """The address, as it was called in 2023."""
        return self.ip_address  # type: ignore[no-any-return]


_MachineFields = namedtuple(  # noqa: PYI024
    "_MachineFields",
    "name,tags,width,height,dead_boards,dead_links,board_locations,bmp_ips,spinnaker_ips",
)


class Machine(_MachineFields):
    """A machine."""

    __slots__ = ()

    def __new__(
        cls,
        name: str,
        tags: Iterable[str] = frozenset(["default"]),
        width: int | None = None,
        height: int | None = None,
        dead_boards: Iterable[_BoardXyz] = frozenset(),
        dead_links: Iterable[tuple[int, int, int, int]] = frozenset(),
        board_locations: Mapping[_BoardXyz, tuple[int, int, int]] | None = None,
        bmp_ips: Mapping[tuple[int, int], str] | None = None,
        spinnaker_ips: Mapping[_BoardXyz, str] | None = None,
    ) -> Self:
        """Make a machine; without width and height, it is as large as its boards need."""
        if isinstance(tags, str):
            raise TypeError(f"the tags of machine {name!r} are one string, {tags!r}; write them as a set")
        places = dict(board_locations or {})
        if (width is None) != (height is None):
            raise TypeError(f"machine {name!r} has only one of width and height; give both or neither")
        if width is None or height is None:
            boards = list(chain(places, dead_boards))
            if not boards:
                raise TypeError(f"machine {name!r} has neither boards nor width and height")
            width, height = 1 + max(x for x, _, _ in boards), 1 + max(y for _, y, _ in boards)
        return super().__new__(
            cls,
            name,
            tags,
            width,
            height,
            frozenset(dead_boards),
            frozenset(dead_links),
            places,
            dict(bmp_ips or {}),
            dict(spinnaker_ips or {}),
        )

    @classmethod
    def single_board(
        cls,
        name: str,
        tags: Iterable[str] = frozenset(["default"]),
        bmp_ip: str | None = None,
        spinnaker_ip: str | None = None,
    ) -> "Machine":
        """Make a machine of one board."""
        if bmp_ip is None or spinnaker_ip is None:
            raise TypeError(f"machine {name!r} of a single board needs both bmp_ip and spinnaker_ip")
        return cls(
            name,
            tags,
            1,
            1,
            dead_boards={(0, 0, 1), (0, 0, 2)},
            board_locations={(0, 0, 0): (0, 0, 0)},
            bmp_ips={(0, 0): bmp_ip},
            spinnaker_ips={(0, 0, 0): spinnaker_ip},
        )

    @classmethod
    def with_standard_ips(
        cls,
        name: str,
        tags: Iterable[str] = frozenset(["default"]),
        width: int | None = None,
        height: int | None = None,
        dead_boards: Iterable[_BoardXyz] = frozenset(),
        dead_links: Iterable[tuple[int, int, int, int]] = frozenset(),
        board_locations: Mapping[_BoardXyz, tuple[int, int, int]] | None = None,
        base_ip: str = "192.168.0.0",
        cabinet_stride: str = "0.0.5.0",
        frame_stride: str = "0.0.1.0",
        board_stride: str = "0.0.0.8",
        bmp_offset: str = "0.0.0.0",
        spinnaker_offset: str = "0.0.0.1",
    ) -> "Machine":
        """Make a machine whose addresses are counted from `base_ip`."""
        base, cabinet, frame, board = map(_number, (base_ip, cabinet_stride, frame_stride, board_stride))
        bmp, chip = _number(bmp_offset), _number(spinnaker_offset)
        places = dict(board_locations or {})
        return cls(
            name,
            frozenset(tags),
            width,
            height,
            dead_boards=frozenset(dead_boards),
            dead_links=frozenset(dead_links),
            board_locations=places,
            bmp_ips={(c, f): _dotted(base + cabinet * c + frame * f + bmp) for c, f, _ in places.values()},
            spinnaker_ips={
                xyz: _dotted(base + cabinet * c + frame * f + board * b + chip)
                for xyz, (c, f, b) in places.items()
            },
        )


def _number(address: str) -> int:
    parts = str(address).split(".")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise ValueError(f"{address!r} is not an IPv4 address")
    return int.from_bytes(bytes(map(int, parts)), "big")


def _dotted(number: int) -> str:
    return ".".join(map(str, (number & 0xFFFFFFFF).to_bytes(4, "big")))


def names(folder: Path) -> dict[str, Any]:
    """Return what a file may use without importing it; CSV files that aren't where it looks are taken from `folder`."""

    def board_locations_from_spinner(filename: str) -> dict[_BoardXyz, tuple[int, int, int]]:
        path = Path(filename)
        with (path if path.exists() else folder / path).open(encoding="utf-8") as file:
            chips = {
                (int(row["x"]), int(row["y"])): (int(row["cabinet"]), int(row["frame"]), int(row["board"]))
                for row in csv.DictReader(file)
            }
        width, height = (1 + max(chip[axis] for chip in chips) // 12 for axis in (0, 1))
        return {chip_to_board(x, y, width * 12, height * 12): place for (x, y), place in chips.items()}

    return {
        "Configuration": Configuration,
        "Machine": Machine,
        "MachineConfig": Machine,
        "board_locations_from_spinner": board_locations_from_spinner,
        "Links": Links,
        "WrapAround": WrapAround,
        "board_to_chip": board_to_chip,
        "chip_to_board": chip_to_board,
        "board_down_link": board_down_link,
        "triad_dimensions_to_chips": triad_dimensions_to_chips,
        "namedtuple": namedtuple,  # noqa: PYI024
        "IntEnum": IntEnum,
        "chain": chain,
        "csv": csv,
        "re": re,
    }


def modules(names: Mapping[str, Any]) -> dict[str, ModuleType]:
    """Return the modules that a file may import these names from, by their names.

    If SpiNNMachine is installed, only its part that is a server's configuration is replaced.
    """
    packages = ["spalloc_server", "spinn_machine.spalloc_server"]
    if find_spec("spinn_machine") is None:
        packages.insert(1, "spinn_machine")
    found: dict[str, ModuleType] = {}
    for name in packages:
        _add(found, name).__path__ = []
    for package in ("spalloc_server", "spinn_machine.spalloc_server"):
        for part in ("configuration", "coordinates", "links"):
            _add(found, f"{package}.{part}").__dict__.update(names)
    return found


def _add(found: dict[str, ModuleType], name: str) -> ModuleType:
    module = found[name] = ModuleType(name)
    package, _, own = name.rpartition(".")
    if package in found:
        setattr(found[package], own, module)
    return module

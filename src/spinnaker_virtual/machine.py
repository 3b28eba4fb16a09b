"""The description of a virtual machine: size, places, dead parts, faults, and how long its actions take.

It stays fixed while the machine runs. See network.py for addresses, and bmp.py and board.py for behaviour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from spinnaker.geometry import (
    BOARD_CHIPS,
    CORES_PER_CHIP,
    Board,
    BoardLink,
    Chip,
    Link,
    Size,
    boards_of,
    contains,
    far_end,
)
from spinnaker.places import BOARDS_PER_FRAME, FRAMES_PER_CABINET, Frame, Place, sequential_places
from spinnaker.scp import SoftwareNumber
from spinnaker_virtual.faults import Faults

CURRENT_BMP = SoftwareNumber(2, 1, 1)

MOST_BOARDS = BOARDS_PER_FRAME * 254 * 256
"""How many boards fit into 127.0.0.0/8, with 256 addresses a frame, beside the addresses that other programs use."""


LOCAL = {chip: number for number, chip in enumerate(BOARD_CHIPS)}
"""The number of a chip on its board, 0 to 47, in the order of `BOARD_CHIPS`; 0 is the Ethernet-connected one."""

ALL_CHIPS = (1 << len(BOARD_CHIPS)) - 1
"""The chips of a board, one bit each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long the hardware takes, in seconds; the defaults are near those of real boards."""

    power_on: float = 1.5
    """From power to loaded FPGAs; then the BMP replies."""
    power_off: float = 0.1
    boot_ready: float = 1.0
    """From the end of the power-on until a board accepts a boot image."""
    boot: float = 0.5
    """From the last block of the image to the first answer of SCAMP."""

    def __post_init__(self) -> None:
        for name in ("power_on", "power_off", "boot_ready", "boot"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} can't take {value} seconds; 0 or more is allowed")

    @classmethod
    def instant(cls) -> Self:
        """Return timings with which every action takes no time, for tests and demonstrations."""
        return cls(power_on=0.0, power_off=0.0, boot_ready=0.0, boot=0.0)


class DeadCore(NamedTuple):
    """A core that doesn't work."""

    chip: Chip
    """Relative to the board's bottom-left chip."""
    core: int
    """Its physical number, 0 to 17."""


class DeadChipLink(NamedTuple):
    """A link of a chip that doesn't work."""

    chip: Chip
    """Relative to the board's bottom-left chip."""
    link: Link


@dataclass(frozen=True, slots=True)
class Defects:
    """What is dead on a board, by chip number; links between boards are not part of it."""

    chips: frozenset[int] = frozenset()
    cores: Mapping[int, int] = field(default_factory=dict)
    """For each chip that has any, the physical numbers of its dead cores, one bit each."""
    links: frozenset[tuple[int, Link]] = frozenset()
    """Links between chips, by one end or both."""


NO_DEFECTS = Defects()


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachine:
    """The description of a machine of virtual boards."""

    size: Size
    """Width and height in triads."""
    places: Mapping[Board, Place] = field(default_factory=dict)
    """Where each live board stands; two boards can't share a place."""
    dead_boards: frozenset[Board] = frozenset()
    dead_links: frozenset[BoardLink] = frozenset()
    """Either end or both ends of each dead link."""
    dead_chips: Mapping[Board, frozenset[Chip]] = field(default_factory=dict)
    """For each board that has any, its dead chips, relative to the board's bottom-left one."""
    dead_cores: Mapping[Board, frozenset[DeadCore]] = field(default_factory=dict)
    """For each board that has any, its dead cores."""
    dead_chip_links: Mapping[Board, frozenset[DeadChipLink]] = field(default_factory=dict)
    """For each board that has any, links of its chips that are dead; one end of each is enough."""
    bmp_version: SoftwareNumber = CURRENT_BMP
    """With a major version of 1, the BMPs have no FPGA registers."""
    timings: Timings = field(default_factory=Timings)
    faults: Faults = field(default_factory=Faults)
    seed: int = 0
    """Determines when the faults happen."""

    def __post_init__(self) -> None:
        if self.size.width < 1 or self.size.height < 1:
            raise ValueError(f"a machine of {self.size} triads has no boards; each side must be 1 or more")
        if 3 * self.size.width * self.size.height > MOST_BOARDS:
            raise ValueError(
                f"a machine of {self.size} triads needs more loopback addresses than there are; they suffice for "
                f"{MOST_BOARDS} boards"
            )
        for board in self.dead_boards | {end.board for end in self.dead_links}:
            if not contains(self.size, board):
                raise ValueError(f"board {board} is outside a machine of {self.size} triads")
        if not self.places:
            object.__setattr__(self, "places", sequential_places(self.size))
        live = {board: self.places[board] for board in boards_of(self.size) if self._has(board)}
        for board, place in live.items():
            if not _exists(place):
                raise ValueError(
                    f"board {board} can't stand at {place}: cabinets count from 0, a cabinet's frames are 0 to "
                    f"{FRAMES_PER_CABINET - 1}, and a frame's boards 0 to {BOARDS_PER_FRAME - 1}"
                )
        if len(set(live.values())) != len(live):
            raise ValueError("two boards stand at the same place; each place holds one board")
        object.__setattr__(self, "places", live)
        self._check_defects()
        ends = self.dead_links | {far_end(self.size, end) for end in self.dead_links}
        object.__setattr__(self, "dead_links", ends)

    @property
    def defects(self) -> dict[Board, Defects]:
        """The defects of each board that has any; dead links between boards are not among them."""
        boards = self.dead_chips.keys() | self.dead_cores.keys() | self.dead_chip_links.keys()
        return {board: self._defects(board) for board in boards}

    def _defects(self, board: Board) -> Defects:
        cores: dict[int, int] = {}
        for dead in self.dead_cores.get(board, ()):
            cores[LOCAL[dead.chip]] = cores.get(LOCAL[dead.chip], 0) | 1 << dead.core
        return Defects(
            frozenset(LOCAL[chip] for chip in self.dead_chips.get(board, ())),
            cores,
            frozenset((LOCAL[dead.chip], dead.link) for dead in self.dead_chip_links.get(board, ())),
        )

    def _check_defects(self) -> None:
        boards = self.dead_chips.keys() | self.dead_cores.keys() | self.dead_chip_links.keys()
        for board in boards:
            if not contains(self.size, board):
                raise ValueError(f"board {board} is outside a machine of {self.size} triads")
        chips = [chip for dead in self.dead_chips.values() for chip in dead]
        chips += [core.chip for dead in self.dead_cores.values() for core in dead]
        chips += [link.chip for dead in self.dead_chip_links.values() for link in dead]
        for chip in chips:
            if chip not in LOCAL:
                raise ValueError(
                    f"a board has no chip {chip}; its 48 chips lie in a hexagon from (0, 0) to (7, 7)"
                )
        for board, dead in self.dead_cores.items():
            for chip in {core.chip for core in dead}:
                cores = {core.core for core in dead if core.chip == chip}
                if not cores <= set(range(CORES_PER_CHIP)):
                    raise ValueError(
                        f"chip {chip} of board {board} has no core {max(cores)}; its cores are 0 to 17"
                    )
                if len(cores) == CORES_PER_CHIP:
                    raise ValueError(
                        f"all cores of chip {chip} of board {board} are dead; name it as a dead chip"
                    )

    def _has(self, board: Board) -> bool:
        return board in self.places and board not in self.dead_boards

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that hold boards, in order; each has a BMP address."""
        return tuple(sorted({place.in_frame for place in self.places.values()}))


def _exists(place: Place) -> bool:
    return (
        place.cabinet >= 0 and 0 <= place.frame < FRAMES_PER_CABINET and 0 <= place.board < BOARDS_PER_FRAME
    )

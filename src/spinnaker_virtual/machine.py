# What a virtual machine is: its size, its places, what is dead in it, and how long its actions take.
#
# Facts that stay fixed while it runs. Where it answers is in network.py, what it does in bmp.py and board.py.
"""The definition of a virtual machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from spinnaker.geometry import Board, BoardLink, Size, boards_of, contains, far_end
from spinnaker.places import Frame, Place, sequential_places
from spinnaker.scp import SoftwareNumber

CURRENT_BMP = SoftwareNumber(2, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long the hardware takes, in seconds; the defaults are near those of real boards."""

    power_on: float = 1.5
    """From power to loaded FPGAs; the reply to the command comes after it."""
    power_off: float = 0.1
    boot_ready: float = 1.0
    """From the end of the power-on to the moment when a board takes a boot image."""
    boot: float = 0.5
    """From the last block of the image to the first answer of SCAMP."""

    def __post_init__(self) -> None:
        for name in ("power_on", "power_off", "boot_ready", "boot"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} can't take {value} seconds; 0 or more is allowed")

    @classmethod
    def instant(cls) -> Self:
        """Return timings with which everything is done at once, for tests and demonstrations."""
        return cls(power_on=0.0, power_off=0.0, boot_ready=0.0, boot=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachine:
    """A machine of virtual boards, as its configuration describes it."""

    size: Size
    """Width and height in triads."""
    places: Mapping[Board, Place] = field(default_factory=dict)
    """Where each live board stands; two boards can't share a place."""
    dead_boards: frozenset[Board] = frozenset()
    dead_links: frozenset[BoardLink] = frozenset()
    """Either end or both ends of each dead link."""
    bmp_version: SoftwareNumber = CURRENT_BMP
    """With a major version of 1, the BMPs have no FPGA registers."""
    timings: Timings = field(default_factory=Timings)

    def __post_init__(self) -> None:
        if self.size.width < 1 or self.size.height < 1:
            raise ValueError(f"a machine of {self.size} triads has no boards; each side must be 1 or more")
        for board in self.dead_boards | {end.board for end in self.dead_links}:
            if not contains(self.size, board):
                raise ValueError(f"board {board} is outside a machine of {self.size} triads")
        if not self.places:
            object.__setattr__(self, "places", sequential_places(self.size))
        live = {board: self.places[board] for board in boards_of(self.size) if self._has(board)}
        if len(set(live.values())) != len(live):
            raise ValueError("two boards stand at the same place; each place holds one board")
        object.__setattr__(self, "places", live)
        ends = self.dead_links | {far_end(self.size, end) for end in self.dead_links}
        object.__setattr__(self, "dead_links", ends)

    def _has(self, board: Board) -> bool:
        return board in self.places and board not in self.dead_boards

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that hold boards, in order; each has a BMP address."""
        return tuple(sorted({place.in_frame for place in self.places.values()}))

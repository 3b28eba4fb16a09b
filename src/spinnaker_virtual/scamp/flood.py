"""Flood fill: data and applications that are sent to one chip and reach all chips of the machine, or of an area.

Blocks are stored once for the machine until the flood fill ends; then chips get them in pages that they share.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from spinnaker.memory_map import SDRAM_BYTES
from spinnaker_virtual.scamp.chip import Chip

_WORD_BYTES = 4
_LEVELS = 4
_CORES = 0x3_FFFF


def in_area(address: int, area: int) -> bool:
    """Return whether a chip is in a flood fill's area.

    Args:
        address: 256x + y of the chip.
        area: In bits 24 to 31 and 16 to 23 the x and y of a square, with the square's level, 0 to 3, in the lowest two
            bits of y; in bits 0 to 15 the sixteenths of it that count. A square of level 0 is 256 chips wide, each
            further level a quarter of that.
    """
    sixteenths = area & 0xFFFF
    if not sixteenths:
        return True
    level = area >> 16 & 3
    shift = 6 - 2 * level
    outside = ~((_LEVELS << shift) - 1)
    x, y = address >> 8, address & 0xFF
    if (x & outside) << 8 | (y & outside) + level != area >> 16:
        return False
    return bool(sixteenths >> ((x >> shift & 3) + 4 * (y >> shift & 3)) & 1)


@dataclass(slots=True)
class FloodFill:
    """The flood fill of a machine: one that has begun, or none."""

    identity: int = -1
    area: int = 0
    blocks: int = 0
    selections: list[tuple[int, int]] = field(default_factory=list)
    arrived: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def begin(self, identity: int, blocks: int, area: int) -> None:
        """Begin a flood fill of a number of blocks to an area; an earlier one is dropped."""
        self.identity, self.blocks, self.area = identity, blocks, area
        self.selections = []
        self.arrived = {}

    def select(self, area: int, cores: int) -> None:
        """Select cores of an area on which the application starts when the flood fill ends."""
        self.selections.append((area, cores))

    def block(self, identity: int, number: int, address: int, data: bytes) -> None:
        """Take a block; it is ignored if it belongs to another flood fill or has arrived before."""
        if identity == self.identity:
            self.arrived.setdefault(number, (address, data))

    def end(self, identity: int, chips: Iterable[Chip], cores: int) -> list[tuple[Chip, int]]:
        """End the flood fill: write its blocks to the chips of the area; return these and the cores to start.

        Nothing is started if blocks are missing.
        """
        if identity != self.identity:
            return []
        self.identity = -1
        first: Chip | None = None
        meant = []
        whole = len(self.arrived) == self.blocks
        for chip in chips:
            selected = 0
            for area, chosen in self.selections:
                if in_area(chip.address, area):
                    selected |= chosen
            if not selected and not in_area(chip.address, self.area):
                continue
            if first is None:
                first = chip
                for address, data in self.arrived.values():
                    chip.write(address, data)
            else:
                self._copy(first, chip)
            if whole:
                meant.append((chip, cores | selected & _CORES))
        return meant

    def _copy(self, first: Chip, chip: Chip) -> None:
        for start, end in self._runs():
            chip.copy(first, start, end - start)

    def _runs(self) -> list[tuple[int, int]]:
        """Return the address ranges that the blocks cover, adjacent ones joined."""
        runs: list[tuple[int, int]] = []
        for address, data in sorted(self.arrived.values()):
            end = min(address + len(data), address + SDRAM_BYTES)
            if runs and runs[-1][1] == address:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((address, end))
        return runs

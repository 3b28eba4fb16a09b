"""The boards that a job has: a value that packing makes and all others read.

Finding boards is in packing/, switching them in power.py.
"""

from dataclasses import dataclass

from spinnaker.geometry import BOARD_BOX_CHIPS, TRIAD_CHIPS, Board, Chip, Size, chip_size, first_chip

_HEXAGON_OVERHANG_CHIPS = 4
"""How far the boards of a rectangle of triads stick out at an edge that is not joined, in chips."""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Boards of one machine, and the region of triads that they were taken from."""

    machine: str
    origin: Board
    """The bottom-left board; the job's chip (0, 0) is its bottom-left chip."""
    size: Size | None
    """The region in triads, counted from the origin, perhaps across the machine's edges; None for a single board."""
    boards: frozenset[Board]
    """The boards held, all reachable from the origin by live links inside the region."""
    wraps_x: bool = False
    """Whether the region spans the machine's whole width, with its left and right edges joined."""
    wraps_y: bool = False
    """Whether the region spans the machine's whole height, with its top and bottom edges joined."""

    @property
    def chips(self) -> Chip:
        """The job's width and height in chips."""
        if self.size is None:
            return Chip(BOARD_BOX_CHIPS, BOARD_BOX_CHIPS)
        return Chip(
            self.size.width * TRIAD_CHIPS + (0 if self.wraps_x else _HEXAGON_OVERHANG_CHIPS),
            self.size.height * TRIAD_CHIPS + (0 if self.wraps_y else _HEXAGON_OVERHANG_CHIPS),
        )

    def chip_in_job(self, machine_size: Size, chip: Chip) -> Chip:
        """Return the job's coordinate of a machine's chip."""
        width, height = chip_size(machine_size)
        origin = first_chip(machine_size, self.origin)
        return Chip((chip.x - origin.x) % width, (chip.y - origin.y) % height)

    def chip_in_machine(self, machine_size: Size, chip: Chip) -> Chip:
        """Return the machine's coordinate of one of the job's chips."""
        width, height = chip_size(machine_size)
        origin = first_chip(machine_size, self.origin)
        return Chip((chip.x + origin.x) % width, (chip.y + origin.y) % height)

"""The boards that a job has, the links that leave them, and whether it can keep them when the configuration changes.

Boards are found in packing/. What becomes of a job that can't keep its boards is decided in site.py.
"""

from dataclasses import dataclass

from spalloc_server.core.machine import Machine
from spinnaker.geometry import (
    BOARD_BOX_CHIPS,
    TRIAD_CHIPS,
    Board,
    BoardLink,
    Chip,
    Link,
    Size,
    chip_size,
    first_chip,
    neighbour,
)

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


def border(machine: Machine, allocation: Allocation) -> frozenset[BoardLink]:
    """Return the links from a job's boards to boards that aren't the job's."""
    return frozenset(
        BoardLink(board, link)
        for board in allocation.boards
        for link in Link
        if neighbour(machine.size, board, link) not in allocation.boards
    )


def objection(allocation: Allocation, before: Machine | None, after: Machine | None) -> str | None:
    """Return why a job can't keep its boards after a change of the configuration, or None if it can.

    Args:
        allocation: What the job has.
        before: Its machine when the job got the boards; None after a restart, when that is unknown.
        after: Its machine in the present configuration; None if it is not there.
    """
    name = allocation.machine
    if after is None:
        return f"Machine {name} is no longer in the server's configuration."
    if not _fits(allocation, after.size) or (before is not None and before.size != after.size):
        return f"Machine {name} is configured with another size now, {after.size} triads."
    for board in sorted(allocation.boards):
        if board not in after.places:
            return f"Board {board} of machine {name} is no longer in the server's configuration, or is dead there."
        if before is not None and (
            before.places[board] != after.places[board] or before.addresses[board] != after.addresses[board]
        ):
            return f"Board {board} of machine {name} is configured with another place or address now."
    return None


def _fits(allocation: Allocation, size: Size) -> bool:
    region = allocation.size
    if region is None:
        return True
    return (
        region.width <= size.width
        and region.height <= size.height
        and (not allocation.wraps_x or region.width == size.width)
        and (not allocation.wraps_y or region.height == size.height)
    )

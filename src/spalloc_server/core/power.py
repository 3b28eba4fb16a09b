"""Orders to the hardware: which boards are to be on, which links are cut, and which machines there are.

Values only. site.py and upkeep.py decide when orders are given; hardware/ carries them out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, BoardLink, Link, neighbour


@dataclass(frozen=True, slots=True)
class PowerOrder:
    """Boards of one machine to be powered on or off."""

    number: int
    """Answers have the number of their order; later orders have higher numbers."""
    machine: str
    boards: frozenset[Board]
    on: bool
    """Whether the boards are to be on. A board that is on already is switched off first: that is a reset."""
    cut: frozenset[BoardLink] = frozenset()
    """Links of these boards that must carry nothing; all their other links are live after power-on."""


@dataclass(frozen=True, slots=True)
class NewMachines:
    """All machines as they are configured from now on; earlier orders are for the machines as they were before."""

    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """Boards are already as this order would make them: it is not carried out, but from now on they must stay so."""

    order: PowerOrder


Order = PowerOrder | NewMachines | Standing


def all_links(boards: Iterable[Board]) -> frozenset[BoardLink]:
    """Return all links of boards."""
    return frozenset(BoardLink(board, link) for board in boards for link in Link)


def border(machine: Machine, allocation: Allocation) -> frozenset[BoardLink]:
    """Return the links from a job's boards to boards that aren't the job's."""
    return frozenset(
        BoardLink(board, link)
        for board in allocation.boards
        for link in Link
        if neighbour(machine.size, board, link) not in allocation.boards
    )

# Where a board or chip is: the same spot in every coordinate that people use.
#
# Read-only: looks at machines, allocations and who holds what; changes nothing.
"""Answers to "where is ...?"."""

from collections.abc import Callable
from dataclasses import dataclass

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spinnaker.geometry import Board, Chip, board_of_chip, chip_size, first_chip
from spinnaker.places import Place


@dataclass(frozen=True, slots=True)
class Holder:
    """The job that holds a board."""

    job: int
    allocation: Allocation


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """One chip, named in every way there is."""

    machine: str
    logical: Board
    physical: Place
    chip: Chip
    """The chip's coordinate if the whole machine were booted as one."""
    board_chip: Chip
    """The chip's coordinate on its board."""
    job_id: int | None
    job_chip: Chip | None
    """The chip's coordinate in the job that holds the board."""


def locate(machine: Machine, chip: Chip, holder_of: Callable[[Board], Holder | None]) -> Whereabouts | None:
    """Return all about a machine's chip; coordinates beyond the machine wrap around.

    Returns:
        None if no board is installed there.
    """
    board, local = board_of_chip(machine.size, chip)
    place = machine.places.get(board)
    if place is None:
        return None
    first = first_chip(machine.size, board)
    width, height = chip_size(machine.size)
    in_machine = Chip((first.x + local.x) % width, (first.y + local.y) % height)
    holder = holder_of(board)
    return Whereabouts(
        machine=machine.name,
        logical=board,
        physical=place,
        chip=in_machine,
        board_chip=local,
        job_id=None if holder is None else holder.job,
        job_chip=None if holder is None else holder.allocation.chip_in_job(machine.size, in_machine),
    )

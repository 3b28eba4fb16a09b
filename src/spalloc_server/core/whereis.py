"""Where a board or chip is: one chip in every coordinate that people use.

Only reads machines, allocations and which job holds which board.
"""

from dataclasses import dataclass

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import SiteView
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Chip, board_of_chip, chip_size, first_chip
from spinnaker.places import Place


@dataclass(frozen=True, slots=True)
class ChipOfJob:
    """A chip by its coordinate in a job's boards."""

    job: int
    chip: Chip


@dataclass(frozen=True, slots=True)
class ChipOfMachine:
    """A chip by its coordinate in a machine; one beyond it wraps around."""

    machine: str
    chip: Chip


@dataclass(frozen=True, slots=True)
class BoardOfMachine:
    """A board's first chip, by the board's logical coordinate."""

    machine: str
    board: Board


@dataclass(frozen=True, slots=True)
class BoardInFrame:
    """A board's first chip, by the board's place."""

    machine: str
    place: Place


Location = ChipOfJob | ChipOfMachine | BoardOfMachine | BoardInFrame


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """One chip in every coordinate."""

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


def board_at(machine: Machine, place: Place) -> Board | None:
    """Return the board at a place, or None if there is none."""
    return next((board for board, its_place in machine.places.items() if its_place == place), None)


def where_is(site: SiteView, location: Location) -> Whereabouts | None:
    """Return a chip in every coordinate.

    Returns:
        None if there is no such machine or board, or if the job does not have that chip.
    """
    match location:
        case ChipOfJob(number, chip):
            job = site.jobs.get(number)
            if job is None or job.record.allocation is None:
                return None
            machine = site.machines[job.record.allocation.machine]
            found = _about(site, machine, job.record.allocation.chip_in_machine(machine.size, chip))
            return found if found is not None and found.job_id == number else None
        case ChipOfMachine(name, chip):
            named = site.machines.get(name)
            return None if named is None else _about(site, named, chip)
        case BoardOfMachine(name, board):
            named = site.machines.get(name)
            if named is None or board.z not in range(BOARDS_PER_TRIAD):
                return None
            return _about(site, named, first_chip(named.size, board))
        case BoardInFrame(name, place):
            named = site.machines.get(name)
            there = None if named is None else board_at(named, place)
            if named is None or there is None:
                return None
            return _about(site, named, first_chip(named.size, there))


def _about(site: SiteView, machine: Machine, chip: Chip) -> Whereabouts | None:
    board, local = board_of_chip(machine.size, chip)
    place = machine.places.get(board)
    if place is None:
        return None
    first = first_chip(machine.size, board)
    width, height = chip_size(machine.size)
    in_machine = Chip((first.x + local.x) % width, (first.y + local.y) % height)
    holder = site.boards.holder(BoardKey(machine.name, board))
    allocation = None if holder is None else site.jobs[holder].record.allocation
    return Whereabouts(
        machine=machine.name,
        logical=board,
        physical=place,
        chip=in_machine,
        board_chip=local,
        job_id=holder,
        job_chip=None if allocation is None else allocation.chip_in_job(machine.size, in_machine),
    )

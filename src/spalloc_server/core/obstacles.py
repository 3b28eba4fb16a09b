"""What a waiting job is told: its position in the queue, and what it waits for.

Which job is next is decided in scheduler.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.request_groups import Queued, Stage, wanted
from spalloc_server.core.requests import BoardAt
from spalloc_server.words import counted, there_are
from spinnaker.geometry import Board


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a job stands in the queue, and what it waits for."""

    position: int
    """1 for the job that has waited longest."""
    queued: int
    """How many jobs wait, this one included."""
    sentence: str
    """The position in words, and what the job waits for."""


def waiting(
    queued: Queued, position: int, length: int, packers: Mapping[str, Packer], reserved_for: Mapping[str, int]
) -> Waiting:
    """Return where a job stands in the queue, and what it waits for.

    Args:
        queued: the job.
        position: 1 for the job that has waited longest.
        length: how many jobs wait.
        packers: the machines, by name.
        reserved_for: for each machine with a reservation, the job that has it.
    """
    cause = _cause(queued, packers, reserved_for)
    return Waiting(position, length, f"Number {position} of {length} in the queue; {cause}.")


def _cause(queued: Queued, packers: Mapping[str, Packer], reserved_for: Mapping[str, int]) -> str:
    for name, job in reserved_for.items():
        if job == queued.job:
            packer = packers[name]
            return (
                f"on {name} {there_are(packer.reserved_boards, 'board')} reserved for it, "
                f"{packer.awaited_boards} of which {_are(packer.awaited_boards)} still in use"
            )
    if queued.group.stage is not Stage.NO_SPOT:
        return "about to be considered"
    shape = queued.group.request.shape
    if isinstance(shape, BoardAt):
        where = "; on ".join(
            f"{option.packer.machine.name} it {_hindrance(option.packer, shape.board, reserved_for)}"
            for option in queued.group.options
        )
        return f"it needs board {shape.board}: on {where}"
    boards = wanted(queued.group.request)
    most = max((option.packer for option in queued.group.options), key=lambda packer: packer.free_boards)
    on = f"free on {most.machine.name}"
    if most.free_boards < boards:
        aside = len(most.set_aside_boards)
        other = f", where {aside} {_are(aside)} set aside" if aside else ""
        return f"it needs {counted(boards, 'board')}, and {most.free_boards} {_are(most.free_boards)} {on}{other}"
    holder = reserved_for.get(most.machine.name)
    other = "" if holder is None else f", or reserved for job {holder}, which has waited longest"
    return f"{there_are(most.free_boards, 'board')} {on}, but not together as it needs them{other}"


def _hindrance(packer: Packer, board: Board, reserved_for: Mapping[str, int]) -> str:
    """Return why a board is not available, as the end of a sentence about it."""
    if board in packer.set_aside_boards:
        return "is set aside, and goes to no job until it is put back"
    if packer.is_free(board):
        holder = reserved_for.get(packer.machine.name)
        if holder is None:
            return "has just become free"
        return f"is reserved for job {holder}, which has waited longest"
    return "is in use"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"

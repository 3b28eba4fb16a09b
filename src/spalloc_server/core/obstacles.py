"""What a job that waits is told: where it stands in the queue, and what it waits for.

Whose turn it is, is the scheduler's subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.request_groups import Queued, Stage, wanted
from spalloc_server.core.requests import BoardAt
from spalloc_server.words import counted, there_are
from spinnaker.geometry import Board


class Obstacle(Enum):
    """What a queued job waits for."""

    TURN = "turn"
    """To be looked at, which happens at the next decision."""
    BOARDS = "boards"
    """More boards to become free."""
    PLACE = "place"
    """Free boards that are together in a rectangle, and not kept for another job."""
    KEPT = "kept"
    """The last boards of the place that is kept for it."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a queued job stands and what it waits for."""

    position: int
    """1 for the job that has waited longest."""
    queued: int
    """How many jobs wait, this one included."""
    obstacle: Obstacle
    sentence: str
    """The same in words."""


def waiting(
    queued: Queued, position: int, length: int, packers: Mapping[str, Packer], keeping: Mapping[str, int]
) -> Waiting:
    """Return where a job stands in the queue and what it waits for.

    Args:
        queued: the job.
        position: 1 for the job that has waited longest.
        length: how many jobs wait.
        packers: the machines, by name.
        keeping: for each machine that keeps a place, the job it is kept for.
    """
    obstacle, cause = _obstacle(queued, packers, keeping)
    return Waiting(position, length, obstacle, f"Number {position} of {length} in the queue; {cause}.")


def _obstacle(
    queued: Queued, packers: Mapping[str, Packer], keeping: Mapping[str, int]
) -> tuple[Obstacle, str]:
    for name, job in keeping.items():
        if job == queued.job:
            packer = packers[name]
            return Obstacle.KEPT, (
                f"a place of {counted(packer.kept_boards, 'board')} is kept for it on {name}, "
                f"{packer.awaited} of which are still in use"
            )
    if queued.group.stage is not Stage.NO_PLACE:
        return Obstacle.TURN, "about to be looked at"
    shape = queued.group.request.shape
    if isinstance(shape, BoardAt):
        where = "; on ".join(
            f"{option.packer.machine.name} it {_hindrance(option.packer, shape.board, keeping)}"
            for option in queued.group.options
        )
        return Obstacle.PLACE, f"it needs board {shape.board}: on {where}"
    boards = wanted(queued.group.request)
    most = max((option.packer for option in queued.group.options), key=lambda packer: packer.free_boards)
    on = f"free on {most.machine.name}"
    if most.free_boards < boards:
        aside = len(most.set_aside_boards)
        other = f", where {aside} {'is' if aside == 1 else 'are'} set aside" if aside else ""
        free = f"{most.free_boards} {'is' if most.free_boards == 1 else 'are'}"
        return Obstacle.BOARDS, f"it needs {counted(boards, 'board')}, and {free} {on}{other}"
    kept_for = keeping.get(most.machine.name)
    other = f", or kept for job {kept_for}, which has waited longest" if kept_for is not None else ""
    return (
        Obstacle.PLACE,
        f"{there_are(most.free_boards, 'board')} {on}, but not together as it needs them{other}",
    )


def _hindrance(packer: Packer, board: Board, keeping: Mapping[str, int]) -> str:
    """Return why a board is not available, as the end of a sentence about it."""
    if board in packer.set_aside_boards:
        return "is set aside, and goes to no job until it is put back"
    if packer.is_free(board):
        kept_for = keeping.get(packer.machine.name)
        if kept_for is None:
            return "has just become free"
        return f"is kept for job {kept_for}, which has waited longest"
    return "is in use"

"""What a waiting job is told: its position in the queue, and what it waits for.

Which job is next is decided in scheduler.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from spalloc_client.durations import in_words
from spalloc_server.core.keeping import Keeper
from spalloc_server.core.packing.packer import Zone
from spalloc_server.core.request_groups import Queued, Stage
from spalloc_server.core.requests import BoardAt
from spalloc_server.core.reservations import owners_in_words
from spalloc_server.words import counted, there_are
from spinnaker.geometry import Board

SMALL_MOVE_SECONDS = 60.0
"""By how many seconds a job may be moved in the order without being told."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where a job stands in the queue, and what it waits for."""

    position: int
    """1 for the job that is considered first."""
    queued: int
    """How many jobs wait, this one included."""
    sentence: str
    """The position in words, and what the job waits for."""


def waiting(
    queued: Queued, position: int, length: int, keepers: Mapping[str, Keeper], *, now: float, end: float
) -> Waiting:
    """Return where a job stands in the queue, and what it waits for.

    Args:
        queued: the job.
        position: 1 for the job that is considered first.
        length: how many jobs wait.
        keepers: the machines, by name.
        now: the time.
        end: when the job would be expected to end if it started now.
    """
    cause = _cause(queued, keepers, now, end)
    return Waiting(position, length, f"Number {position} of {length} in the queue{_moved(queued)}; {cause}.")


def _moved(queued: Queued) -> str:
    seconds = abs(queued.moved_back)
    if seconds < SMALL_MOVE_SECONDS:
        return ""
    way = "back" if queued.moved_back > 0 else "forward"
    return f", moved {way} by {in_words(60 * round(seconds / 60))} by fair share and priorities"


def _cause(queued: Queued, keepers: Mapping[str, Keeper], now: float, end: float) -> str:
    for name, keeper in keepers.items():
        if keeper.kept is not None and keeper.kept.queued is queued:
            kept = keeper.packer.kept.size
            awaited = kept - keeper.packer.kept_and_free
            return f"on {name} {there_are(kept, 'board')} kept for it, {awaited} of which {_are(awaited)} still in use"
    if queued.group.stage is not Stage.NO_SPOT:
        return "about to be considered"
    shape, owner = queued.group.request.shape, queued.alike.owner
    if isinstance(shape, BoardAt):
        where = "; on ".join(
            f"{packer.machine.name} it "
            f"{_hindrance(keepers[packer.machine.name], shape.board, packer.zone_of(shape.board, owner, end), now)}"
            for packer in (option.packer for option in queued.group.options)
        )
        return f"it needs board {shape.board}: on {where}"
    boards = queued.group.boards
    most = max((option.packer for option in queued.group.options), key=lambda packer: packer.free_boards)
    on = f"free on {most.machine.name}"
    if most.free_boards < boards:
        aside = len(most.set_aside_boards)
        other = f", where {aside} {_are(aside)} set aside" if aside else ""
        return f"it needs {counted(boards, 'board')}, and {most.free_boards} {_are(most.free_boards)} {on}{other}"
    zone = most.blocking_zone(owner, end)
    if zone is not None:
        return f"{there_are(most.free_boards, 'board')} {on}, but some {_reserved(zone, now, 'are')}"
    kept_for = keepers[most.machine.name].kept
    other = "" if kept_for is None else f", or kept for job {kept_for.queued.job}, which has waited longest"
    return f"{there_are(most.free_boards, 'board')} {on}, but not together as it needs them{other}"


def _reserved(zone: Zone, now: float, verb: str) -> str:
    """Return that boards are reserved, for whom and when, as the end of a sentence about them."""
    for_whom = owners_in_words(zone.owners)
    if zone.begins > now:
        soon = in_words(zone.begins - now)
        return f"{verb} reserved for {for_whom} in {soon}, before the job is expected to end ({zone.name})"
    return f"{verb} reserved for {for_whom} for another {in_words(zone.ends - now)} ({zone.name})"


def _hindrance(keeper: Keeper, board: Board, zone: Zone | None, now: float) -> str:
    """Return why a board is not available, as the end of a sentence about it."""
    packer = keeper.packer
    if board in packer.set_aside_boards:
        return "is set aside, and goes to no job until it is put back"
    if packer.is_free(board):
        if zone is not None:
            return _reserved(zone, now, "is")
        if keeper.kept is None:
            return "has just become free"
        return f"is kept for job {keeper.kept.queued.job}, which has waited longest"
    return "is in use"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"

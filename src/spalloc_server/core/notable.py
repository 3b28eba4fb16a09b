"""Boards of which there is something to say: what speaks against them, who said so, and until when.

Read-only. How it is written and shown is operation/'s and the commands' subject.
"""

from dataclasses import dataclass

from spalloc_server.core.board_life import CURED_BY_A_TEST, LOST, Objection, Resting, StayingOn, in_words
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.objections import Drained
from spalloc_server.core.questions import SiteView
from spalloc_server.moment import Moment
from spinnaker.places import Place


@dataclass(frozen=True, slots=True)
class Notable:
    """A board, and all that there is to say of it."""

    key: BoardKey
    doing: str
    """What its state is called."""
    place: Place | None
    """Where it stands; None if it is configured no more."""
    address: str | None
    job: int | None
    """The job that has it."""
    owner: str | None
    """The job's."""
    drained: Drained | None
    fault: str | None
    """Why it must pass a test, once no job has it."""
    fault_since: float | None
    """Since when, in seconds of Unix time; None if that is not known."""
    until: float | None
    """When it is tried again, in seconds of Unix time; None if it does not rest, or rests until it is put back."""
    reports: int
    """How many hosts have reported it, as long as it is not set aside for that."""
    silent: str | None
    """How its frame's BMP is silent."""
    silent_since: float | None


def notable_boards(site: SiteView, at: Moment) -> list[Notable]:
    """Return the boards of which there is something to say but that a job has them, by machine and coordinate."""
    boards = site.boards
    reported = site.reported()
    lost = [key for key, state in boards.states.items() if state is LOST]
    return [notable(site, key, at) for key in sorted({*boards.objected(), *reported, *lost})]


def notable(site: SiteView, key: BoardKey, at: Moment) -> Notable:
    """Return what there is to say of a board."""
    boards = site.boards
    state, drained, job = boards.state(key), boards.drained(key), boards.holder(key)
    machine = site.machines.get(key.machine) if boards.knows(key) else None
    until = state.until - at.now + at.wall if isinstance(state, Resting | StayingOn) else None
    return Notable(
        key=key,
        doing=in_words(type(state)),
        place=None if machine is None else machine.places[key.board],
        address=None if machine is None else machine.addresses[key.board],
        job=job,
        owner=None if job is None else site.jobs[job].record.owner,
        drained=drained,
        fault=boards.fault(key),
        fault_since=boards.since(key, *CURED_BY_A_TEST),
        until=None if drained is not None and isinstance(state, Resting) else until,
        reports=site.reported().get(key, 0),
        silent=boards.objections(key).get(Objection.SILENT),
        silent_since=boards.since(key, Objection.SILENT),
    )

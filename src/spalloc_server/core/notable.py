"""Boards that administrators want to know of: drained, faulty, reported, silent or lost ones.

Read-only. How they are written is decided in operation/ and the commands.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from spalloc_server.core.board_life import CURED_BY_A_TEST, Objection, Resting, StayingOn, in_words
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.objections import Drained
from spalloc_server.core.questions import SiteView
from spalloc_server.core.timekeeping import Moment
from spinnaker.places import Place


@dataclass(frozen=True, slots=True)
class Notable:
    """A board, and what an administrator wants to know of it."""

    key: BoardKey
    doing: str
    """The name of its state."""
    place: Place | None
    """Where it stands; None if it is no longer configured."""
    address: str | None
    """None if it is no longer configured."""
    job: int | None
    """The job that holds it."""
    owner: str | None
    """The owner of that job."""
    drained: Drained | None
    fault: str | None
    """Why it must pass a test, once no job has it."""
    fault_since: float | None
    """Since when, in seconds of Unix time; None if unknown."""
    until: float | None
    """When it is tried again, in seconds of Unix time; None if it does not wait, or waits until it is put back."""
    reports: int
    """How many hosts have reported it; 0 once it is set aside for that."""
    silent: str | None
    """Why its frame's BMP is silent; None if it answers."""
    silent_since: float | None


def notable_boards(site: SiteView, at: Moment) -> list[Notable]:
    """Return the boards that are drained, faulty, reported, silent or lost, by machine and coordinate."""
    boards = site.boards
    return notable(site, sorted({*boards.objected(), *site.reported(), *boards.lost()}), at)


def notable(site: SiteView, keys: Iterable[BoardKey], at: Moment) -> list[Notable]:
    """Return what an administrator wants to know of each of these boards."""
    # Once for all boards: it counts the reports of the whole site.
    reported = site.reported()
    return [_notable(site, key, reported.get(key, 0), at) for key in keys]


def _notable(site: SiteView, key: BoardKey, reports: int, at: Moment) -> Notable:
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
        reports=reports,
        silent=boards.objections(key).get(Objection.SILENT),
        silent_since=boards.since(key, Objection.SILENT),
    )

"""Reads all records at the start, and separates those that can't be read or can't be true.

A single record is decoded by records.py. What missing jobs mean for boards is decided in core/.
"""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from spalloc_server.core.accounts import Account, SessionRecord, Token
from spalloc_server.core.effects import BoardKey, BoardRecord, Remembered
from spalloc_server.core.groups import Group
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.objections import Drained
from spalloc_server.core.reservations import Reservation
from spalloc_server.store.records import UnreadableError, from_row, reservation_from_text
from spalloc_server.words import counted
from spinnaker.geometry import BOARDS_PER_TRIAD, Board

_log = logging.getLogger(__name__)

LARGEST_ID = 2**31 - 1
"""Larger IDs are never given: clients in other languages could not use them."""

_LIVE = "SELECT id, ended, record FROM jobs WHERE ended IS NULL ORDER BY id"
_ENDED = """
SELECT id, ended, record FROM jobs WHERE ended IS NOT NULL ORDER BY ended DESC, id DESC LIMIT ?
"""
_BOARDS = "SELECT machine, x, y, z, owed_off, aside, rest_seconds, {} FROM boards"
_LATER_COLUMNS = ("drained", "drained_by", "drained_since", "aside_since")
"""Columns that databases of older servers don't have."""
_LAST_MOMENT = 253_402_300_799.0
"""The end of the year 9999, in seconds of Unix time: later moments can't be written as dates."""
_SET_ASIDE = """
INSERT OR REPLACE INTO set_aside (why, id, owner, created, ended, machine, record)
SELECT ?, id, owner, created, ended, machine, record FROM jobs WHERE id = ?
"""
_NAMED_JOBS = 5
"""How many unreadable jobs a message names."""
_GIVEN = "SELECT max(id) FROM {} WHERE id <= ?"


@dataclass(frozen=True, slots=True)
class Recalled:
    """All records that the server starts with."""

    jobs: list[JobRecord]
    """Live jobs, and ended ones that are kept in memory."""
    boards: dict[BoardKey, BoardRecord]
    next_job: int
    doubtful: bool = False
    """Whether records may be missing: jobs that had boards, and IDs that were given."""
    remembered: Remembered = field(default_factory=Remembered)
    """What the scheduler remembers."""
    reservations: Sequence[Reservation] = ()
    """Those that were made by command."""
    accounts: Sequence[Account] = ()
    tokens: Sequence[Token] = ()
    sessions: Sequence[SessionRecord] = ()
    groups: Sequence[Group] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A job whose record can't be used."""

    id: int
    live: bool
    why: str


def read_jobs(database: sqlite3.Connection, ended_limit: int) -> tuple[list[JobRecord], list[Unreadable]]:
    """Return all live jobs and the latest ended ones, at most `ended_limit`; and separately the unreadable ones."""
    jobs: list[JobRecord] = []
    unreadable: list[Unreadable] = []
    holders: dict[BoardKey, int] = {}
    for live, rows in ((True, database.execute(_LIVE)), (False, database.execute(_ENDED, (ended_limit,)))):
        for number, ended, text in rows:
            try:
                record = from_row(number, ended, text)
                if live:
                    _hold(record, holders)
            except UnreadableError as error:
                unreadable.append(Unreadable(number, live, str(error)))
            else:
                jobs.append(record)
    return jobs, unreadable


def set_aside(database: sqlite3.Connection, unreadable: Sequence[Unreadable], name: str) -> None:
    """Move unreadable records to a table of their own, and log them."""
    if not unreadable:
        return
    run = database.execute
    run("BEGIN")
    for job in unreadable:
        run(_SET_ASIDE, (job.why, job.id))
        run("DELETE FROM jobs WHERE id = ?", (job.id,))
    if any(job.live for job in unreadable):
        # The mark stays until it is on disk which boards must be switched off, in case the server is killed before.
        run("INSERT OR REPLACE INTO counters VALUES ('doubtful', 1)")
    run("COMMIT")
    ended = [job for job in unreadable if not job.live]
    if ended:
        _log.warning(
            "the records of %s in %s can't be read and are set aside; the first is job %d: %s",
            counted(len(ended), "ended job"),
            name,
            ended[0].id,
            ended[0].why,
        )
    for job in unreadable:
        if job.live:
            _log.critical(
                "job %d is gone: its record can't be read and is set aside: %s",
                job.id,
                job.why,
                extra={"job": job.id},
            )


def about_live(unreadable: Sequence[Unreadable], name: str) -> str:
    """Return the message about live jobs whose records can't be used."""
    jobs = "; ".join(f"job {job.id}: {job.why}" for job in unreadable[:_NAMED_JOBS])
    more = f"; and {len(unreadable) - _NAMED_JOBS} more" if len(unreadable) > _NAMED_JOBS else ""
    return (
        f"{name} has records of jobs that have not ended and that can't be read ({jobs}{more}); put back a backup with "
        "spalloc-server restore, or "
        "start with --set-aside-unreadable to go on without these jobs: all boards that no job has are switched off "
        "before a job gets them"
    )


def _hold(record: JobRecord, holders: dict[BoardKey, int]) -> None:
    if record.allocation is None:
        return
    keys = [BoardKey(record.allocation.machine, board) for board in record.allocation.boards]
    for key in keys:
        if key in holders:
            raise UnreadableError(f"job {holders[key]} has its board {key.board} of {key.machine}")
    holders.update(dict.fromkeys(keys, record.id))


def read_boards(database: sqlite3.Connection) -> dict[BoardKey, BoardRecord]:
    """Return the records of boards; a board whose record can't be true must be switched off."""
    boards = {}
    known = {name for _, name, *_ in database.execute("PRAGMA table_info(boards)")}
    later = ", ".join(name if name in known else "NULL" for name in _LATER_COLUMNS)
    rows = database.execute(_BOARDS.format(later))
    for machine, x, y, z, owed_off, aside, rest_seconds, why, by, drained_since, aside_since in rows:
        if x < 0 or y < 0 or z not in range(BOARDS_PER_TRIAD):
            continue
        sensible = rest_seconds is None or (isfinite(rest_seconds) and rest_seconds >= 0)
        drained = None if why is None else Drained(why, by or "somebody", _moment(drained_since) or 0.0)
        boards[BoardKey(machine, Board(x, y, z))] = (
            BoardRecord(bool(owed_off), aside, rest_seconds, drained, _moment(aside_since))
            if sensible
            else BoardRecord(True, aside, drained=drained)
        )
    return boards


def read_reservations(database: sqlite3.Connection) -> list[Reservation]:
    """Return the reservations that were made by command; those that can't be read are logged, and stay on disk."""
    if not database.execute("PRAGMA table_info(reservations)").fetchall():
        # An older server's, of which a backup is summed up.
        return []
    found = []
    for name, text in database.execute("SELECT name, record FROM reservations ORDER BY name"):
        try:
            found.append(reservation_from_text(name, text))
        except UnreadableError as error:
            _log.critical(
                "reservation %s is not in force: its record can't be read (%s); make it again", name, error
            )
    return found


def _moment(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 <= seconds <= _LAST_MOMENT else None


def read_next_job(database: sqlite3.Connection) -> tuple[int, bool]:
    """Return the first ID that was not given yet, as far as is known, and whether the records say so."""
    row = database.execute("SELECT value FROM counters WHERE name = 'next_job'").fetchone()
    sure = row is not None and 1 <= row[0] <= LARGEST_ID
    given = [
        database.execute(_GIVEN.format(table), (LARGEST_ID,)).fetchone()[0] for table in ("jobs", "set_aside")
    ]
    return max(row[0] if sure else 1, *(1 + (number or 0) for number in given)), sure

"""Jobs that have ended, in the store: found by owner and machine, and dropped when they are old.

See database.py for how jobs get there.
"""

import logging
import sqlite3
from collections.abc import Iterator

from spalloc_server.core.jobs import JobRecord
from spalloc_server.store.records import UnreadableError, from_row

_log = logging.getLogger(__name__)

MOST_BYTES = 4_000_000
"""How much one listing may read: a job's record is some hundred bytes, but can be as long as its request."""

_MOST_TOLD = 1000
_LATEST = "SELECT id, ended, record FROM jobs WHERE ended IS NOT NULL{} ORDER BY ended DESC, id DESC LIMIT ?"
_NEWEST = "SELECT id, ended, record FROM jobs ORDER BY id DESC LIMIT ? OFFSET ?"
_CREATED = "SELECT id, ended, record FROM jobs WHERE created >= ? ORDER BY id"
_FORGET = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended < ? LIMIT ?)"
_COUNT = "SELECT count(*) FROM jobs WHERE ended IS NOT NULL"
_FORGET_IDLE = """
DELETE FROM jobs
WHERE id IN (SELECT id FROM jobs WHERE ended IS NOT NULL AND machine IS NULL ORDER BY ended, id LIMIT ?)
"""
_FORGET_OLDEST = """
DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended IS NOT NULL ORDER BY ended, id LIMIT ?)
"""


def ended_jobs(
    database: sqlite3.Connection, owner: str | None, machine: str | None, limit: int, told: set[int]
) -> list[JobRecord]:
    """Return the jobs that ended last, the latest first: of one owner, on one machine, or of any (None).

    At most `limit`, and none after those that make up `MOST_BYTES`. Those that can't be read are left out, and are in
    `told` once the log has told of them.
    """
    wanted = [
        (column, value) for column, value in (("owner", owner), ("machine", machine)) if value is not None
    ]
    where = "".join(f" AND {column} = ?" for column, _ in wanted)
    found = []
    size = 0
    rows = database.execute(_LATEST.format(where), (*(value for _, value in wanted), limit))
    for number, ended, text in rows:
        size += len(text)
        record = _read(number, ended, text, told)
        if record is not None:
            found.append(record)
        if size >= MOST_BYTES:
            break
    rows.close()
    return found


def newest_jobs(database: sqlite3.Connection, start: int, limit: int, told: set[int]) -> list[JobRecord]:
    """Return the jobs with the highest IDs, live ones too, the newest first, without the `start` newest.

    At most `limit`; `told` is that of `ended_jobs`.
    """
    rows = database.execute(_NEWEST, (limit, start)).fetchall()
    records = (_read(number, ended, text, told) for number, ended, text in rows)
    return [record for record in records if record is not None]


def all_jobs(database: sqlite3.Connection, since: float) -> Iterator[JobRecord | None]:
    """Yield all jobs that were created at a moment of Unix time or later, live ones too, in the order of their IDs.

    For a job whose record can't be read, None is yielded.
    """
    for number, ended, text in database.execute(_CREATED, (since,)):
        try:
            yield from_row(number, ended, text)
        except UnreadableError:
            yield None


def ended_job(database: sqlite3.Connection, number: int, told: set[int]) -> JobRecord | None:
    """Return the job with an ID, if it has ended and is recorded; `told` is that of `ended_jobs`."""
    row = database.execute(
        "SELECT id, ended, record FROM jobs WHERE id = ? AND ended IS NOT NULL", (number,)
    ).fetchone()
    if row is None:
        return None
    number, ended, text = row
    return _read(number, ended, text, told)


def _read(number: int, ended: float, text: bytes, told: set[int]) -> JobRecord | None:
    try:
        return from_row(number, ended, text)
    except UnreadableError as error:
        if number not in told and len(told) < _MOST_TOLD:
            told.add(number)
            _log.warning("the record of job %d, which has ended, can't be read: %s", number, error)
        return None


def forget_ended(database: sqlite3.Connection, before: float, limit: int) -> int:
    """Drop at most `limit` jobs that ended before a moment of Unix time, and return how many."""
    return database.execute(_FORGET, (before, limit)).rowcount


def count_ended(database: sqlite3.Connection, before: float | None = None) -> int:
    """Return how many ended jobs there are: all, or those that ended before a moment of Unix time."""
    if before is None:
        (count,) = database.execute(_COUNT).fetchone()
    else:
        (count,) = database.execute(f"{_COUNT} AND ended < ?", (before,)).fetchone()
    return int(count)


def forget_oldest(database: sqlite3.Connection, limit: int) -> int:
    """Drop at most `limit` jobs and return how many: those without boards first, then those that ended first.

    Jobs that never had boards come as fast as somebody can ask for them; they must not push out those that had.
    """
    idle = database.execute(_FORGET_IDLE, (limit,)).rowcount
    if idle >= limit:
        return idle
    return idle + database.execute(_FORGET_OLDEST, (limit - idle,)).rowcount


def used_bytes(database: sqlite3.Connection) -> int:
    """Return how much of the database's file holds anything."""
    pages, free, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def free_bytes(database: sqlite3.Connection) -> int:
    """Return how much of the database's file is kept for what comes."""
    free, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_size")
    )
    return int(free * size)

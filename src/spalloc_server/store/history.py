# Jobs that have ended, in the store: found by owner and machine, and dropped when they are old.
#
# How jobs get there is database.py's subject.
"""The history of ended jobs."""

import sqlite3

from spalloc_server.core.jobs import JobRecord
from spalloc_server.store.records import from_text

MOST_BYTES = 4_000_000
"""How much one listing may read: a job's record is some hundred bytes, but can be as long as its request."""

_LATEST = "SELECT record FROM jobs WHERE ended IS NOT NULL{} ORDER BY ended DESC, id DESC LIMIT ?"
_FORGET = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended < ? LIMIT ?)"
_COUNT = "SELECT count(*) FROM jobs WHERE ended IS NOT NULL"
_FORGET_OLDEST = """
DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE ended IS NOT NULL ORDER BY ended, id LIMIT ?)
"""


def ended_jobs(
    database: sqlite3.Connection, owner: str | None, machine: str | None, limit: int
) -> list[JobRecord]:
    """Return the jobs that ended last, the latest first: of one owner, on one machine, or of any (None).

    At most `limit`, and none after those that make up `MOST_BYTES`.
    """
    wanted = [
        (column, value) for column, value in (("owner", owner), ("machine", machine)) if value is not None
    ]
    where = "".join(f" AND {column} = ?" for column, _ in wanted)
    found = []
    size = 0
    rows = database.execute(_LATEST.format(where), (*(value for _, value in wanted), limit))
    for (text,) in rows:
        size += len(text)
        found.append(from_text(text))
        if size >= MOST_BYTES:
            break
    rows.close()
    return found


def ended_job(database: sqlite3.Connection, number: int) -> JobRecord | None:
    """Return the job with an ID, if it has ended and is recorded."""
    row = database.execute("SELECT record FROM jobs WHERE id = ? AND ended IS NOT NULL", (number,)).fetchone()
    return None if row is None else from_text(row[0])


def forget_ended(database: sqlite3.Connection, before: float, limit: int) -> int:
    """Drop at most `limit` jobs that ended before a moment of Unix time, and return how many."""
    return database.execute(_FORGET, (before, limit)).rowcount


def count_ended(database: sqlite3.Connection) -> int:
    """Return how many ended jobs there are."""
    (count,) = database.execute(_COUNT).fetchone()
    return int(count)


def forget_oldest(database: sqlite3.Connection, limit: int) -> int:
    """Drop at most `limit` jobs, those that ended first, and return how many."""
    return database.execute(_FORGET_OLDEST, (limit,)).rowcount

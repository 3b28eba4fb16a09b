"""The tables of what the scheduler remembers: the statements that write them, and how they are read at the start.

What is remembered is decided in core/. A row that can't be true is dropped: the scheduler does without it.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from math import isfinite
from typing import TypeVar

from spalloc_server.core.effects import Remembered, Share
from spalloc_server.core.lengths import REMEMBERED, Length
from spalloc_server.store.writing import Statement, for_all
from spalloc_server.words import counted

_log = logging.getLogger(__name__)

T = TypeVar("T")

DROPPED_AT_ONCE = 500
"""After how many new lengths those that are too old are dropped: each statement takes time while clients wait."""

_NAME = "scheduler"
_HIGHEST_NUMBER = 2**53
_PUT_LENGTH = "INSERT INTO lengths (owner, boards, seconds, limit_seconds) VALUES {rows}"
_DROP_OLD_LENGTHS = f"DELETE FROM lengths WHERE id <= (SELECT max(id) FROM lengths) - {REMEMBERED}"
_PUT_SHARE = """
INSERT INTO shares (owner, used, at) VALUES {rows}
ON CONFLICT (owner) DO UPDATE SET used = excluded.used, at = excluded.at
"""
_DROP_SHARE = "DELETE FROM shares WHERE owner IN (VALUES {rows})"
_PUT_SCHEDULER = """
INSERT INTO scheduler (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_LENGTHS = (
    f"SELECT id, id, owner, boards, seconds, limit_seconds FROM lengths ORDER BY id DESC LIMIT {REMEMBERED}"
)
_SHARES = "SELECT owner, owner, used, at FROM shares"
_SCHEDULER = "SELECT name, value FROM scheduler WHERE name = ?"


def remembering(remembered: Remembered, *, drop_old: bool) -> Iterator[Statement]:
    """Yield the statements that write what the scheduler has learnt; `drop_old` also drops lengths that are too old."""
    lengths, shares = remembered.lengths, remembered.shares
    yield from for_all(_PUT_LENGTH, lengths)
    if lengths and drop_old:
        yield _DROP_OLD_LENGTHS, ()
    if shares:
        yield from for_all(_DROP_SHARE, [(owner,) for owner, share in shares.items() if share is None])
        yield from for_all(
            _PUT_SHARE, [(owner, *share) for owner, share in shares.items() if share is not None]
        )
    if remembered.scheduler is not None:
        yield _PUT_SCHEDULER, (_NAME, remembered.scheduler)


def read_remembered(database: sqlite3.Connection, name: str) -> Remembered:
    """Return what is remembered; rows that can't be true are dropped from the tables, and the log counts them.

    Raises:
        sqlite3.Error: The tables can't be read.
    """
    run = database.execute
    lengths = _true_rows(database, name, "lengths", "id", run(_LENGTHS).fetchall(), _length)
    shares = _true_rows(database, name, "shares", "owner", run(_SHARES).fetchall(), _share)
    blobs = _true_rows(database, name, "scheduler", "name", run(_SCHEDULER, (_NAME,)).fetchall(), _blob)
    return Remembered(lengths[::-1], dict(shares), next(iter(blobs), None))


def _true_rows(
    database: sqlite3.Connection,
    name: str,
    table: str,
    key: str,
    rows: list[tuple[object, ...]],
    read: Callable[..., T | None],
) -> list[T]:
    """Return what `read` makes of the rows after their key; those of which it makes None are deleted."""
    found = [(row[0], read(*row[1:])) for row in rows]
    flawed = [number for number, value in found if value is None]
    if flawed:
        for number in flawed:
            database.execute(f"DELETE FROM {table} WHERE {key} = ?", (number,))
        _log.warning(
            "%s of the scheduler's %s in %s can't be true and are dropped; it goes on without them",
            counted(len(flawed), "record"),
            table,
            name,
        )
    return [value for _, value in found if value is not None]


def _length(number: int, owner: object, boards: object, seconds: object, limit: object) -> Length | None:
    # After too high a number, SQLite would give later rows numbers in no order.
    if not (0 < number <= _HIGHEST_NUMBER and isinstance(owner, str)):
        return None
    if not (isinstance(boards, int) and boards > 0 and _is_amount(seconds)):
        return None
    if limit is not None and not (_is_amount(limit) and limit):
        return None
    return Length(owner, boards, seconds, limit)  # type: ignore[arg-type]


def _share(owner: object, used: object, at: object) -> tuple[str, Share] | None:
    if isinstance(owner, str) and _is_amount(used) and _is_amount(at):
        return owner, Share(used, at)  # type: ignore[arg-type]
    return None


def _blob(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _is_amount(value: object) -> bool:
    return isinstance(value, float) and isfinite(value) and value >= 0

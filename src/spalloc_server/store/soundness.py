"""Checks a database's file for damage, and saves what can be read of a damaged one.

Disks lose and change bytes, and so does copying a file that is in use. Here only pages and rows matter, and not what a
record says.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from spalloc_server.store import schema
from spalloc_server.store.files import free_name, sync_folder
from spalloc_server.store.opening import connect
from spalloc_server.words import counted

_log = logging.getLogger(__name__)

CHECKED_AT_ONCE_BYTES = 32 * 1024 * 1024
"""A file up to this size is checked before it is used, in a fraction of a second; a larger one while it is used."""
_STEPS_BETWEEN_LOOKS = 10_000
_LONGEST_GAP = 10_000
"""How many IDs are tried one by one between the last rows that can be read from either end."""

Row = tuple[object, ...]


def flaw(
    database: sqlite3.Connection, stopped: Callable[[], bool] = lambda: False, *, thorough: bool = False
) -> str | None:
    """Return what is wrong with a database's pages, or None if nothing is.

    Args:
        database: A connection that nothing else uses meanwhile.
        stopped: Called now and then; once it returns True, the check ends with None.
        thorough: Whether to compare tables with their indices, which takes much longer.
    """
    check = "integrity_check" if thorough else "quick_check"
    database.set_progress_handler(lambda: stopped() or None, _STEPS_BETWEEN_LOOKS)
    try:
        ((found,),) = database.execute(f"PRAGMA {check}(1)").fetchall()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        return str(error)
    except (sqlite3.Error, ValueError) as error:
        return str(error)
    finally:
        database.set_progress_handler(None, 0)
    return None if found == "ok" else " ".join(str(found).split())


def save_what_can_be_read(path: Path) -> None:
    """Replace a damaged database with a sound one that has all readable rows.

    The damaged one is kept beside it. The new one is marked as incomplete, so that the next start skips IDs that may
    have been given.

    Raises:
        OSError: There is no room, or no permission.
        sqlite3.Error: The new database can't be written.
    """
    kept = free_name(path)
    sound = path.with_name(path.name + ".unfinished")
    sound.unlink(missing_ok=True)
    os.close(os.open(sound, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    source = connect(path)
    target = sqlite3.connect(sound, isolation_level=None)
    try:
        saved = _copy_rows(source, target)
    finally:
        source.close()
        target.close()
    os.link(path, kept)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        log.rename(kept.with_name(kept.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    sound.replace(path)
    sync_folder(path)
    _log.critical(
        "%s is damaged: what could be read, %s, is used, and the damaged file is kept as %s",
        path,
        counted(saved, "row"),
        kept,
    )


def _copy_rows(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    for statement in "".join(schema.MIGRATIONS).split(";"):
        target.execute(statement)
    target.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
    target.execute(f"PRAGMA application_id = {schema.APPLICATION}")
    target.execute("BEGIN")
    saved = 0
    for table in (
        "jobs",
        "set_aside",
        "boards",
        "counters",
        "lengths",
        "shares",
        "scheduler",
        "reservations",
        "accounts",
        "tokens",
        "sessions",
        "groups",
        "charges",
        "audit",
    ):
        # A table of an older server may lack columns, if it was too damaged to be brought up to date.
        known = {name for _, name, *_ in _until_damage(source, f"PRAGMA table_info({table})")}
        columns = [
            name
            for _, name, *_ in target.execute(f"PRAGMA table_info({table})")
            if not known or name in known
        ]
        key = "id" if "id" in columns else None
        names = ", ".join(columns)
        put = f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})"
        for row in _rows(source, f"SELECT {names} FROM {table}", key):
            try:
                target.execute(put, row)
            except sqlite3.Error:
                # A value of the wrong type makes the row unreadable.
                continue
            saved += 1
    target.execute("INSERT OR REPLACE INTO counters VALUES ('doubtful', 1)")
    target.execute("COMMIT")
    return saved


def _rows(source: sqlite3.Connection, select: str, key: str | None) -> Iterator[Row]:
    """Yield the readable rows: from the beginning, from the end, and then one by one in between."""
    first = last = None
    for row in _until_damage(source, f"{select} ORDER BY {key}" if key else select):
        first = row[0]
        yield row
    if key is None:
        return
    for row in _until_damage(source, f"{select} ORDER BY {key} DESC"):
        if first is not None and row[0] <= first:  # type: ignore[operator]
            return
        last = row[0]
        yield row
    if isinstance(first, int) and isinstance(last, int):
        for number in range(first + 1, min(last, first + _LONGEST_GAP)):
            yield from _until_damage(source, f"{select} WHERE {key} = {number}")


def _until_damage(source: sqlite3.Connection, select: str) -> Iterator[Row]:
    try:
        yield from source.execute(select)
    except (sqlite3.Error, ValueError, MemoryError):
        return

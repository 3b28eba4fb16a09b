"""Puts a backup in the place of the records; no server may use them meanwhile.

A backup may lack jobs and IDs. It is marked so, and the next start handles that as it does a lost write-ahead log.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spalloc_server.core.jobs import FIRST_JOBS, IDS_PER_SECOND
from spalloc_server.store import schema
from spalloc_server.store.backup import copy_files, mark_as_backup, sync, unfinished
from spalloc_server.store.contents import Contents, contents_of
from spalloc_server.store.errors import InUseError, StoreError, is_damage, telling_of_damage
from spalloc_server.store.files import LEFT, Files, beside, free_name, sync_folder
from spalloc_server.store.opening import connect, moment_of, move_log, prepare, refuse_newer, version_of
from spalloc_server.store.recalling import LARGEST_ID, read_next_job
from spalloc_server.store.soundness import flaw

ROOT = 0
_NEXT_JOB = """
SELECT max(next_job) FROM (
    SELECT value AS next_job FROM counters WHERE name = 'next_job' AND value BETWEEN 1 AND ?
    UNION ALL SELECT 1 + max(id) FROM jobs WHERE id < ?
)
"""
"""Works with the records of any server, older or newer."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that has replaced the records."""

    records: Path
    seconds: float | None
    """The moment of the backup's records, in Unix time; None if unknown."""
    contents: Contents
    kept: Path | None
    """Where the replaced records, or what was left of them, are kept; None if there were none."""


def restore(file: Path, records: Path) -> Restored:
    """Replace the records with a backup, and keep the replaced ones beside it.

    Args:
        file: The backup; it stays as it is.
        records: Where the server has its records.

    Raises:
        StoreError: A server uses the records, or the backup can't be used.
        OSError: A file can't be read or written.
        sqlite3.Error: The new records can't be written.
    """
    if os.geteuid() == ROOT and records.is_symlink() and records.parent.stat().st_uid != ROOT:
        raise StoreError(
            f"{records} is a symbolic link in a folder that is not root's, whose owner could lead root anywhere; "
            "name the records themselves with --state"
        )
    records = records.resolve()
    _look_at(file, records)
    existed = records.exists()
    owner = (records if existed else records.parent).stat()
    try:
        files = Files(records)
    except InUseError as error:
        raise StoreError(
            f"a server runs with the records in {records}; stop it and run the command again"
        ) from error
    try:
        with unfinished(records) as copy:
            # Only a copy is opened: SQLite would write files beside the backup.
            copy_files(file, copy, owner)
            seconds, contents = _make_ready(copy, file)
            kept = _keep(records, owner)
            with _naming_kept_records(kept):
                _go_on_from(copy, _move_left_log(records))
                sync(copy)
                for suffix in LEFT:
                    beside(records, suffix).unlink(missing_ok=True)
                copy.replace(records)
                sync_folder(records)
            existed = True
    finally:
        if not existed:
            # The check whether a server uses the records created an empty file.
            records.unlink(missing_ok=True)
        files.release()
    return Restored(records, seconds, contents, kept)


def _look_at(file: Path, records: Path) -> None:
    if not file.exists():
        raise StoreError(f"there is no {file}; name the backup that is to be put back")
    if not file.is_file() or not file.stat().st_size:
        raise StoreError(
            f"{file} is not a backup: it is {'empty' if file.is_file() else 'not a file'}; name another file"
        )
    if records.exists() and file.samefile(records):
        raise StoreError(f"{file} holds the records themselves; name the backup that is to be put back")
    refuse_newer(file, str(file))


def _make_ready(copy: Path, file: Path) -> tuple[float | None, Contents]:
    """Check a copy of a backup, and mark it for the next start; return its moment and its contents."""

    def damaged(why: object) -> str:
        if getattr(why, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            return f"{file} is not a backup: {why}; name another file"
        return f"the backup {file} is damaged ({why}), and nothing was changed; put back another one"

    with telling_of_damage(damaged), contextlib.closing(connect(copy)) as database:
        if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise StoreError(f"{file} is not a backup: it contains no records; name another file")
        other = schema.difference(database, version_of(database, str(file)))
        if other is not None:
            raise StoreError(
                f"{file} is not as a server makes it ({other}), and nothing was changed; mend a copy of it with "
                "sqlite3, or put back another one"
            )
        prepare(database, str(file))
        found = flaw(database, thorough=True)
        if found is not None:
            raise StoreError(damaged(found))
        # The log is moved into the file now: when the database is closed, SQLite would not say that this failed.
        (mode,) = database.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete" or beside(copy, "-wal").exists():
            raise StoreError(f"{copy} can't be used: its write-ahead log can't be moved into it")
        seconds = moment_of(database) or None
        _skip_ids(database, file.stat().st_mtime if seconds is None else seconds)
        mark_as_backup(database, seconds)
        return seconds, contents_of(database)


def _skip_ids(database: sqlite3.Connection, seconds: float) -> None:
    """Skip the IDs that may have been given since a moment of Unix time."""
    next_job, _ = read_next_job(database)
    # At most FIRST_JOBS: after these, IDs repeat without records as well. As many stay unused for the next start, which
    # may skip more.
    given = min(int(max(0.0, time.time() - seconds) * IDS_PER_SECOND), FIRST_JOBS)
    _set_next_job(database, max(next_job, min(next_job + given, LARGEST_ID - FIRST_JOBS)))


def _go_on_from(copy: Path, next_job: int) -> None:
    """Skip the IDs that were given according to the replaced records."""
    with contextlib.closing(connect(copy)) as database:
        _set_next_job(database, max(next_job, read_next_job(database)[0]))


def _set_next_job(database: sqlite3.Connection, next_job: int) -> None:
    database.execute("INSERT OR REPLACE INTO counters VALUES ('next_job', ?)", (next_job,))


def _keep(records: Path, owner: os.stat_result) -> Path | None:
    """Copy the present records and the files beside them; return the first copy, or None if there are none."""
    first = next((suffix for suffix in ("", *LEFT) if _size(beside(records, suffix))), None)
    if first is None:
        return None
    kept = free_name(records, "replaced")
    try:
        # A copy and not a hard link: a program that opens it must not write to the records.
        copy_files(records, kept, owner)
        if first:
            # SQLite removes the log of an empty database.
            kept.unlink(missing_ok=True)
        sync_folder(records)
    except BaseException:
        for suffix in ("", *LEFT):
            beside(kept, suffix).unlink(missing_ok=True)
        raise
    return beside(kept, first)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@contextlib.contextmanager
def _naming_kept_records(kept: Path | None) -> Iterator[None]:
    """Say in the error where the replaced records are kept, if the block fails."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if kept is None:
            raise
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise StoreError(
            f"the backup is not safely in its place ({why}); the records that were there are kept as {kept}; "
            "fix the cause and run the command again"
        ) from error


def _move_left_log(records: Path) -> int:
    """Move the write-ahead log that a killed server left into its records, so that they give every ID it used.

    Returns:
        The first ID that these records do not show as given; 1 if they can't be read.
    """
    if not _size(records):
        return 1
    with contextlib.closing(connect(records)) as database:
        try:
            database.execute("PRAGMA user_version").fetchone()
            if not move_log(database):
                raise sqlite3.OperationalError(f"another program reads {records}; end that one")
            (next_job,) = database.execute(_NEXT_JOB, (LARGEST_ID, LARGEST_ID)).fetchone()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            # The records can't be read, even with their log. Copies of both are kept.
            if not is_damage(error) and getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR:
                raise
            return 1
    return int(next_job or 1)

"""Opens databases: sets SQLite's options, brings the schema up to date, and checks how the last server left it.

Files and their names are handled by files.py, and damaged databases are saved by soundness.py.
"""

import logging
import sqlite3
import struct
from pathlib import Path

from spalloc_server.store import schema
from spalloc_server.store.errors import StoreError
from spalloc_server.store.left_log import LeftLog
from spalloc_server.words import date_and_time

_log = logging.getLogger(__name__)

LONGEST_LOG_BYTES = 8 * 1024 * 1024
"""The longest that the write-ahead log's file stays after the log has been moved into the database."""
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, in seconds of Unix time: later moments can't be written as dates."""
_HEADER = struct.Struct(">60xi4xi")
"""The user_version and application_id in a database's file: https://www.sqlite.org/fileformat2.html."""
_GO_ON = (
    "Jobs that are known go on, all other boards are switched off before a job gets them, and no ID is given again; "
    "--cold-start ends all jobs instead"
)
_LOST_LOG = (
    "%s has lost its write-ahead log: either that was deleted, and the last commands with it, or another program "
    "opened the file meanwhile, or it is a copy from a time when the server ran, and jobs that began since are "
    f"unknown. {_GO_ON}"
)
_LOST_INDEX = (
    "%s has lost the index of its write-ahead log, %s-shm is not there or can't be used: without it nobody can tell "
    f"whether the log is whole, or the last commands are missing. {_GO_ON}"
)
_DAMAGED_LOG = f"%s has a damaged write-ahead log: %s, and the commands in the others are lost; %s. {_GO_ON}"
_BACKUP = f"%s is a backup, of %s: jobs that began since are unknown. {_GO_ON}"


def connect(path: Path | None) -> sqlite3.Connection:
    """Return a connection to the database at `path`, which is created if it does not exist; None for one in memory."""
    return _readable(
        sqlite3.connect(
            ":memory:" if path is None else path,
            isolation_level=None,
            check_same_thread=False,
        )
    )


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads; it and a connection that writes never wait for each other."""
    return _readable(
        sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
    )


def _readable(database: sqlite3.Connection) -> sqlite3.Connection:
    # A name that a failing disk has damaged must not prevent all others from being read.
    database.text_factory = lambda text: text.decode(errors="replace")
    return database


def prepare(database: sqlite3.Connection, name: str) -> None:
    """Make a database ready for writing, and bring an older server's up to date.

    Raises:
        StoreError: It is newer than this server, or not a spalloc server's.
    """
    run = database.execute
    run("PRAGMA busy_timeout = 0")
    # Checked before anything is changed.
    version = version_of(database, name)
    # Before the change to WAL mode: with less, the rollback journal that this change deletes can come back after a
    # power loss, and undo the whole database. In WAL mode EXTRA is the same as FULL.
    run("PRAGMA synchronous = EXTRA")
    if version == 0:
        # So that free space can be given back to the disk, a little at a time.
        run("PRAGMA auto_vacuum = INCREMENTAL")
    run("PRAGMA journal_mode = WAL")
    run(f"PRAGMA journal_size_limit = {LONGEST_LOG_BYTES}")
    if version == len(schema.MIGRATIONS):
        return
    # In one transaction: a server that is killed in between leaves the older version whole.
    run("BEGIN IMMEDIATE")
    for number, migration in enumerate(schema.MIGRATIONS[version:], version + 1):
        for statement in migration.split(";"):
            run(statement)
        run(f"PRAGMA user_version = {number}")
    run(f"PRAGMA application_id = {schema.APPLICATION}")
    run("COMMIT")


def version_of(database: sqlite3.Connection, name: str) -> int:
    """Return the version of the database's schema; 0 if it is new.

    Raises:
        StoreError: It is newer than this server, or not a spalloc server's.
    """
    run = database.execute
    (version,) = run("PRAGMA user_version").fetchone()
    (application,) = run("PRAGMA application_id").fetchone()
    (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != schema.APPLICATION:
        raise StoreError(f"{name} is another program's database; give another file")
    if not 0 <= version <= len(schema.MIGRATIONS):
        raise StoreError(_too_new(name, version))
    return int(version)


def _too_new(name: str, version: int) -> str:
    return (
        f"{name} was written by a newer server (its records have version {version}, "
        f"this server knows up to {len(schema.MIGRATIONS)}), and is left as it is; use that one, or put back a backup "
        "of this one's time with spalloc-server restore"
    )


def refuse_newer(path: Path, name: str) -> None:
    """Make sure that no newer server wrote a file; it is read without SQLite, so that nothing is changed.

    Raises:
        StoreError: A newer server wrote it.
        OSError: The file can't be read.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    if len(header) == _HEADER.size:
        version, application = _HEADER.unpack(header)
        if application == schema.APPLICATION and version > len(schema.MIGRATIONS):
            raise StoreError(_too_new(name, version))


def read_log(database: sqlite3.Connection, name: str, left: LeftLog) -> None:
    """Have SQLite read the write-ahead log that was left, and log it if part of it can't be used.

    Args:
        database: A database in a file, from which nothing was read yet.
        name: Its name, for messages.
        left: The write-ahead log as it was before.
    """
    database.execute("PRAGMA user_version").fetchone()
    left.look_again()
    if left.flaw is not None:
        _log.critical(_DAMAGED_LOG, name, left.flaw, left.keep_copy())


def moment_of(database: sqlite3.Connection) -> float | None:
    """Return the moment of a backup's records, in Unix time; 0 if it is unknown, None if this is no backup."""
    row = database.execute("SELECT value FROM counters WHERE name = 'backed_up'").fetchone()
    if row is None:
        return None
    return float(row[0]) if 0 < row[0] <= _LAST_MOMENT else 0.0


def mark_running(database: sqlite3.Connection, name: str, left: LeftLog | None) -> None:
    """Note in the database's own file that it has a write-ahead log, and whether an earlier log may be lost.

    Args:
        database: A database in a file.
        name: Its name, for messages.
        left: The log beside the file before it was opened; None if the file has been written again since.
    """
    run = database.execute
    if run("PRAGMA journal_mode").fetchone()[0] != "wal":
        # Not every file system allows a write-ahead log.
        return
    moment = moment_of(database)
    if moment is not None:
        when = date_and_time(moment) if moment else "a time that it does not say"
        _log.critical(_BACKUP, name, when)
    run("BEGIN")
    if left is not None and _may_be_incomplete(database, name, left):
        run("INSERT OR REPLACE INTO counters VALUES ('doubtful', 1)")
    run("INSERT OR REPLACE INTO counters VALUES ('running', 1)")
    run("COMMIT")
    # The mark must be in the file itself, since the log is what may get lost.
    move_log(database)


def _may_be_incomplete(database: sqlite3.Connection, name: str, left: LeftLog) -> bool:
    if left.flaw is not None:
        return True
    if not database.execute("SELECT 1 FROM counters WHERE name = 'running'").fetchone():
        return False
    if not left.is_there:
        _log.critical(_LOST_LOG, name)
    elif not left.has_index:
        _log.critical(_LOST_INDEX, name, name)
    return not left.is_there or not left.has_index


def unmark_running(database: sqlite3.Connection) -> None:
    """Note that all records are in the database's own file, or will be once it is closed."""
    database.execute("DELETE FROM counters WHERE name = 'running'")


def move_log(database: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the database's own file; return False if another connection still reads it."""
    busy, *_ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy

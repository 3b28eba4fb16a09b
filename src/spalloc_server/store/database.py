# The site's records in an SQLite database: what was recorded is on disk when `write` returns.
#
# No rules about jobs or boards: what is recorded, and what follows from it after a restart, is the core's subject.
"""The store: jobs and boards in SQLite."""

import fcntl
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spalloc_client.states import JobState
from spalloc_server.core.effects import BoardKey, BoardRecord
from spalloc_server.core.jobs import JobRecord
from spalloc_server.store import history, schema
from spalloc_server.store.records import from_text, to_text
from spinnaker.geometry import Board

_PUT_JOB = """
INSERT INTO jobs (id, owner, created, ended, machine, record) VALUES {rows}
ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, machine = excluded.machine, record = excluded.record
"""
_PUT_BOARD = """
INSERT INTO boards (machine, x, y, z, owed_off, aside, rest_seconds) VALUES {rows}
ON CONFLICT (machine, x, y, z) DO UPDATE
SET owed_off = excluded.owed_off, aside = excluded.aside, rest_seconds = excluded.rest_seconds
"""
_ROWS_A_STATEMENT = 100
_DROP_BOARDS = "DELETE FROM boards WHERE (machine, x, y, z) IN (VALUES {rows})"
_COUNT_STARTS = """
INSERT INTO counters (name, value) VALUES ('starts', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1
"""
_COUNT_JOBS = "UPDATE counters SET value = max(value, ?) WHERE name = 'next_job'"


class StoreError(Exception):
    """The store can't be used; the message says which file, and why."""


@dataclass(frozen=True, slots=True)
class Recalled:
    """All that was recorded."""

    jobs: list[JobRecord]
    """Live jobs, and destroyed ones that are remembered."""
    boards: dict[BoardKey, BoardRecord]
    next_job: int


class Store:
    """One site's database; may be used by one thread at a time."""

    def __init__(self, path: Path | None, database: sqlite3.Connection | None = None) -> None:
        """Open the database at `path`, made if it isn't there; None keeps it in memory, gone when closed.

        Args:
            path: The file.
            database: What to use in place of a file, open already and in nobody else's use.

        Raises:
            StoreError: It can't be opened, is another program's, or was written by a newer server.
        """
        self._name = "memory" if path is None else str(path)
        self._path = path
        self._reader: sqlite3.Connection | None = None
        self._written = False
        """Whether this process has written anything."""
        self._lock = None if path is None else _lock(path)
        try:
            self._open(path, database)
        except BaseException:
            if self._lock is not None:
                os.close(self._lock)
            raise

    def _open(self, path: Path | None, database: sqlite3.Connection | None) -> None:
        try:
            self._database = database or sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreError(f"can't use {self._name} for the server's records: {error}") from error
        try:
            self._prepare()
        except BaseException as error:
            self._database.close()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"can't use {self._name} for the server's records: {error}") from error
            raise

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA busy_timeout = 0")
        # Looked at before anything is changed.
        version = self._version()
        # First, for the change to WAL itself: with less, the rollback journal that it deletes can come back after a
        # power loss, and take back the whole database with it. In WAL mode it is the same as FULL.
        run("PRAGMA synchronous = EXTRA")
        run("PRAGMA journal_mode = WAL")
        if version == len(schema.MIGRATIONS):
            return
        # All or nothing: a server that is killed in between leaves the older version whole.
        run("BEGIN IMMEDIATE")
        for number, migration in enumerate(schema.MIGRATIONS[version:], version + 1):
            for statement in migration.split(";"):
                run(statement)
            run(f"PRAGMA user_version = {number}")
        run(f"PRAGMA application_id = {schema.APPLICATION}")
        run("COMMIT")

    def _version(self) -> int:
        """Return the version of the schema that the database has, 0 if it is new.

        Raises:
            StoreError: It is newer than this server, or not a spalloc server's.
        """
        run = self._database.execute
        (version,) = run("PRAGMA user_version").fetchone()
        (application,) = run("PRAGMA application_id").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != schema.APPLICATION:
            raise StoreError(f"{self._name} is another program's database; give another file")
        if version > len(schema.MIGRATIONS):
            raise StoreError(
                f"{self._name} was written by a newer server (its records have version {version}, "
                f"this server knows up to {len(schema.MIGRATIONS)}); start that one, or give another file"
            )
        return int(version)

    def recall(self, *, ended_limit: int) -> Recalled:
        """Return what is recorded: all live jobs, and at most `ended_limit` destroyed ones, the latest ended.

        Raises:
            StoreError: It can't be read.
        """
        run = self._database.execute
        try:
            live = run("SELECT record FROM jobs WHERE ended IS NULL ORDER BY id").fetchall()
            ended = run(
                "SELECT record FROM jobs WHERE ended IS NOT NULL ORDER BY ended DESC, id DESC LIMIT ?",
                (ended_limit,),
            ).fetchall()
            boards = {
                BoardKey(machine, Board(x, y, z)): BoardRecord(bool(owed_off), aside, rest_seconds)
                for machine, x, y, z, owed_off, aside, rest_seconds in run(
                    "SELECT machine, x, y, z, owed_off, aside, rest_seconds FROM boards"
                )
            }
            (next_job,) = run("SELECT value FROM counters WHERE name = 'next_job'").fetchone()
        except sqlite3.Error as error:
            raise StoreError(f"can't read the records in {self._name}: {error}") from error
        return Recalled([from_text(text) for (text,) in live + ended], boards, next_job)

    def write(self, jobs: Mapping[int, JobRecord], boards: Mapping[BoardKey, BoardRecord | None]) -> None:
        """Record all of these at once; they are on disk when this returns, or none of them is.

        Raises:
            sqlite3.Error: They could not be written; trying again is allowed.
        """
        database = self._database
        database.execute("BEGIN")
        try:
            if not self._written:
                # A server that was killed may have left its last commit unsynced: it can be read, and still be lost
                # with the power. Records that are already as they should be would write, and so sync, nothing; this
                # does, and takes all that came before along.
                database.execute(_COUNT_STARTS)
            self._run(_PUT_JOB, [_job_row(record) for record in jobs.values()])
            if jobs:
                database.execute(_COUNT_JOBS, (max(jobs) + 1,))
            self._run(
                _DROP_BOARDS,
                [(key.machine, *key.board) for key, record in boards.items() if record is None],
            )
            self._run(
                _PUT_BOARD,
                [
                    (key.machine, *key.board, record.owed_off, record.aside, record.rest_seconds)
                    for key, record in boards.items()
                    if record is not None
                ],
            )
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self._written = True

    def _run(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        # One statement for many rows: after each statement this thread would have to wait for the interpreter, which
        # the event loop keeps busy.
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            some = rows[start : start + _ROWS_A_STATEMENT]
            row = f"({', '.join('?' * len(some[0]))})"
            self._database.execute(
                statement.format(rows=", ".join([row] * len(some))), [value for row in some for value in row]
            )

    def forget_ended(self, before: float, limit: int) -> int:
        """Drop at most `limit` jobs that ended before a moment of Unix time, and return how many.

        Raises:
            sqlite3.Error: They could not be dropped; trying again is allowed.
        """
        return history.forget_ended(self._database, before, limit)

    def count_ended(self) -> int:
        """Return how many ended jobs are recorded.

        Raises:
            sqlite3.Error: They can't be read.
        """
        return history.count_ended(self._database)

    def forget_oldest(self, limit: int) -> int:
        """Drop at most `limit` jobs, those that ended first, and return how many.

        Raises:
            sqlite3.Error: They could not be dropped; trying again is allowed.
        """
        return history.forget_oldest(self._database, limit)

    @property
    def outlasts_process(self) -> bool:
        """Whether what is written is still there when this process has ended."""
        return self._path is not None

    @property
    def reads_beside(self) -> bool:
        """Whether `ended_jobs` may be called from another thread than all else, which goes on meanwhile."""
        return self._path is not None

    def ended_jobs(self, owner: str | None, machine: str | None, limit: int) -> list[JobRecord]:
        """Return the jobs that ended last, the latest first: of one owner, on one machine, or of any (None).

        At most `limit`, and no more than make up a few megabytes.

        Raises:
            sqlite3.Error: They can't be read.
        """
        return history.ended_jobs(self._beside(), owner, machine, limit)

    def ended_job(self, number: int) -> JobRecord | None:
        """Return the job with an ID, if it has ended and is recorded; may be called where `ended_jobs` may.

        Raises:
            sqlite3.Error: It can't be read.
        """
        return history.ended_job(self._beside(), number)

    def _beside(self) -> sqlite3.Connection:
        if self._reader is None:
            self._reader = self._open_reader()
        return self._reader

    def _open_reader(self) -> sqlite3.Connection:
        """Return a connection that reads beside the one that writes, so that neither waits for the other."""
        if self._path is None:
            return self._database
        return sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )

    def close(self) -> None:
        """Close the database; what was written stays."""
        if self._reader is not None:
            self._reader.close()
        self._database.close()
        # Only now: closing any descriptor of the file takes away the locks that SQLite has on it in this process.
        if self._lock is not None:
            os.close(self._lock)


def _job_row(record: JobRecord) -> tuple[int, str, float, float | None, str | None, bytes]:
    ended = record.ended if record.state is JobState.destroyed else None
    machine = None if record.allocation is None else record.allocation.machine
    return record.id, record.owner, record.created, ended, machine, to_text(record)


def _lock(path: Path) -> int:
    """Keep a second server from using the same records, without keeping backups from reading them.

    SQLite's own exclusive mode would lock out its backup tools as well; flock is out of its way.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"can't open {path} for the server's records: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            f"{path} is in use by another server; stop that one, or give another file"
        ) from error
    return descriptor

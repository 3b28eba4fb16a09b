"""Keeps the site's records in an SQLite database: they are on disk when `write` returns.

No rules about jobs or boards: what is recorded, and what it means after a restart, is decided in core/.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from pathlib import Path

from spalloc_client.states import JobState
from spalloc_server.core.accounts import AccountNews
from spalloc_server.core.audit import Entry
from spalloc_server.core.charges import Charge
from spalloc_server.core.effects import BoardKey, BoardRecord, Remembered
from spalloc_server.core.groups import Group
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.reservations import Reservation
from spalloc_server.core.usage import Usage, UsageQuestion
from spalloc_server.store.accounts import (
    putting_accounts,
    putting_groups,
    read_accounts,
    read_groups,
    read_sessions,
    read_tokens,
)
from spalloc_server.store.audit import AuditKeeper, AuditQuestion, auditing, entries_of
from spalloc_server.store.charges import ChargeKeeper, charging
from spalloc_server.store.errors import MisplacedError, StoreError, damaged, is_damage
from spalloc_server.store.files import Files, put_copy, sync_folder
from spalloc_server.store.history import ended_job, ended_jobs, newest_jobs
from spalloc_server.store.keeping import Keeper
from spalloc_server.store.left_log import LeftLog
from spalloc_server.store.opening import (
    connect,
    connect_to_read,
    mark_running,
    move_log,
    prepare,
    read_log,
    refuse_newer,
    unmark_running,
)
from spalloc_server.store.recalling import (
    Recalled,
    about_live,
    read_boards,
    read_jobs,
    read_next_job,
    read_reservations,
    set_aside,
)
from spalloc_server.store.remembering import DROPPED_AT_ONCE, read_remembered, remembering
from spalloc_server.store.room import Reserve, lacks_room
from spalloc_server.store.soundness import CHECKED_AT_ONCE_BYTES, flaw, save_what_can_be_read
from spalloc_server.store.usage import usage
from spalloc_server.store.writing import counting_start, putting

_log = logging.getLogger(__name__)

NOTHING_LEARNT = Remembered()
NO_RESERVATIONS: Mapping[str, Reservation | None] = {}
NO_GROUPS: Mapping[str, Group | None] = {}


class Store:
    """One site's database; may be used by one thread at a time, except where a method says otherwise."""

    def __init__(
        self,
        path: Path | None,
        database: sqlite3.Connection | None = None,
        *,
        set_aside_unreadable: bool = False,
    ) -> None:
        """Open a database, and create it if it does not exist.

        Args:
            path: The file; None keeps the records in memory, until they are closed.
            database: An open database to use instead of a file; nothing else may use it.
            set_aside_unreadable: Whether to go on without unreadable records of live jobs.

        Raises:
            StoreError: It can't be opened, is another program's or damaged, or was written by a newer server.
        """
        self._name = "memory" if path is None else str(path)
        if path is not None:
            # SQLite keeps its log beside the file itself, not beside a link to it.
            path = path.resolve()
        self._path = path
        self._set_aside_unreadable = set_aside_unreadable
        self._reader: sqlite3.Connection | None = None
        self._reading = threading.Lock()
        """Held while the reader is used, since the writing thread closes it."""
        self._told: set[int] = set()
        """Ended jobs that the log named as unreadable."""
        self._written = False
        """Whether this process has written anything."""
        self._lengths_added = DROPPED_AT_ONCE
        """How many lengths were added since old ones were dropped; at the start, as many as there may be."""
        self._reserve = None if path is None else Reserve(path)
        self.history = Keeper(lambda: self._database, self._reserve)
        """Keeps ended jobs within their limits; for the writing thread."""
        self.charges = ChargeKeeper(lambda: self._database)
        """Keeps charges within their limits; for the writing thread."""
        self.audit = AuditKeeper(lambda: self._database)
        """Keeps the audit within its limits; for the writing thread."""
        self._usable = False
        """Whether the database is open; it may not be while lost files are written again."""
        self._files = None if path is None else Files(path)
        try:
            if path is not None:
                refuse_newer(path, self._name)
            if self._reserve is not None:
                # Even opening a database needs room on the disk.
                self._reserve.release()
            self._database = database or connect(path)
            self._open()
        except BaseException as error:
            if self._files is not None:
                self._files.release()
            if isinstance(error, OSError | sqlite3.Error | UnicodeDecodeError):
                raise self._unusable(error) from error
            raise

    def _open(self) -> None:
        try:
            if self._path is None:
                prepare(self._database, self._name)
                self._reader = self._database
            else:
                self._open_file(self._path)
        except BaseException:
            self._database.close()
            raise
        self.history.count()
        self._usable = True

    def _open_file(self, path: Path) -> None:
        assert self._files is not None
        found = LeftLog(path, self._files.read_index)
        left: LeftLog | None = found
        damage = self._prepare_and_check(path, found)
        if damage is not None:
            if not self._set_aside_unreadable:
                raise damaged(self._name, damage)
            self._database.close()
            save_what_can_be_read(path)
            self._files.release()
            self._files, left = Files(path), None
            self._database = connect(path)
            prepare(self._database, self._name)
        try:
            mark_running(self._database, self._name, left)
        except sqlite3.OperationalError as error:
            if not lacks_room(error) or not self.history.make_room():
                raise
            mark_running(self._database, self._name, left)
        # Opened now, and not when it is first used: it must be the same file.
        self._reader = connect_to_read(path)
        self._files.note()
        # The names of the log and its index must survive a power loss: a start without them counts as a lost log.
        sync_folder(path)
        if self._reserve is not None:
            self._reserve.keep()

    def _prepare_and_check(self, path: Path, left: LeftLog) -> str | None:
        """Return what is damaged in the file, or None; a large file is checked only if it is to be saved."""
        try:
            read_log(self._database, self._name, left)
            prepare(self._database, self._name)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if not is_damage(error) or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                raise
            return str(error)
        if path.stat().st_size > CHECKED_AT_ONCE_BYTES and not self._set_aside_unreadable:
            return None
        # After a gap in the log, pages of different times may stand side by side.
        return flaw(self._database, thorough=left.flaw is not None)

    def _unusable(self, error: Exception) -> StoreError:
        what_then = (
            "; put back a backup with spalloc-server restore, or move it away to begin without records"
            if is_damage(error)
            else ""
        )
        return StoreError(f"can't use {self._name} for the server's records: {error}{what_then}")

    def recall(self, *, ended_limit: int, set_aside_unreadable: bool = False) -> Recalled:
        """Return the records of all live jobs, and of at most `ended_limit` ended ones, the latest.

        Unreadable records of ended jobs are set aside; those of live jobs only if that was asked for, here or when the
        store was opened.

        Raises:
            StoreError: The records can't be read, or some live job's can't.
        """
        database = self._database
        try:
            jobs, unreadable = read_jobs(database, ended_limit)
            live = [job for job in unreadable if job.live]
            if live and not (set_aside_unreadable or self._set_aside_unreadable):
                raise StoreError(about_live(live, self._name))
            set_aside(database, unreadable, self._name)
            boards = read_boards(database)
            reservations = read_reservations(database)
            next_job, sure = read_next_job(database)
            doubtful = database.execute("SELECT 1 FROM counters WHERE name = 'doubtful'").fetchone()
            remembered = read_remembered(database, self._name)
            accounts, tokens = read_accounts(database), read_tokens(database)
            sessions, groups = read_sessions(database), read_groups(database)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if is_damage(error):
                raise damaged(self._name, error) from error
            raise StoreError(f"can't read the records in {self._name}: {error}") from error
        return Recalled(
            jobs,
            boards,
            next_job,
            not sure or doubtful is not None,
            remembered,
            reservations,
            accounts,
            tokens,
            sessions,
            groups,
        )

    def write(
        self,
        jobs: Mapping[int, JobRecord],
        boards: Mapping[BoardKey, BoardRecord | None],
        remembered: Remembered = NOTHING_LEARNT,
        reservations: Mapping[str, Reservation | None] = NO_RESERVATIONS,
        accounts: AccountNews | None = None,
        groups: Mapping[str, Group | None] = NO_GROUPS,
        charges: Sequence[Charge] = (),
        audit: Sequence[Entry] = (),
    ) -> None:
        """Record all of these at once; when this returns they are on disk, and if it raises, none of them is.

        Args:
            jobs: Records of jobs, by ID.
            boards: Records of boards; None removes a board's.
            remembered: What the scheduler has learnt since the last time.
            reservations: Those made by command, by name; None removes one.
            accounts: What has changed of accounts, tokens and sessions; None for nothing.
            groups: Records of groups, by name; None removes one.
            charges: Those to be added.
            audit: Entries to be added.

        Raises:
            sqlite3.Error: They could not be written; it may be tried again.
            StoreError: The database is damaged.
        """
        if not self._usable:
            self.look()
        database = self._database
        pages, made_room = 0, False
        added = self._lengths_added + len(remembered.lengths)
        while True:
            try:
                database.execute("BEGIN")
                # A killed server may have left its last commit unsynced: it can be read, but a power loss would still
                # take it. A first write that changes nothing would not sync it; counting the start always changes
                # something, and so syncs all that came before.
                first = () if self._written else counting_start()
                learnt = remembering(remembered, drop_old=added >= DROPPED_AT_ONCE)
                about_accounts = () if accounts is None else putting_accounts(accounts)
                site = putting(jobs, boards, reservations)
                new = chain(putting_groups(groups), charging(charges), auditing(audit))
                for statement, values in chain(first, site, about_accounts, new, learnt):
                    database.execute(statement, values)
                # Inside the transaction, this does not read the file.
                (pages,) = database.execute("PRAGMA page_count").fetchone()
                database.execute("COMMIT")
                break
            except BaseException as error:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                if is_damage(error):
                    raise damaged(self._name, error) from error
                made_room = not made_room and lacks_room(error) and self.history.make_room() > 0
                if not made_room:
                    raise
        self._written = True
        self._lengths_added = added % DROPPED_AT_ONCE
        self.charges.added += len(charges)
        self.audit.added += len(audit)
        self.history.have_ended(sum(record.state is JobState.destroyed for record in jobs.values()), pages)
        # If the file was removed meanwhile, what was just written is gone with it.
        self.look()

    def look(self) -> None:
        """Check that the files still exist under their names; if they were removed, write all of them again.

        Raises:
            sqlite3.OperationalError: They can't be written, or another file has their name; it may be tried again.
        """
        files = self._files
        if files is None:
            return
        missing = files.missing() if self._usable else []
        if self._usable and not missing:
            return
        names = ", ".join(missing) or self._name
        try:
            with self._reading:
                if self._usable:
                    self._write_whole(files, is_there=str(files.path) not in missing)
                elif not files.path.exists():
                    # An earlier try wrote all records to the file. A new, empty one must not replace it.
                    raise MisplacedError("it disappeared again; put it back, or stop the server")
                # An earlier try may still hold the lock.
                files.release()
                self._files = Files(files.path)
                self._database = connect(files.path)
                self._open()
        except (OSError, StoreError, sqlite3.Error) as error:
            raise MisplacedError(
                f"{names} disappeared while the server runs, and can't be written again yet: {error}"
            ) from error
        _log.critical(
            "%s disappeared while the server runs; the records are written again, whole: find out what removes them",
            names,
        )

    def _write_whole(self, files: Files, *, is_there: bool) -> None:
        """Write the whole open database to a new file under its name, and close it."""
        unmark_running(self._database)
        moved = move_log(self._database)
        if not is_there:
            put_copy(self._database, files.path)
        elif not moved:
            raise MisplacedError("another program reads it")
        self._usable = False
        self._close_connections()
        files.drop_rest()
        files.release()

    @property
    def outlasts_process(self) -> bool:
        """Whether the records still exist when this process has ended."""
        return self._path is not None

    @property
    def reads_beside(self) -> bool:
        """Whether `ended_jobs` and `ended_job` may be called from another thread at the same time as other methods."""
        return self._path is not None

    def ended_jobs(self, owner: str | None, machine: str | None, limit: int) -> list[JobRecord]:
        """Return the jobs that ended last, the latest first: of one owner, on one machine, or of any (None).

        At most `limit` jobs, and at most a few megabytes.

        Raises:
            sqlite3.Error: They can't be read.
        """
        with self._reading:
            return ended_jobs(self._to_read(), owner, machine, limit, self._told)

    def newest_jobs(self, start: int, limit: int) -> list[JobRecord]:
        """Return the jobs with the highest IDs, live ones too, the newest first, without the `start` newest.

        Raises:
            sqlite3.Error: They can't be read.
        """
        with self._reading:
            return newest_jobs(self._to_read(), start, limit, self._told)

    def ended_job(self, number: int) -> JobRecord | None:
        """Return the job with an ID, if it has ended and is recorded; may be called from the same threads.

        Raises:
            sqlite3.Error: It can't be read.
        """
        with self._reading:
            return ended_job(self._to_read(), number, self._told)

    def usage(self, question: UsageQuestion, now: float, live: Collection[int]) -> Usage:
        """Return who used what: see `store.usage.usage`; may be called from the same threads.

        Raises:
            sqlite3.Error: The records can't be read.
        """
        with self._reading:
            return usage(self._to_read(), question, now, live)

    def audit_entries(self, question: AuditQuestion) -> list[Entry]:
        """Return entries of the audit, the earliest first; may be called from the same threads.

        Raises:
            sqlite3.Error: They can't be read.
        """
        with self._reading:
            return entries_of(self._to_read(), question)

    def _to_read(self) -> sqlite3.Connection:
        if self._reader is None:
            raise MisplacedError(f"{self._name} is not in its place")
        return self._reader

    @property
    def is_checked(self) -> bool:
        """Whether the file was checked for damage when it was opened; a large file is not."""
        return self._path is None or self._path.stat().st_size <= CHECKED_AT_ONCE_BYTES

    def look_for_damage(self, stopped: Callable[[], bool]) -> str | None:
        """Return what is damaged in the file, or None; may be called from another thread at any time.

        Args:
            stopped: Called now and then; once it returns True, the check ends with None.

        Raises:
            sqlite3.Error: It can't be opened.
        """
        if self._path is None:
            return None
        with contextlib.closing(connect_to_read(self._path)) as database:
            return flaw(database, stopped)

    def close(self) -> None:
        """Close the database; records on disk stay."""
        self.history.tell(at_last=True)
        if self._files is not None:
            # A fault here was logged when it was found, and a mark that stays only makes the next start more careful.
            with contextlib.suppress(sqlite3.Error):
                self.look()
                unmark_running(self._database)
        self._close_connections()
        if self._files is not None:
            self._files.release()

    def _close_connections(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._database.close()

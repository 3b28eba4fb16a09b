"""Makes backups: one file with all records as they were at one moment, whether the server runs or not.

A backup is marked as one. So a server that starts from it, however the file came into its place, knows that it may lack
jobs and IDs. Backups are put back by restoring.py.
"""

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from spalloc_server.store.contents import Contents, contents_of
from spalloc_server.store.errors import InUseError, StoreError, telling_of_damage
from spalloc_server.store.files import LEFT, Files, beside, sync_folder
from spalloc_server.store.left_log import LeftLog
from spalloc_server.store.opening import connect, connect_to_read, refuse_newer, version_of
from spalloc_server.store.soundness import flaw

BACKUP_SECONDS = 600.0
"""How long a backup may take: meanwhile, the server's write-ahead log grows with every change."""
LEAST_LEFT_BYTES = 64 * 1024 * 1024
"""How much room a backup leaves on the disk: without room, the server would drop its history."""
_PAGES_AT_ONCE = 1024
_COPIED_AT_ONCE_BYTES = 1024 * 1024
_LONGEST_NAME_BYTES = 240
"""SQLite appends to the name, and most disks allow 255."""
_ROOT = 0
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""The errors of systems for a disk without hard links."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is on disk."""

    of: Path
    """The records."""
    seconds: float
    """The moment whose records the backup has, in Unix time."""
    contents: Contents


def back_up(records: Path, file: Path, *, overwrite: bool = False) -> Backup:
    """Write all records as they are now to `file`, which appears only once it is complete, checked and on disk.

    Args:
        records: The database; a server may run with it.
        file: The backup to write.
        overwrite: Whether it may replace an existing file.

    Raises:
        StoreError: There are no records, or they can't be backed up; or `file` exists already.
        OSError: A file can't be read or written.
        sqlite3.Error: The records can't be read, or the backup can't be written.
    """
    records = records.resolve()
    if not records.exists():
        raise StoreError(f"there are no records in {records}")
    if len(os.fsencode(file.name)) > _LONGEST_NAME_BYTES:
        raise StoreError(
            f"the name {file.name} is too long, {_LONGEST_NAME_BYTES} bytes are allowed; give a shorter one"
        )
    if file.exists() and (not overwrite or file.samefile(records)):
        raise StoreError(_taken(file, records))
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise StoreError(f"{file} is no file that a backup could take the place of; give another name")
    if file.parent.resolve() / file.name in [beside(records, suffix) for suffix in (*LEFT, ".reserve")]:
        raise StoreError(f"{file} is where the server has what belongs to its records; give another name")
    if not file.absolute().parent.is_dir():
        raise StoreError(f"there is no folder {file.absolute().parent}; make it, or give another one")
    refuse_newer(records, str(records))
    until = time.monotonic() + BACKUP_SECONDS

    def damaged(why: object) -> str:
        return (
            f"{records} is damaged ({why}), so there is no backup of it; copy it as it is, with its -wal and -shm, and "
            "start the server with --set-aside-unreadable to go on with what can be read"
        )

    with unfinished(file) as copy, telling_of_damage(damaged):
        seconds = _copy(records, copy, until)
        with contextlib.closing(connect(copy)) as database:
            if not version_of(database, str(records)):
                raise StoreError(f"there are no records in {records}")
            # The backup is one file. Its schema stays: a backup of an older server can be put back by that one.
            database.execute("PRAGMA journal_mode = DELETE")
            found = flaw(database, lambda: time.monotonic() > until, thorough=True)
            if found is not None:
                raise StoreError(damaged(found))
            _look_at_the_clock(until)
            mark_as_backup(database, seconds)
            contents = contents_of(database)
        sync(copy)
        _name(copy, file, records, overwrite=overwrite)
        sync_folder(file)
    return Backup(records, seconds, contents)


def mark_as_backup(database: sqlite3.Connection, seconds: float | None) -> None:
    """Note in a database that it may lack jobs that had boards, and IDs that were given.

    Args:
        database: The database, undamaged.
        seconds: The moment whose records it has, in Unix time; None if unknown.
    """
    run = database.execute
    run("BEGIN")
    run("DELETE FROM counters WHERE name = 'running'")
    run("INSERT OR REPLACE INTO counters VALUES ('doubtful', 1), ('backed_up', ?)", (int(seconds or 0),))
    run("COMMIT")


def _copy(records: Path, copy: Path, until: float) -> float:
    """Copy the records, and return the moment that they are of, in Unix time."""
    try:
        files = Files(records)
    except InUseError:
        return _copy_in_use(records, copy, until)
    try:
        # No server writes to them, and SQLite must not either: it would move the log of a killed server.
        copy_files(records, copy)
    finally:
        files.release()
    # No other program opens the copy, so its index may be closed.
    left = LeftLog(copy, partial(_beginning, beside(copy, "-shm")))
    with contextlib.closing(connect(copy)) as database:
        database.execute("PRAGMA user_version").fetchone()
        left.look_again()
    if left.flaw is not None:
        raise StoreError(
            f"{records} has a damaged write-ahead log ({left.flaw}), so there is no backup of it; start the server, "
            "which goes on with what can be used and keeps the damaged log, and make the backup then"
        )
    return time.time()


def _beginning(file: Path, size: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(size)
    except FileNotFoundError:
        return b""


def _copy_in_use(records: Path, copy: Path, until: float) -> float:
    def look(_: int, __: int, ___: int) -> None:
        _look_at_the_clock(until)

    with (
        contextlib.closing(connect_to_read(records)) as source,
        contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target,
    ):
        # A read transaction: the copy is of one moment, however long it takes and whatever the server writes meanwhile.
        source.execute("BEGIN")
        pages, page_bytes = (
            source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        seconds = time.time()
        need_room(copy, pages * page_bytes)
        source.backup(target, pages=_PAGES_AT_ONCE, progress=look)
    return seconds


def _look_at_the_clock(until: float) -> None:
    if time.monotonic() > until:
        raise StoreError(
            f"the backup is not done after {BACKUP_SECONDS:g} s, and is given up; put it on a faster disk, or keep "
            "less history (history.megabytes)"
        )


def copy_files(source: Path, target: Path, owner: os.stat_result | None = None) -> None:
    """Copy a database that no program uses, with the files that belong to it, and sync the copy.

    Args:
        source: The database.
        target: The copy; readable by its owner only.
        owner: The user and group that the copy gets, if this process is root's; None for this process's own.

    Raises:
        StoreError: There is no room.
        OSError: The database can't be copied.
    """
    names = [(beside(source, suffix), beside(target, suffix)) for suffix in ("", *LEFT)]
    present = [(name, to) for name, to in names if name.exists()]
    need_room(target, sum(name.stat().st_size for name, _ in present))
    for name, to in present:
        _copy_file(name, to, owner)


def _copy_file(source: Path, target: Path, owner: os.stat_result | None) -> None:
    # By its descriptor, and not through a link: root may do this in another user's folder.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as copy, source.open("rb") as original:
        shutil.copyfileobj(original, copy, _COPIED_AT_ONCE_BYTES)
        copy.flush()
        if owner is not None and os.geteuid() == _ROOT:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.fsync(descriptor)


def need_room(file: Path, size: int) -> None:
    """Make sure that a file's disk has room for `size` bytes.

    Raises:
        StoreError: It has not.
    """
    free = shutil.disk_usage(file.parent).free
    if free < size + LEAST_LEFT_BYTES:
        raise StoreError(
            f"there is no room in {file.absolute().parent}: this needs {size / 1e6:.0f} MB and must leave "
            f"{LEAST_LEFT_BYTES / 1e6:.0f} MB free, but only {free / 1e6:.0f} MB are free; free some space, or give "
            "another folder"
        )


@contextlib.contextmanager
def unfinished(file: Path) -> Iterator[Path]:
    """Give an empty file beside `file`, readable by its owner only; it is removed at the end unless it was renamed."""
    descriptor, name = tempfile.mkstemp(prefix=".spalloc-", suffix=".unfinished", dir=file.absolute().parent)
    os.close(descriptor)
    copy = Path(name)
    try:
        yield copy
    finally:
        for suffix in ("", *LEFT):
            beside(copy, suffix).unlink(missing_ok=True)


def sync(file: Path) -> None:
    """Flush a file to disk (fsync).

    Raises:
        OSError: The flush failed.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(copy: Path, file: Path, records: Path, *, overwrite: bool) -> None:
    if overwrite:
        copy.replace(file)
        return
    try:
        # Unlike renaming, linking never replaces a file.
        os.link(copy, file)
    except FileExistsError as error:
        raise StoreError(_taken(file, records)) from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if file.exists():
            raise StoreError(_taken(file, records)) from error
        copy.rename(file)


def _taken(file: Path, records: Path) -> str:
    if file.exists() and file.samefile(records):
        return f"{file} holds the records themselves; give another file for the backup"
    return f"{file} is there already; give another name, or --overwrite to put the new backup in its place"

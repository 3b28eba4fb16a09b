"""Handles the files of a database: locks them against other servers, watches them, and copies them whole.

SQLite opens its files once, and never checks that they still exist under their names. If one is removed, everything
that is written afterwards is lost, so the files are watched here. Nothing here reads records.
"""

import fcntl
import os
import sqlite3
from pathlib import Path

from spalloc_server.store.errors import InUseError, MisplacedError, StoreError

BESIDE = ("-wal", "-shm")
"""The suffixes of the files that SQLite keeps beside a database."""
LEFT = (*BESIDE, "-journal")
"""The suffixes of all files that a killed server can leave; `-journal` is used on disks without write-ahead logs."""

Identity = tuple[int, int]
"""A file's device and inode number, which stay the same when it is renamed."""


class Files:
    """A database's files under their names."""

    def __init__(self, path: Path) -> None:
        """Lock the database at `path` against other servers, and create it if it does not exist.

        Raises:
            StoreError: It is in use, or can't be opened.
        """
        self.path = path
        self._lock: int | None = _locked(path)
        self._index: int | None = None
        self._known: dict[str, Identity | None] = {}

    def note(self) -> None:
        """Remember the files that exist now, to be called once SQLite has created them."""
        names = (str(self.path), *(str(beside(self.path, suffix)) for suffix in BESIDE))
        self._known = {name: _identity(name) for name in names}

    def missing(self) -> list[str]:
        """Return the files that no longer exist under their names.

        Raises:
            MisplacedError: Another file has the database's name, or the folder can't be read.
        """
        missing = []
        for name, identity in self._known.items():
            try:
                found = _identity(name)
            except OSError as error:
                raise MisplacedError(f"can't look for {name}: {error.strerror}") from error
            if found != identity:
                missing.append(name)
                if name == str(self.path) and found is not None:
                    raise MisplacedError(
                        f"another file has taken the place of {name} while the server runs; move that one away and the "
                        "server writes its own again, or stop the server to start it from that one"
                    )
        return missing

    def drop_rest(self) -> None:
        """Remove the files that a database left beside it; it must be closed."""
        for suffix in BESIDE:
            beside(self.path, suffix).unlink(missing_ok=True)

    def read_index(self, size: int) -> bytes:
        """Return the first `size` bytes of the index of the write-ahead log, or as many as there are.

        The index stays open: SQLite may have locks on it, and closing any descriptor of it would end them. Without the
        locks, the next program that opens the database would believe that it is the only one, and truncate the index
        that SQLite has mapped here. That would end this process.
        """
        if self._index is None:
            try:
                self._index = os.open(beside(self.path, "-shm"), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        return os.pread(self._index, size, 0)

    def release(self) -> None:
        """Let other servers use the database; a second call does nothing.

        SQLite must have closed it: closing any descriptor of a file ends all locks that this process has on the file.
        """
        if self._index is not None:
            os.close(self._index)
            self._index = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def put_copy(database: sqlite3.Connection, path: Path) -> None:
    """Write an open database to a new file at `path`, completely or not at all.

    Raises:
        OSError: The file exists, or can't be created.
        sqlite3.Error: The file can't be written.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        copy = sqlite3.connect(unfinished)
        try:
            database.backup(copy)
        finally:
            copy.close()
        # Unlike renaming, linking never replaces a file.
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Have the name of a file written to the disk itself."""
    folder = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def free_name(path: Path, why: str = "damaged") -> Path:
    """Return the first unused name beside `path` for keeping an old file; `why` is part of it."""
    return next(
        name
        for number in range(1, 1_000_000)
        if not any(
            beside(name := path.with_name(f"{path.name}.{why}-{number}"), suffix).exists()
            for suffix in ("", *LEFT)
        )
    )


def beside(path: Path, suffix: str) -> Path:
    """Return the name of a file that belongs to a database."""
    return path.with_name(path.name + suffix)


def _identity(path: str) -> Identity | None:
    # Called twice in every commit, so without a Path, which takes longer than the call of the system.
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _locked(path: Path) -> int:
    """Open and lock a file against other servers; backups may still read it.

    SQLite's own exclusive mode would lock out backup tools as well; flock does not affect SQLite.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"can't open {path} for the server's records: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise InUseError(
            f"{path} is in use by another server; stop that one, or give another file"
        ) from error
    status = os.fstat(descriptor)
    if _identity(str(path)) != (status.st_dev, status.st_ino):
        # A backup has replaced the file meanwhile.
        os.close(descriptor)
        return _locked(path)
    return descriptor

"""The files of a database on disk: kept from other servers, watched, and copied whole.

What stands in them is database.py's subject. SQLite writes to files that it opened once, and never looks
whether they can still be found under their names: whoever takes one away makes all that is written from then
on worthless.
"""

import fcntl
import os
import sqlite3
from pathlib import Path

from spalloc_server.store.errors import InUseError, MisplacedError, StoreError

BESIDE = ("-wal", "-shm")
"""What SQLite adds to the name of a database for the files that belong to it."""
LEFT = (*BESIDE, "-journal")
"""The same of all that a kill can leave; the last is the log of a disk on which there can be no other."""

Identity = tuple[int, int]
"""What makes a file the same one, whatever it is called: its device and its number there."""


class Files:
    """A database's files under their names."""

    def __init__(self, path: Path) -> None:
        """Keep other servers from the database at `path`, made if it isn't there.

        Raises:
            StoreError: It is in use, or can't be opened.
        """
        self.path = path
        self._lock: int | None = _locked(path)
        self._index: int | None = None
        self._known: dict[str, Identity | None] = {}

    def note(self) -> None:
        """Take the files that are there for the right ones from now on; called once SQLite has made them."""
        names = (str(self.path), *(str(beside(self.path, suffix)) for suffix in BESIDE))
        self._known = {name: _identity(name) for name in names}

    def missing(self) -> list[str]:
        """Return the files that are not under their names any more.

        Raises:
            MisplacedError: Another file stands in the database's place, or the folder can't be looked into.
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
        """Remove what a database that is not used any more left beside it."""
        for suffix in BESIDE:
            beside(self.path, suffix).unlink(missing_ok=True)

    def read_index(self, size: int) -> bytes:
        """Return the first bytes of the index of the write-ahead log, `size` at most; none if there is none.

        The index stays open: SQLite may have locks on it, and they end when any descriptor of it is closed. Without
        them, the next program that opens the database takes itself for the first, and truncates what SQLite has mapped
        here, which ends this process.
        """
        if self._index is None:
            try:
                self._index = os.open(beside(self.path, "-shm"), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        return os.pread(self._index, size, 0)

    def release(self) -> None:
        """Let other servers use the database; does nothing the second time.

        Only when SQLite has closed it: closing any descriptor of a file takes away all locks that this process has on
        it.
        """
        if self._index is not None:
            os.close(self._index)
            self._index = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def put_copy(database: sqlite3.Connection, path: Path) -> None:
    """Write all that is in an open database to a file at `path`, whole or not at all; there must be none yet.

    Raises:
        OSError: It can't be made.
        sqlite3.Error: It can't be written.
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
        # Unlike a renaming, a link takes nobody's place.
        os.link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Put the name of a file on disk for good."""
    folder = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def free_name(path: Path, why: str = "damaged") -> Path:
    """Return the first name beside `path` that a file can be kept under that is not used any more; `why` is in it."""
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
    # Looked at twice in every commit, so without a Path, which takes longer than the look.
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _locked(path: Path) -> int:
    """Open a file that no other server may use, without keeping backups from reading it.

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
        raise InUseError(
            f"{path} is in use by another server; stop that one, or give another file"
        ) from error
    status = os.fstat(descriptor)
    if _identity(str(path)) != (status.st_dev, status.st_ino):
        # A backup has taken its place meanwhile.
        os.close(descriptor)
        return _locked(path)
    return descriptor

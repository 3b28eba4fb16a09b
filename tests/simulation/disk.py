"""A simulated disk below SQLite: data that was written but not yet synced can be lost, in part or in whole.

SQLite itself is real. Files live in memory, behind SQLite's own interface to the system.
"""

import random
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

import apsw

SECTOR = 512


class _File:
    """One file: what its readers see, and what would be left after the power has gone."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._synced = bytearray()
        """The content that was on the disk for good when that was last computed."""
        self._changes: list[tuple[int, bytes] | int] = []
        """Writes (offset and bytes) and truncations (size) since then."""
        self._safe = 0
        """How many of the changes were synced."""
        self.known = False
        """Whether its name would be found after the power has gone."""

    def write(self, offset: int, data: bytes) -> None:
        _put(self.data, offset, data)
        self._changes.append((offset, data))

    def truncate(self, size: int) -> None:
        del self.data[size:]
        self._changes.append(size)

    def sync(self) -> None:
        # Only counted: what is left after a power loss is computed when there is one.
        self._safe = len(self._changes)
        self.known = True

    def lose_power(self, dice: random.Random) -> None:
        """Keep what was synced, and of the rest what the dice leave."""
        left = self._synced
        for change in self._changes[: self._safe]:
            _make(left, change)
        unsynced = self._changes[self._safe :]
        manner = dice.choice(("none", "some", "first", "torn"))
        until = dice.randint(0, len(unsynced))
        for index, change in enumerate(unsynced):
            keep = {
                "none": False,
                "some": dice.random() < 0.5,
                "first": index < until,
                "torn": index <= until,
            }
            if not keep[manner]:
                continue
            if manner == "torn" and index == until and not isinstance(change, int):
                _put(left, *_torn(*change, dice))
            else:
                _make(left, change)
        self.data = bytearray(left)
        self._changes.clear()
        self._safe = 0


def _put(data: bytearray, offset: int, piece: bytes) -> None:
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece


def _make(data: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        del data[change:]
    else:
        _put(data, *change)


def _torn(offset: int, data: bytes, dice: random.Random) -> tuple[int, bytes]:
    """Return the first sectors of a write."""
    whole = dice.randint(0, len(data) // SECTOR) * SECTOR
    return offset, data[:whole]


class Disk:
    """Files, and the faults that hit them."""

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}
        self.deleted: dict[str, _File] = {}
        self.life = 0
        """Goes up when the process that uses the disk dies: files that it opened become unusable."""
        self.full = False
        self.broken = False
        """Whether syncing fails."""
        self.operations = 0
        self.before_each: Callable[[], None] = lambda: None
        """Called before anything is changed."""
        self._vfs: _Vfs | None = None

    def close(self) -> None:
        if self._vfs is not None:
            self._vfs.unregister()
            self._vfs = None

    def die(self, *, power_loss: bool, dice: random.Random) -> None:
        """The process has died, and perhaps the power has gone."""
        self.life += 1
        self.close()
        if not power_loss:
            return
        for name, file in list(self.files.items()):
            if file.known:
                file.lose_power(dice)
            else:
                del self.files[name]
        for name, file in self.deleted.items():
            if file.known and name not in self.files and dice.random() < 0.5:
                file.lose_power(dice)
                self.files[name] = file
        self.deleted.clear()

    def open(self, name: str) -> "Database":
        """Open a database, in the process that uses the disk now."""
        if self._vfs is None:
            self._vfs = _Vfs(self)
        return Database(name, self._vfs.vfs_name)

    def changing(self) -> None:
        self.operations += 1
        self.before_each()


class Database:
    """The part of `sqlite3.Connection` that the store uses, over another binding of SQLite."""

    def __init__(self, name: str, vfs: str) -> None:
        try:
            self._connection = apsw.Connection(name, vfs=vfs)
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error
        self.fault: Exception | None = None
        """Raised once, by the next statement that adds anything: a mistake of ours, not the disk's."""
        # This binding offers no memory shared between processes; what is written, and when, is the same.
        self.execute("PRAGMA locking_mode = EXCLUSIVE")

    def execute(self, statement: str, values: Any = ()) -> Any:
        if self.fault is not None and "INSERT" in statement:
            fault, self.fault = self.fault, None
            raise fault
        try:
            return self._connection.execute(statement, values)
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error

    def executemany(self, statement: str, rows: Iterable[Any]) -> Any:
        try:
            return self._connection.executemany(statement, rows)
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        try:
            self._connection.close(True)
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error


class _Vfs(apsw.VFS):
    """SQLite's way to the disk."""

    _count = 0

    def __init__(self, disk: Disk) -> None:
        _Vfs._count += 1
        self.vfs_name = f"simulated-{_Vfs._count}"
        self._disk = disk
        self._life = disk.life
        super().__init__(self.vfs_name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> "_Handle":
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        return _Handle(self._disk, path, self._life)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self._life == self._disk.life:
            self._disk.changing()
        if self._life != self._disk.life:
            return
        file = self._disk.files.pop(filename, None)
        if file is None:
            missing = apsw.IOError(filename)
            missing.extendedresult = apsw.SQLITE_IOERR_DELETE_NOENT
            raise missing
        if syncdir:
            # All names are in one folder: putting it down makes earlier deletions final as well.
            self._disk.deleted.clear()
        else:
            self._disk.deleted[filename] = file

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self._disk.files

    def xFullPathname(self, filename: str) -> str:
        return filename


class _Handle:
    """An open file."""

    def __init__(self, disk: Disk, name: str, life: int) -> None:
        self._disk = disk
        self._life = life
        self._file = disk.files.setdefault(name, _File())

    def _allowed(self) -> bool:
        """Whether its process may change anything still."""
        if self._life == self._disk.life:
            self._disk.changing()
        return self._life == self._disk.life

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._allowed():
            if self._disk.full:
                raise apsw.FullError("the disk is full")
            self._file.write(offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        if self._allowed():
            self._file.truncate(size)

    def xSync(self, flags: int) -> None:
        if self._allowed():
            if self._disk.broken:
                raise apsw.IOError("the disk does not answer")
            self._file.sync()

    def xFileSize(self) -> int:
        return len(self._file.data)

    def xLock(self, level: int) -> None:
        pass

    def xUnlock(self, level: int) -> None:
        pass

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None:
        pass

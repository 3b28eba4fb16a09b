"""Reserves some room on the disk in a file, so that records can be dropped even when the disk is full.

Dropping records needs room itself, since changed pages are written to the log first. Which records are dropped is
decided by keeping.py.
"""

import logging
import os
import sqlite3
from pathlib import Path

_log = logging.getLogger(__name__)

RESERVE_BYTES = 4 * 1024 * 1024
"""The size of a write-ahead log before it is moved into the file: enough to move it, and to drop some records."""
_NO_ROOM = frozenset(
    {
        sqlite3.SQLITE_FULL,
        # A quota, a limit on the length of files, and a full disk below shared memory.
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
    }
)


def lacks_room(error: BaseException) -> bool:
    """Return whether a write failed for lack of room."""
    return getattr(error, "sqlite_errorcode", None) in _NO_ROOM


class Reserve:
    """A file beside the records that only takes up room."""

    def __init__(self, records: Path) -> None:
        """Reserve nothing yet; the file will be beside `records`."""
        self._path = records.with_name(records.name + ".reserve")
        self._told = False

    def release(self) -> None:
        """Free the room for what is written next."""
        self._path.unlink(missing_ok=True)

    def keep(self) -> bool:
        """Reserve the room, and return whether that was possible; if not, log it once."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._path.unlink(missing_ok=True)
            if not self._told:
                self._told = True
                _log.warning(
                    "there is no room to keep %d MB back in %s, for the day when the disk is full: %s",
                    RESERVE_BYTES // 1024**2,
                    self._path,
                    error.strerror,
                )
            return False
        self._told = False
        return True

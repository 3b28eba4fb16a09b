"""Finds out whether a write-ahead log that an earlier process left is complete.

SQLite reads a log up to the first damaged page, takes the rest for a commit that was cut short, and never says that
anything is missing. But a kill or a power loss can cut only the last commit short. So if another commit follows the
end that SQLite found, the log is damaged. The log's index, which survives a kill, says how many pages were committed.
It is never synced, so after a power loss the number may be too small, but never too large. The formats are described
at https://www.sqlite.org/fileformat2.html and https://www.sqlite.org/walformat.html.
"""

import contextlib
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spalloc_server.store.files import free_name
from spalloc_server.words import counted

_HEADER = struct.Struct(">8xI4x8s8x")
"""The page size, and the salts, which are different in each generation of the log."""
_FRAME = struct.Struct(">4xI8s8x")
"""The header of each page: the size of the database if the page ends a commit, else 0; and the salts."""
_INDEX = struct.Struct("=12xB3xI12x8s8x")
"""Whether the index is in use, how many pages are committed, and the salts. The index holds this twice."""

_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Index:
    """The contents of the index."""

    pages: int = 0
    salts: bytes = bytes(8)


class LeftLog:
    """A write-ahead log as it was before SQLite opened it."""

    def __init__(self, path: Path, read_index: Callable[[int], bytes]) -> None:
        """Read the log of a database, if there is one.

        Args:
            path: The database.
            read_index: Returns the given number of first bytes of the log's index, or as many as there are. It must not
                close the index while SQLite has the database open; see `Files.read_index`.

        Raises:
            OSError: The log can't be read.
        """
        self._log = path.with_name(path.name + "-wal")
        self._read_index = read_index
        self.is_there = self._log.exists()
        self._pages = 0
        """How many pages the log has, of all generations."""
        self._salts = b""
        """The salts of this generation; empty if the log has no valid header."""
        self._committed = 0
        """How many pages of this generation the log had when its last commit began."""
        if self.is_there:
            self._read_log()
        before = _parsed(self._read_index(2 * _INDEX.size))
        self.has_index = before is not None
        """Whether there is a valid index."""
        self._before = before or _Index()
        self.flaw: str | None = None
        """How much of the log SQLite could not use, once it has read it; None if nothing is known to be lost."""

    def _read_log(self) -> None:
        with self._log.open("rb") as file:
            header = file.read(_HEADER.size)
            size = os.fstat(file.fileno()).st_size
            if not _is_whole(header):
                self._pages = int(size > _HEADER.size)
                return
            page_bytes, self._salts = _HEADER.unpack(header)
            self._pages = (size - _HEADER.size) // (_FRAME.size + page_bytes)
            last_end = 0
            for number in range(1, self._pages + 1):
                file.seek(_HEADER.size + (number - 1) * (_FRAME.size + page_bytes))
                ends, salts = _FRAME.unpack(file.read(_FRAME.size))
                if salts == self._salts:
                    self._committed = last_end
                    if ends:
                        last_end = number

    def look_again(self) -> None:
        """Find out how much SQLite could use, after it has read the log and before it writes anything."""
        if not self.is_there:
            return
        # SQLite removes the log of an empty database.
        taken = (_parsed(self._read_index(2 * _INDEX.size)) if self._log.exists() else None) or _Index()
        used = taken.pages if taken.salts == self._salts else 0
        if self._salts:
            lost = max(self._committed, self._before.pages if self._before.salts == self._salts else 0)
        else:
            lost = max(self._pages, self._before.pages)
        if lost > used:
            self.flaw = f"{used} of at least {counted(lost, 'page')} can be used"

    def keep_copy(self) -> str:
        """Copy the log to a file beside it, and return a clause for the message that says where."""
        kept = free_name(self._log)
        try:
            shutil.copyfile(self._log, kept)
        except OSError as error:
            with contextlib.suppress(OSError):
                kept.unlink()
            return f"it can't be kept as {kept}: {error.strerror}"
        return f"it is kept as {kept}"


def _is_whole(header: bytes) -> bool:
    """Return whether the checksum of a log's header is valid."""
    if len(header) < _HEADER.size:
        return False
    words = struct.unpack(">8I" if header[3] & 1 else "<8I", header)
    first = second = 0
    for one, other in zip(words[:6:2], words[1:6:2], strict=True):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return (first, second) == struct.unpack(">2I", header[-8:])


def _parsed(both: bytes) -> _Index | None:
    """Return the contents of an index; None if it is missing, empty, cut short or half written."""
    one = both[: _INDEX.size]
    if len(both) < 2 * _INDEX.size or both != 2 * one:
        return None
    used, pages, salts = _INDEX.unpack(one)
    return _Index(pages, salts) if used else None

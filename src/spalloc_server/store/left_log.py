"""Write-ahead logs that an earlier process left behind.

Whether a write-ahead log that was left behind is whole: all that was acknowledged, and not only what comes
before a damaged place.

SQLite reads a log up to the first page that is not as it was written, and takes what comes after for a commit
that was cut short: it never says that anything is missing. A kill or a power loss cuts only the last commit
short, though, so a later one behind its end tells of damage. The index of the log, which outlives a kill,
says how many pages were committed; it is never synced, so it may say too little after a power loss, but not
too much. The formats are those of https://www.sqlite.org/fileformat2.html and
https://www.sqlite.org/walformat.html.
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
"""The page size and the salts, which no other generation of the log has."""
_FRAME = struct.Struct(">4xI8s8x")
"""What stands before each page: the size of the database if the page ends a commit, else 0, and the salts."""
_INDEX = struct.Struct("=12xB3xI12x8s8x")
"""Whether the index is in use, how many pages are committed, and the salts; all stands there twice."""

_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Index:
    """What the index says."""

    pages: int = 0
    salts: bytes = bytes(8)


class LeftLog:
    """A log as it was before SQLite opened it."""

    def __init__(self, path: Path, read_index: Callable[[int], bytes]) -> None:
        """Look at the log of the database at `path`, which need not be there.

        Args:
            path: The database's.
            read_index: Returns so many of the first bytes of the log's index, or as many as there are; it must not
                close the index while SQLite has the database open (`Files.read_index`).

        Raises:
            OSError: It can't be read.
        """
        self._log = path.with_name(path.name + "-wal")
        self._read_index = read_index
        self.is_there = self._log.exists()
        self._pages = 0
        """How many there are, of all generations of the log."""
        self._salts = b""
        """This generation's; empty where the log has no header as SQLite writes one."""
        self._committed = 0
        """How many pages this generation had, by the log itself, when its last commit began."""
        if self.is_there:
            self._read_log()
        before = _parsed(self._read_index(2 * _INDEX.size))
        self.has_index = before is not None
        """Whether there is an index that can be used."""
        self._before = before or _Index()
        self.flaw: str | None = None
        """How much of it SQLite could not use, once it has read it; None if nothing is known to be lost."""

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
        """See how much SQLite could use: called when it has read the log, and written nothing yet."""
        if not self.is_there:
            return
        # SQLite removes the log of a database that is empty.
        taken = (_parsed(self._read_index(2 * _INDEX.size)) if self._log.exists() else None) or _Index()
        used = taken.pages if taken.salts == self._salts else 0
        if self._salts:
            lost = max(self._committed, self._before.pages if self._before.salts == self._salts else 0)
        else:
            lost = max(self._pages, self._before.pages)
        if lost > used:
            self.flaw = f"{used} of at least {counted(lost, 'page')} can be used"

    def keep_copy(self) -> str:
        """Copy the log to a file beside it, and return what to say of that."""
        kept = free_name(self._log)
        try:
            shutil.copyfile(self._log, kept)
        except OSError as error:
            with contextlib.suppress(OSError):
                kept.unlink()
            return f"it can't be kept as {kept}: {error.strerror}"
        return f"it is kept as {kept}"


def _is_whole(header: bytes) -> bool:
    """Return whether a log's header has the checksum that it says it has."""
    if len(header) < _HEADER.size:
        return False
    words = struct.unpack(">8I" if header[3] & 1 else "<8I", header)
    first = second = 0
    for one, other in zip(words[:6:2], words[1:6:2], strict=True):
        first = (first + one + second) & _WORD
        second = (second + other + first) & _WORD
    return (first, second) == struct.unpack(">2I", header[-8:])


def _parsed(both: bytes) -> _Index | None:
    """Return what an index says; None if there is none, or it is empty, cut short, or was just being written."""
    one = both[: _INDEX.size]
    if len(both) < 2 * _INDEX.size or both != 2 * one:
        return None
    used, pages, salts = _INDEX.unpack(one)
    return _Index(pages, salts) if used else None

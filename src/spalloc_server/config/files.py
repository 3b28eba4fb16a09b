"""Reading text files that people edit: whole, from any editor, and never half of one that is being written just now.

What a file says is for others to find out.
"""

import codecs
import stat
import time
from dataclasses import dataclass
from os import stat_result
from pathlib import Path

QUIET_SECONDS = 0.05
"""A file that changed less than this long ago may be half written: an editor empties it first, and then writes."""
ATTEMPTS = 40
"""How often a file that keeps changing is read."""

_WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""What begins a file of another encoding; the longer marks first, as one begins with another."""


class FileError(ValueError):
    """A file that can't be read as text; the message goes on from the file's name."""

    def __init__(self, sentence: str, line: int = 1) -> None:
        """Say what is wrong, and on which line, counted from 1."""
        super().__init__(sentence)
        self.line = line


@dataclass(frozen=True, slots=True)
class Text:
    """What a file says."""

    text: str
    notes: tuple[str, ...] = ()
    """What is odd about the file and harmless: worth saying if anything else is wrong with it."""


def read_text(path: Path, most_bytes: int) -> Text:
    """Return the text of a file in UTF-8, without its byte order mark if it has one.

    A file that changes while it is read, or changed just before, is read again until it is the same for a moment; that
    takes two seconds at most.

    Args:
        path: Where it is.
        most_bytes: How long it may be.

    Raises:
        FileError: It can't be read, is too long, is not in UTF-8, or does not stop changing.
    """
    data = _read_settled(path, most_bytes)
    if len(data) > most_bytes:
        raise FileError(f"the file has more than {most_bytes} bytes")
    for mark, encoding in _WIDE.items():
        if data.startswith(mark):
            raise FileError(f"the file is in {encoding}; save it as UTF-8")
    notes: tuple[str, ...] = ()
    if data.startswith(codecs.BOM_UTF8):
        data = data.removeprefix(codecs.BOM_UTF8)
        notes = (f"{path} begins with a byte order mark, as editors on Windows write it; it was skipped",)
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise FileError("the file has zero bytes, as text in UTF-16 has; save it as UTF-8", line)
    try:
        return Text(data.decode(), notes)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileError("the text is not in UTF-8", line) from error


def _read_settled(path: Path, most_bytes: int) -> bytes:
    for _ in range(ATTEMPTS):
        try:
            with path.open("rb") as file:
                before = path.stat()
                data = file.read(most_bytes + 1)
            # What is no regular file, such as a pipe, can be read only once.
            if not stat.S_ISREG(before.st_mode):
                return data
            if _same(before, path.stat()):
                if time.time() - before.st_mtime >= QUIET_SECONDS:
                    return data
                time.sleep(QUIET_SECONDS)
                if _same(before, path.stat()):
                    return data
            else:
                time.sleep(QUIET_SECONDS)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise FileError(f"the file can't be read: {why}") from error
    raise FileError("the file changes all the while that it is read; try again when it is written")


def _same(one: stat_result, other: stat_result) -> bool:
    """Return whether a file is what it was: the same file, as long, and last written at the same moment."""
    return (one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns) == (
        other.st_dev,
        other.st_ino,
        other.st_size,
        other.st_mtime_ns,
    )

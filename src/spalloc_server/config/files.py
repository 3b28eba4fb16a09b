"""Reading text files that people edit: from any editor, and never half of a file that is just being written.

What a file says is read elsewhere.
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
"""How often a file that keeps changing is read before it is refused."""

_WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Byte order marks of other encodings. UTF-32's come first, as one of them begins with one of UTF-16's."""


class FileError(ValueError):
    """A file can't be read as text; the message continues from the file's name."""

    def __init__(self, sentence: str, line: int = 1) -> None:
        """Say what is wrong, and on which line, counted from 1."""
        super().__init__(sentence)
        self.line = line


@dataclass(frozen=True, slots=True)
class Text:
    """What a file says."""

    text: str
    notes: tuple[str, ...] = ()
    """Oddities of the file that are harmless, but worth telling if anything else is wrong with it."""


def read_text(path: Path, most_bytes: int) -> Text:
    """Return the text of a file in UTF-8, without its byte order mark if it has one.

    A file that changes while it is read, or changed just before, is read again until it has been unchanged for a
    moment; that takes two seconds at most.

    Args:
        path: Where it is.
        most_bytes: How long it may be.

    Raises:
        FileError: It can't be read, is too long, is not in UTF-8, or does not stop changing.
    """
    data = _read_unchanged(path, most_bytes)
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


def _read_unchanged(path: Path, most_bytes: int) -> bytes:
    for _ in range(ATTEMPTS):
        try:
            with path.open("rb") as file:
                before = path.stat()
                data = file.read(most_bytes + 1)
            # A pipe, or anything else that is no regular file, can be read only once.
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
    raise FileError("the file keeps changing; try again when it is complete")


def _same(one: stat_result, other: stat_result) -> bool:
    """Return whether it is the same file, of the same length, and last written at the same moment."""
    return all(
        getattr(one, fact) == getattr(other, fact) for fact in ("st_dev", "st_ino", "st_size", "st_mtime_ns")
    )

"""Writes the lines of a packet log to a file or to standard output, for commands.

The lines are made in log.py. If one can't be written, the log ends and the boards go on.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

STANDARD_OUTPUT = "-"


@contextmanager
def opened_log(name: str | None) -> Iterator[Callable[[str], None] | None]:
    """Open a log for the duration of a block; yields the function that writes a line at once, or None without a log.

    If a line can't be written, standard error says so, and later lines are dropped.

    Args:
        name: A file, which is overwritten; `-` for standard output; None for no log.

    Raises:
        OSError: The file can't be opened.
    """
    if name is None:
        yield None
        return
    if name == STANDARD_OUTPUT:
        yield _Lines(sys.stdout, "the standard output").write
        return
    lines = _Lines(Path(name).open("w", encoding="utf-8"), name)  # noqa: SIM115 — closed below, however full the disk is
    try:
        yield lines.write
    finally:
        lines.close()


class _Lines:
    """Writes lines to a stream until that fails."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream: TextIO | None = stream
        self._name = name

    def write(self, line: str) -> None:
        if self._stream is None:
            return
        try:
            print(line, file=self._stream, flush=True)
        except OSError as error:
            stream, self._stream = self._stream, None
            _drop(stream)
            # Standard error may be closed, too.
            with suppress(OSError):
                print(
                    f"the packet log ends here: {self._name} can't be written: {error.strerror}",
                    file=sys.stderr,
                    flush=True,
                )

    def close(self) -> None:
        if self._stream is not None:
            # Each line was flushed.
            with suppress(OSError):
                self._stream.close()


def _drop(stream: TextIO) -> None:
    """Discard a stream whose buffer could not be written: closing it would try again."""
    if stream is not sys.stdout:
        with suppress(OSError):
            stream.close()
        return
    # Python flushes it at exit, and would report an error.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)

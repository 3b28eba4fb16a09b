"""Where the lines of a packet log go, for the commands that take its name.

What the lines say is in log.py. A log that can be written no further ends; the boards whose packets it shows go on.
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
    """Open a log until the block ends; gives what writes a line to it at once, or None for no log.

    When a line can't be written, standard error says so, and no more are.

    Args:
        name: A file, which is written anew; `-` for the standard output; None for no log.

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
    """Writes lines to a stream for as long as it takes them."""

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
            # Nobody may be left there either.
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
    """Let go of a stream that holds what could not be written: closing it would try that again."""
    if stream is not sys.stdout:
        with suppress(OSError):
            stream.close()
        return
    # Python writes it out at its end, and would complain.
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)

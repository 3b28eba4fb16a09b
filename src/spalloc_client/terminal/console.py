"""Writes lines to standard output and standard error, with colour where it is wanted.

These lines scroll; window.py redraws screens in place. Every command imports this file: keep its imports few.
"""

from __future__ import annotations

import errno
import os
import sys

from spalloc_client.terminal.text import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import TextIO

DEFAULT_COLUMNS = 80
DEFAULT_LINES = 24


def has_places(environment: Mapping[str, str]) -> bool:
    """Return whether a terminal can be written at any place: `TERM` tells, but on Windows, where none is set."""
    return environment.get("TERM", "" if sys.platform == "win32" else "dumb") != "dumb"


def wants_colour(environment: Mapping[str, str], is_terminal: bool) -> bool:
    """Return whether to write colours: `NO_COLOR` forbids, then `FORCE_COLOR` demands, then a terminal has them."""
    if environment.get("NO_COLOR"):
        return False
    forced = environment.get("FORCE_COLOR", "")
    if forced:
        return forced != "0"
    return is_terminal and environment.get("TERM") != "dumb"


class ReaderGoneError(Exception):
    """The reader of our output has gone: no error of the command, but a reason to end."""


class NotWrittenError(Exception):
    """Our output can't be written, for a reason of the system's such as a full disk."""


def trouble(error: OSError) -> ReaderGoneError | NotWrittenError:
    """Return the error that a failure to write a standard stream means."""
    # Windows reports a pipe without a reader as an invalid argument.
    if isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL):
        return ReaderGoneError()
    return NotWrittenError(error.strerror or str(error))


class Console:
    """One of the standard streams."""

    __slots__ = ("colour", "is_terminal", "stream")
    stream: TextIO
    """Where the text goes."""
    is_terminal: bool
    """Whether a user may be watching while it is written."""
    colour: bool
    """Whether it is written in colours."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_terminal = stream.isatty()
        if sys.platform == "win32" and self.is_terminal:
            from spalloc_client.windows.console import understands_codes

            self.is_terminal = understands_codes(stream.fileno())
        self.colour = wants_colour(os.environ, self.is_terminal)
        # A name that the locale's encoding lacks is written as an escape: better than no table at all.
        if getattr(stream, "errors", "backslashreplace") != "backslashreplace":
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]

    def print(self, lines: Iterable[Text | str]) -> None:
        """Write lines.

        Raises:
            ReaderGoneError: Their reader has gone.
            NotWrittenError: They can't be written.
        """
        colour = self.colour
        self.write(
            "".join([(line.coded(colour) if isinstance(line, Text) else line) + "\n" for line in lines])
        )

    def write(self, text: str) -> None:
        """Write text unchanged, at once.

        Raises:
            ReaderGoneError: Its reader has gone.
            NotWrittenError: It can't be written.
        """
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError as error:
            raise trouble(error) from error

    @property
    def columns(self) -> int | None:
        """The window's width, or None when there is no window."""
        return self.size[0] if self.is_terminal else None

    @property
    def size(self) -> tuple[int, int]:
        """The window's columns and lines; 80 and 24 when it doesn't tell."""
        try:
            width, height = os.get_terminal_size(self.stream.fileno())
        except (OSError, ValueError):
            width, height = 0, 0
        return width or DEFAULT_COLUMNS, height or DEFAULT_LINES


def output() -> Console:
    """Return standard output."""
    return Console(sys.stdout)


def messages() -> Console:
    """Return standard error."""
    return Console(sys.stderr)

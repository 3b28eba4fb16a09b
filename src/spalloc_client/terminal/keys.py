"""Reads a terminal's keys one by one: decodes the bytes, and has the terminal send each key at once.

pager.py says what a key does. The caller waits for keys, since it waits for other things too.
"""

from __future__ import annotations

import codecs
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

_BY_LETTER = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_BY_NUMBER = {"1": "home", "7": "home", "4": "end", "8": "end", "5": "page up", "6": "page down"}
_BY_CHARACTER = {"\n": "enter", "\r": "enter", "\x7f": "backspace", "\b": "backspace", "\033": "escape"}

_KEY = re.compile(r"\033[\[O]([0-9;]*)([A-Za-z~])|.", re.DOTALL)
_HALF = re.compile(r"\033[\[O][0-9;]*\Z")
"""The beginning of the code of a key."""


class KeyReader:
    """Decodes keys from bytes, however these were split."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._half = ""

    def feed(self, data: bytes) -> list[str]:
        """Return the keys that are complete: printable characters, and names such as `page up` for others."""
        text = self._half + self._decoder.decode(data)
        half = _HALF.search(text)
        self._half = half[0] if half else ""
        keys = []
        for match in _KEY.finditer(text.removesuffix(self._half)):
            number, letter = match[1], match[2]
            if letter is None:
                key = _BY_CHARACTER.get(match[0], match[0] if match[0].isprintable() else None)
            elif letter == "~":
                key = _BY_NUMBER.get(number.partition(";")[0])
            else:
                key = _BY_LETTER.get(letter)
            if key is not None:
                keys.append(key)
        return keys


class Keys:
    """Standard input, as a terminal that sends each key at once and shows none, while that is taken.

    It is left alone while this process is in the background, where it would be stopped for touching it.
    """

    def __init__(self) -> None:
        self.descriptor = sys.stdin.fileno()
        self.taken = False
        """Whether keys are sent at once."""
        self._before: list[Any] | None = None
        self._reader = KeyReader()

    @classmethod
    def found(cls) -> Self | None:
        """Return the keys of this process's terminal, if it has a terminal whose keys can be read one by one."""
        return cls() if sys.platform != "win32" and sys.stdin.isatty() else None

    def take(self) -> None:
        """Let keys be sent at once, if that is possible now."""
        if sys.platform == "win32":
            return
        import termios

        self.taken = False
        if not self._in_foreground():
            return
        try:
            modes = termios.tcgetattr(self.descriptor)
            if self._before is None:
                self._before = [*modes]
            modes[3] &= ~(termios.ECHO | termios.ICANON)
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, modes)
        except termios.error:
            return  # it has just gone
        self.taken = True

    def give_back(self) -> None:
        """Leave the terminal as it was."""
        if sys.platform == "win32" or self._before is None or not self.taken:
            return
        import termios

        self.taken = False
        if self._in_foreground():
            try:
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._before)
            except termios.error:
                return  # it has just gone

    def read(self) -> list[str]:
        """Return what was pressed; only after the descriptor was found readable."""
        data = b""
        if self._in_foreground():
            try:
                data = os.read(self.descriptor, 4096)
            except OSError:
                data = b""
        # At its end, or taken by another process, it would be found readable for ever.
        self.taken = self.taken and bool(data)
        return self._reader.feed(data)

    def _in_foreground(self) -> bool:
        if sys.platform == "win32":
            return False
        try:
            return os.tcgetpgrp(self.descriptor) == os.getpgrp()
        except OSError:
            return False

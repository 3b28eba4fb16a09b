"""A terminal's window while a program draws on it: entered, resized, stopped by Ctrl-Z, and restored at the end.

The caller decides what to draw; screen.py turns lines into codes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence

from spalloc_client.terminal.screen import ENTER, LEAVE, Screen
from spalloc_client.terminal.text import Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

    from spalloc_client.terminal.console import Console
    from spalloc_client.terminal.keys import Keys


class Window:
    """A terminal's window, drawn on from `__enter__` to `__exit__`; what was last drawn then stays below the rest."""

    def __init__(self, console: Console, changed: Callable[[], None], keys: Keys | None = None) -> None:
        """Describe the window.

        Args:
            console: The terminal.
            changed: Called, from a signal handler, when it must be drawn again.
            keys: The keys of the same terminal, taken together with it.
        """
        self._console = console
        self._keys = keys
        self._changed = changed
        self._screen = Screen()
        self._drawn: list[Text] = []
        self._size: tuple[int, int] | None = None
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> Self:
        if sys.platform != "win32":
            for number, handler in (
                (signal.SIGWINCH, self._resized),
                (signal.SIGTSTP, self._stopped),
                (signal.SIGCONT, self._continued),
            ):
                self._earlier[number] = signal.signal(number, handler)
        self._write(ENTER)
        self._take_keys()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._give_keys_back()
        self._write(LEAVE)
        self._console.print(self._drawn)

    @property
    def size(self) -> tuple[int, int]:
        """Its columns and lines now."""
        return self._console.size

    def draw(self, lines: Sequence[Text], below: Sequence[Text] = ()) -> None:
        """Show `lines`, as many as there is room for, and `below`, which does not stay afterwards, in the last rows."""
        columns, rows = size = self.size
        if size != self._size:
            # Also where no signal announces it.
            self._screen.forget()
            self._size = size
        room = max(0, rows - len(below))
        self._drawn = list(lines[:room])
        padding = [Text()] * (room - len(self._drawn) if below else 0)
        shown = [*self._drawn, *padding, *(line.cropped(columns) for line in below)][-rows:]
        self._write(self._screen.redraw(shown, colour=self._console.colour))

    def _write(self, codes: str) -> None:
        self._console.write(codes)

    def _take_keys(self) -> None:
        if self._keys is not None:
            self._keys.take()

    def _give_keys_back(self) -> None:
        if self._keys is not None:
            self._keys.give_back()

    def _resized(self, _: int, __: FrameType | None) -> None:
        self._screen.forget()
        self._changed()

    def _stopped(self, number: int, _: FrameType | None) -> None:
        """Leave the terminal to the shell while we are stopped, as Ctrl-Z asks."""
        self._give_keys_back()
        self._write(LEAVE)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stopped)
        self._write(ENTER)
        self._screen.forget()
        self._changed()

    def _continued(self, _: int, __: FrameType | None) -> None:
        """Take the keys again: the shell may have used the terminal meanwhile."""
        self._take_keys()
        self._changed()

"""Computes what to write to a terminal so that it shows other lines than before, without blanking any row in between.

Values only; window.py decides when to write.
"""

from __future__ import annotations

from collections.abc import Sequence

from spalloc_client.terminal.text import Style, Text

# Terminals that know these show all that is between them at once; others ignore them.
_BEGIN, _END = "\033[?2026h", "\033[?2026l"

ENTER = "\033[?1049h\033[?25l\033[H\033[2J"
"""Go to a screen of its own, blank, without the cursor."""

LEAVE = "\033[?25h\033[?1049l"
"""Go back to where `ENTER` came from."""


def fitted(lines: Sequence[Text], columns: int, rows: int) -> list[Text]:
    """Return `lines` as far as a window holds them.

    Args:
        lines: The lines to show.
        columns: The window's width.
        rows: The window's height, 1 or more.

    Returns:
        `rows` lines at most; where lines had to be left out, one says how many.
    """
    shown = [line.cropped(columns) for line in lines[:rows]]
    if len(lines) > rows > 0:
        words = f"... {len(lines) - rows + 1} more lines; a taller window shows them"
        shown[-1] = Text(words, Style.DIM).cropped(columns)
    return shown


class Screen:
    """The lines that a terminal shows, as far as known."""

    def __init__(self) -> None:
        self._shown: list[Text] | None = None

    def forget(self) -> None:
        """Assume that anything may be shown, as after a change of the window's size."""
        self._shown = None

    def redraw(self, lines: Sequence[Text], *, colour: bool) -> str:
        """Return what to write so that `lines` are shown from the top; rows that stay are left alone."""
        codes = []
        if self._shown is None:
            codes.append("\033[H\033[2J")
            self._shown = []
        for row, line in enumerate(lines):
            earlier = self._shown[row] if row < len(self._shown) else Text()
            if line == earlier:
                continue
            # New text goes over the old, and only what sticks out on the right is erased: after a line that fills
            # the row, erasing would take its last letter.
            rest = "\033[K" if earlier.width > line.width else ""
            codes.append(f"\033[{row + 1};1H{line.coded(colour)}{rest}")
        if len(lines) < len(self._shown):
            codes.append(f"\033[{len(lines) + 1};1H\033[J")
        self._shown = list(lines)
        return _BEGIN + "".join(codes) + _END if codes else ""

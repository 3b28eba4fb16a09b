"""Which lines of a view a window shows, and how keys change that.

Values only: no terminal here.
"""

from __future__ import annotations

from spalloc_client.terminal.screen import fitted
from spalloc_client.terminal.text import Style, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SIDEWAYS = 8
"""Columns that an arrow moves by."""

_FAR = 1 << 30


class Pager:
    """A window's part of some lines."""

    def __init__(self, *, has_keys: bool) -> None:
        """Begin at the top.

        Args:
            has_keys: Whether there are keys to move with; without, lines that do not fit are only counted.
        """
        self._has_keys = has_keys
        self._top = 0
        self._left = 0
        self._page = 1
        self._words = ""
        self._typing = False

    def press(self, key: str) -> bool:
        """Carry out a key; return whether it ends the view."""
        if self._typing:
            self._type(key)
            return False
        if key in ("q", "Q"):
            return True
        if key == "/":
            self._typing = True
        elif key == "escape":
            self._words = ""
        self._top += {
            "up": -1, "down": 1, "page up": -self._page, "page down": self._page, "home": -_FAR, "end": _FAR,
        }.get(key, 0)  # fmt: skip
        self._left += {"left": -_SIDEWAYS, "right": _SIDEWAYS, "home": -_FAR}.get(key, 0)
        return False

    def _type(self, key: str) -> None:
        if key == "enter" or (key == "backspace" and not self._words):
            self._typing = False
        elif key == "escape":
            self._typing, self._words = False, ""
        elif key == "backspace":
            self._words = self._words[:-1]
        elif len(key) == 1:
            self._words += key
        self._top = 0

    def shown(self, lines: Sequence[Text], columns: int, rows: int) -> tuple[list[Text], list[Text]]:
        """Return the `lines` that a window of this size shows, and the lines below them that describe the rest.

        A heading in the first line stays there.
        """
        if not self._has_keys:
            return fitted(lines, columns, rows), []
        head = list(lines[:1]) if lines and _is_heading(lines[0]) else []
        body = self._filtered(lines[len(head) :])
        tells = self._typing or bool(self._words) or len(head) + len(body) > rows
        room = max(0, rows - len(head) - tells)
        self._page = max(1, room)
        self._top = max(0, min(self._top, len(body) - room))
        widest = max((line.width for line in (*head, *body)), default=0)
        self._left = max(0, min(self._left, widest - columns))
        seen = body[self._top : self._top + room]
        part = [line.without_left(self._left).cropped(columns) for line in (*head, *seen)]
        return part, [self._told(len(seen), len(body))] if tells else []

    def _filtered(self, lines: Sequence[Text]) -> list[Text]:
        """Return `lines` without those of the last block that lack the words; a map above it stays."""
        blank = max((at for at, line in enumerate(lines) if not line.spans), default=-1)
        words = self._words.casefold()
        return [
            line
            for at, line in enumerate(lines)
            if at <= blank or _is_heading(line) or words in line.plain.casefold()
        ]

    def _told(self, seen: int, of: int) -> Text:
        if self._typing:
            return Text(f"/{self._words}_", Style.BOLD)
        part = f"{self._top + min(1, seen)}-{self._top + seen} of {of} lines"
        words = f" with {self._words!r} (Escape: all)" if self._words else ""
        return Text(f"... {part}{words}; arrows and Page keys move, / filters, q ends", Style.DIM)


def _is_heading(line: Text) -> bool:
    return any(style == Style.HEADING for _, style in line.spans)

"""Styled text as a value: its characters and how they look.

table.py lays it out; console.py and window.py write it. Every command imports this file: keep its imports few.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar


class Style(str):
    """How a piece of text looks: the terminal's code for it.

    Not an Enum: making one of this size takes a tenth of the time in which a command answers.
    """

    __slots__ = ()

    PLAIN: ClassVar[Style]
    BOLD: ClassVar[Style]
    DIM: ClassVar[Style]
    HEADING: ClassVar[Style]
    RED: ClassVar[Style]
    GREEN: ClassVar[Style]
    YELLOW: ClassVar[Style]
    BLUE: ClassVar[Style]
    MAGENTA: ClassVar[Style]
    CYAN: ClassVar[Style]
    BRIGHT_GREEN: ClassVar[Style]
    BRIGHT_YELLOW: ClassVar[Style]
    BRIGHT_BLUE: ClassVar[Style]
    BRIGHT_MAGENTA: ClassVar[Style]
    BRIGHT_CYAN: ClassVar[Style]
    BOLD_GREEN: ClassVar[Style]
    BOLD_YELLOW: ClassVar[Style]
    BOLD_BLUE: ClassVar[Style]
    BOLD_MAGENTA: ClassVar[Style]
    BOLD_CYAN: ClassVar[Style]


for _name, _code in {
    "PLAIN": "",
    "BOLD": "1",
    "DIM": "2",
    "HEADING": "1;4",
    "RED": "31",
    "GREEN": "32",
    "YELLOW": "33",
    "BLUE": "34",
    "MAGENTA": "35",
    "CYAN": "36",
    "BRIGHT_GREEN": "92",
    "BRIGHT_YELLOW": "93",
    "BRIGHT_BLUE": "94",
    "BRIGHT_MAGENTA": "95",
    "BRIGHT_CYAN": "96",
    "BOLD_GREEN": "1;32",
    "BOLD_YELLOW": "1;33",
    "BOLD_BLUE": "1;34",
    "BOLD_MAGENTA": "1;35",
    "BOLD_CYAN": "1;36",
}.items():
    setattr(Style, _name, Style(_code))

Span = tuple[str, Style]
"""A span of text in one style."""


class Text:
    """An immutable line of text, made of spans of one style each."""

    __slots__ = ("spans",)
    spans: tuple[Span, ...]
    """The spans, left to right."""

    def __init__(self, text: str = "", style: Style = Style.PLAIN) -> None:
        self.spans = ((text, style),) if text else ()

    @classmethod
    def of(cls, spans: Iterable[Span]) -> Text:
        """Return a line made of `spans`."""
        line = cls()
        line.spans = tuple(span for span in spans if span[0])
        return line

    @property
    def plain(self) -> str:
        """The text without its styles."""
        return "".join([text for text, _ in self.spans])

    @property
    def width(self) -> int:
        """Columns it takes on a terminal."""
        return sum([columns(text) for text, _ in self.spans])

    def __add__(self, other: Text | str) -> Text:
        added = other if isinstance(other, Text) else Text(other)
        return Text.of(self.spans + added.spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Text) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    def __repr__(self) -> str:
        return f"Text.of({list(self.spans)!r})"

    def cropped(self, width: int) -> Text:
        """Return its left part, at most `width` columns wide."""
        kept: list[Span] = []
        left = width
        for text, style in self.spans:
            taken = _fitting(text, left)
            kept.append((taken, style))
            left -= columns(taken)
            if len(taken) < len(text):
                break
        return Text.of(kept)

    def without_left(self, width: int) -> Text:
        """Return it without its first `width` columns."""
        kept: list[Span] = []
        left = width
        for text, style in self.spans:
            dropped = _fitting(text, left)
            left -= columns(dropped)
            if len(dropped) < len(text):
                kept.append((text[len(dropped) :], style))
                left = 0
        return Text.of(kept)

    def stripped(self) -> Text:
        """Return it without spaces at its right."""
        spans = list(self.spans)
        while spans:
            text, style = spans.pop()
            text = text.rstrip(" ")
            if text:
                spans.append((text, style))
                break
        return Text.of(spans)

    def coded(self, colour: bool) -> str:
        """Return what to write to a terminal; with `colour` false, the text alone."""
        if not colour:
            return self.plain
        return "".join([f"\033[{style}m{text}\033[0m" if style else text for text, style in self.spans])


def columns(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of_character, text))


def printable(text: str) -> str:
    r"""Return `text` with control characters written as escapes (`\x1b`).

    Owners and reasons are written by other people; shown as they are, they could move the reader's cursor.
    """
    if text.isprintable():
        return text
    return "".join(
        [mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii") for mark in text]
    )


def _columns_of_character(character: str) -> int:
    from unicodedata import category, east_asian_width

    # Marks that combine with the letter before; not all of them combine in the sense of `unicodedata.combining`.
    if category(character) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(character) in "FW" else 1


def _fitting(text: str, width: int) -> str:
    if columns(text) <= width:
        return text
    used = 0
    for index, character in enumerate(text):
        used += columns(character)
        if used > width:
            return text[:index]
    return text

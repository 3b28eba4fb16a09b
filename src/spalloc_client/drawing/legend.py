"""The legend below a picture: a swatch and words for each job, and for each mark.

Owners are written in full, whatever their length: a column is as wide as its longest line, within bounds, and a
longer owner takes several lines.
"""

from collections.abc import Callable
from typing import NamedTuple

from spalloc_client.drawing.looks import DEAD, FREE, SET_ASIDE, Look
from spalloc_client.drawing.marks import counted, dead_link_mark, escaped
from spalloc_client.drawing.scene import Keyed
from spalloc_client.terminal.text import columns

LINE = 18.0
"""Height of a line of text, pixels."""

_NARROWEST, _WIDEST = 230.0, 500.0
"""Pixels that the words of a column take, however short or long they are."""

_SWATCH = 26.0
"""Pixels from an entry's left to its words."""

_GAP = 14.0
"""Pixels between columns."""


class _Entry(NamedTuple):
    swatch: Callable[[float, float], str]
    words: str


class Legend:
    """Swatches and words below the map, in columns."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def job(self, who: Keyed, look: Look) -> None:
        """Add a job."""
        tenant = who.tenant
        self._add(
            lambda x, y: f'{_box(x, y)} fill="{look.fill}" stroke="#111" stroke-width="1.4"/>',
            f"{who.key}: job {tenant.job_id}, {counted(len(tenant.boards), 'board')}, {tenant.owner}",
        )

    def dead_boards(self, count: int) -> None:
        """Add how many boards are dead."""
        self._add(
            lambda x, y: (
                f'{_box(x, y)} class="spalloc-dead" fill="{DEAD}"/>'
                f'<path d="M{x + 6:.0f} {y - 8:.0f}l8 8m0 -8l-8 8" stroke="#fff" stroke-width="1.6"/>'
            ),
            counted(count, "dead board"),
        )

    def set_aside(self, count: int) -> None:
        """Add how many boards are set aside."""
        self._add(
            lambda x, y: (
                f'{_box(x, y)} class="spalloc-free" fill="{FREE}"/>'
                f'{_box(x, y)} fill="{SET_ASIDE.fill}" stroke="#8a8a8a"/>'
            ),
            f"{counted(count, 'board')} set aside",
        )

    def dead_links(self, count: int) -> None:
        """Add how many links are dead."""
        self._add(lambda x, y: dead_link_mark(x, y - 4.5, x + 20, y - 4.5, 16), counted(count, "dead link"))

    def _add(self, swatch: Callable[[float, float], str], words: str) -> None:
        self._entries.append(_Entry(swatch, words))

    @property
    def _column(self) -> float:
        longest = max((sum(map(_pixels, entry.words)) for entry in self._entries), default=0.0)
        return max(_NARROWEST, min(_WIDEST, longest))

    @property
    def step(self) -> float:
        """Width of a column, pixels."""
        return _SWATCH + self._column + _GAP

    def drawn(self, left: float, top: float, width: float) -> tuple[list[str], float]:
        """Return its elements in a space of that width, and where they end."""
        columns = max(1, int(width // self.step))
        parts = []
        for start in range(0, len(self._entries), columns):
            row = [
                (entry, broken(entry.words, self._column)) for entry in self._entries[start : start + columns]
            ]
            for column, (entry, lines) in enumerate(row):
                x, y = left + column * self.step, top + LINE - 5
                parts += [entry.swatch(x, y), _words(x + _SWATCH, y, lines)]
            top += LINE * max(len(lines) for _, lines in row)
        return parts, top


def broken(words: str, width: float) -> list[str]:
    """Return words in lines of at most `width` pixels (30 or more), broken after spaces where there are any."""
    lines: list[str] = []
    line, taken = "", 0.0
    for mark in words:
        while line and taken + _pixels(mark) > width:
            end = line.rfind(" ") + 1 or len(line)
            lines.append(line[:end])
            line = line[end:]
            taken = sum(map(_pixels, line))
        line += mark
        taken += _pixels(mark)
    return [*lines, line]


def _pixels(mark: str) -> float:
    """Return the width of a letter in a wide font: the font is not known."""
    if mark in "mwMW@%":
        return 13.2
    return 10.6 if mark.isupper() else 8.4 * columns(mark)


def _box(x: float, y: float) -> str:
    return f'<rect x="{x:.0f}" y="{y - 11:.0f}" width="20" height="13"'


def _words(x: float, y: float, lines: list[str]) -> str:
    first, *others = map(escaped, lines)
    more = "".join(f'<tspan x="{x:.0f}" dy="{LINE:.0f}">{line}</tspan>' for line in others)
    return f'<text class="spalloc-words" x="{x:.0f}" y="{y:.0f}">{first}{more}</text>'

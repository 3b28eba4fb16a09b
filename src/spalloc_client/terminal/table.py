"""Lays out text in columns: tables, lists of definitions, and short cells side by side.

Each command decides what the columns mean. Every command imports this file: keep its imports few.
"""

from __future__ import annotations

from spalloc_client.terminal.text import Style, Text, columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spalloc_client.terminal.text import Span

Cell = Text | str | int
"""The content of a table's cell; numbers are aligned to the right."""

_GAP = "  "


def table(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[Text]:
    """Return the lines of a table under underlined headings, each column as wide as its widest cell."""
    body: list[Sequence[Cell]] = [[Text(heading, Style.HEADING) for heading in headings], *rows]
    widths = [max(map(_width, column)) for column in zip(*body, strict=True)]
    return [_row(row, widths) for row in body]


def definitions(pairs: Mapping[str, Text | str | int | float | Sequence[Text] | None]) -> list[Text]:
    """Return lines of `label: value`, the colons below each other; a value may take several lines."""
    indent = max(map(columns, pairs), default=0)
    lines = []
    for label, value in pairs.items():
        first = " " * (indent - columns(label)) + label + ": "
        hanging = " " * (indent + 2)
        for index, line in enumerate(_lines(value)):
            lines.append((Text(hanging if index else first) + line).stripped())
    return lines


def cells(items: Sequence[Text], width: int) -> list[Text]:
    """Return short items side by side in columns of equal width, as many to a line as fit in `width` columns."""
    if not items:
        return []
    step = max(item.width for item in items) + len(_GAP)
    per_line = max(1, (width + len(_GAP)) // step)
    lines = []
    for start in range(0, len(items), per_line):
        line = Text()
        for item in items[start : start + per_line]:
            line = line + item + " " * (step - item.width)
        lines.append(line.stripped())
    return lines


def _width(cell: Cell) -> int:
    return cell.width if isinstance(cell, Text) else columns(str(cell))


def _row(row: Sequence[Cell], widths: Sequence[int]) -> Text:
    gap = (_GAP, Style.PLAIN)
    spans: list[Span] = []
    for cell, width in zip(row, widths, strict=True):
        padding = (" " * (width - _width(cell)), Style.PLAIN)
        shown = cell.spans if isinstance(cell, Text) else ((str(cell), Style.PLAIN),)
        spans += (padding, *shown, gap) if isinstance(cell, int) else (*shown, padding, gap)
    return Text.of(spans).stripped()


def _lines(value: Text | str | float | Sequence[Text] | None) -> Sequence[Text]:
    if isinstance(value, Text):
        return [value]
    if isinstance(value, str | int | float) or value is None:
        return [Text(line) for line in str(value).split("\n")]
    return value

"""Draws machines as text: hexagons of slashes where there is room, cells of letters where there is not.

The hexagons are the manual's. Letters name each board's job, so that a map can be read without colours.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from spalloc_client.drawing.layout import Layout, folded, in_one_piece, step, unfolded
from spalloc_client.drawing.scene import Keyed, Scene, owners_of_boards
from spalloc_client.geometry import Board, BoardLink, Hexagon, Link, Size, neighbour
from spalloc_client.terminal.text import Span, Style, Text

FREE = " . "
SET_ASIDE = "%%%"
_LINE = ("___", "\\", "/")
_DEAD = ("XXX", "X", "X")

# A board's own edges are its bottom, lower left and upper left; the other three belong to the boards beside it.
_BOTTOM, _LOWER_LEFT, _UPPER_LEFT = range(3)
_EDGES: Mapping[Link, tuple[Hexagon, int]] = {
    Link.EAST: (Hexagon(1, -1), _UPPER_LEFT),
    Link.NORTH_EAST: (Hexagon(1, 0), _LOWER_LEFT),
    Link.NORTH: (Hexagon(0, 1), _BOTTOM),
    Link.WEST: (Hexagon(0, 0), _UPPER_LEFT),
    Link.SOUTH_WEST: (Hexagon(0, -1), _LOWER_LEFT),
    Link.SOUTH: (Hexagon(0, -1), _BOTTOM),
}

_NO_LABEL: Span = ("   ", Style.PLAIN)
_NO_EDGE: tuple[Span, ...] = (("   ", Style.PLAIN), (" ", Style.PLAIN), (" ", Style.PLAIN))

_JOB_STYLES = (
    Style.GREEN,
    Style.BLUE,
    Style.MAGENTA,
    Style.YELLOW,
    Style.CYAN,
    Style.BRIGHT_GREEN,
    Style.BRIGHT_BLUE,
    Style.BRIGHT_MAGENTA,
    Style.BRIGHT_YELLOW,
    Style.BRIGHT_CYAN,
    Style.BOLD_GREEN,
    Style.BOLD_BLUE,
    Style.BOLD_MAGENTA,
    Style.BOLD_YELLOW,
    Style.BOLD_CYAN,
)


Edge: TypeAlias = tuple[int, int, int]
"""One side of a hexagon: its column, its row and which side. Plain, as thousands are made to draw a large machine."""

_AROUND = tuple((link, *step(Hexagon(0, 0), link), *_EDGES[link][0], _EDGES[link][1]) for link in Link)
"""Of each link: itself, the steps to the hexagon that it leads to, those to the one whose edge it is, and the side."""


def job_style(job_id: int) -> Style:
    """Return the style in which a job's boards are drawn; it stays the job's own as others come and go."""
    return _JOB_STYLES[job_id % len(_JOB_STYLES)]


def machine_map(scene: Scene, columns: int | None = None, lines: int | None = None) -> list[Text]:
    """Return a map of a machine that fits a window.

    Args:
        scene: What to draw.
        columns: The window's width; None for no window, and the usual map.
        lines: Lines to keep within, if there is a choice; None for any number.

    Returns:
        Of the usual map, one folded into an upright field, and one of small cells, the first that fits; or the last
        of them when none does.
    """
    usual = hexagon_map(scene, unfolded(scene.live_boards))
    if columns is None or _fits(usual, columns, lines):
        return usual
    upright = hexagon_map(scene, folded(scene.size, scene.live_boards))
    return upright if _fits(upright, columns, lines) else cell_map(scene)


def shows_links(drawn: list[Text]) -> bool:
    """Return whether a map has lines between its boards."""
    return any("_" in line.plain for line in drawn)


def hexagon_map(scene: Scene, layout: Layout) -> list[Text]:
    """Return a map of hexagons; dead boards are blank, dead links X, free boards that are set aside hatched."""
    canvas = _Canvas(layout)
    canvas.add(layout, FREE, Style.DIM, inner=Style.DIM, outer=Style.DIM, size=scene.size)
    canvas.label(scene.set_aside.keys() & layout.keys(), SET_ASIDE, Style.YELLOW)
    for key, tenant in scene.keyed:
        style = job_style(tenant.job_id)
        boards = tenant.boards & layout.keys()
        canvas.add(boards, key.center(3), style, inner=style, outer=Style.BOLD, size=scene.size)
    canvas.kill(scene.dead_links)
    return canvas.lines()


def job_map(boards: frozenset[Board], size: Size | None) -> list[Text]:
    """Return a map of one job's boards; with the machine's size, in one piece also across the machine's edges."""
    layout = unfolded(boards) if size is None else in_one_piece(size, boards)
    canvas = _Canvas(layout)
    canvas.add(boards, FREE, Style.DIM, inner=Style.DIM, outer=Style.BOLD, size=size)
    return canvas.lines()


def cell_map(scene: Scene) -> list[Text]:
    """Return a map of cells side by side, two rows of hexagons a line; dead boards are blank, links are not shown."""
    layout = folded(scene.size, scene.live_boards)
    owners = owners_of_boards(scene.keyed)
    width = max([len(who.key) for who in scene.keyed], default=0)
    width = max(2, width)
    cells: dict[Hexagon, Span] = {
        place: _cell(owners.get(board), board in scene.set_aside, width) for board, place in layout.items()
    }
    lines = []
    for pair in range((3 * scene.size.height - 1) // 2, -1, -1):
        # Even columns have their boards in even rows, odd ones in odd rows: together, each has one a line.
        places = [Hexagon(column, 2 * pair + column % 2) for column in range(2 * scene.size.width)]
        spans = [cells.get(place, (" " * width, Style.PLAIN)) for place in places]
        lines.append(Text.of(_joined(spans)).stripped())
    return lines


def _cell(who: Keyed | None, set_aside: bool, width: int) -> Span:
    if who is None and set_aside:
        return SET_ASIDE[0].ljust(width), Style.YELLOW
    if who is None:
        return ".".ljust(width), Style.DIM
    return who.key.ljust(width), job_style(who.tenant.job_id)


def _fits(drawn: list[Text], columns: int, lines: int | None) -> bool:
    return (lines is None or len(drawn) <= lines) and max(
        [line.width for line in drawn], default=0
    ) <= columns


class _Canvas:
    """Labels and edges put on top of each other, then read off line by line."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._labels: dict[tuple[int, int], Span] = {}
        self._edges: dict[Edge, Span] = {}

    def add(
        self,
        boards: Iterable[Board],
        label: str,
        style: Style,
        *,
        inner: Style,
        outer: Style,
        size: Size | None,
    ) -> None:
        """Draw a group of boards: edges between two of them as `inner`, the others as `outer`."""
        group = frozenset(boards)
        places: set[tuple[int, int]] = {self._layout[board] for board in group}
        drawn = [[(line, each) for line in _LINE] for each in (outer, inner)]
        for board in group:
            place = column, row = self._layout[board]
            self._labels[place] = (label, style)
            for link, right, up, edge_right, edge_up, side in _AROUND:
                together = (column + right, row + up) in places or (
                    size is not None and neighbour(size, board, link) in group
                )
                self._edges[column + edge_right, row + edge_up, side] = drawn[together][side]

    def label(self, boards: Iterable[Board], label: str, style: Style) -> None:
        """Write over what boards are marked with."""
        for board in boards:
            column, row = self._layout[board]
            self._labels[column, row] = (label, style)

    def kill(self, links: Iterable[BoardLink]) -> None:
        """Draw dead links over the map."""
        for board, link in links:
            if board in self._layout:
                place, (at, side) = self._layout[board], _EDGES[link]
                self._edges[place.column + at.column, place.row + at.row, side] = (_DEAD[side], Style.RED)

    def lines(self) -> list[Text]:
        """Return what has been drawn, top line first."""
        if not self._edges:
            return []
        # A board has edges, and no label lies outside of them.
        across, up, _ = zip(*self._edges, strict=True)
        columns = range(min(across), max(across) + 1)
        rows = range(max(up), min(up) - 1, -1)
        drawn = [Text.of(_joined(self._line(row, columns))).stripped() for row in rows]
        return [line for line in drawn if line.spans]

    def _line(self, row: int, columns: range) -> list[Span]:
        edges, labels = self._edges.get, self._labels.get
        spans = []
        for column in columns:
            if (column - row) % 2 == 0:
                spans.append(edges((column, row, _UPPER_LEFT), _NO_EDGE[_UPPER_LEFT]))
                spans.append(labels((column, row), _NO_LABEL))
            else:
                spans.append(edges((column, row, _LOWER_LEFT), _NO_EDGE[_LOWER_LEFT]))
                spans.append(edges((column, row, _BOTTOM), _NO_EDGE[_BOTTOM]))
        return spans


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return the same text in as few stretches as its styles allow; blanks take any style."""
    joined: list[Span] = []
    for text, style in spans:
        if joined and (style == joined[-1][1] or (text.isspace() and not joined[-1][0].isspace())):
            joined[-1] = (joined[-1][0] + text, joined[-1][1])
        else:
            joined.append((text, style))
    return joined

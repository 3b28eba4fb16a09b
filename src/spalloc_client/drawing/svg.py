# Machines as SVG: one hexagon a board, in its job's colour, pattern and letters.
#
# The picture has to read in a browser, in a notebook beside others, printed in grey, and by people who see no colours:
# so every job has letters and a thick outline too, and whatever has an ID has the same one wherever it means the same.
"""Pictures of machines for browsers and notebooks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from spalloc_client.drawing.layout import Layout, in_one_piece, step, unfolded
from spalloc_client.drawing.looks import (
    DEAD,
    FREE,
    SET_ASIDE_DEFINITION,
    SET_ASIDE_FILL,
    Look,
    looks_of,
)
from spalloc_client.drawing.scene import Keyed, Scene, owners_of_boards
from spalloc_client.geometry import Board, Hexagon, Link, neighbour
from spalloc_client.terminal.text import Text

_ROOT_3 = sqrt(3)
_MARGIN = 12.0
_LINE = 18.0
"""Height of a line of text, pixels."""
_WIDTH_AIM = 1000.0
"""Width that a map is drawn for, pixels; small machines stay smaller."""
_SMALLEST_SIDE, _LARGEST_SIDE = 8.0, 26.0
_LEGEND_STEP = 250.0


class _Paper(NamedTuple):
    """Where a layout's places are on paper."""

    side: float
    """Length of a hexagon's side, pixels."""
    left: int
    """The leftmost column."""
    top: int
    """The topmost row."""
    above: float
    """Pixels above the map."""

    def centre(self, place: Hexagon) -> tuple[float, float]:
        """Return the middle of the hexagon at `place`."""
        x = _MARGIN + self.side * (1 + 1.5 * (place.column - self.left))
        y = self.above + self.side * _ROOT_3 / 2 * (1 + self.top - place.row)
        return x, y

    def corners(self, place: Hexagon) -> list[tuple[float, float]]:
        """Return the corners of the hexagon at `place`: right, then with the sun from the lower right."""
        x, y = self.centre(place)
        half, height = self.side / 2, self.side * _ROOT_3 / 2
        return [
            (x + self.side, y),
            (x + half, y + height),
            (x - half, y + height),
            (x - self.side, y),
            (x - half, y - height),
            (x + half, y - height),
        ]

    def side_of(self, place: Hexagon, link: Link) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ends of the side that `link` of the board at `place` crosses."""
        corners = self.corners(place)
        first = _FIRST_CORNER[link]
        return corners[first], corners[(first + 1) % 6]


_FIRST_CORNER = {
    Link.EAST: 0,
    Link.SOUTH: 1,
    Link.SOUTH_WEST: 2,
    Link.WEST: 3,
    Link.NORTH: 4,
    Link.NORTH_EAST: 5,
}


def machine_svg(scene: Scene) -> str:
    """Return a picture of a machine: its jobs, its dead boards and links, and a legend."""
    layout = unfolded(_all_boards(scene))
    heading = (
        f"{scene.name}: {scene.boards_in_use} of {len(scene.live_boards)} boards in use, "
        f"{_counted(len(scene.tenants), 'job')}"
    )
    if scene.set_aside:
        heading += f", {len(scene.set_aside)} set aside"
    return _picture(scene, layout, heading)


def job_svg(scene: Scene, job_id: int) -> str:
    """Return a picture of the boards of one of a scene's jobs."""
    (tenant,) = [tenant for tenant in scene.tenants if tenant.job_id == job_id]
    alone = scene._replace(tenants=(tenant,))
    layout = in_one_piece(scene.size, tenant.boards)
    heading = f"Job {job_id}: {_counted(len(tenant.boards), 'board')} of {scene.name}"
    return _picture(alone, layout, heading)


def stacked(pictures: Sequence[str]) -> str:
    """Return pictures of this module below each other as one."""
    if len(pictures) == 1:
        return pictures[0]
    sizes = [tuple(map(int, _SIZE.findall(picture)[0])) for picture in pictures]
    width, height = max(width for width, _ in sizes), sum(height for _, height in sizes)
    top = 0
    inner = []
    for picture, (_, its_height) in zip(pictures, sizes, strict=True):
        inner.append(picture.replace("<svg ", f'<svg y="{top}" ', 1))
        top += its_height
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" style="max-width:100%;height:auto" role="img">'
    )
    return "\n".join([opening, *inner, "</svg>\n"])


_SIZE = re.compile(r'<svg [^>]*width="(\d+)" height="(\d+)"')


def _all_boards(scene: Scene) -> Iterable[Board]:
    return (*scene.live_boards, *scene.dead_boards)


def _picture(scene: Scene, layout: Layout, heading: str) -> str:
    keyed = scene.keyed
    looks = looks_of(tenant.job_id for tenant in scene.tenants)
    paper, width, map_end = _paper(layout)
    dead_links = [end for end in scene.dead_links if end.board in layout]
    legend = _Legend(map_end + _MARGIN, width)
    for who in keyed:
        legend.job(who, looks[who.tenant.job_id])
    if scene.dead_boards & layout.keys():
        legend.dead_boards(len(scene.dead_boards & layout.keys()))
    if scene.set_aside.keys() & layout.keys():
        legend.set_aside(len(scene.set_aside.keys() & layout.keys()))
    if dead_links:
        legend.dead_links(scene.dead_cables)
    height = legend.end + _MARGIN
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:100%;height:auto" role="img" '
        'font-family="sans-serif" font-size="13">'
    )
    parts = [
        opening,
        f"<title>{_escaped(heading)}</title>",
        "<defs>",
        *sorted({look.definition() for look in looks.values()}),
        *([SET_ASIDE_DEFINITION] if scene.set_aside.keys() & layout.keys() else []),
        "</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        f'<text x="{_MARGIN}" y="{_MARGIN + 13}" font-size="15" font-weight="bold">{_escaped(heading)}</text>',
        *_hexagons(scene, layout, paper, looks),
        *_outlines(scene, layout, paper),
        *_dead_link_marks(dead_links, layout, paper),
        *legend.parts,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _paper(layout: Layout) -> tuple[_Paper, float, float]:
    """Return the paper for a layout, the picture's width and where the map ends."""
    columns = [place.column for place in layout.values()] or [0]
    rows = [place.row for place in layout.values()] or [0]
    across = 1.5 * (max(columns) - min(columns)) + 2
    side = min(_LARGEST_SIDE, max(_SMALLEST_SIDE, _WIDTH_AIM / across))
    paper = _Paper(side, min(columns), max(rows), _MARGIN + 2 * _LINE)
    _, lowest = paper.centre(Hexagon(min(columns), min(rows)))
    width = max(2 * _MARGIN + side * across, 2 * _MARGIN + _LEGEND_STEP + 100)
    return paper, width, lowest + side * _ROOT_3 / 2


def _hexagons(scene: Scene, layout: Layout, paper: _Paper, looks: Mapping[int, Look]) -> Iterator[str]:
    owners = owners_of_boards(scene.keyed)
    yield '<g stroke="#8a8a8a" stroke-width="0.6" text-anchor="middle">'
    for board, place in sorted(layout.items()):
        who = owners.get(board)
        dead = board in scene.dead_boards
        what = "dead" if dead else "free" if who is None else f"job {who.tenant.job_id}, {who.tenant.owner}"
        aside = scene.set_aside.get(board)
        if aside is not None:
            what = f"set aside: {aside}" if who is None else f"{what}; set aside: {aside}"
        fill = DEAD if dead else FREE if who is None else looks[who.tenant.job_id].fill
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in paper.corners(place))
        yield f'<polygon points="{points}" fill="{fill}"><title>Board {board}: {_escaped(what)}</title></polygon>'
        if aside is not None:
            yield f'<polygon points="{points}" fill="{SET_ASIDE_FILL}" pointer-events="none"/>'
        x, y = paper.centre(place)
        if dead:
            arm = paper.side * 0.4
            yield (
                f'<path d="M{x - arm:.1f} {y - arm:.1f}l{2 * arm:.1f} {2 * arm:.1f}'
                f'm0 {-2 * arm:.1f}l{-2 * arm:.1f} {2 * arm:.1f}" stroke="#fff" stroke-width="1.6"/>'
            )
        elif who is not None:
            size = paper.side * (1.0, 0.85, 0.65)[min(len(who.key), 3) - 1]
            yield (
                f'<text x="{x:.1f}" y="{y + size * 0.36:.1f}" font-size="{size:.1f}" stroke="none" '
                f'fill="#000" pointer-events="none">{who.key}</text>'
            )
    yield "</g>"


def _outlines(scene: Scene, layout: Layout, paper: _Paper) -> Iterator[str]:
    """Draw around each job's boards; open where they go on across the machine's edge."""
    for tenant in scene.tenants:
        boards = [board for board in layout if board in tenant.boards]
        places = {layout[board] for board in boards}
        drawn = []
        for board in sorted(boards):
            for link in Link:
                place = layout[board]
                if step(place, link) in places or neighbour(scene.size, board, link) in tenant.boards:
                    continue
                (x1, y1), (x2, y2) = paper.side_of(place, link)
                drawn.append(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}")
        if drawn:
            thickness = max(1.8, paper.side * 0.14)
            yield (
                f'<path d="{"".join(drawn)}" fill="none" stroke="#111" stroke-width="{thickness:.1f}" '
                'stroke-linecap="round"/>'
            )


def _dead_link_marks(
    dead_links: Iterable[tuple[Board, Link]], layout: Layout, paper: _Paper
) -> Iterator[str]:
    marks = set()
    for board, link in dead_links:
        (x1, y1), (x2, y2) = paper.side_of(layout[board], link)
        marks.add(_dead_mark(x1, y1, x2, y2, paper.side))
    yield from sorted(marks)


def _dead_mark(x1: float, y1: float, x2: float, y2: float, side: float) -> str:
    """Draw a red bar with a white cross through it; the same for both ends of a cable."""
    (x1, y1), (x2, y2) = sorted(((round(x1, 1), round(y1, 1)), (round(x2, 1), round(y2, 1))))
    x, y, arm = (x1 + x2) / 2, (y1 + y2) / 2, side * 0.22
    bar = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    cross = f"M{x - arm:.1f} {y - arm:.1f}l{2 * arm:.1f} {2 * arm:.1f}m0 {-2 * arm:.1f}l{-2 * arm:.1f} {2 * arm:.1f}"
    return (
        f'<path d="{bar}" stroke="#c00020" stroke-width="{side * 0.28:.1f}" stroke-linecap="round"/>'
        f'<path d="{cross}" stroke="#c00020" stroke-width="{side * 0.22:.1f}"/>'
        f'<path d="{cross}" stroke="#fff" stroke-width="{side * 0.08:.1f}"/>'
    )


class _Legend:
    """Swatches and words below the map, in columns."""

    def __init__(self, top: float, width: float) -> None:
        self.parts: list[str] = []
        self._top = top
        self._columns = max(1, int((width - 2 * _MARGIN) // _LEGEND_STEP))
        self._count = 0

    @property
    def end(self) -> float:
        return self._top + -(-self._count // self._columns) * _LINE

    def job(self, who: Keyed, look: Look) -> None:
        tenant = who.tenant
        words = f"{who.key}: job {tenant.job_id}, {_counted(len(tenant.boards), 'board')}, {tenant.owner}"
        x, y = self._next()
        self.parts.append(
            f'<rect x="{x:.0f}" y="{y - 11:.0f}" width="20" height="13" fill="{look.fill}" '
            'stroke="#111" stroke-width="1.4"/>'
        )
        self._words(x, y, words)

    def dead_boards(self, count: int) -> None:
        x, y = self._next()
        self.parts.append(
            f'<rect x="{x:.0f}" y="{y - 11:.0f}" width="20" height="13" fill="{DEAD}"/>'
            f'<path d="M{x + 6:.0f} {y - 8:.0f}l8 8m0 -8l-8 8" stroke="#fff" stroke-width="1.6"/>'
        )
        self._words(x, y, _counted(count, "dead board"))

    def set_aside(self, count: int) -> None:
        x, y = self._next()
        for fill in (FREE, SET_ASIDE_FILL):
            self.parts.append(
                f'<rect x="{x:.0f}" y="{y - 11:.0f}" width="20" height="13" fill="{fill}" stroke="#8a8a8a"/>'
            )
        self._words(x, y, f"{_counted(count, 'board')} set aside")

    def dead_links(self, count: int) -> None:
        x, y = self._next()
        self.parts.append(_dead_mark(x, y - 4.5, x + 20, y - 4.5, 16))
        self._words(x, y, _counted(count, "dead link"))

    def _next(self) -> tuple[float, float]:
        line, column = divmod(self._count, self._columns)
        self._count += 1
        return _MARGIN + column * _LEGEND_STEP, self._top + (line + 1) * _LINE - 5

    def _words(self, x: float, y: float, words: str) -> None:
        line = Text(words)
        # In a terminal's columns: letters of two are as wide in pictures.
        shown = words if line.width <= _LEGEND_LETTERS else line.cropped(_LEGEND_LETTERS - 1).plain + "…"
        self.parts.append(
            f'<text x="{x + 26:.0f}" y="{y:.0f}">{_escaped(shown)}<title>{_escaped(words)}</title></text>'
        )


_LEGEND_LETTERS = 32


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _escaped(text: str) -> str:
    """Return `text` for use in XML; characters that XML can't have become escapes."""
    legal = "".join(
        mark if mark.isprintable() or mark in "\t\n" else mark.encode("unicode_escape").decode()
        for mark in text
    )
    return legal.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")

"""Draws machines as SVG: one hexagon for each board, in its job's colour, pattern and letters.

A picture must be readable in a browser, in a notebook beside others, printed in grey, and by people who see no
colours. So every job has letters and a thick outline too, and elements with the same meaning have the same ID.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from spalloc_client.drawing.layout import Layout, in_one_piece, step, unfolded
from spalloc_client.drawing.legend import LINE, Legend
from spalloc_client.drawing.looks import DARK_THEME, DEAD, FREE, SET_ASIDE, SET_ASIDE_OF_JOB, Look, looks_of
from spalloc_client.drawing.marks import counted, dead_link_mark, escaped
from spalloc_client.drawing.scene import Scene, owners_of_boards
from spalloc_client.geometry import Board, Hexagon, Link, neighbour
from spalloc_client.terminal.text import Text

_ROOT_3 = sqrt(3)
_MARGIN = 12.0
_HEADING_LETTER = 9.5
"""Pixels that a letter of the heading takes, with most fonts."""
_WIDTH_AIM = 1000.0
"""Width that a map is drawn for, pixels; small machines stay smaller."""
_SMALLEST_SIDE, _LARGEST_SIDE = 8.0, 26.0


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
        f"{counted(len(scene.tenants), 'job')}"
    )
    if scene.set_aside:
        heading += f", {len(scene.set_aside)} set aside"
    return _picture(scene, layout, heading)


def job_svg(scene: Scene, job_id: int) -> str:
    """Return a picture of the boards of one of a scene's jobs."""
    (tenant,) = [tenant for tenant in scene.tenants if tenant.job_id == job_id]
    alone = scene._replace(tenants=(tenant,))
    layout = in_one_piece(scene.size, tenant.boards)
    heading = f"Job {job_id}: {counted(len(tenant.boards), 'board')} of {scene.name}"
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
    dead_links = [end for end in scene.dead_links if end.board in layout]
    legend = Legend()
    for who in keyed:
        legend.job(who, looks[who.tenant.job_id])
    if scene.dead_boards & layout.keys():
        legend.dead_boards(len(scene.dead_boards & layout.keys()))
    aside = scene.set_aside.keys() & layout.keys()
    if aside:
        legend.set_aside(len(aside))
    if dead_links:
        legend.dead_links(scene.dead_cables)
    paper, width, map_end = _paper(layout, max(legend.step, Text(heading).width * _HEADING_LETTER))
    key, key_end = legend.drawn(_MARGIN, map_end + _MARGIN, width - 2 * _MARGIN)
    height = key_end + _MARGIN
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:100%;height:auto" role="img" '
        'font-family="sans-serif" font-size="13">'
    )
    parts = [
        opening,
        f"<title>{escaped(heading)}</title>",
        DARK_THEME,
        "<defs>",
        *sorted({look.definition() for look in looks.values()}),
        *([SET_ASIDE.definition()] if aside else []),
        *([SET_ASIDE_OF_JOB.definition()] if aside & owners_of_boards(keyed).keys() else []),
        "</defs>",
        f'<rect class="spalloc-page" width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        (
            f'<text class="spalloc-words" x="{_MARGIN}" y="{_MARGIN + 13}" font-size="15" font-weight="bold">'
            f"{escaped(heading)}</text>"
        ),
        *_hexagons(scene, layout, paper, looks),
        *_outlines(scene, layout, paper),
        *_dead_link_marks(dead_links, layout, paper),
        *key,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _paper(layout: Layout, least: float) -> tuple[_Paper, float, float]:
    """Return the paper for a layout, the picture's width, for `least` pixels or more, and where the map ends."""
    columns = [place.column for place in layout.values()] or [0]
    rows = [place.row for place in layout.values()] or [0]
    across = 1.5 * (max(columns) - min(columns)) + 2
    side = min(_LARGEST_SIDE, max(_SMALLEST_SIDE, _WIDTH_AIM / across))
    paper = _Paper(side, min(columns), max(rows), _MARGIN + 2 * LINE)
    _, lowest = paper.centre(Hexagon(min(columns), min(rows)))
    width = 2 * _MARGIN + max(side * across, least)
    return paper, width, lowest + side * _ROOT_3 / 2


def _hexagons(scene: Scene, layout: Layout, paper: _Paper, looks: Mapping[int, Look]) -> Iterator[str]:
    owners = owners_of_boards(scene.keyed)
    yield '<g class="spalloc-outlines" stroke="#8a8a8a" stroke-width="0.6" text-anchor="middle">'
    for board, place in sorted(layout.items()):
        who = owners.get(board)
        dead = board in scene.dead_boards
        what = "dead" if dead else "free" if who is None else f"job {who.tenant.job_id}, {who.tenant.owner}"
        aside = scene.set_aside.get(board)
        if aside is not None:
            what = f"set aside: {aside}" if who is None else f"{what}; set aside: {aside}"
        fill = (
            f'fill="{looks[who.tenant.job_id].fill}"'
            if who is not None
            else f'class="spalloc-free" fill="{FREE}"'
        )
        fill = f'class="spalloc-dead" fill="{DEAD}"' if dead else fill
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in paper.corners(place))
        yield f'<polygon points="{points}" {fill}><title>Board {board}: {escaped(what)}</title></polygon>'
        if aside is not None:
            hatching = SET_ASIDE if who is None else SET_ASIDE_OF_JOB
            yield f'<polygon points="{points}" fill="{hatching.fill}" pointer-events="none"/>'
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
        marks.add(dead_link_mark(x1, y1, x2, y2, paper.side))
    yield from sorted(marks)

"""Draws chips in boards, boards in a triad, triads in a machine, and the same boards in a frame of a cabinet.

All positions follow from spinnaker.geometry and spinnaker.places.
"""

from math import cos, pi, sin

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from spinnaker.geometry import (
    BOARD_CHIPS,
    BOARDS_PER_TRIAD,
    ETHERNET_CHIP,
    Board,
    Chip,
    Link,
    Size,
    boards_of,
    hexagon,
    neighbour,
)
from spinnaker.places import BOARDS_PER_FRAME, FRAMES_PER_CABINET, sequential_places

MACHINE = Size(3, 2)
TRIAD = tuple(Board(1, 0, z) for z in range(BOARDS_PER_TRIAD))
JOB = tuple(board for board in boards_of(MACHINE) if board.x == MACHINE.width - 1)

_SIDE = 44
"""The side of a board's hexagon."""
_COLUMN, _ROW = 1.5 * _SIDE, sin(pi / 3) * _SIDE
_LEFT, _BOTTOM = 250, 300
"""Where the centre of board (0, 0, 0) is."""
_WIDTH, _HEIGHT = 920, 360
_CHIP = 2.7
_LINKED = Board(0, 0, 2)
"""The board whose link to the north is drawn."""
_MIDDLE = Chip(*(sum(axis) / len(BOARD_CHIPS) for axis in zip(*BOARD_CHIPS, strict=True)))
_SLOT = (9, 34)
_CABINET = (690, 62)
_COLOUR = "#c0392b"


def _centre(board):
    column, row = hexagon(board)
    return _LEFT + column * _COLUMN, _BOTTOM - row * _ROW


def _chip(board, chip):
    """Return where a chip is: a step in x is a sixth of a column, one in y a quarter of a row and back a twelfth."""
    x, y = _centre(board)
    right, up = chip.x - _MIDDLE.x, chip.y - _MIDDLE.y
    return x + _COLUMN * (right / 6 - up / 12), y - _ROW * up / 4


def _corners(board):
    x, y = _centre(board)
    return [(x + _SIDE * cos(step * pi / 3), y - _SIDE * sin(step * pi / 3)) for step in range(6)]


def _outline(boards):
    """Return the edges of hexagons that belong to one of `boards` only."""
    edges = {}
    for board in boards:
        corners = _corners(board)
        for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
            key = frozenset((round(x), round(y)) for x, y in (start, end))
            edges.setdefault(key, []).append((start, end))
    return [found[0] for found in edges.values() if len(found) == 1]


def _line(start, end, colour="currentColor", width=1):
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="{width}" stroke-linecap="round"/>'
    )


def _label(where, text, to=None, anchor="end"):
    """Return words at a place, and a thin line from them to what they name."""
    x, y = where
    parts = [f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="14">{text}</text>']
    if to is not None:
        parts.append(_line((x + (6 if anchor == "end" else -6), y - 5), to))
    return parts


def _machine():
    parts = []
    for board in boards_of(MACHINE):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _corners(board))
        shade = 0.25 if board in JOB else 0
        parts.append(
            f'<polygon points="{points}" fill="currentColor" fill-opacity="{shade}" '
            'stroke="currentColor" stroke-opacity="0.6"/>'
        )
    for board in TRIAD:
        for chip in BOARD_CHIPS:
            x, y = _chip(board, chip)
            colour = _COLOUR if chip == ETHERNET_CHIP else "currentColor"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_CHIP}" fill="{colour}"/>')
    parts += [_line(start, end, _COLOUR, 3) for start, end in _outline(TRIAD)]
    parts.append(_line(_centre(_LINKED), _centre(neighbour(MACHINE, _LINKED, Link.NORTH)), _COLOUR, 5))
    return parts


def _cabinet():
    left, top = _CABINET
    width, height = _SLOT
    parts = []
    places = sequential_places(MACHINE)
    used = {place.board: board for board, place in places.items()}
    for frame in range(FRAMES_PER_CABINET):
        for slot in range(BOARDS_PER_FRAME):
            board = used.get(slot) if frame == 0 else None
            x, y = left + slot * width, top + frame * (height + 12)
            shade = 0.25 if board in JOB else 0
            colour = _COLOUR if board in TRIAD else "currentColor"
            parts.append(
                f'<rect x="{x}" y="{y}" width="{width - 2}" height="{height}" fill="{colour}" '
                f'fill-opacity="{shade}" stroke="{colour}" stroke-opacity="{1 if board else 0.3}"/>'
            )
    frame_width = BOARDS_PER_FRAME * width
    cabinet_height = FRAMES_PER_CABINET * (height + 12)
    parts.append(
        f'<rect x="{left - 8}" y="{top - 8}" width="{frame_width + 14}" height="{cabinet_height + 4}" rx="4" '
        'fill="none" stroke="currentColor"/>'
    )
    return parts


def drawing():
    """Return the drawing as SVG."""
    first, second, _ = TRIAD
    parts = _machine() + _cabinet()
    parts += _label((120, 60), "machine", _corners(Board(0, 1, 2))[3])
    parts += _label((120, 120), "board", _centre(Board(0, 1, 0)))
    parts += _label((120, 180), "link", _middle(_LINKED))
    parts += _label((300, 352), "Ethernet-connected chip", _chip(first, ETHERNET_CHIP))
    parts += _label((400, 352), "chip", _chip(first, Chip(4, 0)), "start")
    parts += _label((485, 352), "triad", _corners(second)[5], "start")
    parts += _label((600, 215), "job", _centre(Board(2, 0, 1)), "start")
    left, _ = _CABINET
    parts += _label((left, 40), "cabinet of 5 frames", anchor="start")
    parts += _label((left, 318), "frame: 24 places, one BMP", anchor="start")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="A machine of 3 by 2 triads: chips in boards, boards in a triad, and the boards in a frame of a '
        f'cabinet" fill="currentColor" style="max-width: {_WIDTH}px">{"".join(parts)}</svg>'
    )


def _middle(board):
    (x1, y1), (x2, y2) = _centre(board), _centre(neighbour(MACHINE, board, Link.NORTH))
    return (x1 + x2) / 2, (y1 + y2) / 2


class DrawingOfAMachine(SphinxDirective):
    """Puts the drawing in a page."""

    def run(self):
        return [nodes.raw("", drawing(), format="html")]


def setup(app):
    app.add_directive("drawing-of-a-machine", DrawingOfAMachine)
    return {"parallel_read_safe": True}

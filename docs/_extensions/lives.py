"""Draws the states of jobs and boards from the core's own tables, so that drawing and code can't differ."""

from dataclasses import dataclass
from math import copysign, hypot

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from spalloc_client.states import JobState
from spalloc_server.core.board_life import (
    BOARD_LIFE,
    Cooling,
    Free,
    Held,
    Lost,
    Objection,
    Resting,
    StayingOn,
    SwitchingOff,
    Testing,
    in_words,
)
from spalloc_server.core.jobs import LIFE

_BOX = (120, 40)
_GAP = 7
"""How far an arrow is from the line between two centres, so that arrows in both directions are apart."""


@dataclass(frozen=True)
class Life:
    """A table of states, and where the states are in the drawing."""

    of: str
    table: dict
    places: dict
    size: tuple[int, int]
    loops: int
    """Where an arrow from a state to itself is: -1 for above the box, 1 for below."""
    name: object
    """Returns the name of a state."""


JOBS = Life(
    "job",
    LIFE,
    {
        JobState.queued: (80, 150),
        JobState.power: (330, 80),
        JobState.ready: (580, 150),
        JobState.destroyed: (330, 230),
    },
    (660, 260),
    -1,
    lambda state: state.name,
)
BOARDS = Life(
    "board",
    BOARD_LIFE,
    {
        Free: (90, 120),
        Held: (370, 40),
        SwitchingOff: (370, 250),
        Cooling: (70, 250),
        StayingOn: (710, 250),
        Resting: (250, 400),
        Testing: (490, 400),
        Lost: (690, 120),
    },
    (780, 470),
    1,
    in_words,
)


def _border(x, y, aside_x, aside_y, along_x, along_y):
    """Return where a line that begins at an offset from a box's centre leaves the box."""
    width, height = _BOX[0] / 2 + 2, _BOX[1] / 2 + 2
    ways = []
    if along_x:
        ways.append((copysign(width, along_x) - aside_x) / along_x)
    if along_y:
        ways.append((copysign(height, along_y) - aside_y) / along_y)
    return x + min(ways) * along_x, y + min(ways) * along_y


def _edge(life, start, end, label):
    (x1, y1), (x2, y2) = life.places[start], life.places[end]
    if start is end:
        y, up = y1 + 20 * life.loops, 42 * life.loops
        path = f"M {x1 - 20} {y} C {x1 - 40} {y + up}, {x1 + 40} {y + up}, {x1 + 20} {y}"
        where = (x1, y + (36 if life.loops < 0 else 44) * life.loops)
    else:
        length = hypot(x2 - x1, y2 - y1)
        along_x, along_y = (x2 - x1) / length, (y2 - y1) / length
        aside_x, aside_y = -_GAP * along_y, _GAP * along_x
        first = _border(x1 + aside_x, y1 + aside_y, aside_x, aside_y, along_x, along_y)
        last = _border(x2 + aside_x, y2 + aside_y, aside_x, aside_y, -along_x, -along_y)
        path = f"M {first[0]:.0f} {first[1]:.0f} L {last[0]:.0f} {last[1]:.0f}"
        # Beside the arrow, away from the arrow in the other direction.
        by_x, by_y = aside_x * (1.3 + 0.4 * len(label)), aside_y * 1.6
        where = (first[0] * 0.7 + last[0] * 0.3 + by_x, first[1] * 0.7 + last[1] * 0.3 + by_y + 4)
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" marker-end="url(#{life.of}-arrow)"/>'
        f'<text x="{where[0]:.0f}" y="{where[1]:.0f}" text-anchor="middle" font-size="13">{label}</text>'
    )


def diagram(life):
    """Return the diagram as SVG; the numbers are the table's rows."""
    parts = []
    edges = {}
    for number, ((start, _), end) in enumerate(life.table.items(), 1):
        edges.setdefault((start, end), []).append(str(number))
    for (start, end), numbers in edges.items():
        parts.append(_edge(life, start, end, ", ".join(numbers)))
    width, height = _BOX
    for state, (x, y) in life.places.items():
        parts.append(
            f'<rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}" rx="6" '
            f'fill="none" stroke="currentColor"/>'
            f'<text x="{x}" y="{y + 5}" text-anchor="middle" font-size="15">{life.name(state)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {life.size[0]} {life.size[1]}" role="img" '
        f'aria-label="The states of a {life.of} and what leads from one to the next" fill="currentColor" '
        f'style="max-width: {life.size[0]}px">'
        f'<defs><marker id="{life.of}-arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M 0 0 L 10 5 L 0 10 z" fill="currentColor"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )


def changes(life):
    """Return the table of transitions between states, in Markdown."""
    lines = [f"| | a {life.of} that is | when | becomes |", "| --- | --- | --- | --- |"]
    for number, ((start, happening), end) in enumerate(life.table.items(), 1):
        lines.append(f"| {number} | {life.name(start)} | {happening.value} | {life.name(end)} |")
    return "\n".join(lines)


def states():
    """Return the table of a board's states, in Markdown."""
    lines = ["| a board that is | |", "| --- | --- |"]
    lines += [f"| {in_words(state)} | {state.__doc__} |" for state in BOARDS.places]
    return "\n".join(lines)


def objections():
    """Return the table of objections to boards, in Markdown."""
    lines = ["| objection | counted as | ends when |", "| --- | --- | --- |"]
    for objection in Objection:
        over = "the board has passed a test" if objection.needs_test else "that is no longer so"
        lines.append(f"| {objection.words} | `{objection.counted_as.value}` | {over} |")
    return "\n".join(lines)


class LifeOfAJob(SphinxDirective):
    """Puts diagram and table in a page."""

    def run(self):
        picture = nodes.raw("", diagram(JOBS), format="html")
        return [picture, *self.parse_text_to_nodes(changes(JOBS))]


class LifeOfABoard(SphinxDirective):
    """Puts diagram and tables in a page."""

    def run(self):
        picture = nodes.raw("", diagram(BOARDS), format="html")
        tables = "\n\n".join([states(), changes(BOARDS), objections()])
        return [picture, *self.parse_text_to_nodes(tables)]


def setup(app):
    app.add_directive("life-of-a-job", LifeOfAJob)
    app.add_directive("life-of-a-board", LifeOfABoard)
    return {"parallel_read_safe": True}

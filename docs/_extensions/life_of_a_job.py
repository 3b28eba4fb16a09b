# Draws the life of a job from the core's own table, so that picture and code can't differ.
"""The directive `life-of-a-job`: a diagram of states, and a table of what leads from one to the next."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from spalloc_client.states import JobState
from spalloc_server.core.life import LIFE

_BOX = (110, 40)
_PLACES = {
    JobState.queued: (80, 60),
    JobState.power: (320, 60),
    JobState.ready: (560, 60),
    JobState.destroyed: (320, 200),
}
_SIZE = (640, 240)


def _edge(start, end, label):
    (x1, y1), (x2, y2) = _PLACES[start], _PLACES[end]
    if start is end:
        path = f"M {x1 - 20} {y1 - 20} C {x1 - 40} {y1 - 62}, {x1 + 40} {y1 - 62}, {x1 + 20} {y1 - 20}"
        where = (x1, y1 - 56)
    elif y1 == y2:
        right = x2 > x1
        y = y1 - 8 if right else y1 + 8
        from_x, to_x = (x1 + 55, x2 - 57) if right else (x1 - 55, x2 + 57)
        path = f"M {from_x} {y} L {to_x} {y}"
        where = ((from_x + to_x) / 2, y - 6 if right else y + 16)
    else:
        path = f"M {x1} {y1 + 20} L {x2 + (x1 - x2) * 0.18} {y2 - 22}"
        where = ((x1 + x2) / 2 + 14, (y1 + y2) / 2)
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" marker-end="url(#life-arrow)"/>'
        f'<text x="{where[0]}" y="{where[1]}" text-anchor="middle" font-size="13">{label}</text>'
    )


def diagram():
    """Return the diagram as SVG; the numbers are the table's rows."""
    parts = []
    edges = {}
    for number, ((start, _), end) in enumerate(LIFE.items(), 1):
        edges.setdefault((start, end), []).append(str(number))
    for (start, end), numbers in edges.items():
        parts.append(_edge(start, end, ", ".join(numbers)))
    width, height = _BOX
    for state, (x, y) in _PLACES.items():
        parts.append(
            f'<rect x="{x - width / 2}" y="{y - height / 2}" width="{width}" height="{height}" rx="6" '
            f'fill="none" stroke="currentColor"/>'
            f'<text x="{x}" y="{y + 5}" text-anchor="middle" font-size="15">{state.name}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE[0]} {_SIZE[1]}" role="img" '
        f'aria-label="The states of a job and what leads from one to the next" fill="currentColor" '
        f'style="max-width: {_SIZE[0]}px">'
        '<defs><marker id="life-arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M 0 0 L 10 5 L 0 10 z" fill="currentColor"/></marker></defs>'
        f"{''.join(parts)}</svg>"
    )


class LifeOfAJob(SphinxDirective):
    """Puts diagram and table in a page."""

    def run(self):
        lines = ["| | a job that is | when | becomes |", "| --- | --- | --- | --- |"]
        for number, ((start, happening), end) in enumerate(LIFE.items(), 1):
            lines.append(f"| {number} | {start.name} | {happening.value} | {end.name} |")
        picture = nodes.raw("", diagram(), format="html")
        return [picture, *self.parse_text_to_nodes("\n".join(lines))]


def setup(app):
    app.add_directive("life-of-a-job", LifeOfAJob)
    return {"parallel_read_safe": True}

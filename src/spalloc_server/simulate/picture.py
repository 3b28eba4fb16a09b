"""A picture of a machine's occupancy over time, as SVG.

Drawing only: the history comes from simulation.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from spalloc_server.simulate.simulation import History

_WIDTH, _LEFT, _RIGHT, _TOP, _GAP = 960, 88, 20, 34, 58
_QUEUE, _BETWEEN, _USE = 110, 8, 80
_CHART = _QUEUE + _BETWEEN + _USE
_COLUMNS = 480
_BUSY, _WANTED, _INK, _LINE = "#3b6ea5", "#e0a458", "#333", "#ccc"
_HOUR = 3600.0
_DAY = 86_400.0
_MOST_HOURS = 96
"""Hours up to which a picture's axis is in hours."""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A machine over time: the boards in use, and those that waiting jobs ask for."""

    title: str
    boards: int
    """How many boards the machine has."""
    changes: tuple[tuple[float, int, int], ...]
    """The changes in order: the time in seconds, and by how many boards use and waiting requests change."""


def occupancy(history: History, title: str) -> Occupancy:
    """Return a history's occupancy; of the boards in use, those that the jobs asked for count."""
    return occupancy_of(
        title,
        history.boards,
        [(run.job.submit, run.started, run.ended, run.job.boards) for run in history.runs],
    )


def occupancy_of(title: str, boards: int, jobs: Sequence[tuple[float, float, float, int]]) -> Occupancy:
    """Return the occupancy of a machine by jobs.

    Args:
        title: what to write above it.
        boards: how many boards the machine has.
        jobs: for each job when it was submitted, started and ended, in seconds, and the boards it asked for.
    """
    used: Counter[float] = Counter()
    wanted: Counter[float] = Counter()
    for submitted, started, ended, asked in jobs:
        wanted[submitted] += asked
        wanted[started] -= asked
        used[started] += asked
        used[ended] -= asked
    changes = tuple((time, used[time], wanted[time]) for time in sorted(used.keys() | wanted.keys()))
    return Occupancy(title, boards, changes)


def draw(charts: Sequence[Occupancy]) -> str:
    """Return an SVG document with one chart below the other, all to the same scale of time.

    Each shows the boards that waiting jobs ask for, in multiples of the machine, and below the share of its boards in
    use.
    """
    start = min(chart.changes[0][0] for chart in charts)
    end = max(chart.changes[-1][0] for chart in charts)
    span = max(end - start, 1.0)
    columns = [_columns(chart, start, span) for chart in charts]
    most = max(1.0, *(wanted for column in columns for _, wanted in column))
    height = _TOP + len(charts) * (_CHART + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        f' font-family="sans-serif" font-size="13" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for at, (chart, column) in enumerate(zip(charts, columns, strict=True)):
        parts += _chart(chart, column, _TOP + at * (_CHART + _GAP), span, most)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _columns(chart: Occupancy, start: float, span: float) -> list[tuple[float, float]]:
    """Return, for each column of the chart, the mean share of boards in use, and of boards waited for."""
    width = span / _COLUMNS
    used, wanted = [0.0] * (_COLUMNS + 1), [0.0] * (_COLUMNS + 1)
    times = [time for time, _, _ in chart.changes] + [start + span]
    uses = accumulate(change for _, change, _ in chart.changes)
    wants = accumulate(change for _, _, change in chart.changes)
    for begin, finish, use, want in zip(times, times[1:], uses, wants, strict=False):
        time = begin
        while time < finish:
            column = int((time - start) / width)
            until = min(finish, start + (column + 1) * width)
            if until <= time:
                column, until = column + 1, min(finish, start + (column + 2) * width)
            share = (until - time) / width / chart.boards
            used[min(column, _COLUMNS)] += use * share
            wanted[min(column, _COLUMNS)] += want * share
            time = until
    return list(zip(used[:_COLUMNS], wanted[:_COLUMNS], strict=True))


def _chart(
    chart: Occupancy, columns: Sequence[tuple[float, float]], y: int, span: float, most: float
) -> list[str]:
    floor, bottom = y + _QUEUE, y + _CHART
    legend = _WIDTH - 330
    return [
        f'<text x="{_LEFT}" y="{y - 10}" font-weight="bold">{escape(chart.title)}</text>',
        f'<rect x="{legend}" y="{y - 20}" width="11" height="11" fill="{_WANTED}"/>',
        f'<text x="{legend + 16}" y="{y - 10}">asked for by waiting jobs</text>',
        f'<rect x="{legend + 190}" y="{y - 20}" width="11" height="11" fill="{_BUSY}"/>',
        f'<text x="{legend + 206}" y="{y - 10}">boards in use</text>',
        *_area([wanted / most for _, wanted in columns], floor, _QUEUE, _WANTED),
        *_area([used for used, _ in columns], bottom, _USE, _BUSY),
        _label(f"{most:.0f} machine{'' if most == 1 else 's'}", y + 10),
        _label("100 %", bottom - _USE + 10),
        _label("0", bottom),
        *_hours(bottom, span),
    ]


def _area(shares: Sequence[float], floor: int, height: int, colour: str) -> list[str]:
    """Draw shares, 0 to 1, as heights above a line, and the line at 1."""
    step = (_WIDTH - _LEFT - _RIGHT) / len(shares)
    points = [f"{_LEFT + at * step:.1f},{floor - share * height:.1f}" for at, share in enumerate(shares)]
    right = _WIDTH - _RIGHT
    return [
        f'<polygon points="{_LEFT},{floor} {" ".join(points)} {right},{floor}" fill="{colour}"/>',
        f'<line x1="{_LEFT}" y1="{floor}" x2="{right}" y2="{floor}" stroke="{_LINE}"/>',
        f'<line x1="{_LEFT}" y1="{floor - height}" x2="{right}" y2="{floor - height}" stroke="{_LINE}"/>',
    ]


def _label(text: str, y: int) -> str:
    return f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end" font-size="11">{text}</text>'


def _hours(bottom: int, span: float) -> list[str]:
    """Draw an axis of hours, or of days where the hours would be more than a few days."""
    unit, name = (_DAY, "d") if span > _MOST_HOURS * _HOUR else (_HOUR, "h")
    units = span / unit
    parts = []
    for number in range(0, int(units) + 1, max(1, round(units / 10))):
        x = _LEFT + number / units * (_WIDTH - _LEFT - _RIGHT)
        parts.append(f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}" stroke="{_INK}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{number} {name}</text>')
    return parts

# A picture of a machine's occupancy over time, as SVG.
#
# Drawing only; where the occupancy comes from is history.py's.
"""Occupancy over time, drawn."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate

from spalloc_server.simulate.history import History

_WIDTH, _CHART, _LEFT, _TOP, _GAP = 960, 180, 64, 34, 58
_COLUMNS = 480
_BUSY, _WANTED, _INK, _LINE = "#3b6ea5", "#e0a458", "#333", "#ccc"
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A machine over time: how much of it is used and how much is asked for by jobs that wait."""

    title: str
    boards: int
    """How many boards the machine has."""
    changes: tuple[tuple[float, int, int], ...]
    """When something changes, in order: the time in seconds, and by how many boards use and waiting requests change."""


def occupancy(history: History, title: str) -> Occupancy:
    """Return a history's occupancy; boards count as used as far as they were asked for."""
    return occupancy_of(
        title,
        history.machine.size.boards,
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

    Each shows the boards in use, and above them the boards that jobs wait for, as a share of the machine.
    """
    start = min(chart.changes[0][0] for chart in charts)
    end = max(chart.changes[-1][0] for chart in charts)
    span = max(end - start, 1.0)
    columns = [_columns(chart, start, span) for chart in charts]
    top = max(1.0, *(used + wanted for column in columns for used, wanted in column))
    height = _TOP + len(charts) * (_CHART + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        f' font-family="sans-serif" font-size="13" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for at, (chart, column) in enumerate(zip(charts, columns, strict=True)):
        parts += _chart(chart, column, _TOP + at * (_CHART + _GAP), span, top)
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
    chart: Occupancy, columns: Sequence[tuple[float, float]], y: float, span: float, top: float
) -> list[str]:
    bottom = y + _CHART
    scale = _CHART / top
    step = (_WIDTH - _LEFT - 20) / _COLUMNS

    def area(heights: Sequence[float], base: Sequence[float], colour: str) -> str:
        upper = [
            f"{_LEFT + i * step:.1f},{bottom - (b + h) * scale:.1f}"
            for i, (h, b) in enumerate(zip(heights, base, strict=True))
        ]
        lower = [f"{_LEFT + i * step:.1f},{bottom - b * scale:.1f}" for i, b in enumerate(base)]
        return f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{colour}"/>'

    used = [use for use, _ in columns]
    wanted = [want for _, want in columns]
    parts = [
        f'<text x="{_LEFT}" y="{y - 10}" font-weight="bold">{escape(chart.title)}</text>',
        area(used, [0.0] * len(used), _BUSY),
        area(wanted, used, _WANTED),
        f'<line x1="{_LEFT}" y1="{bottom - scale:.1f}" x2="{_WIDTH - 20}" y2="{bottom - scale:.1f}"',
        f' stroke="{_INK}" stroke-dasharray="4 3"/>',
        f'<text x="{_LEFT - 6}" y="{bottom - scale + 4:.1f}" text-anchor="end">100 %</text>',
        f'<text x="{_LEFT - 6}" y="{bottom + 4}" text-anchor="end">0</text>',
    ]
    hours = span / _HOUR
    every = max(1, round(hours / 10))
    for hour in range(0, int(hours) + 1, every):
        x = _LEFT + hour * _HOUR / span * (_WIDTH - _LEFT - 20)
        parts.append(f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 4}" stroke="{_LINE}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{hour} h</text>')
    legend = _WIDTH - 330
    parts += [
        f'<rect x="{legend}" y="{y - 20}" width="11" height="11" fill="{_BUSY}"/>',
        f'<text x="{legend + 16}" y="{y - 10}">boards in use</text>',
        f'<rect x="{legend + 130}" y="{y - 20}" width="11" height="11" fill="{_WANTED}"/>',
        f'<text x="{legend + 146}" y="{y - 10}">asked for by waiting jobs</text>',
    ]
    return parts

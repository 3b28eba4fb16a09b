"""Charts of results.

Charts as SVG, by hand: a few shapes, told apart by form and not by colour, readable in print and by screen readers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from textwrap import wrap

from benchmarks.suite.measurement import (
    BARE_SERVER,
    BARE_SOCKET,
    CLIENT_2_0_1,
    CLIENT_7_0_0,
    CLIENT_7_4_1,
    FIFO,
    INTERPRETER,
    SERVER_7_0_0,
    SKIP,
    UDP_ECHO,
    WITHOUT_JOBS,
)
from benchmarks.suite.results import Measured, Result

WIDTH = 960
LABELS = 460
RIGHT = 40
ROW = 26
LABEL_LINE = 14
"""Height of each line of a row's label after the first, pixels."""
LABEL_LETTERS = 74
"""Letters of a line that fit beside the chart."""
TOP = 58
INK, FAINT, PAPER, ACCENT = "#1a1a1a", "#c9c9c9", "#ffffff", "#0b57a4"

# A path for each subject, around (0, 0), and whether it is filled.
SHAPES: dict[str, tuple[str, bool]] = {
    SERVER_7_0_0.name: ("M-5-5h10v10h-10z", False),
    CLIENT_7_0_0.name: ("M-5-5h10v10h-10z", False),
    CLIENT_7_4_1.name: ("M0-6.5L6.5 0 0 6.5-6.5 0z", False),
    CLIENT_2_0_1.name: ("M0-6L6 5H-6z", False),
    INTERPRETER.name: ("M0-7V7", True),
    BARE_SOCKET.name: ("M0-7V7", True),
    BARE_SERVER.name: ("M0-7V7", True),
    UDP_ECHO.name: ("M0-7V7", True),
    WITHOUT_JOBS.name: ("M-4 0A4 4 0 1 1 4 0A4 4 0 1 1-4 0", False),
    SKIP.name: ("M0-7V7M-4-7H4", True),
    FIFO.name: ("M0-7V7M-4 7H4", True),
}


def ratios(title: str, results: Sequence[Result]) -> str:
    """Draw how others compare with ours, which is 1: to the right ours is better, by the factor on the axis.

    Each mark is a median, and the line through it spans the quartiles.
    """
    shown = [result for result in results if any(subject.times_better for subject in result.subjects)]
    spreads = [
        subject.times_better for result in shown for subject in result.subjects if subject.times_better
    ]
    low = math.floor(math.log10(min([0.5, *(spread.low for spread in spreads)])))
    high = math.ceil(math.log10(max([2, *(spread.high for spread in spreads)])))
    labels = [wrap(result.work.replace("`", ""), LABEL_LETTERS) for result in shown]
    heights = [ROW + LABEL_LINE * (len(lines) - 1) for lines in labels]
    bottom = TOP + sum(heights)

    def across(value: float) -> float:
        share = (math.log10(value) - low) / (high - low)
        return LABELS + share * (WIDTH - LABELS - RIGHT)

    parts = [_text(12, 22, title, size=15, weight="bold")]
    parts += _legend(subject.name for result in shown for subject in result.subjects[1:])
    for exponent in range(low, high + 1):
        x = across(10.0**exponent)
        parts.append(_line(x, TOP - 6, x, bottom, FAINT))
        parts.append(_text(x, bottom + 18, _power(exponent), anchor="middle"))
    parts.append(_line(across(1), TOP - 6, across(1), bottom, ACCENT, width=2))
    parts.append(_text(across(1), bottom + 36, "spalloc", anchor="middle", weight="bold"))
    parts.append(_text(across(1) + 40, bottom + 36, "times better \u2192", size=12))
    parts.append(_text(across(1) - 40, bottom + 36, "\u2190 worse", size=12, anchor="end"))
    top = TOP
    for result, lines, height in zip(shown, labels, heights, strict=True):
        y = top + height / 2
        first = y + 4 - LABEL_LINE * (len(lines) - 1) / 2
        for number, line in enumerate(lines):
            parts.append(_text(LABELS - 14, first + LABEL_LINE * number, line, anchor="end", size=12))
        for subject in result.subjects:
            parts += _mark(subject, across, y)
        top += height
    return _drawing(title, bottom + 52, parts)


def growth(title: str, sides: Sequence[int], results: Sequence[Result]) -> str:
    """Draw the time to decide an event over the number of triads, both on logarithmic axes."""
    left, right, top, height = 90, 220, 50, 300
    series: dict[str, list[tuple[float, float]]] = {}
    for side, result in zip(sides, results, strict=True):
        for subject in result.subjects:
            if subject.spread:
                points = series.setdefault(subject.name, [])
                points.append((side * side, subject.spread.median * 1e6))
    values = [y for points in series.values() for _, y in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    last = math.ceil(math.log10(max(sides) ** 2))

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + math.log10(x) / last * (WIDTH - left - right),
            top + height - (math.log10(y) - low) / (high - low) * height,
        )

    parts = [_text(12, 22, title, size=15, weight="bold")]
    for exponent in range(low, high + 1):
        y = at(1, 10.0**exponent)[1]
        parts += [
            _line(left, y, WIDTH - right, y, FAINT),
            _text(left - 8, y + 4, f"{10**exponent:,} µs", anchor="end"),
        ]
    for exponent in range(last + 1):
        x = at(10.0**exponent, 1)[0]
        parts += [
            _line(x, top, x, top + height, FAINT),
            _text(x, top + height + 18, f"{10**exponent:,}", anchor="middle"),
        ]
    parts.append(_text((left + WIDTH - right) / 2, top + height + 38, "triads", anchor="middle"))
    for name, points in series.items():
        places = [at(x, y) for x, y in points]
        ours = name not in SHAPES
        dashes = "" if ours else ' stroke-dasharray="6 4"'
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        ink = ACCENT if ours else INK
        parts.append(f'<polyline points="{line}" fill="none" stroke="{ink}" stroke-width="1.5"{dashes}/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{ACCENT}"/>' if ours else _shape(name, x, y)
            for x, y in places
        ]
        x, y = places[-1]
        parts.append(_text(x + 12, y + 4, name, weight="bold" if ours else "normal"))
    return _drawing(title, top + height + 52, parts)


def _mark(subject: Measured, across: Callable[[float], float], y: float) -> list[str]:
    if not subject.times_better:
        return []
    low, middle, high = (
        across(value)
        for value in (subject.times_better.low, subject.times_better.median, subject.times_better.high)
    )
    return [_line(low, y, high, y, INK), _shape(subject.name, middle, y)]


def _shape(name: str, x: float, y: float) -> str:
    path, stroke_only = SHAPES[name]
    fill = "none" if stroke_only else PAPER
    width = 3 if stroke_only else 1.6
    return (
        f'<path d="{path}" transform="translate({x:.1f} {y:.1f})" fill="{fill}" stroke="{INK}" '
        f'stroke-width="{width}"/>'
    )


def _legend(names: Iterable[str]) -> list[str]:
    parts, x = [], 18.0
    for name in dict.fromkeys(names):
        parts += [_shape(name, x, 40), _text(x + 12, 44, name, size=12)]
        x += 40 + 6.6 * len(name)
    return parts


def _power(exponent: int) -> str:
    return f"{10**exponent:,}" if exponent >= 0 else f"1/{10**-exponent:,}"


def _text(
    x: float, y: float, text: str, *, size: int = 13, weight: str = "normal", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" fill="{INK}">{escape(text)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}"/>'
    )


def _drawing(title: str, height: float, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'font-family="sans-serif">\n<title>{escape(title)}</title>\n'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n{body}\n</svg>\n'
    )

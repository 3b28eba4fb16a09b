"""Charts of results, as SVG drawn by matplotlib.

Marks differ by shape, for print; labels are text, for screen readers.
"""

from collections.abc import Sequence
from io import StringIO
from textwrap import fill

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.suite.measurement import (
    BARE_RELAY,
    BARE_SERVER,
    BARE_SOCKET,
    CLIENT_2_0_1,
    CLIENT_7_4_1,
    DIRECTLY,
    FIFO,
    INTERPRETER,
    OURS,
    OVER_V1,
    SKIP,
    UDP_ECHO,
    WITHOUT_CROWD,
    WITHOUT_JOBS,
    WITHOUT_LIMIT,
    WITHOUT_STREAMS,
)
from benchmarks.suite.results import Result

ACCENT = "#0b57a4"
LABEL_LETTERS = 60
MARKS = {
    OURS.name: "o",
    CLIENT_7_4_1.name: "D",
    CLIENT_2_0_1.name: "^",
    WITHOUT_JOBS.name: "o",
    SKIP.name: 2,
    FIFO.name: 3,
    OVER_V1.name: "D",
    WITHOUT_CROWD.name: "^",
    WITHOUT_LIMIT.name: "v",
    WITHOUT_STREAMS.name: "<",
    DIRECTLY.name: "P",
    **dict.fromkeys(
        (INTERPRETER.name, BARE_SOCKET.name, BARE_SERVER.name, UDP_ECHO.name, BARE_RELAY.name), "|"
    ),
}
"""matplotlib's marker of each subject; that of the others is a square."""


def ratios(title: str, results: Sequence[Result]) -> str:
    """Draw how others compare with ours, which is 1: to the right, ours is better by the factor on the axis.

    Each mark is a median, and the line through it spans the quartiles.
    """
    shown = [result for result in results if any(subject.times_better for subject in result.subjects)]
    labels = [fill(result.work.replace("`", ""), LABEL_LETTERS) for result in shown]
    lines = sum(label.count("\n") + 1.6 for label in labels)
    figure = Figure(figsize=(9.6, 1.2 + 0.2 * lines), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(subject.name for result in shown for subject in result.subjects[1:]):
        compared = [
            (row, subject.times_better)
            for row, result in enumerate(shown)
            if (subject := result.subject(name)) and subject.times_better
        ]
        rows, spreads = zip(*compared, strict=True) if compared else ((), ())
        middle = [spread.median for spread in spreads]
        beside = (
            [spread.median - spread.low for spread in spreads],
            [spread.high - spread.median for spread in spreads],
        )
        axes.errorbar(middle, rows, xerr=beside, label=name, **_style(name) | {"linestyle": "none"})
    axes.axvline(1, color=ACCENT, linewidth=2, label=OURS.name)
    axes.set_yticks(range(len(shown)), labels=labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    least, most = axes.get_xlim()
    axes.set_xlim(min(least, 0.5), max(most, 2))
    axes.set_xlabel("\N{LEFTWARDS ARROW} worse     times better \N{RIGHTWARDS ARROW}")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    _legend(figure, axes)
    return svg(title, figure)


def growth(title: str, sides: Sequence[int], results: Sequence[Result]) -> str:
    """Draw the time to decide an event over the number of triads, both on logarithmic axes."""
    figure = Figure(figsize=(9.6, 4), layout="constrained")
    axes = figure.subplots()
    for name in dict.fromkeys(subject.name for result in results for subject in result.subjects):
        points = [
            (side * side, subject.spread.median * 1e6)
            for side, result in zip(sides, results, strict=True)
            if (subject := result.subject(name)) and subject.spread
        ]
        axes.plot(*zip(*points, strict=True), label=name, **_style(name))
    axes.set(xscale="log", yscale="log", xlabel="triads", ylabel="µs")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))
    _legend(figure, axes)
    return svg(title, figure)


def svg(title: str, figure: Figure) -> str:
    """Return a figure as a picture, the same each time it is drawn, with a title for those who can't see it."""
    file = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure.suptitle(title, fontweight="bold")
        figure.savefig(file, format="svg", metadata={"Title": title, "Date": None, "Creator": None})
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _style(name: str) -> dict[str, object]:
    ours = name == OURS.name
    return {
        "markersize": 10 if MARKS.get(name) == "|" else 6,
        "marker": MARKS.get(name, "s"),
        "color": ACCENT if ours else "black",
        "markerfacecolor": ACCENT if ours else "white",
        "linewidth": 1,
        "linestyle": "solid" if ours else "dashed",
    }


def _legend(figure: Figure, axes: Axes) -> None:
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)


def _power(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"1/{1 / value:,.0f}"

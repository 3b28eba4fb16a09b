"""Draws the pictures of the guide on scheduling: `python -m benchmarks.scheduling.pictures`.

docs/guides/scheduling-day.svg shows a busy day under both schedulers; docs/guides/scheduling-frontier.svg shows what
patience buys.
"""

from pathlib import Path
from time import process_time

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.report.charts import ACCENT, svg
from benchmarks.scheduling.frontier import NEVER, PATIENCES, waits_and_bounds
from benchmarks.scheduling.rules import MACHINE, TRACES, published_queue, trace
from spalloc_server.core.machine import Machine
from spalloc_server.core.scheduler import PATIENCE
from spalloc_server.simulate.picture import draw, occupancy, occupancy_of
from spalloc_server.simulate.simulation import simulate

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
GOAL_MEAN, GOAL_LONGEST = 3.0, 2.0
BESIDE = dict(
    zip(PATIENCES, ((8, 6), (8, -12), (-8, -18), (6, -14), (-58, -6), (-52, -6), (8, 4), (8, 4)), strict=True)
)
"""The offset, in points, at which the label of each patience is clear of the line."""


def day() -> str:
    """Draw a busy day under the published server's queue and under ours."""
    runs, _ = published_queue(trace("busy"), MACHINE)
    before = occupancy_of("Before: the 2023 server's queue", MACHINE.boards, runs)
    after = occupancy(simulate(Machine("m", MACHINE), trace("busy"), process_time), "After: this server")
    return draw([before, after])


def frontier() -> str:
    """Draw the mean and the longest waits for several values of patience."""
    given = [trace(name) for name in TRACES]
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.add_patch(Rectangle((1, 1), GOAL_MEAN - 1, GOAL_LONGEST - 1, color="#e6efe0"))
    axes.text(1.05, 1.08, "goal")
    points = []
    for patience in PATIENCES:
        mean, skip, longest, fifo = waits_and_bounds(given, patience)
        points.append((mean / skip, longest / fifo))
        name = "without end" if patience == NEVER else f"{patience / 60:.0f} min"
        weight = "bold" if patience == PATIENCE else "normal"
        where = {"xytext": BESIDE[patience], "textcoords": "offset points", "fontweight": weight}
        axes.annotate(name, points[-1], **where)
    axes.plot(*zip(*points, strict=True), marker="o", color=ACCENT)
    axes.set(xlim=(1, 4), ylim=(1, 4), xticks=range(1, 5), yticks=range(1, 5))
    axes.set(xlabel="mean wait, times that of skip", ylabel="longest wait, times that of fifo")
    return svg("What patience buys", figure)


if __name__ == "__main__":
    for name, drawing in (("day", day()), ("frontier", frontier())):
        (GUIDES / f"scheduling-{name}.svg").write_text(drawing, encoding="utf-8")

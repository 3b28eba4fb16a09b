"""Draws the picture of the guide on scheduling, a busy day under both schedulers.

`python -m benchmarks.scheduling.pictures` writes docs/guides/scheduling-day.svg.
"""

from pathlib import Path
from time import process_time

from benchmarks.scheduling.rules import MACHINE, published_queue, trace
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.picture import draw, occupancy, occupancy_of
from spalloc_server.simulate.simulation import simulate

DAY = Path(__file__).parents[2] / "docs" / "guides" / "scheduling-day.svg"


def day() -> str:
    """Draw a busy day under the published server's queue and under ours."""
    runs, _ = published_queue(trace("busy"), MACHINE)
    before = occupancy_of("Before: the 2023 server's queue", MACHINE.boards, runs)
    after = occupancy(simulate(Machine("m", MACHINE), trace("busy"), process_time), "After: this server")
    return draw([before, after])


if __name__ == "__main__":
    DAY.write_text(day(), encoding="utf-8")

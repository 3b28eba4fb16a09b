"""Draws a busy day under the published server's queue and under ours, for the guide.

Draw docs/guides/scheduling-day.svg: `python -m benchmarks.scheduling.picture`.
"""

from pathlib import Path
from time import process_time

from benchmarks.scheduling.rules import MACHINE, published_queue, trace
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.history import simulate
from spalloc_server.simulate.picture import draw, occupancy, occupancy_of

PICTURE = Path(__file__).parents[2] / "docs" / "guides" / "scheduling-day.svg"


def main() -> None:
    """Draw."""
    runs, _ = published_queue(trace("busy"), MACHINE)
    before = occupancy_of("Before: the 2023 server's queue", MACHINE.boards, runs)
    after = occupancy(simulate(Machine("m", MACHINE), trace("busy"), process_time), "After: this server")
    PICTURE.write_text(draw([before, after]), encoding="utf-8")


if __name__ == "__main__":
    main()

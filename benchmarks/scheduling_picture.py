# Draws a busy day under the published server's queue and under ours, for the guide.
"""Draw docs/guides/scheduling-day.svg: `python -m benchmarks.scheduling_picture`."""

from pathlib import Path
from time import process_time

from benchmarks._scheduling import MACHINE, published, trace
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.history import simulate
from spalloc_server.simulate.picture import draw, occupancy, occupancy_of

PICTURE = Path(__file__).parents[1] / "docs" / "guides" / "scheduling-day.svg"


def main() -> None:
    """Draw."""
    runs, _ = published("busy")
    before = occupancy_of("Before: the 2023 server's queue", MACHINE.boards, runs)
    after = occupancy(simulate(Machine("m", MACHINE), trace("busy"), process_time), "After: this server")
    PICTURE.write_text(draw([before, after]), encoding="utf-8")


if __name__ == "__main__":
    main()

# How the time to decide grows with the machine.
"""Measure deciding on machines of several sizes: `python -m benchmarks.scheduling_growth`."""

from time import process_time

from benchmarks._scheduling import MACHINE, made_trace
from benchmarks._server import Row, quick, report
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.figures import figures
from spalloc_server.simulate.history import simulate
from spinnaker.geometry import Size

JOBS_A_TRIAD = 5
LARGEST_SHARE = 0.43
"""The largest job's share of the machine, as in the traces for 20 x 20 triads."""


def _us_a_triad(size: Size, largest: int) -> float:
    jobs = made_trace(
        1, 0.9, jobs=min(8000, JOBS_A_TRIAD * size.width * size.height), size=size, largest=largest
    )
    history = simulate(Machine("m", size), jobs, process_time)
    return figures(history).us_per_event / (size.width * size.height)


def main() -> None:
    """Measure and print: time an event and triad, which does not grow if the time is in proportion to the triads."""
    rows = []
    for largest, what in ((520, "jobs up to 520 boards"), (0, "jobs up to 43 % of the machine")):
        reference = _us_a_triad(MACHINE, 520)
        for side in (40, 60) if quick() else (40, 60, 80, 100):
            size = Size(side, side)
            ours = _us_a_triad(size, largest or int(LARGEST_SHARE * size.boards))
            rows.append(
                Row(f"{size} triads, {what}: an event and triad", "µs", ours, reference, f"{MACHINE} triads")
            )
    report("Deciding, as machines grow", rows)


if __name__ == "__main__":
    main()

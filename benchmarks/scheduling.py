# How long jobs wait, and how long deciding takes, beside the published server's queue and bounds without geometry.
"""Measure scheduling in simulated time: `python -m benchmarks.scheduling`."""

from math import inf
from time import process_time

from benchmarks._scheduling import MACHINE, TRACES, published, trace, use, waits, without_geometry
from benchmarks._server import Row, quick, report
from spalloc_server.core.machine import Machine
from spalloc_server.simulate.figures import figures
from spalloc_server.simulate.history import simulate


def main() -> None:
    """Measure and print."""
    rows = []
    against = "the 2023 server's queue"
    for name in TRACES[:1] if quick() else TRACES:
        jobs = trace(name)
        ours = figures(simulate(Machine("m", MACHINE), jobs, process_time))
        runs, peer_us = published(name)
        peer = waits(runs)
        skip = waits(without_geometry(jobs, MACHINE.boards, patience=inf))
        fifo = waits(without_geometry(jobs, MACHINE.boards, patience=0.0))
        assert ours.started == len(runs) == len(jobs)
        rows += [
            Row(f"{name}: mean wait", "s", ours.mean_wait, peer.mean, against),
            Row(f"{name}: mean wait", "s", ours.mean_wait, skip.mean, "`skip`, no geometry"),
            Row(f"{name}: longest wait", "s", ours.max_wait, peer.longest, against),
            Row(f"{name}: longest wait", "s", ours.max_wait, fifo.longest, "`fifo`, no geometry"),
            Row(
                f"{name}: use of boards (more is better)",
                "%",
                100 * ours.requested_use,
                100 * use(runs, MACHINE.boards),
                against,
            ),
            Row(f"{name}: deciding, an event", "µs", ours.us_per_event, peer_us, against),
        ]
    report(f"Scheduling, {MACHINE} triads, simulated time", rows)


if __name__ == "__main__":
    main()

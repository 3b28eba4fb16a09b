# From `create_job` to boards that are ready: 50 frames whose BMPs answer at once, no settle time.
"""Measure how soon jobs are ready, beside the 2023 server: `python -m benchmarks.server_power`."""

from benchmarks._server import Row, our_server, peer_server, quick, report, rounds, seconds_to_ready
from tests import processes


def main() -> None:
    """Measure and print."""
    with processes.boards(20, 20) as machine:
        with our_server(machine) as address:
            seconds_to_ready(address, 1)
            one = rounds(lambda: seconds_to_ready(address, 1), 7)
            many = rounds(lambda: seconds_to_ready(address, 400), 3)
        with peer_server(machine) as address:
            peer_one = rounds(lambda: seconds_to_ready(address, 1), 1 if quick() else 3)
            peer_many = None if quick() else seconds_to_ready(address, 400)
    against = "spalloc-server 1!7.0.0, same boards"
    rows = [Row("one three-board job ready", "s", one, peer_one, against)]
    if peer_many is not None:
        rows.append(Row("400 three-board jobs ready, 50 BMPs", "s", many, peer_many, against))
    report("From create_job to ready, BMPs that answer at once", rows)


if __name__ == "__main__":
    main()

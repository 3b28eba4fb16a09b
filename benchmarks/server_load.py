# What commands cost: with and without many jobs, one after the other and from many clients at once.
"""Measure commands beside the 2023 server: `python -m benchmarks.server_load`."""

from typing import Any

from benchmarks._server import (
    Client,
    Row,
    line,
    our_server,
    pairs_a_second,
    peer_server,
    quick,
    report,
    rounds,
)
from tests import processes

JOBS = 10_000
CLIENTS = 50


def _measure(address: dict[str, Any], jobs: int) -> dict[str, float]:
    times, turns, seconds = (300, 3, 1.0) if quick() else (2000, 5, 3.0)
    found = {}
    with Client(address) as client:
        found["version"] = rounds(lambda: client.seconds_of("version", times=times), turns)
        found["pairs"] = rounds(lambda: pairs_a_second(address, CLIENTS, seconds), turns)
        # The first takes the whole machine, so that the others are live and go on waiting.
        wide = client.call("create_job", 20, 20, owner="me", keepalive=None)
        client.call_many([line("create_job", 3, owner="me", keepalive=None)] * (jobs - 1))
        assert wide
        found["list first"] = client.seconds_of("list_jobs", times=1)
        found["list"] = client.seconds_of("list_jobs", times=7)
        found["version with jobs"] = rounds(lambda: client.seconds_of("version", times=times), turns)
        found["pairs with jobs"] = pairs_a_second(address, CLIENTS, seconds)
    return found


def main() -> None:
    """Measure and print."""
    peer_jobs = 1000 if quick() else JOBS
    with processes.boards(20, 20) as machine:
        with our_server(machine) as address:
            ours = _measure(address, JOBS)
        with peer_server(machine) as address:
            peer = _measure(address, peer_jobs)
    against = "spalloc-server 1!7.0.0"
    with_jobs = f"{against} with {peer_jobs:,} jobs"
    report(
        "Commands of the v1 protocol",
        [
            Row(
                "`version`, round trip, no jobs", "µs", ours["version"] * 1e6, peer["version"] * 1e6, against
            ),
            Row(
                f"`version`, round trip, {JOBS:,} live jobs",
                "µs",
                ours["version with jobs"] * 1e6,
                ours["version"] * 1e6,
                "ours without jobs",
            ),
            Row(f"`list_jobs`, {JOBS:,} live jobs", "ms", ours["list"] * 1e3, peer["list"] * 1e3, with_jobs),
            Row(
                f"`list_jobs`, {JOBS:,} live jobs, the first time",
                "ms",
                ours["list first"] * 1e3,
                peer["list first"] * 1e3,
                with_jobs,
            ),
            Row(
                f"`create_job` and `destroy_job`, {CLIENTS} clients, on disk before the reply (more is better)",
                "pairs/s",
                ours["pairs"],
                peer["pairs"],
                f"{against}, nothing on disk",
            ),
            Row(
                f"the same with {JOBS:,} live jobs (more is better)",
                "pairs/s",
                ours["pairs with jobs"],
                peer["pairs with jobs"],
                f"{with_jobs}, nothing on disk",
            ),
        ],
    )


if __name__ == "__main__":
    main()

# How soon a server answers after it was killed, with many jobs in its records.
"""Measure restarts: `python -m benchmarks.server_restart`."""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._server import Client, Row, line, quick, report
from tests import processes

JOBS = 10_000


def _start(arguments: list[str]) -> tuple[processes.ServerProcess, dict[str, Any], float]:
    began = time.perf_counter()
    server = processes.started(arguments)
    address = {"host": server.host, "port": server.port}
    with Client(address) as client:
        client.call("version")
    return server, address, time.perf_counter() - began


def _measure(machine: dict[str, Any], jobs: int, times: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        arguments = processes.configured(machine, Path(folder))
        server, address, _ = _start(arguments)
        with Client(address) as client:
            client.call_many([line("create_job", 3, owner="me", keepalive=None)] * jobs)
        taken = []
        for _ in range(times):
            processes.kill(server)
            server, address, seconds = _start(arguments)
            taken.append(seconds)
        with Client(address) as client:
            assert len(client.call("list_jobs")) == jobs
        processes.kill(server)
    return median(taken)


def main() -> None:
    """Measure and print."""
    times = 3 if quick() else 9
    with processes.boards(20, 20) as machine:
        many = _measure(machine, JOBS, times)
        none = _measure(machine, 0, times)
    what = f"from the start of a killed server to its first answer, {JOBS:,} live jobs"
    report("Restart", [Row(what, "s", many, none, "ours without jobs; both include Python's start")])


if __name__ == "__main__":
    main()

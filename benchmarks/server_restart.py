# How soon a server answers after it was killed, with many jobs in its records.
"""Measure restarts: `python -m benchmarks.server_restart`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._server import Client, Row, line, quick, report
from tests import processes

JOBS = 10_000


def _start(machine: dict[str, Any], state: Path) -> tuple["subprocess.Popen[str]", dict[str, Any], float]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.processes", *processes.server_arguments(machine, state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    address = json.loads(process.stdout.readline())
    with Client(address) as client:
        client.call("version")
    return process, address, time.perf_counter() - began


def _kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def _measure(machine: dict[str, Any], jobs: int, times: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        process, address, _ = _start(machine, state)
        with Client(address) as client:
            client.call_many([line("create_job", 3, owner="me", keepalive=None)] * jobs)
        taken = []
        for _ in range(times):
            _kill(process)
            process, address, seconds = _start(machine, state)
            taken.append(seconds)
        with Client(address) as client:
            assert len(client.call("list_jobs")) == jobs
        _kill(process)
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

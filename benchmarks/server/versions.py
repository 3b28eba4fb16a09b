"""Compares this checkout's server with another's: `python -m benchmarks.server.versions OTHER_CHECKOUT [ROUNDS]`.

The two are measured in turns, so that other work of the computer affects both alike.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load.client import seconds_to_ready
from benchmarks.load.users import pairs_a_second
from benchmarks.programs.address import Address
from benchmarks.programs.ours import ROOT, site
from benchmarks.programs.process import ServerProcess
from tests import processes

PAIRS_SECONDS = 2.0
CLIENTS = 50
ROUNDS = 7


CONFIGURE = """
import json, pathlib, sys
from tests.processes import configured
print(json.dumps(configured(json.load(sys.stdin), pathlib.Path(sys.argv[1]))))
"""


def _server(checkout: Path, machine: dict[str, Any], folder: Path) -> ServerProcess:
    """Return a checkout's server, with a configuration written by that checkout: settings come and go."""
    own = ("env", f"PYTHONPATH={checkout / 'src'}:{checkout}")
    configure = [*own, sys.executable, "-c", CONFIGURE, str(folder)]
    # Run there: Python looks for modules in the current folder first.
    answer = subprocess.run(
        configure, cwd=checkout, input=json.dumps(machine), capture_output=True, text=True, check=True
    )
    return ServerProcess(
        str(checkout), [*own, *processes.SERVER, *json.loads(answer.stdout), "--quiet"], folder
    )


def _processor_seconds(address: Address) -> float:
    times = Path(f"/proc/{address.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


MEASURED: dict[str, Callable[[Address], float]] = {
    f"pairs a second, {CLIENTS} clients": lambda address: pairs_a_second(address, CLIENTS, PAIRS_SECONDS),
    "ms until 1 job is ready": lambda address: seconds_to_ready(address, 1) * 1000,
    "ms until 50 jobs are ready": lambda address: seconds_to_ready(address, 50) * 1000,
    "ms until 400 jobs are ready": lambda address: seconds_to_ready(address, 400) * 1000,
}


def main(other: str, rounds: str = str(ROUNDS)) -> None:
    """Print the median of each figure, the best, and the ratio of the medians."""
    with ExitStack() as stack:
        servers = {}
        for name, checkout in (("before", Path(other)), ("now", ROOT)):
            # Each server has boards of its own, which it keeps in the state that it ordered.
            machine, folder = stack.enter_context(site(20, 20))
            servers[name] = stack.enter_context(_server(checkout, machine, folder).running())
        for what, measure in MEASURED.items():
            figures: dict[str, list[float]] = {name: [] for name in servers}
            work = dict.fromkeys(servers, 0.0)
            for number in range(int(rounds)):
                # The first one has the quieter machine, so they take turns at being first.
                for name in sorted(servers, reverse=bool(number % 2)):
                    began = _processor_seconds(servers[name])
                    figures[name].append(measure(servers[name]))
                    work[name] += _processor_seconds(servers[name]) - began
            medians = {name: statistics.median(taken) for name, taken in figures.items()}
            shown = ", ".join(
                f"{name} {medians[name]:.1f} ({min(taken):.1f} to {max(taken):.1f})"
                for name, taken in figures.items()
            )
            print(f"{what}: {shown}; now/before {medians['now'] / medians['before']:.2f}")
            print(f"  seconds of the server's processor: {work}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

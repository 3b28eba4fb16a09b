# How long a command takes, from the start of its process to its end, against a server on this machine.
#
# Each client has an environment of its own, installed as its users install it: what else is installed beside a client
# would slow its start.
"""Process start to end of the commands, beside the published client."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.peers.environments import environment

ROOT = Path(__file__).parents[1]
PUBLISHED = "spalloc==1!7.0.0"
JOBS = 20


def seconds(line: Sequence[str]) -> float:
    """Return how long a process takes."""
    began = time.perf_counter()
    subprocess.run(line, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def installed(folder: Path) -> Path:
    """Install this repository into a new environment; return the folder of its commands."""
    # Without pip, as the peers' environments are: what comes with it is looked at by every start of the interpreter.
    venv.create(folder)
    commands = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", commands / "python", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", ROOT], check=True)
    return commands


def compared(ours: Sequence[str], reference: Sequence[str], times: int) -> tuple[float, float]:
    """Return the median seconds of two command lines, taken in turn."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        took[0].append(seconds(ours))
        took[1].append(seconds(reference))
    return statistics.median(took[0]), statistics.median(took[1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    times = 10 if arguments.quick else 60
    os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_CONFIG_DIRS"] = os.devnull
    published = environment(PUBLISHED, ROOT / ".peers", os.environ)
    with tempfile.TemporaryDirectory() as folder, EmbeddedSite(8, 8) as site:
        commands = installed(Path(folder))
        server = ["--hostname", site.hostname, "--port", str(site.port)]
        with ProtocolClient(site.hostname, site.port) as client:
            for _ in range(JOBS):
                client.create_job(3, owner="benchmark", keepalive=None)
        lines: list[tuple[str, Callable[[str], list[str]]]] = [
            (f"spalloc-ps, {JOBS} jobs", lambda bin_: [f"{bin_}/spalloc-ps", *server]),
            ("spalloc-machine virtual", lambda bin_: [f"{bin_}/spalloc-machine", "virtual", *server]),
            ("spalloc-job 1", lambda bin_: [f"{bin_}/spalloc-job", "1", *server]),
            ("spalloc-ps --help", lambda bin_: [f"{bin_}/spalloc-ps", "--help"]),
        ]
        rows = []
        for what, line in lines:
            ours, reference = compared(line(str(commands)), line(str(published.root / "bin")), times)
            rows.append((what, ours, reference, PUBLISHED))
        ours, bare = compared(
            [f"{commands}/spalloc-ps", *server], [f"{commands}/python", "-c", "pass"], times
        )
        rows.append(("spalloc-ps (above 1: the interpreter is all of it)", ours, bare, "bare interpreter"))
    show(rows, as_json=arguments.json)


def show(rows: Sequence[tuple[str, float, float, str]], *, as_json: bool) -> None:
    """Print the table."""
    if as_json:
        listed = [
            {
                "what": what,
                "unit": "s",
                "ours": ours,
                "reference": reference,
                "ratio": ours / reference,
                "against": against,
            }
            for what, ours, reference, against in rows
        ]
        print(json.dumps({"title": "Start of the commands", "rows": listed}))
        return
    print("# Start of the commands\n")
    print("| what | ours | reference | ratio | against |")
    print("| --- | --- | --- | --- | --- |")
    for what, ours, reference, against in rows:
        print(
            f"| {what} | {ours * 1e3:.1f} ms | {reference * 1e3:.1f} ms | {ours / reference:.2f} | {against} |"
        )


if __name__ == "__main__":
    sys.exit(main())

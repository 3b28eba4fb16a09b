# What the client costs its users: to import, to request a job with, to ask a question, to install.
#
# Ours and the published clients take turns, each in an interpreter of its own, against the same small server here.
"""Measure the client: `python -m benchmarks.client [--quick] [--json]`."""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from spalloc_client.wire import Lines, Return, decode_request, encode
from tests.peers.environments import environment

PEERS = {"published 1!7.0.0": "spalloc==1!7.0.0", "published 1!7.4.1": "spalloc==1!7.4.1"}
OURS = "ours"

IMPORT = "import spalloc_client"
IMPORT_ALL = "from spalloc_client import Job, ProtocolClient, JobState"
CREATE = """
import sys, time
from spalloc_client import Job
for _ in range(int(sys.argv[2])):
    job = Job(3, hostname="127.0.0.1", port=int(sys.argv[1]), owner="me", config_filenames=[])
    print(time.monotonic())
    job.close()
"""
ASK = """
import sys, time
from spalloc_client import ProtocolClient
with ProtocolClient("127.0.0.1", int(sys.argv[1])) as client:
    calls = int(sys.argv[2])
    began = time.monotonic()
    for _ in range(calls):
        client.version(timeout=5.0)
    print((time.monotonic() - began) / calls)
"""

# Installers compile what they install, so nobody's programs compile it each time.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Server:
    """Answers at once, and remembers when it answered create_job."""

    def __init__(self) -> None:
        self.created: list[float] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = str(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        lines = Lines()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := connection.recv(65536):
                for line in lines.feed(data):
                    command = decode_request(line).command
                    reply = encode(Return({"version": "1.0.0", "create_job": 7}.get(command)))
                    if command == "create_job":
                        self.created.append(time.monotonic())
                    connection.sendall(reply)


def run(python: str, program: str, *arguments: str) -> str:
    command = [python, "-W", "ignore", "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout


def seconds_to_run(python: str, program: str) -> float:
    began = time.monotonic()
    run(python, program)
    return time.monotonic() - began


def imports(pythons: dict[str, str], program: str, rounds: int) -> dict[str, float]:
    """Seconds over the bare interpreter of the same environment, medians of rounds taken in turn."""
    over: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(rounds + 1):  # the first round writes byte code and is not counted
        for name, python in pythons.items():
            over[name].append(seconds_to_run(python, program) - seconds_to_run(python, "pass"))
    return {name: statistics.median(times[1:]) for name, times in over.items()}


def creations(pythons: dict[str, str], server: Server, rounds: int) -> dict[str, float]:
    """Seconds from the reply to create_job until Job(...) returns."""
    late: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            server.created.clear()
            returned = [float(line) for line in run(python, CREATE, server.port, "3").split()]
            late[name] += [after - reply for reply, after in zip(server.created, returned, strict=True)]
    return {name: statistics.median(times) for name, times in late.items()}


def questions(pythons: dict[str, str], server: Server, rounds: int) -> dict[str, float]:
    """Seconds for one command's round trip."""
    times: dict[str, list[float]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            times[name].append(float(run(python, ASK, server.port, "2000")))
    return {name: statistics.median(each) for name, each in times.items()}


def size_of(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files)


def sizes(pythons: dict[str, str]) -> dict[str, float]:
    """Bytes installed without byte code: the distribution and what it needs."""
    result: dict[str, float] = {}
    for name, python in pythons.items():
        if name == OURS:
            needed = [line.split(">")[0] for line in requires("spalloc") or [] if "extra ==" not in line]
            packages = [
                "spinnaker",
                "spinnaker_virtual",
                "spalloc_client",
                "spalloc_server",
                "spalloc",
                *needed,
            ]
            folders = [Path(find_spec(package).origin).parent for package in packages]
        else:
            folders = list((Path(python).parents[1] / "lib").glob("python*/site-packages"))
        result[name] = sum(map(size_of, folders))
    return result


def table(results: dict[str, tuple[str, float, dict[str, float]]]) -> list[dict[str, object]]:
    return [
        {
            "what": what,
            "unit": unit,
            "ours": values[OURS] * scale,
            "reference": values[peer] * scale,
            "ratio": values[OURS] / values[peer],
            "against": peer,
        }
        for what, (unit, scale, values) in results.items()
        for peer in PEERS
    ]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rounds = 5 if arguments.quick else 21

    pythons = {OURS: sys.executable}
    pythons |= {name: str(environment(peer, Path(".peers")).python) for name, peer in PEERS.items()}
    server = Server()
    rows = table(
        {
            "`import spalloc_client`, over the bare interpreter": (
                "ms",
                1e3,
                imports(pythons, IMPORT, rounds),
            ),
            "the same with `Job` and `ProtocolClient`": ("ms", 1e3, imports(pythons, IMPORT_ALL, rounds)),
            "`Job(3)` returns, after the reply to `create_job`": (
                "ms",
                1e3,
                creations(pythons, server, rounds),
            ),
            "one command's round trip": ("µs", 1e6, questions(pythons, server, rounds)),
            "installed size, with what it needs": ("MB", 1e-6, sizes(pythons)),
        }
    )
    if arguments.json:
        print(json.dumps({"title": "The client", "rows": rows}))
        return
    print("## The client\n\n| what | ours | reference | ratio | against |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        ours, reference = (f"{row[side]:.2f} {row['unit']}" for side in ("ours", "reference"))
        print(f"| {row['what']} | {ours} | {reference} | {row['ratio']:.3f} | {row['against']} |")


if __name__ == "__main__":
    main()

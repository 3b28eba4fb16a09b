# What the benchmarks of the server share: clients, the 2023 server beside ours, and how results are printed.
#
# What is measured stands in the scripts; processes of our own site in tests/processes.py.
"""Clients and servers to measure."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from tests import processes
from tests.peers.environments import environment

PEER = "spalloc-server==1!7.0.0"
READY, DESTROYED = 3, 4


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a result."""

    what: str
    unit: str
    ours: float
    reference: float
    against: str

    @property
    def ratio(self) -> float:
        """Ours divided by the reference."""
        return self.ours / self.reference


def report(title: str, rows: list[Row]) -> None:
    """Print a table, or with `--json` an object."""
    if "--json" in sys.argv:
        print(json.dumps({"title": title, "rows": [asdict(row) | {"ratio": row.ratio} for row in rows]}))
        return
    print(f"### {title}\n")
    print("| what | ours | reference | ratio | against |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        ours, reference = f"{row.ours:,.4g} {row.unit}", f"{row.reference:,.4g} {row.unit}"
        print(f"| {row.what} | {ours} | {reference} | {row.ratio:.3g} | {row.against} |")


def quick() -> bool:
    """Whether less certain results, sooner, are wanted."""
    return "--quick" in sys.argv


class Client:
    """A blocking client that knows just enough of the protocol."""

    def __init__(self, address: dict[str, Any]) -> None:
        self._socket = socket.create_connection((address["host"], address["port"]))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", 1 << 20)
        self.changed: list[int] = []
        """Jobs that it was told of."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, command: str, *args: object, **kwargs: object) -> None:
        self._socket.sendall(line(command, *args, **kwargs))

    def hear(self) -> Any:
        """Return the next reply."""
        while True:
            message = json.loads(self._file.readline())
            if "return" in message:
                return message["return"]
            if "exception" in message:
                raise RuntimeError(message["exception"])
            self.changed += message.get("jobs_changed", ())

    def call(self, command: str, *args: object, **kwargs: object) -> Any:
        self.send(command, *args, **kwargs)
        return self.hear()

    def call_many(self, lines: list[bytes], at_once: int = 500) -> list[Any]:
        """Send requests without waiting for each reply."""
        replies = []
        for start in range(0, len(lines), at_once):
            part = lines[start : start + at_once]
            self._socket.sendall(b"".join(part))
            replies += [self.hear() for _ in part]
        return replies

    def wait_for_change(self) -> None:
        """Wait until told of changed jobs."""
        while not self.changed:
            self.changed += json.loads(self._file.readline()).get("jobs_changed", ())
        self.changed.clear()

    def seconds_of(self, command: str, *args: object, times: int) -> float:
        """Return the median seconds from sending a command to the last byte of its reply."""
        taken = []
        request = line(command, *args)
        for _ in range(times):
            began = time.perf_counter()
            self._socket.sendall(request)
            self._file.readline()
            taken.append(time.perf_counter() - began)
        return median(taken)


def line(command: str, *args: object, **kwargs: object) -> bytes:
    """Return a request's line."""
    return json.dumps({"command": command, "args": args, "kwargs": kwargs}).encode() + b"\n"


def seconds_to_ready(address: dict[str, Any], jobs: int) -> float:
    """Return how long it takes from the first `create_job` until all of `jobs` three-board jobs are ready."""
    with Client(address) as client:
        client.call("notify_job")
        began = time.perf_counter()
        waiting = client.call_many([line("create_job", 3, owner="me")] * jobs)
        mine = list(waiting)
        while waiting:
            states = client.call_many([line("get_job_state", job) for job in waiting])
            waiting = [job for job, state in zip(waiting, states, strict=True) if state["state"] != READY]
            if waiting:
                client.wait_for_change()
        taken = time.perf_counter() - began
        client.call("no_notify_job")
        client.call_many([line("destroy_job", job) for job in mine])
    return taken


def pairs_a_second(address: dict[str, Any], clients: int, seconds: float) -> float:
    """Return how many times a second all clients together create a job and destroy it."""
    return asyncio.run(_pairs(address, clients, seconds))


async def _pairs(address: dict[str, Any], clients: int, seconds: float) -> float:
    streams = [await asyncio.open_connection(address["host"], address["port"]) for _ in range(clients)]
    end = time.perf_counter() + seconds
    create = line("create_job", owner="me")
    done = 0

    async def use(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal done
        while time.perf_counter() < end:
            writer.write(create)
            job = json.loads(await reader.readline())["return"]
            writer.write(b'{"command":"destroy_job","args":[%d]}\n' % job)
            await reader.readline()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(use(reader, writer) for reader, writer in streams))
    taken = time.perf_counter() - began
    for _, writer in streams:
        writer.close()
        await writer.wait_closed()
    return done / taken


@contextlib.contextmanager
def our_server(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run our server, with its records on disk."""
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.server(machine, Path(folder) / "state") as address,
    ):
        yield address


@contextlib.contextmanager
def peer_server(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run the 2023 server for the same boards."""
    peer = environment(PEER, Path(".peers"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    width, height = machine["size"]
    configuration = (
        f"m = Machine('virtual', width={width}, height={height}, seconds_before_free=0, board_locations="
        f"{ {tuple(board): tuple(place) for board, place in machine['places']} }, "
        f"bmp_ips={ {tuple(frame): address for frame, address in machine['bmps']} }, "
        f"spinnaker_ips={ {tuple(board): address for board, address in machine['addresses']} })\n"
        f"configuration = Configuration(machines=[m], ip='127.0.0.1', port={port}, seconds_before_free=0)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.cfg"
        for text in (configuration, configuration.replace("seconds_before_free=0, ", "", 1)):
            path.write_text(text)
            process = subprocess.Popen(
                [peer.command("spalloc-server"), path, "--quiet", "--port", str(port)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
            )
            if _listens(port, process):
                break
        try:
            yield {"host": "127.0.0.1", "port": port, "pid": process.pid}
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return True
    return False


def rounds(measure: Callable[[], float], times: int) -> float:
    """Return the median of several measurements."""
    return median(measure() for _ in range(times))


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(text.split()[1]) * 1024 for text in status.splitlines() if text.startswith("VmRSS"))

"""What one client's flood does to others: how long they wait, and what the server's memory grows to.

Not part of the suite: there is nothing to compare with, since no published server bears it. Figures of time
hold on a quiet machine only.

Floods of one client: `python -m benchmarks.server.floods waits`, or `memory`; ends by itself within minutes.
"""

import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.load.client import Client, fill, line
from benchmarks.programs.address import Address
from benchmarks.programs.ours import our_server, site
from benchmarks.programs.process import processor_seconds, resident_bytes
from spalloc_server.descriptors import allow_descriptors
from spalloc_server.loop import run

FLOODER, OTHER = "127.0.0.1", "127.0.0.2"
SECONDS = 4.0
"""How long each flood lasts."""
VERSION = line("version")
CREATE = line("create_job", owner="flood")
MANY = 100
JOBS = 200
"""Live jobs of others."""


LISTED_JOBS = 10_000
SECONDS_OF_HOARDING = 20.0
HOARDS = (
    (FLOODER, line("list_jobs") * 50, 1_000),
    ("127.0.0.3", b"".join(line("notify_machine", f"{number:0200}") for number in range(1_000)), 800),
    ("127.0.0.4", line("list_machines") * 10_000, 1_000),
    ("127.0.0.5", b'{"command": "' + b"x" * 60_000, 3_000),
    ("127.0.0.6", line("notify_job"), 1_000),
    ("127.0.0.7", b"".join(line("notify_job", number) for number in range(1, 10_001)), 500),
)
"""Addresses, what each of their connections says without reading any answer, and how many connections there are."""


def _destroy(job: int) -> bytes:
    return b'{"command":"destroy_job","args":[%d]}\n' % job


class Flood(asyncio.Protocol):
    """One connection that asks as fast as it is answered."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._transport: asyncio.Transport
        self._rest = b""
        self._left = 0
        self._jobs: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        if self._jobs:
            said, self._jobs = [_destroy(job) for job in self._jobs], []
        elif self._kind == "pairs":
            said = [CREATE]
        elif self._kind == "pipelined pairs":
            said = [CREATE] * MANY
        elif self._kind == "listings":
            said = [line("list_jobs")] * 4
        else:
            said = [VERSION] * MANY
        self._left = len(said)
        self._transport.write(b"".join(said))

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for said in lines:
            self._left -= 1
            if "pairs" in self._kind and said[10:-1].isdigit():
                self._jobs.append(int(said[10:-1]))
        if not self._left:
            self._ask()


async def _flood(host: str, port: int, kind: str, connections: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Flood(kind), host, port, local_addr=(FLOODER, 0))
    print("flooding", flush=True)
    await asyncio.sleep(SECONDS + 2.0)


@contextlib.contextmanager
def _process(what: str, address: Address, *how: str) -> Iterator[None]:
    command = [sys.executable, "-m", __spec__.name, what, address.host, str(address.port), *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


class Modest:
    """Another user, at another address, who asks one thing after the other."""

    def __init__(self, address: Address) -> None:
        self._socket = socket.create_connection((address.host, address.port), 60.0, (OTHER, 0))
        self._file = self._socket.makefile("rb")

    def _call(self, request: bytes) -> object:
        self._socket.sendall(request)
        return json.loads(self._file.readline())["return"]

    def version(self) -> None:
        self._call(VERSION)

    def pair(self) -> None:
        job = self._call(line("create_job", owner="modest"))
        assert isinstance(job, int)
        self._call(_destroy(job))


class Wait(NamedTuple):
    """How long something takes, in milliseconds."""

    median: float
    late: float
    """95 of 100 take no longer."""
    server: float
    """What the server's threads work meanwhile, for all: on a busy machine, the only figure to trust."""

    def __str__(self) -> str:
        return f"{self.median:7.2f} /{self.late:7.1f} /{self.server:6.2f}"


def _waits(do: Callable[[], None], pid: int, seconds: float) -> Wait:
    waits, work, until = [], [], time.perf_counter() + seconds
    while time.perf_counter() < until or len(waits) < 3:
        before, began = processor_seconds(pid), time.perf_counter()
        do()
        waits.append((time.perf_counter() - began) * 1e3)
        work.append((processor_seconds(pid) - before) * 1e3)
        time.sleep(0.005)
    return Wait(statistics.median(waits), sorted(waits)[int(len(waits) * 0.95)], statistics.median(work))


def waits(kinds: list[str]) -> None:
    """Print how long another client waits while one floods the server."""
    print(f"{'ms: median / late / work':24} {'create and destroy':>24} {'version':>24}")
    for kind in kinds:
        with site(8, 8) as (machine, folder), our_server(machine, folder) as address:
            with Client(address) as client:
                fill(client, JOBS, 60.0)
            modest = Modest(address)
            _show("none", modest, address)
            for connections in (16, 256):
                with _process("flood", address, kind, str(connections)):
                    time.sleep(0.5)
                    _show(f"{kind} x{connections}", modest, address)


def _show(flood: str, modest: Modest, address: Address) -> None:
    pair, version = (_waits(do, address.pid, SECONDS / 2) for do in (modest.pair, modest.version))
    print(f"{flood:24} {pair} {version}", flush=True)


async def _held(host: str, port: int) -> None:
    """Connect often, say much, and read nothing."""
    loop = asyncio.get_running_loop()
    held = []
    for local, said, connections in HOARDS:
        for _ in range(connections):
            connection = socket.socket()
            connection.bind((local, 0))
            connection.setblocking(False)
            with contextlib.suppress(OSError):
                await loop.sock_connect(connection, (host, port))
                held.append((connection, loop.create_task(_say(connection, said))))
    print("flooding", flush=True)
    await asyncio.sleep(SECONDS_OF_HOARDING)
    for connection, saying in held:
        saying.cancel()
        connection.close()


async def _say(connection: socket.socket, said: bytes) -> None:
    # The server may hang up, and does not take all of it.
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_sendall(connection, said)


def memory() -> None:
    """Print what the server's memory grows to under all hoards at once, and what is left of that afterwards."""
    with site(20, 20) as (machine, folder), our_server(machine, folder) as address:
        resident = [_mebibytes(address)]
        with Client(address) as client:
            fill(client, LISTED_JOBS, 120.0)
            client.seconds_each(line("list_jobs"), 3)
            resident.append(_mebibytes(address))
            most = 0.0
            with _process("hoard", address):
                until = time.monotonic() + SECONDS_OF_HOARDING - 2.0
                while time.monotonic() < until:
                    # Jobs change meanwhile, so that listings differ.
                    job = client.call("create_job", 1, owner="me", keepalive=None)
                    client.call("destroy_job", job)
                    most = max(most, _mebibytes(address))
                    time.sleep(0.05)
            time.sleep(10.0)
            resident += [most, _mebibytes(address)]
    for what, size in zip(
        ("nothing", f"{LISTED_JOBS} jobs", "all hoards", "afterwards"), resident, strict=True
    ):
        print(f"{what:12} {size:8.0f} MiB")


def _mebibytes(address: Address) -> float:
    return resident_bytes(address.pid) / 2**20


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["flood", host, port, kind, connections]:
            run(_flood(host, int(port), kind, int(connections)))
        case ["hoard", host, port]:
            allow_descriptors(sum(connections for _, _, connections in HOARDS) + 100)
            run(_held(host, int(port)))
        case ["memory"]:
            memory()
        case ["waits", *kinds]:
            waits(kinds or ["pairs", "pipelined pairs", "versions", "listings"])

# Ten thousand connections at once, a tenth of them watching all jobs, while jobs come and go.
"""Measure memory and delay with many connections: `python -m benchmarks.server_connections`."""

import asyncio
import contextlib
import json
import multiprocessing
import resource
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from benchmarks._server import Row, line, our_server, quick, report, resident_bytes
from spalloc_server.descriptors import allow_descriptors
from tests import processes

CONNECTIONS = 10_000
WATCHERS = 1_000
USERS = 10
PAUSE_SECONDS = 0.02


class Sink(asyncio.Protocol):
    """A client that reads whatever it is sent."""

    __slots__ = ("received", "transport")

    def __init__(self) -> None:
        self.received = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += len(data)


class Echo(asyncio.Protocol):
    """The least that a server can hold of a connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[attr-defined]


def _echo(told: Connection) -> None:
    from spalloc_server.loop import run

    async def serve() -> None:
        allow_descriptors(CONNECTIONS + 512)
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(serve())


@contextlib.contextmanager
def echo_server() -> Iterator[dict[str, Any]]:
    """Run a bare server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_echo, args=(there,), daemon=True)
    process.start()
    try:
        yield {"host": "127.0.0.1", "port": here.recv(), "pid": process.pid}
    finally:
        process.terminate()
        process.join()


async def _open(address: dict[str, Any], count: int) -> list[Sink]:
    loop = asyncio.get_running_loop()
    sinks: list[Sink] = []
    while len(sinks) < count:
        opening = (loop.create_connection(Sink, address["host"], address["port"]) for _ in range(200))
        sinks += [protocol for _, protocol in await asyncio.gather(*opening)]
    for sink in sinks:
        sink.transport.write(line("version"))
    while not all(sink.received for sink in sinks):
        await asyncio.wait([asyncio.ensure_future(asyncio.sleep(0.01))])
    return sinks


async def _call(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> Any:
    streams[1].write(request)
    return json.loads(await streams[0].readline())["return"]


async def _hold(address: dict[str, Any], pid: int) -> float:
    before = resident_bytes(pid)
    sinks = await _open(address, CONNECTIONS)
    each = (resident_bytes(pid) - before) / len(sinks)
    for sink in sinks:
        sink.transport.close()
    return each


async def _measure(address: dict[str, Any]) -> dict[str, float]:
    seconds = 3.0 if quick() else 15.0
    found: dict[str, float] = {}
    versions: list[float] = []
    creations: list[float] = []

    async def ask(until: float) -> None:
        streams = await asyncio.open_connection(address["host"], address["port"])
        while time.perf_counter() < until:
            began = time.perf_counter()
            await _call(streams, line("version"))
            versions.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE_SECONDS)
        streams[1].close()

    async def use(until: float) -> None:
        streams = await asyncio.open_connection(address["host"], address["port"])
        while time.perf_counter() < until:
            began = time.perf_counter()
            job = await _call(streams, line("create_job", owner="me"))
            creations.append(time.perf_counter() - began)
            await _call(streams, line("destroy_job", job))
            await asyncio.sleep(PAUSE_SECONDS)
        streams[1].close()

    async def busy() -> None:
        versions.clear()
        creations.clear()
        until = time.perf_counter() + seconds
        await asyncio.gather(ask(until), *(use(until) for _ in range(USERS)))

    await busy()
    found["version alone"], found["create alone"] = median(versions), median(creations)
    before = resident_bytes(address["pid"])
    sinks = await _open(address, CONNECTIONS)
    for sink in sinks[:WATCHERS]:
        sink.transport.write(line("notify_job"))
    await busy()
    found["version"], found["create"] = median(versions), median(creations)
    found["each"] = (resident_bytes(address["pid"]) - before) / len(sinks)
    for sink in sinks:
        sink.transport.close()
    return found


def main() -> None:
    """Measure and print."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_descriptors(most)
    with processes.boards(20, 20) as machine, our_server(machine) as address:
        ours = asyncio.run(_measure(address))
    with echo_server() as address:
        bare = asyncio.run(_hold(address, address["pid"]))
    beside = f"{CONNECTIONS:,} connections, {WATCHERS:,} watch all jobs; reference: ours with {USERS + 1}"
    report(
        "Many connections",
        [
            Row(
                f"memory for each of {CONNECTIONS:,} connections, {WATCHERS:,} watch all jobs",
                "KB",
                ours["each"] / 1024,
                bare / 1024,
                "a bare echo server on uvloop",
            ),
            Row(
                f"`version`, median, while {USERS} users create and destroy jobs",
                "ms",
                ours["version"] * 1e3,
                ours["version alone"] * 1e3,
                beside,
            ),
            Row("`create_job`, median", "ms", ours["create"] * 1e3, ours["create alone"] * 1e3, beside),
        ],
    )


if __name__ == "__main__":
    main()

"""Thousands of requests that wait and of websockets: what they cost others, and the memory of each."""

import asyncio
import statistics
from collections.abc import Generator

import uvloop

from benchmarks.http.asking import Connection, User, connected
from benchmarks.http.carried import seconds_to_ready, until_ready
from benchmarks.http.served import Served, served
from benchmarks.programs.process import resident_bytes, wait_until_idle
from benchmarks.suite.measurement import OURS, WITHOUT_CROWD, Effort, Measurement, Scene, Take, Unit

POLLS = 10_000
SOCKETS = 1_000
FEW = 60
READY_BESIDE = Measurement(
    name="http/ready-beside",
    work=f"one three-board job ready, beside {POLLS:,} requests that wait and {SOCKETS:,} websockets, without TLS",
    unit=Unit.SECONDS,
    limits=(WITHOUT_CROWD,),
    rounds=5,
    quick_rounds=1,
)


def _memory(name: str, work: str) -> Measurement:
    return Measurement(
        name=f"http/{name}",
        work=f"memory of {work}, without TLS",
        unit=Unit.BYTES,
        rounds=1,
        quick_rounds=1,
    )


POLL_MEMORY = _memory("poll-memory", f"a request that waits, {POLLS:,} of them")
WEBSOCKET_MEMORY = _memory("websocket-memory", f"an open websocket, {SOCKETS:,} of them")


def hanging(effort: Effort) -> Generator[Scene, None, None]:
    """Measure memory first: once it was given back, the next thousands need less."""
    polls, sockets = int(effort.of(POLLS, POLLS // 50)), int(effort.of(SOCKETS, SOCKETS // 20))
    note = "" if polls == POLLS else f"with {polls} requests and {sockets} websockets"
    times = int(effort.of(30, 5))
    with served(tls=False) as server:
        yield WEBSOCKET_MEMORY, {OURS: Take(lambda: uvloop.run(_bytes_of_each(server, 0, sockets)), note)}
        yield POLL_MEMORY, {OURS: Take(lambda: uvloop.run(_bytes_of_each(server, polls, 0)), note)}
        yield (
            READY_BESIDE,
            {
                OURS: Take(lambda: uvloop.run(_ready_beside(server, polls, sockets, times)), note),
                WITHOUT_CROWD: Take(lambda: uvloop.run(_ready_beside(server, 0, 0, times))),
            },
        )


async def _ready_beside(server: Served, polls: int, sockets: int, times: int) -> float:
    hangers = Hangers(server.users[1:])
    await hangers.begin(polls, sockets)
    await asyncio.to_thread(wait_until_idle, server.v1.pid)
    taken = statistics.median([await seconds_to_ready(server.users[0], 1) for _ in range(times)])
    await hangers.end()
    await asyncio.to_thread(wait_until_idle, server.v1.pid)
    return taken


async def _bytes_of_each(server: Served, polls: int, sockets: int) -> float:
    few = Hangers(server.users[1:])
    await few.begin(min(polls, FEW), min(sockets, FEW))
    await few.end()
    await asyncio.to_thread(wait_until_idle, server.v1.pid)
    before, hangers = resident_bytes(server.v1.pid), Hangers(server.users[1:])
    await hangers.begin(polls, sockets)
    await asyncio.to_thread(wait_until_idle, server.v1.pid)
    each = (resident_bytes(server.v1.pid) - before) / (polls + sockets)
    await hangers.end()
    await asyncio.to_thread(wait_until_idle, server.v1.pid)
    return each


class Hangers:
    """Requests and websockets that stay open: of several accounts, from several addresses of this computer."""

    def __init__(self, users: list[User]) -> None:
        self._users = users
        self._there: list[Connection] = []
        self._tasks: list[asyncio.Task[object]] = []
        self._jobs: list[tuple[User, str]] = []

    async def begin(self, polls: int, sockets: int) -> None:
        """Open them, each poll on a job that stays as it is, each websocket to another."""
        for user in self._users:
            async with user.connection() as connection:
                path = (await connection.ask(user.creation(3))).is_one_of(201).location
                await until_ready(user, connection, path)
            self._jobs.append((user, path))
        for number in range(polls + sockets):
            user, path = self._jobs[number % len(self._jobs)]
            connection = await connected(user.service, f"127.0.0.{2 + number % len(self._jobs)}")
            self._there.append(connection)
            if number < polls:
                self._tasks.append(asyncio.create_task(self._hang(user, connection, path)))
            else:
                job = path.rpartition("/")[2]
                handshake = user.request("GET", f"proxy/{job}").replace(
                    b"Connection: keep-alive",
                    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                )
                (await connection.ask(handshake)).is_one_of(101)

    async def _hang(self, user: User, connection: Connection, path: str) -> None:
        while True:
            (await connection.ask(user.request("GET", f"{path}?wait=true"))).is_one_of(200)

    async def end(self) -> None:
        """Close them."""
        for task in self._tasks:
            task.cancel()
        for connection in self._there:
            connection.close()
        for user, path in self._jobs:
            async with user.connection() as connection:
                await connection.ask(user.request("DELETE", path))

"""What the HTTP front carries: `python -m benchmarks.http.figures [NAME ...]`.

Server and load are processes of their own on the same computer. Rates depend on the computer; what others lose is told
as a ratio, taken with and without the load in turns on the same server.
"""

import asyncio
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import uvloop

from benchmarks.http.asking import Connection, Service, User, connected, logged_in
from benchmarks.programs.ours import site
from benchmarks.programs.process import resident_bytes
from spalloc_server.fronts.http.connections.authority import make_certificate
from tests import processes

SECONDS = 3.0
POLLS = 10_000
SOCKETS = 1_000
ACCOUNTS = 7
SETTLE_SECONDS = 3.0
PASSWORD = "correct horse battery"


@contextmanager
def served(*, tls: bool, triads: int = 20) -> Iterator[tuple[Service, int]]:
    """Run a server with its records on disk and BMPs that answer at once; gives the service and the process's ID."""
    with site(triads, triads) as (machine, folder):
        arguments = processes.configured(machine, folder)
        configuration = next(Path(one) for one in arguments if one.endswith(".toml"))
        made = make_certificate(folder / "tls", ["localhost"])
        # v1 gets few, so that the others are left where the system allows few.
        few = configuration.read_text().replace("[v1.limits]", "[v1.limits]\nconnections = 1000")
        configuration.write_text(few)
        with configuration.open("a") as file:
            file.write(f'\n[control]\nsocket = "{folder / "control"}"\n[http]\nport = 0\n')
            if tls:
                file.write(f'certificate = "{made.certificate}"\nkey = "{made.key}"\n')
        with processes.spalloc_server(arguments) as server:
            threading.Thread(target=processes.drain, args=(server.process.stderr,), daemon=True).start()
            for number in range(ACCOUNTS):
                add = [
                    *processes.SERVER,
                    "account",
                    "--socket",
                    str(folder / "control"),
                    "add",
                    f"user{number}",
                ]
                subprocess.run(add, input=f"{PASSWORD}\n", text=True, check=True, stdout=subprocess.DEVNULL)
            context = ssl.create_default_context(cafile=str(made.bundle)) if tls else None
            port = int(server.before["HTTP"])
            yield Service("127.0.0.1", port, tls=context), server.process.pid


async def _a_second(clients: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Return how often some clients together do something in a second."""
    count, began = 0, time.perf_counter()

    async def client(number: int) -> None:
        nonlocal count
        while time.perf_counter() < began + SECONDS:
            await work(number)
            count += 1

    await asyncio.gather(*map(client, range(clients)))
    return count / (time.perf_counter() - began)


async def machines_a_second(user: User, clients: int = 16) -> float:
    """Return how many `GET machines` are answered in a second on kept connections."""
    request = user.request("GET", "srv/spalloc/machines")
    async with AsyncExitStack() as stack:
        there = [await stack.enter_async_context(user.connection()) for _ in range(clients)]

        async def ask(number: int) -> None:
            (await there[number].ask(request)).is_one_of(200)

        return await _a_second(clients, ask)


async def pairs_a_second(user: User, clients: int = 10, *, kept: bool) -> float:
    """Return how many jobs are created and destroyed in a second, on kept connections or a new one for each request."""
    create = user.creation(1)
    async with AsyncExitStack() as stack:
        there = [await stack.enter_async_context(user.connection()) for _ in range(clients if kept else 0)]

        async def pair(number: int) -> None:
            if kept:
                made = (await there[number].ask(create)).is_one_of(201)
                (await there[number].ask(user.request("DELETE", made.location))).is_one_of(204)
                return
            async with user.connection() as one:
                made = (await one.ask(create)).is_one_of(201)
            async with user.connection() as one:
                (await one.ask(user.request("DELETE", made.location))).is_one_of(204)

        return await _a_second(clients, pair)


async def _ready(user: User, connection: Connection, path: str) -> None:
    """Wait until a job is ready."""
    while True:
        answer = (await connection.ask(user.request("GET", f"{path}?wait=true"))).is_one_of(200)
        if answer.json["state"] == "READY":
            return


async def seconds_to_ready(user: User, jobs: int) -> float:
    """Return how long it takes from the first creation until as many jobs of three boards are ready."""
    create = user.creation(3)
    async with AsyncExitStack() as stack:
        there = [await stack.enter_async_context(user.connection()) for _ in range(jobs)]
        began = time.perf_counter()

        async def job(connection: Connection) -> str:
            path = (await connection.ask(create)).is_one_of(201).location
            await _ready(user, connection, path)
            return path

        paths = await asyncio.gather(*map(job, there))
        took = time.perf_counter() - began
        for path, connection in zip(paths, there, strict=True):
            (await connection.ask(user.request("DELETE", path))).is_one_of(204)
        return took


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
                await _ready(user, connection, path)
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


async def _crowd(users: list[User]) -> None:
    """Print how much longer a job takes to be ready beside many polls and websockets."""
    ratios = []
    for _ in range(5):
        alone = await _median_to_ready(users[0])
        hangers = Hangers(users[1:])
        await hangers.begin(POLLS, SOCKETS)
        beside = await _median_to_ready(users[0])
        ratios.append(beside / alone)
        print(f"  ready in {alone * 1e3:.2f} ms alone, {beside * 1e3:.2f} ms beside them", flush=True)
        await hangers.end()
        await asyncio.sleep(SETTLE_SECONDS)
    ratio = statistics.median(ratios)
    print(
        f"{POLLS} polls and {SOCKETS} websockets: a job is ready after {ratio:.2f} times as long", flush=True
    )


async def _median_to_ready(user: User) -> float:
    return statistics.median([await seconds_to_ready(user, 1) for _ in range(30)])


async def _memory(process: int, users: list[User]) -> None:
    """Print how much memory the server needs for a request that waits, and for a websocket."""
    for polls, sockets, what in ((0, SOCKETS, "websocket"), (POLLS, 0, "poll")):
        few = Hangers(users[1:])
        await few.begin(min(polls, 60), min(sockets, 60))
        await few.end()
        await asyncio.sleep(SETTLE_SECONDS)
        before, hangers = resident_bytes(process), Hangers(users[1:])
        await hangers.begin(polls, sockets)
        await asyncio.sleep(SETTLE_SECONDS)
        each = (resident_bytes(process) - before) / (polls + sockets)
        print(f"memory of a {what}: {each / 1e3:.1f} kB", flush=True)
        await hangers.end()
        await asyncio.sleep(SETTLE_SECONDS)


async def _measure(service: Service, process: int, names: list[str]) -> None:
    users = [await logged_in(service, f"user{number}", PASSWORD) for number in range(ACCOUNTS)]
    how = "with TLS" if service.tls else "without TLS"

    async def rounds(what: str, unit: str, one: Callable[[], Awaitable[float]], count: int = 5) -> None:
        taken = [await one() for _ in range(count)]
        print(
            f"{what}, {how}: {statistics.median(taken):,.0f} {unit} ({min(taken):,.0f} to {max(taken):,.0f})",
            flush=True,
        )

    user = users[0]
    if "machines" in names:
        await rounds("GET machines, kept connections", "a second", lambda: machines_a_second(user))
    if "pairs" in names:
        await rounds("pairs, kept connections", "a second", lambda: pairs_a_second(user, kept=True))
        await rounds("pairs, a connection each", "a second", lambda: pairs_a_second(user, kept=False))
    if "ready" in names:
        await rounds("400 jobs ready", "ms", lambda: _thousand(seconds_to_ready(user, 400)))
    if "crowd" in names:
        await _crowd(users)
    if "memory" in names:
        await _memory(process, users)


async def _thousand(one: Awaitable[float]) -> float:
    return 1000 * await one


def main(names: list[str]) -> None:
    """Print the figures that are named; with none, all."""
    for tls in (False, True):
        with served(tls=tls) as (service, process):
            uvloop.run(_measure(service, process, names or ["machines", "pairs", "ready", "crowd", "memory"]))


if __name__ == "__main__":
    main(sys.argv[1:])

"""How much the HTTP front carries: requests a second, jobs a second, and how soon many jobs are ready."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack

import uvloop

from benchmarks.http.asking import Connection, User
from benchmarks.http.served import served
from benchmarks.load.client import seconds_to_ready as seconds_to_ready_over_v1
from benchmarks.load.users import pairs_a_second as pairs_a_second_over_v1
from benchmarks.suite.measurement import OURS, OVER_V1, Effort, Measurement, Scene, Subject, Take, Unit
from benchmarks.suite.statistics import Better

SECONDS = 3.0
QUICK_SECONDS = 0.3
READERS = 16
CLIENTS = 10
JOBS = 400
MORE_THAN_V1 = "A request has a head of headers where v1 has a line of JSON, and a session that is looked up."


def _declared(name: str, work: str, *, tls: bool, limits: tuple[Subject, ...] = ()) -> Measurement:
    return Measurement(
        name=f"http/{name}{'-tls' if tls else ''}",
        work=f"{work}, {'TLS' if tls else 'without TLS'}",
        unit=Unit.PER_SECOND,
        better=Better.HIGHER,
        limits=limits,
        rounds=5,
        quick_rounds=1,
        reason=MORE_THAN_V1 if limits else "",
    )


def carried(effort: Effort) -> Generator[Scene, None, None]:
    """Measure a server without TLS, and one with it."""
    seconds = effort.of(SECONDS, QUICK_SECONDS)
    for tls in (False, True):
        with served(tls=tls) as server:
            user, v1 = server.users[0], server.v1
            yield (
                _declared(
                    "machines", f"`GET machines` a second, {READERS} clients on kept connections", tls=tls
                ),
                {OURS: Take(lambda user=user: uvloop.run(machines_a_second(user, seconds)))},
            )
            pairs = f"jobs created and destroyed a second, {CLIENTS} clients"
            yield (
                _declared("pairs-kept", f"{pairs} on kept connections", tls=tls, limits=(OVER_V1,)),
                {
                    OURS: Take(lambda user=user: uvloop.run(pairs_a_second(user, seconds, kept=True))),
                    OVER_V1: Take(lambda v1=v1: pairs_a_second_over_v1(v1, CLIENTS, seconds)),
                },
            )
            yield (
                _declared("pairs-each", f"{pairs} with a connection for each request", tls=tls),
                {OURS: Take(lambda user=user: uvloop.run(pairs_a_second(user, seconds, kept=False)))},
            )
            yield (
                Measurement(
                    name=f"http/ready-{JOBS}{'-tls' if tls else ''}",
                    work=f"{JOBS} three-board jobs ready after the first is asked for, {'' if tls else 'without '}TLS",
                    unit=Unit.SECONDS,
                    limits=(OVER_V1,),
                    rounds=5,
                    quick_rounds=1,
                    reason="Each job has a connection of its own here, made before; over v1, one has them all.",
                ),
                {
                    OURS: Take(lambda user=user: uvloop.run(seconds_to_ready(user, JOBS))),
                    OVER_V1: Take(lambda v1=v1: seconds_to_ready_over_v1(v1, JOBS)),
                },
            )


async def _a_second(seconds: float, clients: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Return how often some clients together do something in a second."""
    count, began = 0, time.perf_counter()

    async def client(number: int) -> None:
        nonlocal count
        while time.perf_counter() < began + seconds:
            await work(number)
            count += 1

    await asyncio.gather(*map(client, range(clients)))
    return count / (time.perf_counter() - began)


async def machines_a_second(user: User, seconds: float) -> float:
    """Return how many `GET machines` are answered in a second on kept connections."""
    request = user.request("GET", "srv/spalloc/machines")
    async with AsyncExitStack() as stack:
        there = [await stack.enter_async_context(user.connection()) for _ in range(READERS)]

        async def ask(number: int) -> None:
            (await there[number].ask(request)).is_one_of(200)

        return await _a_second(seconds, READERS, ask)


async def pairs_a_second(user: User, seconds: float, *, kept: bool) -> float:
    """Return how many jobs are created and destroyed in a second, on kept connections or a new one for each request."""
    create = user.creation(1)
    async with AsyncExitStack() as stack:
        there = [await stack.enter_async_context(user.connection()) for _ in range(CLIENTS if kept else 0)]

        async def pair(number: int) -> None:
            if kept:
                made = (await there[number].ask(create)).is_one_of(201)
                (await there[number].ask(user.request("DELETE", made.location))).is_one_of(204)
                return
            async with user.connection() as one:
                made = (await one.ask(create)).is_one_of(201)
            async with user.connection() as one:
                (await one.ask(user.request("DELETE", made.location))).is_one_of(204)

        return await _a_second(seconds, CLIENTS, pair)


async def until_ready(user: User, connection: Connection, path: str) -> None:
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
            await until_ready(user, connection, path)
            return path

        paths = await asyncio.gather(*map(job, there))
        took = time.perf_counter() - began
        for path, connection in zip(paths, there, strict=True):
            (await connection.ask(user.request("DELETE", path))).is_one_of(204)
        return took

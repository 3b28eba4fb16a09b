"""How many messages the websocket proxy carries beside a bare relay, and what 20 streams leave to others."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import uvloop

from benchmarks.http.streams import Echo, Stream, open_streams
from benchmarks.suite.measurement import (
    BARE_RELAY,
    OURS,
    WITHOUT_LIMIT,
    WITHOUT_STREAMS,
    Effort,
    Measurement,
    Scene,
    Take,
    Unit,
)
from benchmarks.suite.statistics import Better
from spalloc_client import ProtocolClient

SECONDS = 0.8
STREAMS = 16
WINDOW = 8
OTHERS = 20
PAIRS = 40
AHEAD = 10
"""The priority of the client that is measured."""
KINDS = {OURS: "ours", WITHOUT_LIMIT: "unlimited", BARE_RELAY: "bare"}
CARRIED = Measurement(
    name="http/messages",
    work=f"messages to boards that are answered a second, {STREAMS} websockets, without TLS",
    unit=Unit.PER_SECOND,
    better=Better.HIGHER,
    limits=(WITHOUT_LIMIT, BARE_RELAY),
    rounds=5,
    quick_rounds=1,
    reason="All streams together have a limit, which leaves others their turns.",
)
COST = Measurement(
    name="http/message-cost",
    work="processor time of a message to a board and its answer",
    unit=Unit.SECONDS,
    limits=(WITHOUT_LIMIT, BARE_RELAY),
    rounds=5,
    quick_rounds=1,
    reason="The bare relay asks nobody whether the job still has the board.",
)
PAIR_BESIDE = Measurement(
    name="http/pair-beside-streams",
    work=f"`create_job` and `destroy_job` over v1, beside {OTHERS} websockets at full speed",
    unit=Unit.SECONDS,
    limits=(WITHOUT_LIMIT, WITHOUT_STREAMS),
    rounds=5,
    quick_rounds=1,
    reason="What others wait for is the length of a turn of the server's loop, of which each stream has a part.",
)


def relays(effort: Effort) -> Generator[Scene, None, None]:
    """Measure each server in a process of its own, new for each turn."""
    seconds = effort.of(SECONDS, SECONDS / 4)
    for measurement, index in ((CARRIED, 0), (COST, 1)):
        yield (
            measurement,
            {
                subject: Take(lambda kind=kind, index=index: uvloop.run(_carried_by(kind, seconds))[index])
                for subject, kind in KINDS.items()
            },
        )
    yield (
        PAIR_BESIDE,
        {
            OURS: Take(lambda: uvloop.run(_pair("ours", OTHERS))),
            WITHOUT_LIMIT: Take(lambda: uvloop.run(_pair("unlimited", OTHERS))),
            WITHOUT_STREAMS: Take(lambda: uvloop.run(_pair("ours", 0))),
        },
    )


class Server:
    """A relay; servers.py says which there are."""

    def __init__(self, process: asyncio.subprocess.Process, at: dict[str, Any]) -> None:
        self._process = process
        self.at = at

    async def cpu(self) -> float:
        """Return the processor time that it has used, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return float(await self._process.stdout.readline())


@asynccontextmanager
async def _server(kind: str) -> AsyncIterator[Server]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.http.servers",
        kind,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Server(process, json.loads(await process.stdout.readline()))
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def _at_full_speed(server: Server, count: int) -> AsyncIterator[list[Stream]]:
    echo = Echo(server.at["echo"])
    streams = await open_streams(server.at, count, WINDOW)
    for stream in streams:
        stream.begin()
    try:
        yield streams
    finally:
        for stream in streams:
            stream.transport.abort()
        echo.close()


async def _carried_by(kind: str, seconds: float) -> tuple[float, float]:
    """Return the answers a second, and the server's processor time for each, in seconds."""
    async with _server(kind) as one, _at_full_speed(one, STREAMS) as streams:
        before, began, used = sum(s.answers for s in streams), time.perf_counter(), await one.cpu()
        await asyncio.sleep(seconds)
        answers = sum(s.answers for s in streams) - before
        return answers / (time.perf_counter() - began), (await one.cpu() - used) / max(1, answers)


async def _pair(kind: str, count: int) -> float:
    """Return the median seconds of a job's creation and destruction by another client, a process of its own."""
    async with _server(kind) as one, _at_full_speed(one, count):
        host, port = one.at["v1"]
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.http.relay", host, str(port), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await client.communicate()
        return float(output)


def _create_and_destroy(host: str, port: int) -> None:
    """Print the median seconds."""
    if os.sched_getscheduler(0) == os.SCHED_RR:
        # Started with `chrt`, as where others use the computer: what is measured is the server, not this client's turn.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(AHEAD))
    took = []
    with ProtocolClient(host, port) as client:
        for _ in range(PAIRS):
            began = time.perf_counter()
            client.destroy_job(client.create_job(1, owner="other", keepalive=60.0))
            took.append(time.perf_counter() - began)
    print(median(took))


if __name__ == "__main__":
    _create_and_destroy(sys.argv[1], int(sys.argv[2]))

"""Prints how many messages the proxy carries beside a bare relay, and what 20 streams at full speed leave to others.

Run it with nothing else on the computer; otherwise, the processor's time for each message tells most.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from statistics import median
from typing import Any

import uvloop

from benchmarks.http.streams import Echo, Stream, open_streams
from spalloc_client import ProtocolClient

ROUNDS = 3
SECONDS = 0.8
STREAMS = 16
WINDOW = 8
OTHERS = 20
PAIRS = 40
AHEAD = 10
"""The priority of the client that is measured."""


class Server:
    def __init__(self, process: asyncio.subprocess.Process, at: dict[str, Any]) -> None:
        self._process = process
        self.at = at

    async def cpu(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return float(await self._process.stdout.readline())


@asynccontextmanager
async def server(kind: str) -> Any:
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


async def carried(one: Server, streams: list[Stream], seconds: float) -> tuple[float, float]:
    """Return the answers a second, and the server's processor time for each, in microseconds."""
    before, began, used = sum(s.answers for s in streams), time.perf_counter(), await one.cpu()
    await asyncio.sleep(seconds)
    answers = sum(s.answers for s in streams) - before
    return answers / (time.perf_counter() - began), 1e6 * (await one.cpu() - used) / max(1, answers)


async def full_speed(one: Server, count: int) -> list[Stream]:
    streams = await open_streams(one.at, count, WINDOW)
    for stream in streams:
        stream.begin()
    return streams


def end(streams: list[Stream]) -> None:
    for stream in streams:
        stream.transport.abort()


async def pairs(one: Server) -> float:
    """Return the median seconds of a job's creation and destruction by another client, a process of its own."""
    host, port = one.at["v1"]
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.http.relay", host, str(port), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await client.communicate()
    return float(output)


def create_and_destroy(host: str, port: int) -> None:
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


async def relays() -> None:
    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "unlimited": [], "bare": []}
    for number in range(ROUNDS):
        for kind in figures if number % 2 else reversed(figures):
            async with server(kind) as one:
                echo = Echo(one.at["echo"])
                streams = await full_speed(one, STREAMS)
                figures[kind].append(await carried(one, streams, SECONDS))
                end(streams)
                echo.close()
    for kind, rounds in figures.items():
        rate, cost = (median(values) for values in zip(*rounds, strict=True))
        ratio = median(mine / bare for (mine, _), (bare, _) in zip(rounds, figures["bare"], strict=True))
        print(f"{kind:10} {rate:8.0f} messages/s, {ratio:.2f} of bare; {cost:6.1f} µs of its processor each")


async def starving() -> None:
    for kind in ("ours", "unlimited"):
        async with server(kind) as one:
            echo = Echo(one.at["echo"])
            quiet = await pairs(one)
            streams = await full_speed(one, OTHERS)
            busy, (rate, _) = await asyncio.gather(pairs(one), carried(one, streams, SECONDS))
            end(streams)
            echo.close()
            what = "with the limit" if kind == "ours" else "without it"
            print(
                f"{what}: create and destroy {1e3 * quiet:.2f} ms quiet, {1e3 * busy:.2f} ms beside {OTHERS} streams "
                f"of {rate:.0f} messages/s together: {busy / quiet:.1f} times"
            )


async def main() -> None:
    await relays()
    await starving()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        create_and_destroy(sys.argv[1], int(sys.argv[2]))
    else:
        uvloop.run(main())

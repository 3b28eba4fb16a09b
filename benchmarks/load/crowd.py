"""A crowd of clients: `python -m benchmarks.load.crowd HOST PORT` reads commands, one a line.

It holds thousands of connections to one server in a process of its own, since the system limits the number of
connections of one process.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.load.client import line
from benchmarks.programs.address import Address
from benchmarks.suite.measurement import CannotDoError
from spalloc_server.runtime import allow_descriptors, run

DESCRIPTORS = 19_000
GREETING = line("version")
WATCH = line("notify_job")
PATIENCE_SECONDS = 120.0


class Listener(asyncio.Protocol):
    """A client that only counts what it is sent."""

    __slots__ = ("crowd", "heard", "transport")

    def __init__(self, crowd: "_Crowd") -> None:
        self.crowd = crowd
        self.heard = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, _: bytes) -> None:
        if not self.heard:
            self.heard = True
            self.crowd.one_has_heard()

    def connection_lost(self, _: Exception | None) -> None:
        self.crowd.lost += 1
        self.crowd.one_has_heard()


class _Crowd:
    """The work of the process; each method is a command of its input."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._listeners: list[Listener] = []
        self._awaited = 0
        self._all_heard = asyncio.Event()
        self.lost = 0

    def one_has_heard(self) -> None:
        self._awaited -= 1
        if self._awaited == 0:
            self._all_heard.set()

    async def _everyone(self, said: bytes, speakers: list[Listener], listeners: list[Listener]) -> float:
        """Send a line from some clients, and wait until others have received one; return how long that took."""
        self._awaited = len(listeners)
        self._all_heard.clear()
        for listener in listeners:
            listener.heard = False
        began = time.perf_counter()
        for speaker in speakers:
            speaker.transport.write(said)
        await asyncio.wait_for(self._all_heard.wait(), PATIENCE_SECONDS)
        if self.lost:
            raise ConnectionError(f"{self.lost} connections were closed")
        return time.perf_counter() - began

    async def open(self, count: int, within_seconds: float) -> int:
        """Open connections, one after the other; each has an answer before the next is opened.

        The published server takes one connection at a time, and its queue of them holds five: those that are
        dropped from it are tried again by the system a second later.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + within_seconds
        while len(self._listeners) < count and loop.time() < until:
            opening = loop.create_connection(lambda: Listener(self), self._host, self._port)
            self._listeners.append((await opening)[1])
            await self._everyone(GREETING, self._listeners[-1:], self._listeners[-1:])
        return len(self._listeners)

    async def each_says(self, text: str) -> float:
        """Each sends a line, and waits for an answer."""
        return await self._everyone(text.encode(), self._listeners, self._listeners)

    async def one_says(self, text: str) -> float:
        """The first sends a line; returns the seconds until all have received one."""
        return await self._everyone(text.encode(), self._listeners[:1], self._listeners)


class Crowd:
    """The process, as its parent uses it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.size = 0
        """The number of connections."""

    def _do(self, what: str, *arguments: object) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, *arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        said = json.loads(answer) if answer else {"failure": "the crowd's process ended"}
        if "failure" in said:
            raise CannotDoError(said["failure"])
        return float(said["result"])

    def open(self, count: int, within_seconds: float = PATIENCE_SECONDS) -> int:
        """Open connections until there are `count`, or as many as the time allows; return how many there are."""
        self.size = int(self._do("open", count, within_seconds))
        return self.size

    def each_says(self, request: bytes) -> None:
        """Each connection sends a line, and waits for an answer."""
        self._do("each_says", request.decode())

    def one_says(self, request: bytes) -> float:
        """One sends a line; return the seconds until all have received one."""
        return self._do("one_says", request.decode())


@contextlib.contextmanager
def crowd(address: Address) -> Iterator[Crowd]:
    """Run a process for many connections to a server; they are closed afterwards."""
    command = [sys.executable, "-m", "benchmarks.load.crowd", address.host, str(address.port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Crowd(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


async def _obey(host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    held = _Crowd(host, port)
    while told := await loop.run_in_executor(None, sys.stdin.readline):
        what, *arguments = json.loads(told)
        try:
            said: dict[str, Any] = {"result": await getattr(held, what)(*arguments)}
        except TimeoutError:
            said = {"failure": f"not all heard anything within {PATIENCE_SECONDS:.0f} s"}
        except OSError as problem:
            said = {"failure": str(problem)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    allow_descriptors(DESCRIPTORS)
    run(_obey(sys.argv[1], int(sys.argv[2])))

"""Servers that do the least that a server can do, each in a process of its own: what the machine allows.

They know nothing of jobs. Clients are measured against them too, so that no server's own work is in the figures.

`python -m benchmarks.limits.servers KIND` starts one on uvloop: it prints its port and serves until its input ends.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from benchmarks.programs.address import Address
from spalloc_server.runtime import allow_descriptors, run

DESCRIPTORS = 19_000
BACKLOG = 4096
NOTIFICATION_PAUSE_SECONDS = 0.002


class Echo(asyncio.Protocol):
    """Sends back what it receives."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Lines(Echo):
    """Sends back each line that it receives once it is complete, so it must join pieces."""

    _before = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._before = (self._before + data).split(b"\n")
        self.transport.writelines([line + b"\n" for line in lines])


class Prepared(Echo):
    """Answers a number with a line of as many bytes, made when it is first asked for; no list can be sent faster."""

    lines: ClassVar[dict[int, bytes]] = {}

    def data_received(self, data: bytes) -> None:
        for asked in data.split():
            size = int(asked)
            if size not in self.lines:
                self.lines[size] = b"x" * (size - 1) + b"\n"
            self.transport.write(self.lines[size])


class Broadcast(Echo):
    """Sends what it receives to all clients, but a `version` only to its sender, so that a crowd can assemble."""

    everyone: ClassVar[set[Any]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.everyone.add(transport)

    def connection_lost(self, _: Exception | None) -> None:
        self.everyone.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        for transport in (self.transport,) if b'"version"' in data else self.everyone:
            transport.write(data)


class Answers(Echo):
    """Answers what clients ask, from a table.

    `create_job` is answered with 7, and the moment of that answer is kept; `list_jobs` returns those moments and
    forgets them. `notify_job n`, with n above 0, is followed by n notifications, each with the moment when it was sent,
    in microseconds.
    """

    CONSTANT: ClassVar[dict[str, Any]] = {"version": "1.0.0", "create_job": 7}
    moments: ClassVar[list[float]] = []
    _before = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._before = (self._before + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            command = request["command"]
            answer: Any = self.CONSTANT.get(command)
            if command == "list_jobs":
                answer = self.moments.copy()
                self.moments.clear()
            if command == "create_job":
                # Before it is sent: the client may be done before this process goes on.
                self.moments.append(time.monotonic())
            self.transport.write(json.dumps({"return": answer}).encode() + b"\n")
            if command == "notify_job" and request["args"] and request["args"][0]:
                self._notify(request["args"][0])

    def _notify(self, left: int) -> None:
        loop = asyncio.get_running_loop()
        if left and not self.transport.is_closing():
            loop.call_later(NOTIFICATION_PAUSE_SECONDS, self._tell, left)

    def _tell(self, left: int) -> None:
        moment = int(time.monotonic() * 1e6)
        self.transport.write(b'{"jobs_changed":[%d]}\n' % moment)
        self._notify(left - 1)


KINDS: dict[str, Callable[[], Echo]] = {
    "echo": Echo,
    "lines": Lines,
    "prepared": Prepared,
    "broadcast": Broadcast,
    "answers": Answers,
}


@contextlib.contextmanager
def bare_server(kind: str) -> Iterator[Address]:
    """Run a bare server; gives its address."""
    command = [sys.executable, "-m", "benchmarks.limits.servers", kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            yield Address("127.0.0.1", port, process.pid)
        finally:
            process.stdin.close()


async def _serve(kind: Callable[[], Echo]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(kind, "127.0.0.1", 0, backlog=BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    allow_descriptors(DESCRIPTORS)
    run(_serve(KINDS[sys.argv[1]]))

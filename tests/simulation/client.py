"""A client in the simulated world: it speaks the v1 protocol, and remembers what it was promised."""

import asyncio
from collections import deque
from typing import Any

from spalloc_client.wire import Failure, JobsChanged, Lines, Other, Request, Return, decode_message, encode
from tests.simulation.network import Network, StreamTransport
from tests.simulation.process import Process


class RefusedError(Exception):
    """The server refused."""


class GoneError(Exception):
    """The connection ended before the reply came."""


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._lines = Lines()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self.changed: set[int] = set()
        self.endings: dict[int, list[str]] = {}
        """What it was told about the ends of jobs."""
        self.asked_for_ends = False
        self.gone = False
        self.transport: StreamTransport

    @classmethod
    def connect(cls, process: Process, network: Network, host: str) -> "Client":
        client = cls()
        network.connect(process, client, host)
        return client

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(GoneError())

    def data_received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            message = decode_message(line)
            if isinstance(message, JobsChanged):
                self.changed |= set(message.jobs)
            elif isinstance(message, Other):
                told = message.body["job_ending"]
                assert self.asked_for_ends, "nobody asked for it"
                self.endings.setdefault(told["job_id"], []).append(told["reason"])
            elif isinstance(message, Return | Failure) and self._waiting:
                future = self._waiting.popleft()
                if future.done():
                    continue
                if isinstance(message, Return):
                    future.set_result(message.value)
                else:
                    future.set_exception(RefusedError(message.message))

    def send(self, command: str, *args: Any, **kwargs: Any) -> "asyncio.Future[Any]":
        """Ask without waiting; the future gets the reply."""
        future = asyncio.get_running_loop().create_future()
        if self.gone:
            future.set_exception(GoneError())
        else:
            self._waiting.append(future)
            self.asked_for_ends |= command == "notify_job_ending"
            self.transport.write(encode(Request(command, args, kwargs)))
        return future

    async def call(self, command: str, *args: Any, **kwargs: Any) -> Any:
        return await self.send(command, *args, **kwargs)

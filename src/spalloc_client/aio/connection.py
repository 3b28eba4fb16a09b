"""One TCP connection in an event loop.

It moves bytes between the transport and a conversation, and wakes waiting calls.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from spalloc_client.conversation import Call, Conversation, Notification, Unanswered
from spalloc_client.errors import ProtocolError
from spalloc_client.wire import Failure, Request, Return, encode

CLOSING = 1.0
"""Seconds that closing waits for a server to take what has been sent."""


class AwaitedCall(Call):
    """A call that a task awaits."""

    __slots__ = ("done",)

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        """Let the task go on, unless it has given up."""
        if not self.done.done():
            self.done.set_result(None)


class Connection(asyncio.Protocol):
    """One TCP connection, shared by the tasks of a loop."""

    def __init__(self, server: str, notifications: deque[Notification]) -> None:
        """Be ready for a transport.

        Args:
            server: What to call the server in messages: `name:port`.
            notifications: Where notifications are put.
        """
        self._server = server
        self._talk = Conversation(notifications)
        self._transport: asyncio.Transport | None = None
        self._watchers: set[asyncio.Future[None]] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        # A stream's transport, whatever its class says: uvloop's is none of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Settle the calls that these bytes answer, and wake those who watch for notifications."""
        before = self._talk.arrived
        for call in self._talk.receive(data):
            call.wake()
        if self._talk.arrived != before or self._talk.trouble is not None:
            self._wake_watchers()
        if self._talk.trouble is not None and self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        """Make senders wait: the server does not keep up."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Let senders go on."""
        self._room.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Settle all calls with the loss."""
        self._lose("the server closed the connection" if error is None else f"it was lost: {error}")
        if not self._gone.done():
            self._gone.set_result(None)

    # What clients want.

    @property
    def alive(self) -> bool:
        """Whether no trouble has been met so far."""
        return self._talk.trouble is None

    @property
    def arrived(self) -> int:
        """How many notifications this connection has brought."""
        return self._talk.arrived

    async def send(self, call: Call, line: bytes) -> None:
        """Queue a call and send its request.

        Raises:
            ProtocolError: The connection is lost.
        """
        self.check_usable()
        await self._room.wait()
        self.check_usable()
        assert self._transport is not None
        self._talk.ask(call)
        self._transport.write(line)

    @staticmethod
    def written(request: Request) -> bytes:
        """Return a request as `send` takes it.

        Raises:
            WireError: It holds something that JSON can't say.
        """
        return encode(request)

    async def news(self) -> None:
        """Wait until a notification has come or the connection is lost."""
        if not self.alive:
            return
        watcher = asyncio.get_running_loop().create_future()
        self._watchers.add(watcher)
        try:
            await watcher
        finally:
            self._watchers.discard(watcher)

    def outcome(self, call: Call) -> Return | Failure:
        """Return the outcome of a settled call.

        Raises:
            ProtocolError: The connection was lost first.
        """
        result = call.outcome
        assert result is not None
        if isinstance(result, Unanswered):
            raise ProtocolError(f"connection to {self._server}: {result.trouble}")
        return result

    def check_usable(self) -> None:
        """Raise ProtocolError, saying why, once the conversation is over."""
        if self._talk.trouble is not None:
            raise ProtocolError(f"connection to {self._server}: {self._talk.trouble}")

    async def close(self, trouble: str) -> None:
        """Close, once what has been sent is on its way; calls under way fail with the reason given."""
        self._lose(trouble)
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(CLOSING):
                await asyncio.shield(self._gone)
        except TimeoutError:
            self._transport.abort()

    def _lose(self, trouble: str) -> None:
        for call in self._talk.lose(trouble):
            call.wake()
        self._room.set()
        self._wake_watchers()

    def _wake_watchers(self) -> None:
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

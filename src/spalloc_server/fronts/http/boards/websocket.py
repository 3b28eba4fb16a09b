"""One websocket: takes messages from the client to its channels, and from these to the client.

Neither side is let run ahead of the other. A client's messages wait in its connection until it is the stream's turn.
What boards send waits in their sockets while the client takes nothing, and is lost when these are full.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, cast

from spalloc_server.fronts.http.boards.channels import Channels
from spalloc_server.fronts.http.boards.messages import (
    CloseCode,
    Message,
    MessageError,
    MessageTo,
    decode_request,
)
from spalloc_server.fronts.http.boards.streams import Stream

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

PATIENCE_SECONDS = 10.0
"""For how long a client may take nothing of what is sent to it."""
REASON_BYTES = 123
"""The longest reason that a close frame has room for, as UTF-8."""


class Websocket:
    """A websocket that has been accepted."""

    def __init__(self, receive: Receive, send: Send, stream: Stream) -> None:
        """Wrap the two functions of ASGI.

        Args:
            receive: Returns the next event.
            send: Sends an event. It must wait before it does anything, or not at all: uvicorn's does.
            stream: What may be carried from the client.
        """
        self._receive = receive
        self._send = send
        self._stream = stream
        self._channels: Channels | None = None
        self._task: asyncio.Task[Any] | None = None
        self._end: tuple[CloseCode, str] | None = None
        """Why the websocket is about to be closed by the server."""
        self._is_stuck = False
        """Whether the client has taken nothing for too long."""
        self._flushing: asyncio.Task[None] | None = None
        """Sends what the client could not be given at once."""

    async def run(self, channels: Channels) -> None:
        """Carry messages until either side ends the websocket; all channels are closed when this returns."""
        self._channels = channels
        self._task = asyncio.current_task()
        try:
            if self._end is None:
                await self._carry(channels)
        except asyncio.CancelledError:
            if self._task is None or not (self._end or self._is_stuck):
                raise
            self._task.uncancel()
        except MessageError as error:
            self._end = error.code, str(error)
        except TimeoutError:
            self._is_stuck = True
        finally:
            self._task = None
            self._stream.forget()
            channels.close()
            if self._flushing is not None:
                self._flushing.cancel()
        # A client that takes nothing would not take a close frame either.
        if self._end is not None and not self._is_stuck:
            await self._close(*self._end)

    def end(self, code: CloseCode, why: str) -> None:
        """Close the websocket: nothing reaches a board any more when this returns, and the client is told soon."""
        if self._end is None:
            self._end = code, why
            if self._channels is not None:
                self._channels.close()
            if self._task is not None:
                self._task.cancel()

    def hear(self, message: bytes) -> bool:
        """Give the client a message from a board; return whether it can be given more now."""
        if self._flushing is not None:
            return False
        event = {"type": "websocket.send", "bytes": message}
        if self._send_at_once(event):
            return True
        self._flushing = asyncio.get_running_loop().create_task(self._flush(event))
        return False

    async def _carry(self, channels: Channels) -> None:
        while True:
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                return
            data = event.get("bytes")
            if data is None:
                raise MessageError(CloseCode.NOT_BINARY, "a message is text; all messages are binary")
            request = decode_request(data)
            if not self._stream.take():
                await self._stream.turn()
            if isinstance(request, Message):
                channels.send(request)
            elif isinstance(request, MessageTo):
                await channels.send_to(request)
            else:
                answer = await channels.answer(request)
                await self._patiently({"type": "websocket.send", "bytes": answer.encode()})

    def _send_at_once(self, event: Event) -> bool:
        """Send an event, unless that would have to wait: a task for each message would take a third of the time."""
        sending = cast("Coroutine[Any, Any, None]", self._send(event))
        try:
            sending.send(None)
        except StopIteration:
            return True
        except OSError:
            return True  # the client is gone: what receives will know
        sending.close()
        return False

    async def _flush(self, event: Event) -> None:
        try:
            await self._patiently(event)
        except TimeoutError:
            self._is_stuck = True
            if self._task is not None:
                self._task.cancel()
            return
        except OSError:
            return
        finally:
            self._flushing = None
        if self._channels is not None:
            self._channels.resume()

    async def _patiently(self, event: Event) -> None:
        """Send an event.

        Raises:
            TimeoutError: The client takes nothing.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._send(event)

    async def _close(self, code: CloseCode, why: str) -> None:
        reason = why.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")
        with contextlib.suppress(TimeoutError, OSError):
            await self._patiently({"type": "websocket.close", "code": int(code), "reason": reason})

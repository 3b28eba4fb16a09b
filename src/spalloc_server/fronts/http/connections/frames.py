"""The protocol classes of websockets: uvicorn's, which read the frames of their client a few at a time.

One read may have tens of thousands of frames in it, and to parse them would hold up everybody. So no more is parsed
before the application has taken the messages that there are; and frames that bring no message nearer have an end.
"""

from typing import TYPE_CHECKING, Protocol

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope
    from uvicorn.config import Config
    from uvicorn.server import ServerState
    from websockets.frames import Frame

PARSED_A_TURN = 2048
"""How many bytes of one client are parsed in one turn of the event loop, at most some 2 ms of work."""
MOST_FRAGMENTS = 16
"""How many frames one message may come in."""
MOST_PINGS = 600
"""How many pings and pongs a client may send in `PINGS_SECONDS`; SpiNNMan sends two a minute."""
PINGS_SECONDS = 60.0
_BROKE_THE_RULES = 1008


class Framed(WebSocketsSansIOProtocol):
    """A websocket whose client is read a few frames at a time."""

    def __init__(self, config: "Config", server_state: "ServerState") -> None:
        """Take over a connection."""
        super().__init__(config, server_state, {})
        self._unparsed = bytearray()
        """What has come and is not parsed yet."""
        self._parsing: asyncio.Handle | None = None
        self._pings = 0
        self._pings_since = 0.0

    def data_received(self, data: bytes) -> None:
        """Take what has come, and parse the first of it."""
        if not self._unparsed and len(data) <= PARSED_A_TURN:
            super().data_received(data)
            return
        self._unparsed += data
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self._parse_soon()

    async def receive(self) -> "ASGIReceiveEvent":
        """Return the next event for the application, and have more read if it was the last."""
        event = await self.queue.get()
        if self.queue.empty():
            self.read_paused = False
            self._go_on()
        return event

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what is not parsed."""
        self._unparsed.clear()
        super().connection_lost(exc)

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """Parse on, for the end of the connection: the application takes no more."""
        super().on_task_complete(task)
        self._parse_soon()

    def _go_on(self) -> None:
        if self._unparsed:
            self._parse_soon()
        elif not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def _parse_soon(self) -> None:
        if self._unparsed and self._parsing is None and (self.queue.empty() or self.close_sent):
            self._parsing = self.loop.call_soon(self._parse)

    def _parse(self) -> None:
        self._parsing = None
        if self.transport.is_closing():
            self._unparsed.clear()
            return
        some = bytes(memoryview(self._unparsed)[:PARSED_A_TURN])
        del self._unparsed[:PARSED_A_TURN]
        super().data_received(some)
        self._go_on()

    # What brings no message nearer

    def handle_cont(self, event: "Frame") -> None:
        """Take a part of a message."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self._refuse(f"a message came in more than {MOST_FRAGMENTS} parts")
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping."""
        if self._is_ping_allowed():
            super().handle_ping()

    def handle_pong(self, event: "Frame") -> None:
        """Take a pong."""
        if self._is_ping_allowed():
            super().handle_pong(event)

    def _is_ping_allowed(self) -> bool:
        now = self.loop.time()
        if now - self._pings_since > PINGS_SECONDS:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        if self._pings > MOST_PINGS:
            self._refuse(f"more than {MOST_PINGS} pings and pongs came within {PINGS_SECONDS:g} s")
        return self._pings <= MOST_PINGS

    def _refuse(self, why: str) -> None:
        """Close the websocket."""
        if self.close_sent or self.transport.is_closing():
            return
        if not self.handshake_complete:
            # Nobody has accepted it yet.
            self.transport.abort()
            return
        self.conn.fail(_BROKE_THE_RULES, why)
        self.handle_parser_exception()


class Opened(Protocol):
    """A connection that a websocket was made from."""

    def heard_now(self) -> None:
        """Note that something has come."""

    def stuck(self) -> None:
        """Note that the client reads too slowly."""

    def unstuck(self) -> None:
        """Note that the client has read."""

    def end_soon(self, seconds: float) -> None:
        """End the connection after some seconds, whether its client reads the rest or not."""

    def ended(self) -> None:
        """Note that the connection has ended."""


class WebSocket(Framed):
    """A websocket, which tells the connection that it was made from what becomes of it."""

    def __init__(self, config: "Config", server_state: "ServerState", came_from: Opened) -> None:
        """Take over a connection."""
        super().__init__(config, server_state)
        self._came_from = came_from

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._came_from.heard_now()
        super().data_received(data)

    def pause_writing(self) -> None:
        """Note that the client reads too slowly."""
        super().pause_writing()
        self._came_from.stuck()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        self._came_from.unstuck()

    async def run_asgi(self) -> None:
        """Serve the websocket; once the application has left it, a client that takes nothing is not waited for."""
        app = self.app

        async def answered(scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
            await app(scope, receive, send)
            # uvicorn takes a handshake that was refused with an answer for one that was forgotten, and logs an error.
            self.handshake_complete |= self.initial_response is not None and self.close_sent

        self.app = answered
        try:
            await super().run_asgi()
        finally:
            self.app = app
        if not self.writable.is_set():
            self.transport.abort()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """See to it that the connection ends, now that the application has no more to say."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._came_from.end_soon(self.close_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count the connection out."""
        super().connection_lost(exc)
        self._came_from.ended()

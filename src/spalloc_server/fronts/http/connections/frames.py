"""The protocol class of websockets: uvicorn's, which reads the frames of its client a few at a time.

One read may have tens of thousands of frames in it, and to parse them would hold up everybody. So no more is parsed
before the application has taken the messages that there are; and frames that bring no message nearer have an end.
"""

from typing import TYPE_CHECKING

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGIReceiveEvent
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

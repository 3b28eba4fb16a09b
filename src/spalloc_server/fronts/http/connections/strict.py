"""The protocol class of HTTP connections: uvicorn's, with limits on size and time, and strict about what is valid.

What is refused here has not reached the application: it may come from anybody. What a request means is decided there.
"""

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from spalloc_server.fronts.http.connections.frames import WebSocket
from spalloc_server.fronts.http.connections.heads import (
    Refusal,
    RefusedRequestError,
    answer_to,
    bad,
    check_length,
    check_websocket,
    checked,
    empty_body,
    too_long,
)
from spalloc_server.fronts.http.connections.joining import Joining
from spalloc_server.fronts.http.settings import CUT, LONGEST_HEAD_BYTES, Limits
from spalloc_server.fronts.v1.crowd import Group

if TYPE_CHECKING:
    from spalloc_server.presence import Deadline

SLOWEST_BODY_BYTES_PER_SECOND = 1024.0
"""A body that comes faster than this may take as long as it needs."""
LAST_WORDS_SECONDS = 2.0
"""How long a client may take to read the last answer of a connection, and to end a body that nobody wants."""
_ENCRYPTED_BYTES = 32_768
"""How much that has come over TLS may wait to be decrypted. The usual limit is a quarter of a megabyte, of each."""
_WEBSOCKET_BYTES = 32_768
"""How much of a websocket the system receives ahead of its turn; the rest waits at its client."""


class Home(Protocol):
    """What a connection needs of the server that it belongs to."""

    @property
    def limits(self) -> Limits:
        """How much clients may use."""

    def when_over(self, since: float, seconds: float, callback: Callable[[], None]) -> "Deadline":
        """Call back when a client has had `seconds` since a time; the server's own delays are added."""

    @property
    def now(self) -> Callable[[], float]:
        """Returns the time that `when_over` counts in."""

    @property
    def something_was_read(self) -> Callable[[], None]:
        """Notes that something arrived."""

    def closed(self, connection: "Strict") -> None:
        """Note that a connection has ended."""

    def answered_here(self, refusal: Refusal) -> None:
        """Note that a request was answered here, and not by the application."""

    def weigh_soon(self, connection: "Strict") -> None:
        """Look soon how much a client has not read; connections may be ended for it."""

    def cut(self, connection: "Strict", why: str) -> None:
        """Note that a client's time is over, and its connection ended."""


class Strict(HttpToolsProtocol):
    """A connection to one client."""

    group: Group
    """The group of addresses that the connection counts in."""

    def __init__(self, home: Home, config: Config, state: ServerState, address: str) -> None:
        """Serve a client.

        Args:
            home: The server.
            config: uvicorn's configuration.
            state: What uvicorn shares among all connections.
            address: The address of whoever is connected; `origin.LOCAL` over a Unix socket.
        """
        super().__init__(config, state, {})
        self._home = home
        self.address = address
        self.refusal: Refusal | None = None
        """Why all requests on the connection are refused; None to serve them."""
        self.is_counted_as_refused = False
        """Whether the server counts it among those that it refuses."""
        self.asked = False
        """Whether the head of a request ever came."""
        self.heard = home.now()
        """When anything last came."""
        self._in_head = True
        self._head_bytes = 0
        """How much has come of a head that is not complete."""
        self._unseen_bytes = 0
        """How much has come of a body since the parser last found any: sizes of chunks, or what is after the last."""
        self._is_second = False
        """Whether the head began in the same read as what was before it, so that not all of it is counted."""
        self._in_body = False
        self._body_bytes = 0
        self._deaf = False
        """Whether anything more that comes is left unread."""
        self._patience: Deadline | None = None
        """Until when a request may be incomplete."""
        self._stuck: Deadline | None = None
        """Until when data may be unread by the client."""
        self._last_words: Deadline | None = None
        """When the connection ends in any case."""
        self._websocket: WebSocket | None = None
        self._joining: Joining | None = None
        """What answers are written to; None before the end of the handshake."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return self._websocket is None and self._answered and not self._in_body

    @property
    def _answered(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    # What the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._joining = Joining(self.transport, self.loop, self._written)
        limit = getattr(transport, "set_read_buffer_limits", None)
        if limit is not None:
            limit(_ENCRYPTED_BYTES)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End everything that waits."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.ended()

    def ended(self) -> None:
        """Count the connection out: it has ended."""
        for deadline in (self._patience, self._stuck, self._last_words):
            if deadline is not None:
                deadline.cancel()
        self._home.closed(self)
        # Whatever leads back here goes: the collector frees nothing that has lived for long (operation/garbage.py).
        self._patience = self._stuck = self._last_words = None
        self._joining = self._websocket = None
        self.scope = self.cycle = self.parser = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Parse what has come."""
        self.heard_now()
        if self._deaf or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._in_head:
            self._head_bytes += len(data)
        elif self._in_body:
            self._body_bytes += len(data)
            self._unseen_bytes += len(data)
        try:
            self.parser.feed_data(data)
            if self._in_head and self._head_bytes > LONGEST_HEAD_BYTES:
                raise too_long()
            if self._in_body and self._unseen_bytes > LONGEST_HEAD_BYTES:
                raise empty_body()
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(len(data) - upgrade.args[0])
            return
        except httptools.HttpParserError as error:
            self._refuse(_why(error))
            return
        except RefusedRequestError as error:
            self._refuse(error.refusal)
            return
        if not self._in_body and not (self._in_head and self._head_bytes):
            self._stop_waiting()
        elif self._patience is None:
            self._wait()

    def pause_writing(self) -> None:
        """Note that the client reads too slowly."""
        super().pause_writing()
        self.stuck()

    def resume_writing(self) -> None:
        """Note that the client has read."""
        super().resume_writing()
        self.unstuck()

    # What the parser says

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        if not self._in_head:
            # What has come of it by now is not known. It is one read at most.
            self._in_head, self._head_bytes, self._is_second = True, 1, True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those that follow a body are left out: the application would take them for the head's."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unseen_bytes = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """Check a head, and hand the request to the application."""
        if not self._answered:
            # Requests ahead of their turn would have to be kept. The client sends them again over another connection.
            raise RefusedRequestError(bad("a request came before the last one was answered"))
        # A head that came in parts has been counted; what came at once may have more in it than a head.
        if self._head_bytes > LONGEST_HEAD_BYTES or self._is_second:
            check_length(self.url, self.headers)
        method = self.parser.get_method()
        self.url, self._in_body = checked(self.parser.get_http_version(), method, self.url, self.headers)
        self._in_head, self._head_bytes, self._is_second = False, 0, False
        self._unseen_bytes = 0
        self._stop_waiting()
        self.asked = True
        if self.refusal is not None:
            raise RefusedRequestError(self.refusal)
        if self.parser.should_upgrade() and self._should_upgrade():
            check_websocket(method, self.headers)
            super().on_headers_complete()
            return
        cast("dict[str, object]", self.scope)[CUT] = self.cut_short
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", self._joining)

    def on_message_complete(self) -> None:
        """End a request."""
        self._in_body = False
        self._stop_waiting()
        super().on_message_complete()
        if self._last_words is not None and self._answered and not self.transport.is_closing():
            self._last_words.cancel()
            self._last_words = None
            self._keep()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of the connection."""
        super().on_response_complete()
        if self.transport.is_closing() or self._in_body:
            self._unset_keepalive_if_required()
            self.end_soon()

    def _keep(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that was idle for too long."""
        self.timeout_keep_alive_task = None
        super().timeout_keep_alive_handler()
        self.end_soon()

    # Upgrades

    def _upgrade(self, more: int) -> None:
        """Make the connection a websocket; a wish for any other protocol is ignored (RFC 9110, 7.8)."""
        self._stop_waiting()
        if not self._should_upgrade():
            # The parser goes no further.
            self._deaf, self.cycle.keep_alive = True, False
            return
        if more:
            self._refuse(bad("data came before the websocket was accepted"))
            return
        self.connections.discard(self)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, _WEBSOCKET_BYTES
        )
        self._websocket = WebSocket(self.config, self.server_state, self)
        self._websocket.connection_made(self.transport)
        self.transport.set_protocol(self._websocket)
        headers = b"".join(b"%b: %b\r\n" % header for header in self.headers)
        self._websocket.data_received(b"GET %b HTTP/1.1\r\n%b\r\n" % (self.url, headers))

    # Time

    def heard_now(self) -> None:
        """Note that something has come."""
        self.heard = self._home.now()
        self._home.something_was_read()

    def _wait(self) -> None:
        """Give the client time to end its request."""
        self._body_bytes = 0
        self._patience = self._home.when_over(self._home.now(), self._home.limits.request_seconds, self._look)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _look(self) -> None:
        """End a request that is still incomplete, unless its body comes fast enough or nobody reads it."""
        seconds = self._home.limits.request_seconds
        if self._in_body:
            if self.flow.read_paused or self._body_bytes >= seconds * SLOWEST_BODY_BYTES_PER_SECOND:
                self._wait()
                return
        elif not self._head_bytes:
            # Browsers connect ahead of their first request.
            self.transport.close()
            self.end_soon()
            return
        what = f"the {'body' if self._in_body else 'head'} of its request within {seconds:g} s"
        self._home.cut(self, f"it did not send {what}")
        self._refuse(Refusal(HTTPStatus.REQUEST_TIMEOUT, f"this client did not send {what}"))

    @property
    def unread_bytes(self) -> int:
        """How much was sent to the client that it has not taken."""
        return 0 if self._joining is None else self.transport.get_write_buffer_size()

    def _written(self) -> None:
        if self.unread_bytes:
            self._home.weigh_soon(self)

    def stuck(self) -> None:
        """Give the client time to read."""
        self._home.weigh_soon(self)
        if self._stuck is None:
            seconds = self._home.limits.slow_reader_seconds
            self._stuck = self._home.when_over(self._home.now(), seconds, lambda: self._too_slow(seconds))

    def unstuck(self) -> None:
        """Note that the client has read."""
        self._home.weigh_soon(self)
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _too_slow(self, seconds: float) -> None:
        self._home.cut(self, f"it did not read what was sent to it for {seconds:g} s")
        self.abort()

    # Ends

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in place of the application, and end the connection."""
        self._home.answered_here(refusal)
        self._stop_waiting()
        self._deaf = True
        if not self._answered:
            if not self._in_body:
                # Another answer is due first, which the client would take this one for.
                self.cycle.keep_alive = False
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.abort()
                return
        self.transport.write(answer_to(refusal, self.server_state.default_headers))
        if not self._in_body and refusal.status is not HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            # What is not read when a connection is closed may take the answer with it.
            self.transport.close()
        self.end_soon()

    def end_soon(self, seconds: float = 0.0) -> None:
        """End the connection after some seconds and `LAST_WORDS_SECONDS`, whether its client reads the rest or not."""
        if self._last_words is None:
            after = seconds + LAST_WORDS_SECONDS
            self._last_words = self._home.when_over(self._home.now(), after, self.abort)

    def shutdown(self) -> None:
        """End the connection once what is under way is answered; a websocket at once."""
        if self._websocket is not None:
            self._websocket.shutdown()
        elif self._joining is not None:
            self._joining.flush()
            super().shutdown()

    def cut_short(self) -> None:
        """End the connection before the end of an answer, so that its client does not take it for all."""
        if self._joining is None:
            return  # it has ended: the client left meanwhile
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self.cycle.transport.close()
        self.end_soon()

    def abort(self) -> None:
        """End the connection at once; the application is told that the client has left."""
        if not self._answered:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._joining is not None:
            self.transport.abort()


def _why(error: httptools.HttpParserError) -> Refusal:
    cause = error.__context__
    if isinstance(cause, RefusedRequestError):
        return cause.refusal
    return bad("this is not a valid HTTP/1.1 request")

"""A small HTTP server for monitoring: answers `GET /path` once for each connection, and closes it.

The pages are passed in (metrics.py). Request bodies, other methods and kept connections are not supported.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import cast

from spalloc_server.core.networks import Neighbours
from spalloc_server.fronts.listening import listen
from spalloc_server.fronts.v1.server import Admission
from spalloc_server.presence import Deadline, Presence
from spalloc_server.ration import Warnings

_log = logging.getLogger(__name__)

LONGEST_REQUEST_BYTES = 8192
REQUEST_SECONDS = 10.0
"""How long a client may take to send a request and read the answer."""
MOST_CONNECTIONS = 64
"""With more, the oldest connection of the address with the most is ended, so that quick clients are answered."""
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
            500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request."""

    status: int
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    """The body's media type."""


Page = Callable[[], Answer]


class MetricsServer:
    """Serves pages by their paths."""

    def __init__(
        self, pages: Mapping[str, Page], admission: Admission, presence: Presence, neighbours: Neighbours
    ) -> None:
        """Serve pages.

        Args:
            pages: The pages, by path.
            admission: Returns why an address may not connect, or None.
            presence: Knows the server's own delays, which are not counted against clients.
            neighbours: Says which addresses count as one.
        """
        self._neighbours = neighbours
        self.pages = pages
        self.presence = presence
        self.admission = admission
        """May be replaced at any time."""
        self._connections: dict[_Connection, None] = {}
        """All connections, in the order in which they came."""
        self._cuts = Warnings(_log, "cut off from the metrics")
        self._refusals = Warnings(_log, "refused the metrics")
        self.addresses: tuple[tuple[str, int], ...] = ()
        """The addresses and ports where pages are served; known once the server listens."""
        self._server: asyncio.Server | None = None

    async def start(self, addresses: Sequence[str], port: int) -> tuple[str, int]:
        """Listen, and return the first address in use; port 0 takes any that is free.

        Raises:
            OSError: An address can't be listened on.
        """
        self._server, self.addresses = await listen(lambda: _Connection(self), addresses, port, "metrics")
        return self.addresses[0]

    async def stop(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.abort()
            await self._server.wait_closed()
        self._cuts.sum_up(inf)
        self._refusals.sum_up(inf)

    def opened(self, connection: "_Connection") -> None:
        """Add a new connection; if there are too many, end another."""
        self._connections[connection] = None
        if len(self._connections) > MOST_CONNECTIONS:
            of_group = Counter(self._neighbours.of(other.address) for other in self._connections)
            most = max(of_group.values())
            oldest = next(
                other for other in self._connections if of_group[self._neighbours.of(other.address)] == most
            )
            self.cut(oldest, f"there are {MOST_CONNECTIONS} connections, and most of them are from there")

    def cut(self, connection: "_Connection", why: str) -> None:
        """End a connection at once."""
        now = asyncio.get_running_loop().time()
        self._cuts.warn(connection.address, self._neighbours.of(connection.address), now, why)
        self.closed(connection)
        connection.abort()

    def closed(self, connection: "_Connection") -> None:
        """Remove a connection that has ended."""
        self._connections.pop(connection, None)

    def answer(self, head: bytes, address: str) -> Answer:
        """Return the answer to a request's head, from a client at `address`."""
        refusal = self.admission(address)
        if refusal is not None:
            now = asyncio.get_running_loop().time()
            self._refusals.warn(address, self._neighbours.of(address), now, refusal)
            return Answer(403, f"{refusal}\n".encode())
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return Answer(400, b"this is not an HTTP/1.1 request\n")
        if words[0] not in (b"GET", b"HEAD"):
            return Answer(405, b"only GET and HEAD are answered here\n")
        page = self.pages.get(words[1].split(b"?", 1)[0].decode("latin-1"))
        if page is None:
            known = ", ".join(self.pages)
            return Answer(404, f"there is no such page; there are {known}\n".encode())
        try:
            return page()
        except Exception:  # noqa: BLE001
            # A fault in monitoring must not disturb the server.
            _log.exception("a page of the metrics server failed")
            return Answer(500, b"the server failed to do this; its log says why\n")


class _Connection(asyncio.Protocol):
    """A connection to one client, which sends one request."""

    def __init__(self, server: MetricsServer) -> None:
        self._server = server
        self._head = b""
        self._transport: asyncio.Transport
        self._deadline: Deadline | None = None
        self._answered = False
        self.address = ""
        """The client's address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        presence = self._server.presence
        self._deadline = presence.when_over(presence.now(), REQUEST_SECONDS, self._time_is_over)
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.closed(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def _time_is_over(self) -> None:
        what = "read the answer" if self._answered else "end its request"
        self._server.cut(self, f"it did not {what} within {REQUEST_SECONDS:g} s")

    def data_received(self, data: bytes) -> None:
        if self._answered:
            return
        self._head += data
        if b"\r\n\r\n" in self._head:
            self._send(self._server.answer(self._head, self.address))
        elif len(self._head) > LONGEST_REQUEST_BYTES:
            self._send(Answer(400, b"the request is too long\n"))

    def abort(self) -> None:
        self._transport.abort()

    def _send(self, answer: Answer) -> None:
        self._answered = True
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\nContent-Type: {answer.kind}\r\n"
            f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
        )
        body = b"" if self._head.startswith(b"HEAD ") else answer.body
        self._transport.write(head.encode() + body)
        self._transport.close()

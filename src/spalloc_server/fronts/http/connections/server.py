"""The server of HTTP: listens, bounds connections in all and by address, and ends them in time when it stops.

uvicorn's protocol classes run in the server's own loop, without uvicorn's `Server`: that would take the process's
signals, and listen with one TLS context for everything. What happens on a connection is in strict.py.
"""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from ipaddress import ip_address
from math import inf
from typing import TYPE_CHECKING, cast

import uvicorn
from uvicorn.server import ServerState

from spalloc_server.core.networks import Neighbours
from spalloc_server.fronts import unix_sockets
from spalloc_server.fronts.http.connections.accepting import Listener, shake_hands
from spalloc_server.fronts.http.connections.frames import WebSocket
from spalloc_server.fronts.http.connections.gate import App, Gate
from spalloc_server.fronts.http.connections.heads import Refusal
from spalloc_server.fronts.http.connections.strict import Strict
from spalloc_server.fronts.http.connections.tls import context_of
from spalloc_server.fronts.http.origin import LOCAL
from spalloc_server.fronts.http.settings import HttpSettings, Limits
from spalloc_server.fronts.listening import RAISE_DESCRIPTORS, bind
from spalloc_server.fronts.v1.crowd import Crowd
from spalloc_server.presence import Deadline, Presence
from spalloc_server.ration import Warnings
from spalloc_server.runtime import allow_descriptors, give_back_memory
from spalloc_server.words import counted

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

_log = logging.getLogger(__name__)

BACKLOG = 4096
LAST_WORDS_SECONDS = 1.0
"""How long answers may take when the server stops; and after that, how long the application may."""
MOST_REFUSALS = 256
"""How many connections too many are told so at a time; more are closed without a word."""
MOST_UNREAD_BYTES = 64 * 1024 * 1024
"""How much may have been sent to all clients together that they have not read."""
READ_SECONDS = 0.05
"""How long a client has before what it has not read is counted."""
WORTH_GIVING_BACK_BYTES = 16 * 1024 * 1024
"""How much must have been unread before the system is given back memory once it is read."""
WORTH_GIVING_BACK_CONNECTIONS = 256
"""How many connections there must have been before memory is given back once half of them have ended."""
OTHER_DESCRIPTORS = 512
"""Descriptors that are left to others."""
LARGEST_MESSAGE_BYTES = 65_536
"""The longest message that a websocket takes."""
PING_SECONDS = 20.0
"""How often a websocket is asked for a sign of life, and how long its client may take to give it."""
_DATE = b"date"


class HttpServer:
    """Serves an ASGI application."""

    def __init__(
        self, app: App, settings: HttpSettings, presence: Presence, neighbours: Neighbours, *, beside: int = 0
    ) -> None:
        """Serve `app`.

        Args:
            app: The application.
            settings: Where, and whom.
            presence: Knows the server's own delays, which are not counted against clients.
            neighbours: Says which addresses count as one.
            beside: How many connections the process's other servers may have.
        """
        self.settings = settings
        self._beside = beside
        self._presence = presence
        self.something_was_read = presence.something_was_read
        self.now = presence.now
        self._neighbours = neighbours
        self._gate = Gate(app, settings.proxies, settings.allow, self._answered, self._refused_elsewhere)
        self._config = uvicorn.Config(
            cast("ASGIApplication", self._gate),
            http=Strict,
            ws=WebSocket,
            workers=1,
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_per_message_deflate=False,
            ws_max_size=LARGEST_MESSAGE_BYTES,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
        )
        self._state = ServerState()
        self._context: ssl.SSLContext | None = None
        self.certificate: bytes | None = None
        """The certificate that is shown to new connections, with those after it, in PEM; None without TLS."""
        self._listeners: list[Listener] = []
        self._crowd = Crowd()
        self._connections: dict[Strict, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """Connections on their way to their protocols."""
        self._possible = settings.limits.connections
        self._being_refused = 0
        self._to_weigh: dict[Strict, None] = {}
        self._weighing: asyncio.TimerHandle | None = None
        self._most_unread = 0
        """The most that was unread since memory was given back."""
        self._most_connections = 0
        """The most connections that there were since then."""
        self._alone = asyncio.Event()
        self._alone.set()
        self._second: asyncio.TimerHandle | None = None
        self._file: tuple[int, int] | None = None
        self._refusals = Warnings(_log, "refused over HTTP")
        self._cuts = Warnings(_log, "cut off from HTTP")
        self.requests: Counter[tuple[str, int]] = Counter()
        """Answers since the start, by method and status."""
        self.addresses: tuple[tuple[str, int], ...] = ()
        """The addresses and ports that clients can connect to; known once the server listens."""

    # What is told

    @property
    def limits(self) -> Limits:
        """How much clients may use."""
        return self.settings.limits

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def refused(self) -> int:
        """How many connections were refused since the start, and requests of clients that may not be where they are."""
        return self._refusals.count

    @property
    def unread_bytes(self) -> int:
        """How much was sent to clients that they have not read, apart from small amounts."""
        return self._crowd.bytes

    @property
    def cut_off(self) -> int:
        """How many connections the server has ended since the start."""
        return self._cuts.count

    # Start and end

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: An address can't be listened on.
            CertificateError: The certificate can't be used.
        """
        self._config.load()
        # Its lines about single requests would let clients fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._follow(self.settings)
        backlog = self._ask_for_descriptors()
        try:
            await self._listen(backlog)
        except BaseException:
            self.stop_listening()
            raise
        self._tick()

    async def _listen(self, backlog: int) -> None:
        settings = self.settings
        if settings.socket is not None:
            local = unix_sockets.listen(settings.socket, unix_sockets.OWN_AND_GROUP, backlog)
            found = settings.socket.lstat()
            self._file = (found.st_dev, found.st_ino)
            self._listeners.append(Listener(local, self._accepted, tls=False))
        if settings.addresses:
            sockets, self.addresses = await bind(settings.addresses, settings.port, "http", backlog=backlog)
            self._listeners += [Listener(one, self._accepted, tls=True) for one in sockets]

    def _ask_for_descriptors(self) -> int:
        wanted = self.limits.connections
        allowed = allow_descriptors(self._beside + wanted + 2 * BACKLOG + OTHER_DESCRIPTORS)
        backlog = min(BACKLOG, max(1, allowed // 8))
        # Where the system allows too few for all, a third is for this server.
        left = allowed - self._beside - 2 * backlog - OTHER_DESCRIPTORS
        self._possible = min(wanted, max(1, left, allowed // 3))
        if self._possible < wanted:
            _log.warning(
                "the system allows %d open files and sockets, so %d connections are taken over HTTP and not %d; %s",
                allowed,
                self._possible,
                wanted,
                RAISE_DESCRIPTORS,
            )
        return backlog

    def reload(self, settings: HttpSettings) -> None:
        """Change to other settings, for new connections, and read the certificate again; open connections go on.

        Addresses, the port, the socket and the base stay as they were.

        Raises:
            CertificateError: The certificate can't be used. Nothing has changed.
        """
        self._follow(settings)
        before, self.settings = self.limits.connections, settings
        if self.limits.connections != before:
            self._ask_for_descriptors()

    def _follow(self, settings: HttpSettings) -> None:
        if settings.certificate is None or settings.key is None:
            self._context = self.certificate = None
        else:
            self._context = context_of(settings.certificate, settings.key)
            self.certificate = settings.certificate.read_bytes()
        self._gate.follow(settings.proxies, settings.allow)
        self._config.timeout_keep_alive = settings.limits.idle_seconds  # type: ignore[assignment]

    def stop_listening(self) -> None:
        """Accept no new connections; those that are there are still served."""
        for listener in self._listeners:
            listener.close()
        self._listeners = []
        path = self.settings.socket
        if path is not None and self._file is not None:
            try:
                found = path.lstat()
                if (found.st_dev, found.st_ino) == self._file:
                    path.unlink()
            except OSError as error:
                _log.warning("the socket %s is left behind: %s", path, error.strerror or error)
            self._file = None

    async def stop(self) -> None:
        """End all connections, after the last answers; it takes 3 s at most."""
        self.stop_listening()
        for timer in (self._second, self._weighing):
            if timer is not None:
                timer.cancel()
        for task in self._tasks:
            task.cancel()
        for connection in list(self._connections):
            connection.shutdown()
        await self._until_alone()
        for connection in list(self._connections):
            connection.abort()
        await self._until_alone()
        if self._state.tasks:
            _, slow = await asyncio.wait(self._state.tasks, timeout=LAST_WORDS_SECONDS)
            for one in slow:
                one.cancel()
        self._refusals.sum_up(inf)
        self._cuts.sum_up(inf)

    async def _until_alone(self) -> None:
        try:
            await asyncio.wait_for(self._alone.wait(), LAST_WORDS_SECONDS)
        except TimeoutError:
            return

    def _tick(self) -> None:
        # The list itself is what connections have.
        self._state.default_headers[:] = [(_DATE, formatdate(usegmt=True).encode())]
        for member in self._crowd.heavy():
            self._weigh(cast("Strict", member))
        self._give_back()
        self._second = asyncio.get_running_loop().call_later(1.0, self._tick)

    def _give_back(self) -> None:
        """Give memory back to the system once much of what was unread is read, or many connections have ended."""
        unread, connections = self._crowd.bytes, len(self._connections)
        self._most_unread = max(self._most_unread, unread)
        self._most_connections = max(self._most_connections, connections)
        is_read = self._most_unread >= WORTH_GIVING_BACK_BYTES and unread < self._most_unread // 2
        have_ended = (
            self._most_connections >= WORTH_GIVING_BACK_CONNECTIONS
            and connections < self._most_connections // 2
        )
        if is_read or have_ended:
            self._most_unread, self._most_connections = unread, connections
            give_back_memory()

    # Connections

    def _accepted(self, connection: socket.socket, address: str, listener: Listener) -> None:
        context = self._context if listener.tls else None
        protocol = Strict(self, self._config, self._state, address)
        protocol.group = self._crowd.enter(protocol, self._neighbours.of(address))
        self._connections[protocol] = None
        self._alone.clear()
        protocol.refusal = self._refusal(protocol, encrypted=context is not None)
        if protocol.refusal is not None:
            why = protocol.refusal.sentence
            self._refusals.warn(address, protocol.group.name, asyncio.get_running_loop().time(), why)
            if self._being_refused >= MOST_REFUSALS:
                connection.close()
                protocol.ended()
                return
            self._being_refused += 1
            protocol.is_counted_as_refused = True
        task = asyncio.get_running_loop().create_task(self._begin(connection, protocol, context))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begin(
        self, connection: socket.socket, protocol: Strict, context: ssl.SSLContext | None
    ) -> None:
        is_begun = False
        try:
            is_begun = await shake_hands(connection, protocol, context, self.limits.request_seconds)
        finally:
            if not is_begun:
                protocol.ended()

    def _refusal(self, protocol: Strict, *, encrypted: bool) -> Refusal | None:
        address, group = protocol.address, protocol.group
        is_proxy = address in self.settings.proxies
        if not is_proxy and address != LOCAL:
            if address not in self.settings.allow:
                return Refusal(HTTPStatus.FORBIDDEN, f"this server takes no connections from {address}")
            if not encrypted and not ip_address(address).is_loopback:
                # A password would cross the network for everybody to read.
                return Refusal(HTTPStatus.FORBIDDEN, "this server speaks plain HTTP to its proxies only")
            most = self.limits.connections_from_one_address
            if len(group.members) > most:
                return Refusal(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"there {'is' if most == 1 else 'are'} {counted(most, 'connection')} from {group.name}, and the "
                    "server takes no more from one address; close some",
                )
        if self._crowd.size > min(self.limits.connections, self._possible):
            other = self._crowd.least_used(group, _busy)
            if other is None:
                taken = counted(self._crowd.size - 1, "connection")
                return Refusal(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"the server has {taken} and takes no more; try again later",
                )
            gives_way = cast("Strict", other)
            self.cut(gives_way, "the server has all the connections that it takes, and this one was idle")
            self._crowd.leave(gives_way)
            gives_way.abort()
        return None

    # What connections tell

    def when_over(self, since: float, seconds: float, callback: Callable[[], None]) -> Deadline:
        """Call back when a client has had `seconds` since a time; the server's own delays are added."""
        return self._presence.when_over(since, seconds, callback)

    def closed(self, connection: Strict) -> None:
        """Note that a connection has ended."""
        if connection not in self._connections:
            return
        del self._connections[connection]
        self._crowd.leave(connection)
        if connection.is_counted_as_refused:
            self._being_refused -= 1
        if not self._connections:
            self._alone.set()

    def answered_here(self, refusal: Refusal) -> None:
        """Note that a request was answered by the protocol."""
        self.requests["", refusal.status] += 1

    def weigh_soon(self, connection: Strict) -> None:
        """Look soon how much a client has not read: it is given a moment for what was just sent."""
        self._to_weigh[connection] = None
        if self._weighing is None:
            self._weighing = asyncio.get_running_loop().call_later(READ_SECONDS, self._weigh_all)

    def _weigh_all(self) -> None:
        self._weighing = None
        connections, self._to_weigh = self._to_weigh, {}
        for connection in connections:
            self._weigh(connection)

    def _weigh(self, connection: Strict) -> None:
        """Note how much a client has not read; end some connections if all together have too much."""
        crowd = self._crowd
        crowd.weigh(connection, connection.unread_bytes)
        for member in crowd.too_heavy(MOST_UNREAD_BYTES, lambda member: cast("Strict", member).unread_bytes):
            heaviest = cast("Strict", member)
            self.cut(
                heaviest,
                f"clients have left {MOST_UNREAD_BYTES} bytes unread, and most of them {heaviest.group.name}",
            )
            heaviest.abort()

    def cut(self, connection: Strict, why: str) -> None:
        """Note that a client's time is over, and its connection ended."""
        now = asyncio.get_running_loop().time()
        self._cuts.warn(connection.address, connection.group.name, now, why)

    def _answered(self, method: str, status: int) -> None:
        self.requests[method, status] += 1

    def _refused_elsewhere(self, address: str, why: str) -> None:
        self._refusals.warn(address, self._neighbours.of(address), asyncio.get_running_loop().time(), why)


def _busy(member: object) -> int | None:
    """Return a number of its own for a connection with a request under way, which never gives way for another."""
    return None if cast("Strict", member).is_idle else id(member)

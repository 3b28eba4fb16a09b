"""A tunnel in an event loop: sockets for the boards' ports, and a connection to the service, made again when lost.

carrying.py decides; nothing here knows what a datagram means.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, cast

from spalloc_client.errors import ProtocolError
from spalloc_client.logs import log
from spalloc_client.tunnel.carrying import Carrier, Delivery, Listen, Port
from spalloc_client.tunnel.loopback import ONE_HOST, bound_beside, bound_ports
from spalloc_client.tunnel.wire import RefusedError, Websocket, connected
from spinnaker.boot import BOOT_PORT
from spinnaker.sdp import SDP_PORT

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable, Mapping
    from ssl import SSLContext
    from types import TracebackType
    from typing import Self, TypeAlias

    from spalloc_client.tunnel.carrying import Board, Effect
    from spalloc_client.tunnel.tags import Address

    Knock: TypeAlias = Callable[[bool], Awaitable["Door"]]
    """Gives the door; told whether the service has refused the last one, so that a login helps."""
    Boards: TypeAlias = Callable[[], Awaitable[Mapping[Board, str]]]

CONNECT_SECONDS = 10.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between attempts to connect again."""
MOST_HEARD = 1024
"""Datagrams that a channel keeps for a program that does not take them; later ones are lost."""


class Door(NamedTuple):
    """Where a service lets a job's user reach the job's boards."""

    url: str
    headers: Mapping[str, str]
    trust: SSLContext | None
    """Whose certificates are believed; None without TLS."""


class Channel:
    """One UDP port of one board, for this program, without a local port: send datagrams, and receive the answers."""

    def __init__(self, tunnel: Tunnel, port: Port) -> None:
        self._tunnel = tunnel
        self._port = port
        self._heard: asyncio.Queue[bytes] = asyncio.Queue(MOST_HEARD)

    def send(self, data: bytes) -> None:
        """Send a datagram; as with UDP, it may be lost."""
        self._tunnel.do(self._tunnel.carrier.take(self._port, self, data))

    async def receive(self, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as everywhere in Job
        """Wait for a datagram of the board.

        Raises:
            TimeoutError: None came within `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._heard.get()
        except TimeoutError:
            raise TimeoutError(
                f"nothing came from port {self._port.number} of board {self._port.board} in {timeout} s; a board "
                "answers only after it was booted, and datagrams may be lost: send again"
            ) from None

    def hear(self, data: bytes) -> None:
        """Take a datagram of the board."""
        if not self._heard.full():
            self._heard.put_nowait(data)

    def close(self) -> None:
        """Give the channel back."""
        self._tunnel.do(self._tunnel.carrier.forget(self._port, self))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Socket(asyncio.DatagramProtocol):
    """A socket that stands for a port of a board."""

    def __init__(self, tunnel: Tunnel, port: Port) -> None:
        self._tunnel = tunnel
        self._port = port

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._tunnel.do(self._tunnel.carrier.take(self._port, addr, data))

    def error_received(self, exc: Exception) -> None:
        """A program has gone since it asked: as in a network, its answer is lost."""


class Tunnel:
    """The boards of a job on addresses of this computer.

    Entering it binds the addresses and connects to the service; when it is left, nothing remains.
    """

    def __init__(
        self, knock: Knock, boards: Boards, ports: Collection[int] = (), *, listens: bool = True
    ) -> None:
        """Describe a tunnel.

        Args:
            knock: Logs in where that is needed, and says where the service's websocket is.
            boards: Finds the address of each board, as the service tells it, by its Ethernet-connected chip.
            ports: UDP ports that programs are to reach, beside those for SCP (17893) and booting (54321).
            listens: Whether the boards get addresses of this computer; if not, `connect` is the only way to them.

        Raises:
            ValueError: A port is none.
        """
        for port in ports:
            if not 0 < port < 1 << 16:
                raise ValueError(f"ports has {port!r}; a UDP port is 1 to 65535")
        self._knock = knock
        self._find_boards = boards
        self._boards: Mapping[Board, str] = {}
        self._numbers = tuple(dict.fromkeys((SDP_PORT, BOOT_PORT, *ports))) if listens else ()
        self._sockets: dict[Port, asyncio.DatagramTransport] = {}
        self._websocket: Websocket | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.carrier = Carrier({}, {})
        self.connections: dict[Board, str] = {}
        """The address on this computer of each board, by its Ethernet-connected chip; where there is only one, that."""
        self.addresses: dict[Board, dict[int, Address]] = {}
        """Where each port of each board is on this computer."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def hostname(self) -> str | None:
        """The address on this computer of the board with chip (0, 0); None if the job has no such board."""
        return self.connections.get((0, 0))

    @property
    def is_open(self) -> bool:
        """Whether it has been entered, and not left."""
        return self._keeping is not None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the service at this moment."""
        return self._websocket is not None

    async def start(self) -> None:
        """Bind the addresses and connect.

        Raises:
            OSError: There are no free addresses, or the service can't be reached.
            ProtocolError: The service lets nobody reach these boards.
        """
        self._boards = await self._find_boards()
        bound = bound_ports(list(self._boards), self._numbers)
        try:
            self.connections.clear()
            self.addresses.clear()
            for port, made in bound.items():
                name = made.getsockname()
                self.connections[port.board] = name[0]
                self.addresses.setdefault(port.board, {})[port.number] = name
            self.carrier = Carrier(self._boards, self.connections)
            websocket = await self._connect()
            for port in list(bound):
                await self._attend(port, bound.pop(port))
        except BaseException:
            for left in bound.values():
                left.close()
            await self.stop()
            raise
        self._use(websocket)
        self._keeping = asyncio.get_running_loop().create_task(self._keep_connected(websocket))

    async def stop(self) -> None:
        """Close everything; does nothing if nothing is open."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        if self._websocket is not None:
            await self._websocket.close()
            self._websocket = None
        for transport in self._sockets.values():
            transport.close()
        self._sockets.clear()
        # What was closed is closed in the loop's next turn.
        await asyncio.sleep(0)

    def connect(self, x: int, y: int, port: int = SDP_PORT) -> Channel:
        """Return a channel to a port of a board.

        Args:
            x: With `y`, the board's Ethernet-connected chip, as in `connections`.
            y: The same.
            port: UDP port of the board.

        Raises:
            ValueError: The job has no board there, or the port is none.
        """
        if (x, y) not in self._boards:
            known = ", ".join(map(str, self._boards))
            raise ValueError(f"the job has no board with Ethernet-connected chip ({x}, {y}); it has {known}")
        if not 0 < port < 1 << 16:
            raise ValueError(f"port is {port}; a UDP port is 1 to 65535")
        return Channel(self, Port((x, y), port))

    async def until_connected(self) -> None:
        """Wait until there is a connection to the service."""
        while self._websocket is None:
            self._changed.clear()
            await self._changed.wait()

    def do(self, effects: Iterable[Effect]) -> None:
        """Carry out what the carrier decided."""
        for effect in effects:
            if isinstance(effect, bytes):
                if self._websocket is not None:
                    self._websocket.tell(effect)
            elif isinstance(effect, Delivery):
                self._deliver(effect.port, effect.to, effect.data)
            else:
                self._listen(effect)

    def _deliver(self, port: Port, to: Hashable, data: bytes) -> None:
        if isinstance(to, Channel):
            to.hear(data)
            return
        transport = self._sockets.get(port)
        if transport is not None:
            transport.sendto(data, cast("Address", to))

    def _listen(self, effect: Listen) -> None:
        host = self.connections.get(effect.port.board, ONE_HOST)
        if effect.port in self._sockets or host == ONE_HOST:
            return
        made = bound_beside(effect.port, host)
        if made is not None:
            self.addresses[effect.port.board][effect.port.number] = made.getsockname()
            asyncio.get_running_loop().create_task(self._attend(effect.port, made))

    async def _attend(self, port: Port, made: socket.socket) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Socket(self, port), sock=made
        )
        self._sockets[port] = transport

    # The connection

    async def _connect(self, *, again: bool = False) -> Websocket:
        door = await self._knock(again)
        try:
            return await connected(door.url, door.headers, door.trust, CONNECT_SECONDS)
        except RefusedError as refused:
            if not again and refused.status in _NOT_LOGGED_IN:
                return await self._connect(again=True)
            raise ProtocolError(
                f"{door.url} gives no way to the boards: {_REFUSALS.get(refused.status, refused)}"
            ) from None

    async def _keep_connected(self, websocket: Websocket) -> None:
        while True:
            await websocket.wait_closed()
            self._websocket = None
            self.carrier.lost()
            websocket = await self._connect_again(f"{websocket.close_code} {websocket.close_reason}")
            self._use(websocket)

    def _use(self, websocket: Websocket) -> None:
        self._websocket = websocket
        websocket.hear = self._hear
        self._changed.set()
        self.do(self.carrier.connected())

    async def _connect_again(self, why: str) -> Websocket:
        pause, told = FIRST_PAUSE, False
        log(_NAME, f"The tunnel's connection is lost ({why.strip()}), connecting again...", warning=False)
        while True:
            try:
                return await self._connect()
            except (OSError, ProtocolError) as error:
                if pause == LONGEST_PAUSE and not told:
                    told = True
                    log(
                        _NAME,
                        f"The tunnel can't be connected again ({error}), will keep trying...",
                        warning=True,
                    )
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _hear(self, message: bytes) -> None:
        try:
            self.do(self.carrier.hear(message))
        except ProtocolError as error:
            log(_NAME, str(error), warning=True)


_NAME = "tunnel"
_NOT_LOGGED_IN = (401, 302, 403)
_REFUSALS = {200: "the job is none, or somebody else's", 404: "the job is none, or somebody else's"}

"""The double's websocket to the boards of a job: one message, one UDP packet."""

import asyncio
import itertools
from collections.abc import Callable
from ipaddress import IPv4Address
from struct import Struct

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from spinnaker.geometry import Board, Chip
from tests.doubles.defects import Defect
from tests.doubles.entrance import COOKIE
from tests.doubles.http import App
from tests.doubles.jobs import Job, State

MOST_BYTES = 8192
OPEN, CLOSE, MESSAGE, LISTEN, MESSAGE_TO, ERROR = range(6)
_NUMBER = Struct("<I")
_TWO = Struct("<II")
_THREE = Struct("<III")
_FIVE = Struct("<IIIII")


class CloseError(Exception):
    """The service closes a websocket."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(why)
        self.code = code


class Channel(asyncio.DatagramProtocol):
    """A UDP socket of a websocket."""

    def __init__(self, hear: Callable[[bytes, tuple[str, int]], None], *, connected: bool) -> None:
        self.hear = hear
        self.connected = connected
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.hear(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at the board's port: UDP says nothing of it to clients."""

    def send(self, data: bytes, to: tuple[str, int] | None = None) -> None:
        assert self.transport is not None
        self.transport.sendto(data, to)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Websockets:
    """All websockets of the service; channels are numbered over all of them."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.live: set[Websocket] = set()
        self.numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        people, jobs = self.app.people, self.app.jobs
        session = people.session(websocket.cookies.get(COOKIE))
        account = session.account if session is not None else None
        kind, _, secret = websocket.headers.get("authorization", "").partition(" ")
        if account is None and kind.lower() == "basic":
            account = people.by_basic(secret)
        if account is None and kind.lower() == "bearer":
            account = people.by_token(secret)
        if account is None:
            await websocket.send_denial_response(Response("log in required", 401))
            return
        number = scope["path"].rstrip("/").rpartition("/")[2]
        job = jobs.all.get(int(number)) if number.isdecimal() else None
        if job is None or not (account.sees_all or job.owner == account.name):
            await websocket.send_denial_response(Response(status_code=200))
            return
        await websocket.accept()
        one = Websocket(self, websocket, job, session.name if session is not None else None)
        self.live.add(one)
        try:
            await one.run()
        finally:
            self.live.discard(one)
            one.close_channels()


class Websocket:
    """One client's websocket."""

    def __init__(self, every: Websockets, socket: WebSocket, job: Job, session: str | None) -> None:
        self._every = every
        self._defects = every.app.defects
        self._socket = socket
        self.job = job
        self._session = session
        self._channels: dict[int, Channel] = {}
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._end: asyncio.Future[CloseError] = asyncio.get_running_loop().create_future()

    def close_channels(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def close(self, code: int, why: str = "") -> None:
        """Have the service close it."""
        if not self._end.done():
            self._end.set_result(CloseError(code, why))

    def look(self) -> None:
        """End what must have ended: called from time to time, and when jobs change."""
        if self._session is not None and not self._every.app.people.is_live(self._session):
            self.close(
                1008, "This connection was established under an authenticated HTTP session that has ended."
            )
        if self.job.state is State.DESTROYED:
            self.close_channels()
            if Defect.WEBSOCKET_OUTLIVES_JOB not in self._defects:
                self.close(1011, "the job has ended")

    async def run(self) -> None:
        if self.job.state is State.QUEUED:
            await self._socket.close(1011)
            return
        tasks = {asyncio.create_task(self._hear()), asyncio.create_task(self._tell())}
        try:
            done, _ = await asyncio.wait({*tasks, self._end}, return_when=asyncio.FIRST_COMPLETED)
            why = next(iter(done)).result()
            if why is not None and self._socket.application_state is WebSocketState.CONNECTED:
                await self._socket.close(why.code, str(why))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self) -> CloseError | None:
        try:
            while True:
                await self._socket.send_bytes(await self._outgoing.get())
        except (WebSocketDisconnect, RuntimeError):
            return None  # the client has gone meanwhile

    async def _hear(self) -> CloseError | None:
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return None
                if message.get("bytes") is None:
                    return CloseError(1003)
                await self._take(message["bytes"])
        except CloseError as why:
            return why

    async def _take(self, data: bytes) -> None:
        if len(data) < _TWO.size:
            raise CloseError(1007)
        operation, first = _TWO.unpack_from(data)
        if operation == MESSAGE:
            channel = self._channels.get(first)
            if channel is not None and channel.connected:
                channel.send(data[_TWO.size :])
        elif operation == MESSAGE_TO:
            await self._send_to(data)
        elif operation in (OPEN, CLOSE, LISTEN):
            layout = {OPEN: _FIVE, CLOSE: _THREE, LISTEN: _TWO}[operation]
            if len(data) != layout.size:
                raise CloseError(1007)
            numbers = layout.unpack(data)[2:]
            try:
                answer = await {OPEN: self._open, CLOSE: self._close, LISTEN: self._listen}[operation](
                    *numbers
                )
            except ValueError as why:
                self._outgoing.put_nowait(_TWO.pack(ERROR, first) + str(why).encode()[:1000])
            else:
                self._outgoing.put_nowait(_TWO.pack(operation, first) + answer)
        else:
            raise CloseError(1007 if operation == ERROR else 1011)

    def _board(self, x: int, y: int, port: int) -> tuple[str, int]:
        got = self.job.allocation
        if not 0 < port < 1 << 16:
            raise ValueError("bad port number")
        for name, value in (("X", x), ("Y", y)):
            if value > 255:
                raise ValueError(f"bad {name} co-ordinate: {value}")
        boards: tuple[Board, ...] = got.boards if got is not None else ()
        for board in boards:
            assert got is not None
            if got.chip_of(board) == Chip(x, y):
                return got.machine.socket(board, port)
        raise ValueError("unrecognised ethernet chip")

    async def _open(self, x: int, y: int, port: int) -> bytes:
        to = self._board(x, y, port)
        number = next(self._every.numbers)
        self._channels[number] = await self._socket_for(number, remote_addr=to)
        return _NUMBER.pack(number)

    async def _socket_for(self, number: int, **address: tuple[str, int]) -> Channel:
        connected = "remote_addr" in address

        def hear(data: bytes, sender: tuple[str, int]) -> None:
            if connected or sender in self._senders():
                self._outgoing.put_nowait(_TWO.pack(MESSAGE, number) + data)

        loop = asyncio.get_running_loop()
        _, channel = await loop.create_datagram_endpoint(
            lambda: Channel(hear, connected=connected), **address
        )
        return channel

    def _senders(self) -> set[tuple[str, int]]:
        got = self.job.allocation
        return {tuple(got.machine.socket(board, 17893)) for board in got.boards} if got is not None else set()

    async def _close(self, number: int) -> bytes:
        channel = self._channels.pop(number, None)
        if channel is not None:
            channel.close()
        return _NUMBER.pack(number if channel is not None else 0)

    async def _listen(self) -> bytes:
        number = next(self._every.numbers)
        channel = self._channels[number] = await self._socket_for(number, local_addr=("127.0.0.1", 0))
        assert channel.transport is not None
        host, port = channel.transport.get_extra_info("sockname")
        if Defect.LISTENS_NOWHERE in self._defects:
            host = "0.0.0.0"
        return _NUMBER.pack(number) + IPv4Address(host).packed + _NUMBER.pack(port)

    async def _send_to(self, data: bytes) -> None:
        if len(data) < _FIVE.size:
            raise CloseError(1007)
        _, number, x, y, port = _FIVE.unpack_from(data)
        channel = self._channels.get(number)
        if channel is None:
            return
        if channel.connected:
            raise CloseError(1007)
        try:
            to = self._board(x, y, port)
        except ValueError as why:
            raise CloseError(1007, str(why)) from None
        channel.send(data[_FIVE.size :], to)

"""A small application behind the HTTP server, and raw clients of it, for tests of what lies below the application."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from spalloc_server.clock import SystemClock
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.timekeeping import Delays
from spalloc_server.fronts.http.connections.gate import Message, Receive, Scope, Send
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.origin import of
from spalloc_server.fronts.http.settings import HttpSettings, Limits
from spalloc_server.measures import Durations
from spalloc_server.presence import Presence

LARGER = 16_000_000
SECONDS = 10.0
"""How long a test waits for anything before it fails."""


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so of which nothing tells."""
    async with asyncio.timeout(SECONDS):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0)


class App:
    """`/` tells where a request is from, `/echo` returns the body, `/wait` waits until the client leaves.

    A websocket echoes.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.waiting = 0
        self.began = asyncio.Event()
        self.left = asyncio.Event()
        self.websockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        path = "/" + scope["path"].rpartition("/")[2]
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
            return
        origin = of(scope)
        query = scope["query_string"].decode()
        body = f"{origin.address} {origin.scheme} {origin.host} {scope['path']}?{query}".encode()
        if path == "/echo":
            body = b""
            more = True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if message["type"] == "http.disconnect":
                    self.left.set()
                    return
        elif path == "/refuse":
            body = b"no"
        elif path == "/large":
            body = b"x" * 4_000_000
        elif path == "/larger":
            # More than the buffers of two sockets together.
            body = b"x" * LARGER
        elif path == "/wait":
            self.waiting += 1
            self.began.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            self.waiting -= 1
            self.left.set()
            return
        status = 413 if path == "/refuse" else 200
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _websocket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.websockets += 1
        self.began.set()
        message: Message = {}
        while message.get("type") != "websocket.disconnect":
            message = await receive()
            if message.get("bytes"):
                await send({"type": "websocket.send", "bytes": message["bytes"]})
        self.websockets -= 1


@asynccontextmanager
async def served(app: App, **settings: Any) -> AsyncIterator[HttpServer]:
    presence = Presence(SystemClock(), Delays(), Durations())
    server = HttpServer(
        app,
        HttpSettings(**{"port": 0, "limits": Limits(connections=1000), **settings}),
        presence,
        Neighbours(),
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Client:
    """Sends bytes, and reads answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return the next answer, which has a length."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), SECONDS)).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", 0))
        return (
            int(first.split()[1]),
            headers,
            await asyncio.wait_for(self.reader.readexactly(length), SECONDS),
        )

    async def ask(
        self, path: str = "/", *headers: str, host: str = "here"
    ) -> tuple[int, dict[str, str], bytes]:
        await self.send(get(path, *headers, host=host))
        return await self.answer()

    async def rest(self) -> bytes:
        """Return all that comes until the server ends the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), SECONDS)
        except ConnectionResetError:
            return b""

    def close(self) -> None:
        self.writer.close()


def get(path: str = "/", *headers: str, host: str = "here") -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


@asynccontextmanager
async def connected(
    to: HttpServer | Path, context: ssl.SSLContext | None = None, name: str = "localhost"
) -> AsyncIterator[Client]:
    if isinstance(to, Path):
        streams = await asyncio.open_unix_connection(to)
    elif context is not None:
        streams = await asyncio.open_connection(*to.addresses[0], ssl=context, server_hostname=name)
    else:
        streams = await asyncio.open_connection(*to.addresses[0])
    client = Client(*streams)
    try:
        yield client
    finally:
        client.close()


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)

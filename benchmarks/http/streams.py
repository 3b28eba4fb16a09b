"""Clients of a relay that do the least: frames are made once, and answers are counted by their bytes."""

import asyncio
import os
import socket
import struct
from typing import Any

from benchmarks.http.servers import ECHO_PORT

SECRET = "dGhlIHNhbXBsZSBub25jZQ=="
PAYLOAD = 92
_MASKED = 0x80
_BINARY = 0x82


class Stream(asyncio.Protocol):
    """A websocket with some messages on their way."""

    def __init__(self, path: str, cookie: str, window: int, opens: bool) -> None:
        self._head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {SECRET}\r\nSec-WebSocket-Version: 13\r\nCookie: {cookie}\r\n\r\n"
        ).encode()
        self._window = window
        self._opens = opens
        self._left = b""
        self._frame = b""
        self._over = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers = 0
        self.running = False
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        if self._frame:
            self._over += len(data)
            answers, self._over = divmod(self._over, PAYLOAD + 8 + 2)
            self.answers += answers
            if answers and self.running:
                self.transport.write(self._frame * answers)
            return
        self._left += data
        head, end, rest = self._left.partition(b"\r\n\r\n")
        if not end:
            return
        assert head.startswith(b"HTTP/1.1 101"), head
        if self._opens and self._head:
            self._head = b""
            self.transport.write(_frame(struct.pack("<IIIII", 0, 1, 0, 0, ECHO_PORT)))
        if self._opens and len(rest) < 14:
            return
        channel = struct.unpack("<I", rest[10:14])[0] if self._opens else 1
        self._frame = _frame(struct.pack("<II", 2, channel) + os.urandom(PAYLOAD))
        self.ready.set_result(None)

    def begin(self) -> None:
        self.running = True
        self.transport.write(self._frame * self._window)


def _frame(data: bytes) -> bytes:
    """Return a client's frame: a mask of zeros leaves the data as it is."""
    assert len(data) < 126
    return bytes([_BINARY, _MASKED | len(data)]) + bytes(4) + data


async def open_streams(at: dict[str, Any], count: int, window: int) -> list[Stream]:
    loop = asyncio.get_running_loop()
    streams = []
    for _ in range(count):
        _, stream = await loop.create_connection(
            lambda: Stream(at["path"], at["cookie"], window, at["path"] != "/"), "127.0.0.1", at["port"]
        )
        await stream.ready
        streams.append(stream)
    return streams


class Echo:
    """A UDP port that sends back what it gets."""

    def __init__(self, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind((host, ECHO_PORT))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._answer)

    def _answer(self) -> None:
        try:
            for _ in range(64):
                data, source = self._socket.recvfrom(2048)
                self._socket.sendto(data[-(PAYLOAD + 8) :], source)
        except BlockingIOError:
            pass

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

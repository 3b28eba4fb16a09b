"""Talking to a BMP or a board from a test: a request out, its reply back, over a real socket."""

import asyncio
import socket
from typing import Self

from spinnaker.scp import ScpReply
from spinnaker.sdp import SDP_PORT

PATIENCE = 10.0


class Conversation:
    """A connected socket in the running event loop."""

    def __init__(self, host: str, port: int = SDP_PORT) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((host, port))

    @property
    def address(self) -> tuple[str, int]:
        """Where answers come to."""
        host, port = self._socket.getsockname()
        return host, port

    async def tell(self, datagram: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, datagram)

    async def ask(self, datagram: bytes, patience: float = PATIENCE) -> ScpReply:
        await self.tell(datagram)
        return await self.hear(patience)

    async def hear(self, patience: float = PATIENCE) -> ScpReply:
        loop = asyncio.get_running_loop()
        return ScpReply.decode(await asyncio.wait_for(loop.sock_recv(self._socket, 1024), patience))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

# The listening end of the v1 front: where clients connect, and all who have.
"""The v1 front's server."""

import asyncio

from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.commands import Commands
from spalloc_server.fronts.v1.connection import Connection

BACKLOG = 4096
LAST_WORDS_SECONDS = 1.0
"""How long clients may take to read what is on its way to them when the server stops."""


class V1Server:
    """Listens for v1 clients and serves them."""

    def __init__(self, engine: Engine) -> None:
        """Serve the site that `engine` drives."""
        self._engine = engine
        self._commands = Commands(engine.site, engine.clock)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._alone = asyncio.Event()
        self._alone.set()

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen on `host` and `port` (0 for any that is free) and return the address in use.

        Raises:
            OSError: The address can't be listened on.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._engine, self._commands, self), host, port, backlog=BACKLOG
        )
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    def stop_listening(self) -> None:
        """Take no new clients; those that are connected are still served."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """End all connections; what is on its way to clients is still sent."""
        self.stop_listening()
        for connection in list(self._connections):
            connection.close()
        try:
            await asyncio.wait_for(self._alone.wait(), LAST_WORDS_SECONDS)
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
            await self._alone.wait()

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._connections.add(connection)
        self._alone.clear()

    def closed(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._connections.discard(connection)
        if not self._connections:
            self._alone.set()

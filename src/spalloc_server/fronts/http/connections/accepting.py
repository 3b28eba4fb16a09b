"""Accepts connections, with or without TLS: each is known, and may be refused, before its handshake.

Which ones are refused is decided in server.py.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

from spalloc_server.fronts.http.origin import LOCAL, canonical

_AT_ONCE = 64
"""How many connections are accepted in one turn of the loop."""
_SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_SECONDS = 1.0
"""How long nothing is accepted when the system has no descriptor left."""


class Listener:
    """Accepts the connections of one listening socket."""

    def __init__(
        self,
        listening: socket.socket,
        accepted: Callable[[socket.socket, str, "Listener"], None],
        *,
        tls: bool,
    ) -> None:
        """Begin to accept.

        Args:
            listening: The socket, which doesn't block.
            accepted: Called with each connection, its client's address, and this listener.
            tls: Whether clients speak TLS here, if the server has a certificate.
        """
        self.tls = tls
        """Whether clients speak TLS here, if the server has a certificate."""
        self._listening = listening
        self._accepted = accepted
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, peer = self._listening.accept()
            except OSError as error:
                if error.errno not in _SHORT_OF:
                    # There are no more; or this one has failed already, in one of many ways (accept(2)).
                    return
                self._loop.remove_reader(self._listening.fileno())
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._go_on)
                return
            connection.setblocking(False)
            local = connection.family == socket.AF_UNIX
            self._accepted(connection, LOCAL if local else canonical(peer[0]), self)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more."""
        if self._pause is not None:
            self._pause.cancel()
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening.fileno())
            self._listening.close()


async def shake_hands(
    connection: socket.socket, protocol: asyncio.Protocol, context: ssl.SSLContext | None, seconds: float
) -> bool:
    """Hand a connection to its protocol, after the handshake of TLS if there is a context.

    Args:
        connection: The connection; it is closed if this fails.
        protocol: What serves it.
        context: Of TLS.
        seconds: How long the handshake may take.

    Returns:
        Whether the protocol has the connection.
    """
    loop = asyncio.get_running_loop()
    try:
        if context is None:
            await loop.connect_accepted_socket(lambda: protocol, connection)
        else:
            await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=2.0,
            )
    except (OSError, EOFError):
        # The client left, took too long, or speaks no TLS that is accepted: ssl.SSLError is an OSError.
        connection.close()
        return False
    return True

"""A tunnel's websocket: messages in and out without waiting, as datagrams are.

The library has tasks wait for each message; here each is handed on as it is read, which takes less time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Opcode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from ssl import SSLContext

LONGEST = 1 << 16
"""Bytes of a message that are taken; services send a datagram in each."""
MOST_UNSENT = 1 << 20
"""Bytes that may wait to be sent; what comes then is lost, as in a network."""
PING_SECONDS = 10.0
"""After this time without a sign of life, and once more as many, a connection is given up."""


_LOG = logging.getLogger("spalloc_client.websocket")
# At its most talkative the library logs whole handshakes, with the cookie that says who asks.
_LOG.setLevel(logging.INFO)


class RefusedError(Exception):
    """The service does not let this client have a websocket; `status` is that of its answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the service answered {status}")
        self.status = status


class Websocket(ClientConnection):
    """A websocket whose binary messages are handed on at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.hear: Callable[[bytes], None] | None = None
        """Is called with each message; until it is set, the library keeps them."""
        self._parts = b""

    def process_event(self, event: Any) -> None:
        """Take a frame, or the answer to the handshake."""
        if self.hear is None or event.opcode not in _OF_MESSAGES:
            super().process_event(event)
        elif not event.fin:
            self._parts += event.data
        else:
            message, self._parts = self._parts + event.data, b""
            self.hear(message)

    def tell(self, message: bytes) -> None:
        """Send a message, unless too much waits to be sent."""
        if self.transport.get_write_buffer_size() < MOST_UNSENT:
            broadcast((self,), message)


_OF_MESSAGES = (Opcode.BINARY, Opcode.CONT)


async def connected(
    url: str, headers: Mapping[str, str], trust: SSLContext | None, within: float | None
) -> Websocket:
    """Connect to a service's websocket.

    Args:
        url: Its address, `wss://...` or `ws://...`.
        headers: What says who asks.
        trust: Whose certificates are believed; None without TLS.
        within: Seconds that this may take.

    Raises:
        RefusedError: The service answers, and refuses.
        OSError: It can't be reached.
    """
    try:
        made = await connect(
            url,
            additional_headers=headers,
            ssl=trust,
            compression=None,
            create_connection=Websocket,
            max_size=LONGEST,
            open_timeout=within,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=1.0,
            logger=_LOG,
        )
    except InvalidStatus as refused:
        raise RefusedError(refused.response.status_code) from refused
    except (InvalidHandshake, ConnectionClosed, EOFError) as error:
        raise ConnectionError(f"{url}: {error}") from error
    assert isinstance(made, Websocket)
    return made

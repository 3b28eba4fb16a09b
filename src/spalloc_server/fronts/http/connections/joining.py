"""What a connection writes in one turn of the event loop, joined: the head of an answer and its body."""

import asyncio
from collections.abc import Callable

_MOST_JOINED_BYTES = 65_536
_WRITTEN_AT_ONCE_BYTES = 32_768


class Joining:
    """A transport that joins what is written in one turn of the loop: the head of an answer and its body."""

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, written: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._written = written
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write data, soon."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MOST_JOINED_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        if self._held:
            data = memoryview(b"".join(self._held))
            self._held, self._held_bytes = [], 0
            # TLS would keep as much memory for each connection as it was ever given at once.
            for at in range(0, len(data), _WRITTEN_AT_ONCE_BYTES):
                self._transport.write(data[at : at + _WRITTEN_AT_ONCE_BYTES])
            self._written()

    def close(self) -> None:
        """Close the connection once all is written."""
        self.flush()
        self._transport.close()

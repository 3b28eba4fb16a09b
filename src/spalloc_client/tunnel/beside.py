"""The same tunnel for blocking programs: its event loop runs in a thread of its own, beside the program."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

from spalloc_client.tunnel import running
from spinnaker.sdp import SDP_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping
    from typing import Any, Self, TypeAlias, TypeVar

    from spalloc_client.tunnel.carrying import Board
    from spalloc_client.tunnel.running import Door
    from spalloc_client.tunnel.tags import Address

    Knock: TypeAlias = Callable[[bool], Door]
    Boards: TypeAlias = Callable[[], Mapping[Board, str]]
    T = TypeVar("T")


class Channel:
    """One UDP port of one board, for this program, without a local port: send datagrams, and receive the answers."""

    def __init__(self, tunnel: Tunnel, inner: running.Channel) -> None:
        self._tunnel = tunnel
        self._inner = inner

    def send(self, data: bytes) -> None:
        """Send a datagram; as with UDP, it may be lost."""
        self._tunnel.soon(lambda: self._inner.send(data))

    def receive(self, timeout: float | None = None) -> bytes:
        """Wait for a datagram of the board.

        Raises:
            TimeoutError: None came within `timeout` seconds.
        """
        return self._tunnel.run(self._inner.receive(timeout))

    def close(self) -> None:
        """Give the channel back."""
        self._tunnel.soon(self._inner.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tunnel:
    """The boards of a job on addresses of this computer.

    Entering it binds the addresses and connects to the service; when it is left, nothing remains.
    """

    def __init__(
        self, knock: Knock, boards: Boards, ports: Collection[int] = (), *, listens: bool = True
    ) -> None:
        """Describe a tunnel.

        Args:
            knock: Logs in where that is needed, and says where the service's websocket is; called in another thread.
            boards: Finds the address of each board, as the service tells it, by its Ethernet-connected chip; so called.
            ports: UDP ports that programs are to reach, beside those for SCP (17893) and booting (54321).
            listens: Whether the boards get addresses of this computer; if not, `connect` is the only way to them.

        Raises:
            ValueError: A port is none.
        """

        async def knock_beside(again: bool) -> Door:
            return await asyncio.to_thread(knock, again)

        async def boards_beside() -> Mapping[Board, str]:
            return await asyncio.to_thread(boards)

        self._inner = running.Tunnel(knock_beside, boards_beside, ports, listens=listens)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def connections(self) -> dict[Board, str]:
        """The address on this computer of each board, by its Ethernet-connected chip; where there is only one, that."""
        return dict(self._inner.connections)

    @property
    def addresses(self) -> dict[Board, dict[int, Address]]:
        """Where each port of each board is on this computer."""
        return {board: dict(ports) for board, ports in self._inner.addresses.items()}

    @property
    def hostname(self) -> str | None:
        """The address on this computer of the board with chip (0, 0); None if the job has no such board."""
        return self._inner.hostname

    @property
    def is_open(self) -> bool:
        """Whether it has been entered, and not left."""
        return self._inner.is_open

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the service at this moment."""
        return self._inner.is_connected

    def start(self) -> None:
        """Bind the addresses and connect.

        Raises:
            OSError: There are no free addresses, or the service can't be reached.
            ProtocolError: The service lets nobody reach these boards.
        """
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="spalloc tunnel", daemon=True)
        self._thread.start()
        try:
            self.run(self._inner.start())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Close everything; does nothing if nothing is open."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None or self._process != os.getpid():
            return  # a copy of the process (a fork) has no such thread: the tunnel is its original's
        asyncio.run_coroutine_threadsafe(_ended(self._inner), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()

    def connect(self, x: int, y: int, port: int = SDP_PORT) -> Channel:
        """Return a channel to a port of a board.

        Args:
            x: With `y`, the board's Ethernet-connected chip, as in `connections`.
            y: The same.
            port: UDP port of the board.

        Raises:
            ValueError: The job has no board there, or the port is none.
        """
        return Channel(self, self._inner.connect(x, y, port))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something in the tunnel's loop."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the tunnel is not open")
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except BaseException:
            waiting.cancel()
            raise

    def soon(self, work: Callable[[], object]) -> None:
        """Have something done in the tunnel's loop."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(work)


async def _ended(tunnel: running.Tunnel) -> None:
    await tunnel.stop()
    await asyncio.get_running_loop().shutdown_default_executor()

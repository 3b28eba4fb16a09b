# The listening end of the v1 front: where clients connect, who may, and for how long they may do nothing.
#
# What one client asks and gets is connection.py's subject.
"""The v1 front's server."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from math import inf

from spalloc_server.descriptors import allow_descriptors
from spalloc_server.engine import Engine
from spalloc_server.fronts.listening import listen
from spalloc_server.fronts.v1.ahead import Ahead
from spalloc_server.fronts.v1.commands import Commands
from spalloc_server.fronts.v1.connection import Connection
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.ration import Ration
from spalloc_server.fronts.v1.watchers import Watchers
from spalloc_server.presence import JUDGE_AGAIN_SECONDS

_log = logging.getLogger(__name__)

BACKLOG = 4096
LAST_WORDS_SECONDS = 1.0
"""How long clients may take to read what is on its way to them when the server stops."""
LONGEST_ROUND_SECONDS = 5.0
"""How often clients are looked at to see whether they use their connections."""
OTHER_DESCRIPTORS = 512
"""Descriptors that the server needs beside those of clients: BMPs, records, metrics."""

Admission = Callable[[str], str | None]
"""Takes a client's address and returns why it may not connect, or None."""


def anyone(_address: str) -> None:
    """Admit clients from everywhere."""


class V1Server:
    """Listens for v1 clients and serves them."""

    def __init__(self, engine: Engine, limits: Limits | None = None, admission: Admission = anyone) -> None:
        """Serve the site that `engine` drives.

        Args:
            engine: What clients talk to.
            limits: How much of the server they may take.
            admission: Says which addresses may connect.
        """
        self.engine = engine
        self.commands = Commands(engine.site, engine.clock, engine, lambda: engine.trouble)
        self.watchers = Watchers(lambda job: job in engine.site.jobs)
        self._ahead = Ahead(self.commands.listing, engine.site)
        self.limits = limits or Limits()
        """May be replaced at any time; holds for what happens from then on."""
        self.admission = admission
        """May be replaced at any time; clients that are connected stay."""
        self.unread: set[Connection] = set()
        """Connections on which something waits for the server to come to it."""
        self._connections: set[Connection] = set()
        self._from_address: Counter[str] = Counter()
        self.refused = 0
        """How many clients were not let in since the start."""
        self.cut_off = 0
        """How many clients' connections the server has ended since the start."""
        self._refusals = Ration()
        self._cuts = Ration()
        self.addresses: tuple[tuple[str, int], ...] = ()
        """Where clients can connect, each address with the port; known once the server listens."""
        self._server: asyncio.Server | None = None
        self._round: asyncio.TimerHandle | None = None
        self._alone = asyncio.Event()
        self._alone.set()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    async def start(self, host: str | Sequence[str], port: int) -> tuple[str, int]:
        """Listen on one host or several, on `port` (0 for any that is free), and return the first address in use.

        Raises:
            OSError: The address can't be listened on.
        """
        allow_descriptors(self.limits.connections + OTHER_DESCRIPTORS)
        self._server, self.addresses = await listen(
            lambda: Connection(self, self.limits.request_bytes), host, port, "v1", backlog=BACKLOG
        )
        self.engine.listeners |= {self.watchers, self._ahead}
        self._ahead.jobs_changed(self.engine.site.jobs)
        self.engine.unheard = self._unheard
        self._go_round_later()
        return self.addresses[0]

    def stop_listening(self) -> None:
        """Take no new clients; those that are connected are still served."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """End all connections; what is on its way to clients is still sent."""
        self.stop_listening()
        self.engine.listeners -= {self.watchers, self._ahead}
        self.watchers.stop()
        self._ahead.stop()
        if self._round is not None:
            self._round.cancel()
        self._sum_up(inf)
        for connection in list(self._connections):
            connection.close()
        try:
            await asyncio.wait_for(self._alone.wait(), LAST_WORDS_SECONDS)
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
            await self._alone.wait()

    # Who is connected

    def opened(self, connection: Connection, address: str) -> str | None:
        """Take note of a new connection; return why it may not stay, or None."""
        self._connections.add(connection)
        self._from_address[address] += 1
        self._alone.clear()
        refusal = self._refusal(address)
        if refusal is not None:
            self.refused += 1
            if self._refusals.admits(address, asyncio.get_running_loop().time()):
                _log.warning("a client at %s is refused: %s", address, refusal, extra={"client": address})
        return refusal

    def _refusal(self, address: str) -> str | None:
        limits = self.limits
        refusal = self.admission(address)
        if refusal is not None:
            return refusal
        if len(self._connections) > limits.connections:
            return f"the server has {limits.connections} connections and takes no more; try again later"
        if self._from_address[address] > limits.connections_from_one_address:
            return (
                f"there are {limits.connections_from_one_address} connections from {address}, "
                "and the server takes no more from one address; close some"
            )
        return None

    def closed(self, connection: Connection, address: str) -> None:
        """Forget a connection that has ended."""
        self._connections.discard(connection)
        self.unread.discard(connection)
        self._from_address[address] -= 1
        if not self._from_address[address]:
            del self._from_address[address]
        if not self._connections:
            self._alone.set()

    # Who waits for us

    def _unheard(self) -> set[str]:
        """Return where clients are that asked for something, wait for it, and read what they are sent."""
        return {connection.address for connection in self.unread if connection.stuck is None}

    # Who does nothing with it

    def _go_round_later(self) -> None:
        limits = self.limits
        shortest = min(limits.first_request_seconds, limits.idle_seconds, limits.slow_reader_seconds)
        wait = min(shortest / 4, LONGEST_ROUND_SECONDS)
        self._round = asyncio.get_running_loop().call_later(wait, self._go_round)

    def _go_round(self) -> None:
        if not self.engine.presence.may_judge():
            self._round = asyncio.get_running_loop().call_later(JUDGE_AGAIN_SECONDS, self._go_round)
            return
        limits = self.limits
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            why = self._fault(connection, now, limits)
            if why is not None:
                self.cut_off += 1
                if self._cuts.admits(connection.address, now):
                    _log.warning(
                        "a client at %s is cut off: %s",
                        connection.address,
                        why,
                        extra={"client": connection.address},
                    )
                connection.abort()
        self._sum_up(now)
        self._go_round_later()

    def _sum_up(self, now: float) -> None:
        """Log how many more clients met what was logged of the first, if it is time to."""
        for what, ration in (("refused", self._refusals), ("cut off", self._cuts)):
            for address, count in ration.summary(now):
                if address is None:
                    _log.warning("%d more clients, at other addresses, were %s", count, what)
                else:
                    _log.warning(
                        "%d more clients at %s were %s", count, address, what, extra={"client": address}
                    )

    def _fault(self, connection: Connection, now: float, limits: Limits) -> str | None:
        is_over = self.engine.site.delays.is_over
        if connection.stuck is not None:
            if is_over(connection.stuck, limits.slow_reader_seconds, now):
                return f"it did not read what was sent to it for {limits.slow_reader_seconds:g} s"
        elif not connection.is_read:
            return None
        elif connection.begun is not None:
            if is_over(connection.begun, limits.first_request_seconds, now):
                return f"it did not end a request within {limits.first_request_seconds:g} s"
        elif is_over(connection.heard, limits.idle_seconds, now) and connection not in self.watchers:
            return f"it asked nothing for {limits.idle_seconds:g} s"
        return None

"""The server of the v1 protocol: listens, admits clients, and ends connections that break the limits.

See connection.py for what happens on one connection.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf
from typing import cast

from spalloc_server.core.askers import SERVER
from spalloc_server.core.commands import SetNeighbours
from spalloc_server.engine import Engine
from spalloc_server.fronts.listening import RAISE_DESCRIPTORS, TurnedAway, listen
from spalloc_server.fronts.readings import Readings
from spalloc_server.fronts.v1.commands import Commands
from spalloc_server.fronts.v1.connection import JOBS_IN_TIME, ClientConnection
from spalloc_server.fronts.v1.crowd import Crowd, Group, Member
from spalloc_server.fronts.v1.endings import EndingWatchers
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.listing import ListingRefresher
from spalloc_server.fronts.v1.turns import MOST_CHANGES_AMONG_OTHERS, Turns
from spalloc_server.fronts.v1.watchers import Watchers
from spalloc_server.presence import PendingExpiry
from spalloc_server.ration import Ration, Warnings
from spalloc_server.runtime import allow_descriptors, any_descriptors_left, give_back_memory
from spalloc_server.words import counted, there_are

_log = logging.getLogger(__name__)

BACKLOG = 4096
LAST_WORDS_SECONDS = 1.0
"""How long clients may take to read the last replies when the server stops."""
LONGEST_ROUND_SECONDS = 5.0
"""The longest time between checks of all connections for silent clients and slow readers."""
OTHER_DESCRIPTORS = 512
"""Descriptors that are reserved for others than clients: BMPs, records, metrics."""
FEWEST_OTHER_DESCRIPTORS = 64
"""The same where the system allows few."""
WORTH_GIVING_BACK_BYTES = 16 * 1024 * 1024
"""Memory is given back to the system only after more than this was kept for clients."""

AHEAD_BYTES = 64 * 1024
SCARCE_AHEAD_BYTES = 4 * 1024
"""How many bytes of each client's requests are read ahead: normally, and while much is kept for clients."""

Admission = Callable[[str], str | None]
"""Takes a client's address and returns why it may not connect, or None."""


def anyone(_address: str) -> None:
    """Admit every client."""


class V1Server:
    """Listens for v1 clients and serves them."""

    def __init__(self, engine: Engine, limits: Limits | None = None, admission: Admission = anyone) -> None:
        """Serve the site that `engine` drives.

        Args:
            engine: Drives the site.
            limits: How much of the server clients may use.
            admission: Returns why an address may not connect, or None.
        """
        self.engine = engine
        self.watchers = Watchers(
            lambda job: job in engine.site.jobs,
            lambda machine: machine in engine.site.machines,
            EndingWatchers(engine.site, engine.clock),
        )
        self.commands = Commands(engine, self.watchers)
        self._ahead = ListingRefresher(self.commands.listing, engine.site)
        self.admission = admission
        """May be replaced at any time; clients that are connected stay connected."""
        self.unread: set[ClientConnection] = set()
        """Connections with requests that have arrived and are not done."""
        self.turns = Turns(engine.clock.now)
        self.readings = Readings(lambda: engine.stopping)
        self.ahead_bytes = AHEAD_BYTES
        self._crowd = Crowd()
        self._connections: dict[ClientConnection, None] = {}
        self._refusals = Warnings(_log, "refused")
        self._cuts = Warnings(_log, "cut off")
        self._most_kept = 0
        """The most bytes that were kept for clients since memory was last given back."""
        self._limits_logged = Ration()
        self._turned_away = TurnedAway()
        self._limits = limits or Limits()
        engine.do(SetNeighbours(self._limits.ipv6_prefix), SERVER)
        self._wanted = self._possible = self.limits.connections
        """How many connections the system was asked for, and how many it allows."""
        self.addresses: tuple[tuple[str, int], ...] = ()
        """The addresses and ports that clients can connect to; known once the server listens."""
        self._server: asyncio.Server | None = None
        self._round: asyncio.TimerHandle | PendingExpiry | None = None
        self._alone = asyncio.Event()
        self._alone.set()

    @property
    def limits(self) -> Limits:
        """How much clients may use; may be replaced at any time, with effect from then on."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        if self.engine.do(SetNeighbours(limits.ipv6_prefix), SERVER).value:
            self._recount()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def refused(self) -> int:
        """How many clients were refused since the start."""
        return self._refusals.count

    @property
    def cut_off(self) -> int:
        """How many clients' connections the server has ended since the start."""
        return self._cuts.count

    @property
    def bytes_kept(self) -> int:
        """How many bytes are kept for clients, apart from a small amount for each."""
        return self._crowd.bytes

    async def start(self, host: str | Sequence[str], port: int) -> tuple[str, int]:
        """Listen on one host or several, on `port` (0 for any that is free), and return the first address in use.

        Raises:
            OSError: The address can't be listened on.
        """
        backlog = self._ask_for_descriptors()
        self._server, self.addresses = await listen(
            lambda: ClientConnection(self, self.limits.request_bytes), host, port, "v1", backlog=backlog
        )
        self.engine.listeners |= {self.watchers, self._ahead}
        self._ahead.jobs_changed(self.engine.site.jobs)
        self.engine.unheard = self._unheard
        self.engine.busy = lambda: bool(self.turns)
        self._go_round_later()
        return self.addresses[0]

    def _ask_for_descriptors(self) -> int:
        """Raise the system's limit on descriptors as far as possible, and return how many clients may come at once."""
        wanted = self._wanted = self.limits.connections
        allowed = allow_descriptors(wanted + OTHER_DESCRIPTORS + BACKLOG)
        # Clients that come at once are all accepted, and so have descriptors, before any of them is refused.
        backlog = min(BACKLOG, allowed // 8)
        others = min(OTHER_DESCRIPTORS, max(allowed // 4, FEWEST_OTHER_DESCRIPTORS))
        self._possible = max(1, allowed - others - backlog)
        if self._possible < wanted:
            _log.warning(
                "the system allows %d open files and sockets, so %d connections are taken and not %d; %s",
                allowed,
                self._possible,
                wanted,
                RAISE_DESCRIPTORS,
            )
        return backlog

    def stop_listening(self) -> None:
        """Accept no new clients; those that are connected are still served."""
        if self._server is not None:
            self._server.close()

    async def stop(self) -> None:
        """End all connections, after sending the last replies."""
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
        self.turns.stop()

    # Who is connected

    def opened(self, connection: ClientConnection) -> str | None:
        """Add a new connection, and set its group; return why it may not stay, or None."""
        self._connections[connection] = None
        connection.group = self._crowd.enter(connection, self._group_of(connection.address))
        self._alone.clear()
        refusal = self._refusal(connection)
        if refusal is not None:
            self._refusals.warn(connection.address, connection.group.name, connection.heard, refusal)
        return refusal

    def _refusal(self, connection: ClientConnection) -> str | None:
        limits, group = self.limits, connection.group
        refusal = self.admission(connection.address)
        if refusal is not None:
            return refusal
        if len(group.members) > limits.connections_from_one_address:
            are = "is" if limits.connections_from_one_address == 1 else "are"
            return (
                f"there {are} {counted(limits.connections_from_one_address, 'connection')} from {group.name}, "
                "and the server takes no more from one address; close some"
            )
        if self._crowd.size > self.most_connections:
            other = self._crowd.least_used(group, self._job_of)
            if other is None:
                most = counted(self.most_connections, "connection")
                return f"the server has {most} and takes no more; try again later"
            self._cut(
                cast("ClientConnection", other),
                f"the server has {counted(self.most_connections, 'connection')}, most of them from {other.group.name}, "
                f"and one from {group.name} was let in",
            )
        return None

    @property
    def most_connections(self) -> int:
        """The most connections that the configuration and the system allow."""
        return min(self.limits.connections, self._possible)

    def _job_of(self, member: Member) -> int | None:
        """Return the job that a connection holds, or None; one that does not read its replies holds none."""
        connection = cast("ClientConnection", member)
        job = None if connection.job is None else self.engine.site.jobs.get(connection.job)
        if job is None or connection.stuck is not None:
            return None
        # Any client may ask about a job, so the address decides whether it is its own.
        group = self._group_of(job.record.owner_host)
        return job.record.id if group == connection.group.name else None

    def _group_of(self, address: str) -> str:
        return self.engine.site.neighbours.of(address)

    def _recount(self) -> None:
        """Group the connections again, after the rule for neighbours has changed."""
        left: dict[Group, None] = {}
        for connection in self._connections:
            old, name = connection.group, self._group_of(connection.address)
            if name == old.name or connection not in old.members:
                continue
            self._crowd.leave(connection)
            new = connection.group = self._crowd.enter(connection, name)
            self._crowd.weigh(connection, connection.weight())
            old.changes -= connection.changes_under_way
            new.changes += connection.changes_under_way
            left[old] = None
        for group in left:
            # A connection that waits there to make a change asks for a turn, and then waits in its new group.
            group.wake_all()
            self._crowd.tidy(group)

    def closed(self, connection: ClientConnection) -> None:
        """Remove a connection that has ended."""
        self._connections.pop(connection, None)
        self.unread.discard(connection)
        self._crowd.leave(connection)
        if not self._connections:
            self._alone.set()

    # Who waits for us

    def _unheard(self) -> set[str]:
        """Return the addresses of clients that have requests waiting, and read their replies."""
        return {connection.address for connection in self.unread if connection.stuck is None}

    def turn_failed(self, connection: ClientConnection, fault: Exception) -> None:
        """End a connection whose turn raised an unexpected exception."""
        _log.error(
            "a turn of a client at %s failed, and its connection is ended", connection.address, exc_info=fault
        )
        self._crowd.leave(connection)
        connection.abort()

    @contextmanager
    def no_changes(self) -> Iterator[None]:
        """Let clients' changes wait during the block; questions are answered."""
        self.turns.most_changes = 0
        try:
            yield
        finally:
            self.turns.most_changes = MOST_CHANGES_AMONG_OTHERS
            for group in self._crowd.groups.values():
                group.wake_all()

    # Memory

    def recorded(self, group: Group) -> None:
        """Note that a change of a group is on disk, or never will be."""
        group.changes -= 1
        group.wake(self.turns.most_changes)
        if not group.members:
            self._crowd.tidy(group)

    def weigh(self, connection: ClientConnection, weight: int) -> None:
        """Note how many bytes are kept for a connection; end some connections if all together have too many."""
        crowd, most = self._crowd, self.limits.memory_bytes
        crowd.weigh(connection, weight)
        for heaviest in crowd.too_heavy(most, lambda member: cast("ClientConnection", member).weight()):
            self._cut(
                cast("ClientConnection", heaviest),
                f"the server keeps {most} bytes for its clients and no more, most of them for {heaviest.group.name}: "
                "what they asked and did not wait for, and what they were sent and did not read",
            )
        self.ahead_bytes = AHEAD_BYTES if crowd.bytes < most // 2 else SCARCE_AHEAD_BYTES

    def _cut(self, connection: ClientConnection, why: str) -> None:
        """End a connection at once."""
        now = asyncio.get_running_loop().time()
        self._cuts.warn(connection.address, connection.group.name, now, why)
        self._crowd.leave(connection)
        connection.abort()

    # Clients that are silent or don't read

    def _go_round_later(self) -> None:
        limits = self.limits
        shortest = min(limits.first_request_seconds, limits.idle_seconds, limits.slow_reader_seconds)
        wait = min(shortest / 4, LONGEST_ROUND_SECONDS)
        self._round = asyncio.get_running_loop().call_later(wait, self._go_round)

    def _go_round(self) -> None:
        presence = self.engine.presence
        if not presence.may_expire():
            self._round = presence.when_it_may_expire(self._go_round)
            return
        limits = self.limits
        now = asyncio.get_running_loop().time()
        if limits.connections != self._wanted:
            self._ask_for_descriptors()
        for connection in list(self._connections):
            why = self._fault(connection, now, limits)
            if why is not None:
                self._cut(connection, why)
        # Weights change without a call: clients read, and what is kept for a listing grows with time.
        for member in self._crowd.heavy():
            cast("ClientConnection", member).weigh()
        self._give_back()
        self._sum_up(now)
        self._look_at_the_system(now)
        self._go_round_later()

    def _give_back(self) -> None:
        """Give memory back to the system once the bytes kept for clients have fallen to less than half."""
        self._most_kept = max(self._most_kept, self._crowd.bytes)
        if self._most_kept >= WORTH_GIVING_BACK_BYTES and self._crowd.bytes < self._most_kept // 2:
            self._most_kept = self._crowd.bytes
            give_back_memory()

    def _sum_up(self, now: float) -> None:
        """Log how many more clients were refused and cut off, if a minute is over."""
        self._refusals.sum_up(now)
        self._cuts.sum_up(now)

    def _look_at_the_system(self, now: float) -> None:
        """Log that limits of the system were reached."""
        turned_away = self._turned_away.more()
        if turned_away:
            self._warn(
                "backlog",
                now,
                f"{there_are(turned_away, 'connection', past=True)} turned away by the system, since too many came at "
                "once (net.core.somaxconn, net.ipv4.tcp_max_syn_backlog)",
            )
        if not any_descriptors_left():
            self._warn("descriptors", now, f"no more files or sockets can be opened; {RAISE_DESCRIPTORS}")

    def _warn(self, limit: str, now: float, sentence: str) -> None:
        self._limits_logged.summary(now)
        if self._limits_logged.admits(limit, now):
            _log.warning("%s", sentence)

    def _fault(self, connection: ClientConnection, now: float, limits: Limits) -> str | None:
        """Return why a connection must end, or None."""
        is_over = self.engine.site.delays.is_over
        if connection.stuck is not None and is_over(connection.stuck, limits.slow_reader_seconds, now):
            return f"it did not read what was sent to it for {limits.slow_reader_seconds:g} s"
        if connection.long_since is not None:
            within = limits.slow_reader_seconds * (1 + connection.long_reply_jobs // JOBS_IN_TIME)
            if is_over(connection.long_since, within, now):
                return f"it did not read a reply about {connection.long_reply_jobs} jobs within {within:g} s"
        elif connection.stuck is not None or not connection.is_read:
            return None
        elif connection.begun is not None:
            if is_over(connection.begun, limits.first_request_seconds, now):
                return f"it did not end a request within {limits.first_request_seconds:g} s"
        elif is_over(connection.heard, limits.idle_seconds, now) and connection not in self.watchers:
            return f"it asked nothing for {limits.idle_seconds:g} s"
        return None

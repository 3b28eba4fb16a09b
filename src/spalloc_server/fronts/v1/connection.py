# One client's connection: bytes in, replies and notifications out, in the order and at the time they may go.
#
# What commands do is commands.py's subject. The rules here:
# - Replies go out in the order of the requests. One whose command changed something waits until that is on disk.
# - A connection does a few commands at a time and then lets others have their turn.
# - A client that doesn't read is not waited for: its commands stay undone, changes to tell it pile up as a set of
#   names (which is bounded), and after a while it is cut off.
"""A client's connection to the v1 front."""

import asyncio
import logging
from collections import deque
from typing import Protocol, cast

from spalloc_client.wire import (
    Failure,
    JobsChanged,
    Lines,
    MachinesChanged,
    Message,
    Return,
    WireError,
    decode_request,
    encode,
)
from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.arguments import CommandError
from spalloc_server.fronts.v1.commands import Caller, Commands

_log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 64 * 1024
COMMANDS_A_TURN = 16
MAX_WAITING_REQUESTS = 256
"""Requests read ahead; a client that pipelines more is not read from until some are done."""

SLOW_READER_SECONDS = 30.0
"""How long a client may leave its replies unread."""


class Registry(Protocol):
    """Who keeps the list of connections."""

    def opened(self, connection: "Connection") -> None:
        """Take note of a new connection."""

    def closed(self, connection: "Connection") -> None:
        """Forget a connection that has ended."""


class Connection(asyncio.Protocol):
    """A client, from its first byte to its last."""

    def __init__(self, engine: Engine, commands: Commands, registry: Registry) -> None:
        """Serve one client that is about to connect."""
        self._engine = engine
        self._commands = commands
        self._registry = registry
        self._lines = Lines(MAX_REQUEST_BYTES)
        self._requests: deque[bytes] = deque()
        self._turn: asyncio.Handle | None = None
        self._held: deque[tuple[int, bytes]] = deque()
        """Replies that may not go yet, each with the number of holds that must be lifted first."""
        self._holds = 0
        self._lifted = 0
        self._clogged: asyncio.TimerHandle | None = None
        self._ending = False
        self._all_jobs = False
        self._jobs: set[int] = set()
        self._all_machines = False
        self._machines: set[str] = set()
        self._untold_jobs: set[int] = set()
        self._untold_machines: set[str] = set()
        self._transport: asyncio.Transport
        self._caller: Caller

    # The client's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._caller = Caller(peer[0] if peer else "", self)
        self._registry.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget everything about the client; its jobs go on."""
        self._ending = True
        self._requests.clear()
        self._held.clear()
        for handle in (self._turn, self._clogged):
            if handle is not None:
                handle.cancel()
        self._engine.listeners.discard(self)
        self._registry.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take requests."""
        if self._ending:
            return
        try:
            self._requests.extend(self._lines.feed(data))
        except WireError as error:
            self._requests.clear()
            self._refuse(str(error))
            return
        if len(self._requests) > MAX_WAITING_REQUESTS:
            self._transport.pause_reading()
        if self._turn is None and self._clogged is None:
            self._work()

    def eof_received(self) -> bool:
        """Answer what was asked before the client stopped talking, then end."""
        self._ending = True
        return bool(self._requests or self._held)

    def pause_writing(self) -> None:
        """Do nothing more for a client that doesn't read."""
        self._clogged = asyncio.get_running_loop().call_later(SLOW_READER_SECONDS, self._cut_off)

    def resume_writing(self) -> None:
        """Go on: the client reads again."""
        if self._clogged is not None:
            self._clogged.cancel()
            self._clogged = None
        self._tell()
        if self._requests and self._turn is None:
            self._work()

    def close(self) -> None:
        """End the connection once what is on its way has gone."""
        self._ending = True
        self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._ending = True
        self._transport.abort()

    # Doing what is asked

    def _work(self) -> None:
        self._turn = None
        for _ in range(min(COMMANDS_A_TURN, len(self._requests))):
            if self._clogged is not None or self._transport.is_closing():
                return
            if not self._answer(self._requests.popleft()):
                return
        if self._requests:
            self._turn = asyncio.get_running_loop().call_soon(self._work)
        elif self._ending and not self._held:
            self._transport.close()
        if (
            len(self._requests) <= MAX_WAITING_REQUESTS // 2
            and not self._transport.is_reading()
            and not self._ending
        ):
            self._transport.resume_reading()

    def _answer(self, line: bytes) -> bool:
        """Do one request; return False if it can't be read, which ends the connection."""
        changes = self._engine.site.changes
        try:
            request = decode_request(line)
        except WireError as error:
            self._requests.clear()
            self._refuse(str(error))
            return False
        reply: Message
        try:
            reply = Return(self._commands.run(self._caller, request.command, request.args, request.kwargs))
        except CommandError as error:
            reply = Failure(str(error))
        self._send(encode(reply), hold=self._engine.site.changes != changes)
        return True

    def _refuse(self, why: str) -> None:
        """Say what was wrong with input that can't be followed any further, and end."""
        self._send(encode(Failure(why)), hold=False)
        self._ending = True
        if not self._held:
            self._transport.close()

    def _send(self, data: bytes, *, hold: bool) -> None:
        if hold:
            self._holds += 1
            self._engine.when_recorded(self._lift)
        if self._holds == self._lifted:
            self._transport.write(data)
        else:
            self._held.append((self._holds, data))

    def _lift(self) -> None:
        self._lifted += 1
        ready = []
        while self._held and self._held[0][0] <= self._lifted:
            ready.append(self._held.popleft()[1])
        if ready and not self._transport.is_closing():
            self._transport.write(b"".join(ready))
        if self._ending and not self._held and not self._requests:
            self._transport.close()

    def _cut_off(self) -> None:
        _log.warning(
            "client %s did not read its replies for %g s and is cut off",
            self._caller.host,
            SLOW_READER_SECONDS,
        )
        self._transport.abort()

    # Notifications

    def watch_job(self, job: int | None) -> None:
        """Begin telling of changes to a job, or to all."""
        if job is None:
            self._all_jobs = True
        else:
            self._jobs.add(job)
        self._engine.listeners.add(self)

    def unwatch_job(self, job: int | None) -> None:
        """Stop telling of changes to a job, or to all."""
        if job is None:
            self._all_jobs = False
            self._jobs.clear()
        else:
            self._jobs.discard(job)

    def watch_machine(self, machine: str | None) -> None:
        """Begin telling of changes to a machine, or to all."""
        if machine is None:
            self._all_machines = True
        else:
            self._machines.add(machine)
        self._engine.listeners.add(self)

    def unwatch_machine(self, machine: str | None) -> None:
        """Stop telling of changes to a machine, or to all."""
        if machine is None:
            self._all_machines = False
            self._machines.clear()
        else:
            self._machines.discard(machine)

    def jobs_changed(self, jobs: set[int]) -> None:
        """Tell of those jobs that the client watches."""
        self._untold_jobs |= jobs if self._all_jobs else jobs & self._jobs
        self._tell()

    def machines_changed(self, machines: set[str]) -> None:
        """Tell of those machines that the client watches."""
        self._untold_machines |= machines if self._all_machines else machines & self._machines
        self._tell()

    def _tell(self) -> None:
        if self._clogged is not None or self._transport.is_closing():
            return
        if self._untold_jobs:
            self._transport.write(encode(JobsChanged(sorted(self._untold_jobs))))
            self._untold_jobs = set()
        if self._untold_machines:
            self._transport.write(encode(MachinesChanged(sorted(self._untold_machines))))
            self._untold_machines = set()

# One client's connection: bytes in, replies and notifications out, in the order and at the time they may go.
#
# What commands do is commands.py's subject, who is told of what watchers.py's, and who may connect and for how long
# server.py's. The rules here:
# - Replies go out in the order of the requests. One whose command changed something waits until that is on disk.
# - A connection does a few commands at a time and then lets others have their turn.
# - A client that doesn't read is not waited for: its commands stay undone and are not even read, and when it goes on
#   for too long, the server cuts it off.
"""A client's connection to the v1 front."""

import asyncio
import logging
from collections import deque
from typing import Protocol, cast

from spalloc_client.wire import WireError
from spalloc_server.engine import Engine, EngineStoppingError
from spalloc_server.fronts.v1.arguments import CommandError
from spalloc_server.fronts.v1.codec import failure_line, read_request, return_line
from spalloc_server.fronts.v1.commands import Caller, Commands
from spalloc_server.fronts.v1.inbox import Inbox
from spalloc_server.fronts.v1.listing import Encoded, Later
from spalloc_server.fronts.v1.watchers import Watchers

_log = logging.getLogger(__name__)

COMMANDS_A_TURN = 32
LONG_REPLY_BYTES = 64 * 1024
"""A reply so long ends its client's turn: others have waited long enough."""
MAX_AHEAD_BYTES = 64 * 1024
"""Requests read ahead; a client that sends more is not read from until some are done."""
MAX_HELD = 256
"""Replies that wait for the disk; no more commands of their client are done until some have gone."""


_FAILED = failure_line("the server failed to do this; its log says why")
_NOT_DONE = failure_line(
    "the server stops before it could record this, so it is not done; ask again when it is back"
)
_STOPPING = failure_line("the server stops before it could answer this; ask again when it is back")


class Host(Protocol):
    """Whoever takes connections in, and what they share."""

    engine: Engine
    commands: Commands
    watchers: Watchers
    unread: "set[Connection]"
    """Connections on which something waits for the server to come to it."""

    def opened(self, connection: "Connection", address: str) -> str | None:
        """Take note of a new connection; return why it may not stay, or None."""

    def closed(self, connection: "Connection", address: str) -> None:
        """Forget a connection that has ended."""


class Connection(asyncio.Protocol):
    """A client, from its first byte to its last."""

    __slots__ = (
        "_answering",
        "_asked",
        "_clogged",
        "_ending",
        "_gathered",
        "_held",
        "_holds",
        "_host",
        "_inbox",
        "_lifted",
        "_refused",
        "_transport",
        "_turn",
        "address",
        "begun",
        "heard",
        "stuck",
    )
    _transport: asyncio.Transport

    def __init__(self, host: Host, request_bytes: int) -> None:
        """Serve one client that is about to connect; its requests may have `request_bytes` each."""
        self.address = ""
        """Where the client is."""
        self.heard = 0.0
        """When the client last sent anything, in the event loop's time."""
        self.begun: float | None = 0.0
        """Since when the client has owed the rest of a request, or its first one, in the event loop's time; None while
        all that it began to ask is complete."""
        self.stuck: float | None = None
        """Since when the client has left what was sent to it unread, or None."""
        self._asked = False
        """Whether the client has sent a whole request: blank lines do not stand for the first one."""
        self._host = host
        self._inbox = Inbox(request_bytes)
        self._turn: asyncio.Handle | None = None
        self._held: deque[tuple[int, bytes]] | None = None
        """Replies that may not go yet, each with the number of holds that must be lifted first."""
        self._gathered: list[bytes] | None = None
        """Replies of the turn that is being done, which go together: to the system, each write is as dear as a command.
        None between turns."""
        self._answering: asyncio.Task[None] | None = None
        """Under way while a command takes its time; what was asked after it waits."""
        self._holds = 0
        self._lifted = 0
        self._clogged = False
        self._ending = False
        self._refused = False
        """Whether the client may still be sending what is not listened to any more."""

    # The client's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        self.heard = self.begun = asyncio.get_running_loop().time()
        self._host.engine.presence.something_was_read()
        refusal = self._host.opened(self, self.address)
        if refusal is not None:
            self._send(failure_line(refusal), hold=False)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget everything about the client; its jobs go on."""
        self._ending = True
        self._inbox.clear()
        self._held = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._answering is not None:
            self._answering.cancel()
        self._host.watchers.forget(self)
        self._host.closed(self, self.address)

    def data_received(self, data: bytes) -> None:
        """Take requests."""
        if self._ending:
            return
        self.heard = now = asyncio.get_running_loop().time()
        self._inbox.feed(data)
        self._mind_the_clock(data, now)
        if self._turn is None:
            self._work()

    def _mind_the_clock(self, data: bytes, now: float) -> None:
        """Note since when a request is owed; `data` has just come."""
        ended = data.rfind(b"\n") + 1
        if not ended:
            if self.begun is None:
                self.begun = now
        elif self._asked or not self._inbox.is_blank(len(data) - ended):
            self._asked = True
            self.begun = None if ended == len(data) else now

    def eof_received(self) -> bool:
        """Answer what was asked before the client stopped talking, then end."""
        self._ending = True
        self._refused = False
        if self._turn is None:
            self._work()
        return not self._transport.is_closing()

    def pause_writing(self) -> None:
        """Do nothing more for a client that doesn't read."""
        self._clogged = True
        self.stuck = asyncio.get_running_loop().time()

    def resume_writing(self) -> None:
        """Go on: the client reads again."""
        self._clogged = False
        self.stuck = None
        self._host.watchers.catch_up(self)
        self._go_on()

    # The server's side

    @property
    def is_read(self) -> bool:
        """Whether the server takes what the client sends; if not, its silence is no wonder."""
        return self._transport.is_reading()

    def close(self) -> None:
        """End the connection once what is on its way has gone."""
        self._ending = True
        self._refused = False
        self._inbox.clear()
        self._finish()

    def abort(self) -> None:
        """End the connection at once."""
        self._ending = True
        self._transport.abort()

    def tell(self, line: bytes) -> bool:
        """Send a notification; return False if the client does not read what it was sent before."""
        if self._clogged:
            return False
        if not (self._ending or self._transport.is_closing()):
            self._write(line)
        return True

    # Doing what is asked

    def _waits(self) -> bool:
        """Whether no command may be done just now."""
        return (
            self._clogged
            or self._answering is not None
            or (self._held is not None and len(self._held) >= MAX_HELD)
        )

    def _go_on(self) -> None:
        if self._turn is None and not self._transport.is_closing():
            self._turn = asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        self._turn = None
        self._host.engine.presence.something_was_read()
        self._gathered = []
        try:
            self._do_some()
        finally:
            self._write_gathered()
        self._mind_the_inbox()

    def _do_some(self) -> None:
        caller = Caller(self.address, self)
        for _ in range(COMMANDS_A_TURN):
            if self._waits() or self._transport.is_closing():
                break
            try:
                line = self._inbox.next_line()
                if line is None:
                    self._finish()
                    break
                if self._answer(line, caller) > LONG_REPLY_BYTES:
                    self._go_on()
                    break
            except WireError as error:
                self._refuse(str(error))
                return
        else:
            self._go_on()

    def _mind_the_inbox(self) -> None:
        (self._host.unread.add if len(self._inbox) else self._host.unread.discard)(self)
        if self._ending or self._transport.is_closing():
            return
        if len(self._inbox) > MAX_AHEAD_BYTES and (self._turn is not None or self._waits()):
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            if self.begun is not None:
                # The rest of the request may have been there all the time.
                self.begun = asyncio.get_running_loop().time()
            self._transport.resume_reading()

    def _answer(self, line: bytes, caller: Caller) -> int:
        """Do one request, and return the length of its reply.

        Raises:
            WireError: It can't be read.
        """
        engine = self._host.engine
        changes = engine.site.changes
        request = read_request(line)
        if engine.failure is not None:
            self._send(_NOT_DONE, hold=False)
            return len(_NOT_DONE)
        try:
            value = self._host.commands.run(caller, request.command, request.args, request.kwargs)
            if isinstance(value, Later):
                self._answering = asyncio.get_running_loop().create_task(
                    self._answer_later(request.command, value)
                )
                return 0
            reply = value.reply if isinstance(value, Encoded) else return_line(value)
        except CommandError as error:
            reply = failure_line(str(error))
        except Exception as fault:  # noqa: BLE001
            # Not the client's fault, and nobody else's trouble: they get an answer, we get to know.
            _log.exception("the command %.60r of a client at %s failed", request.command, self.address)
            if engine.site.changes != changes:
                engine.fail(fault)
            reply = _FAILED
        if engine.site.touched:
            engine.event()
        self._send(reply, hold=engine.site.changes != changes)
        return len(reply)

    async def _answer_later(self, command: str, value: Later) -> None:
        try:
            reply = (await value.reply()).reply
        except CommandError as error:
            reply = failure_line(str(error))
        except EngineStoppingError:
            reply = _STOPPING
        except Exception:  # noqa: BLE001
            _log.exception("the command %.60r of a client at %s failed", command, self.address)
            reply = _FAILED
        self._answering = None
        if not self._transport.is_closing():
            self._send(reply, hold=False)
            self._go_on()

    def _refuse(self, why: str) -> None:
        """Say what was wrong with a client that can't be listened to any further, and end."""
        self._inbox.clear()
        self._send(failure_line(why), hold=False)
        # One that has said all it had to say, or that the server ends anyway, need not be heard out.
        self._refused = not self._ending
        self._ending = True
        self._finish()

    def _finish(self) -> None:
        """End the connection if nothing is left to be done for a client that is not listened to any more."""
        if self._ending and not self._held and self._answering is None and not self._transport.is_closing():
            self._write_gathered()
            # However little is left to be sent, the client must read it some day.
            if self.stuck is None:
                self.stuck = asyncio.get_running_loop().time()
            if not self._refused:
                self._transport.close()
                return
            # With bytes of the client's unread, closing resets the connection, and the client might never see what
            # was wrong. What it still sends is read and dropped until it ends, or is cut off.
            self._transport.write_eof()
            if not self._transport.is_reading():
                self._transport.resume_reading()

    def _send(self, data: bytes, *, hold: bool) -> None:
        if hold:
            self._holds += 1
            self._host.engine.when_recorded(self._lift)
        if self._holds == self._lifted:
            self._write(data)
            return
        if self._held is None:
            self._held = deque()
        self._held.append((self._holds, data))

    def _write(self, data: bytes) -> None:
        if self._gathered is None:
            self._transport.write(data)
        else:
            self._gathered.append(data)

    def _write_gathered(self) -> None:
        gathered, self._gathered = self._gathered, None
        if gathered and not self._transport.is_closing():
            self._transport.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _lift(self, recorded: bool) -> None:
        self._lifted += 1
        if not self._held or self._transport.is_closing():
            return
        ready = []
        waited = self._waits()
        while self._held and self._held[0][0] <= self._lifted:
            reply = self._held.popleft()[1]
            # What was asked after a change that is lost was answered as if it had been made.
            ready.append(reply if recorded else _NOT_DONE)
        if not self._held:
            self._held = None
        if ready:
            self._write(b"".join(ready))
        if waited or self._ending:
            self._go_on()

    # What the client wants to be told

    def watch_job(self, job: int | None) -> None:
        """Begin telling of changes to a job, or to all."""
        self._host.watchers.watch_job(self, job)

    def unwatch_job(self, job: int | None) -> None:
        """Stop telling of changes to a job, or to all."""
        self._host.watchers.unwatch_job(self, job)

    def watch_machine(self, machine: str | None) -> None:
        """Begin telling of changes to a machine, or to all."""
        self._host.watchers.watch_machine(self, machine)

    def unwatch_machine(self, machine: str | None) -> None:
        """Stop telling of changes to a machine, or to all."""
        self._host.watchers.unwatch_machine(self, machine)

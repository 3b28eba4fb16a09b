"""One client's connection: bytes in, replies and notifications out, in the order and at the time they may go.

What commands do is commands.py's subject, who is told of what watchers.py's, whose turn it is turns.py's, and who may
connect and for how long server.py's. The rules here:
- Replies go out in the order of the requests. One whose command changed something waits until that is on disk.
- A connection does a few commands in its turn. A change waits while many of its group are on their way to the disk.
- A client that doesn't read is not waited for: its commands stay undone and are not even read, and when it goes on
  for too long, the server cuts it off.
- A long reply is put together only when nothing else is on its way to the client, and as fast as the client reads.
"""

import asyncio
import logging
import socket
from collections import deque
from typing import Protocol, cast

from spalloc_client.wire import WireError
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.engine import Engine, EngineFailedError, EngineStoppingError
from spalloc_server.fronts.v1.arguments import CommandError
from spalloc_server.fronts.v1.codec import Request, failure_line, read_request, return_line
from spalloc_server.fronts.v1.commands import LONG, Caller, Commands
from spalloc_server.fronts.v1.crowd import SMALL_BYTES, Group
from spalloc_server.fronts.v1.inbox import Inbox
from spalloc_server.fronts.v1.listing import Encoded, Later, LongReply, Reply, in_pieces
from spalloc_server.fronts.v1.readings import Readings
from spalloc_server.fronts.v1.turns import Turns
from spalloc_server.fronts.v1.watchers import Watchers

_log = logging.getLogger(__name__)

EFFORT_A_TURN = 32
"""Commands that are done in one turn."""
_EFFORT_SHIFT = 10
"""A command counts for one more for each 1,024 bytes that it or its reply takes, blank lines before it included."""
EFFORT_OF_A_CHANGE = 8
"""How many others a command counts for that changes something."""
RECEIVED_BYTES = 32 * 1024
"""What the system keeps of what a client sends until it is read; it takes that for half of it."""
SENT_BYTES = 128 * 1024
"""The same of what is sent until it has arrived."""
HELD_BYTES = 128
"""What holding a reply takes beside the reply."""
MAX_HELD_BYTES = 64 * 1024
"""Replies that wait for the disk; no more commands of their client are done until some have gone."""
LONG_REPLY_BYTES = 64 * 1024
"""A reply so long is sent in pieces, and ends its client's turn: others have waited long enough."""
PIECES_A_TURN = 8
JOBS_IN_TIME = 2000
"""A client has as much time again for each so many jobs of a listing as for a short reply."""

_OF_A_JOB = frozenset({"job_keepalive", "get_job_state", "get_job_machine_info", "notify_job"})
"""Commands of whoever holds a job."""

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
    turns: Turns
    readings: Readings
    ahead_bytes: int
    """How many bytes of requests are read ahead: a client that sends more is not read from until some are done."""

    def opened(self, connection: "Connection") -> str | None:
        """Take note of a new connection, and give it its group; return why it may not stay, or None."""

    def weigh(self, connection: "Connection", weight: int) -> None:
        """Take note of how many bytes are kept for a connection; end some where too many are kept for all."""

    def recorded(self, group: Group) -> None:
        """Take note that a change of a group is on its way to the disk no more."""

    def turn_failed(self, connection: "Connection", fault: Exception) -> None:
        """End a connection in whose turn there was a fault that nobody foresaw."""

    def closed(self, connection: "Connection") -> None:
        """Forget a connection that has ended."""


class Connection(asyncio.Protocol):
    """A client, from its first byte to its last."""

    __slots__ = (
        "_answering",
        "_aside",
        "_clogged",
        "_ending",
        "_gathered",
        "_held",
        "_held_bytes",
        "_holds",
        "_host",
        "_inbox",
        "_kept_for_watching",
        "_lifted",
        "_long",
        "_queued",
        "_refused",
        "_transport",
        "_waits_to_change",
        "_weight",
        "address",
        "asked",
        "begun",
        "group",
        "heard",
        "job",
        "long_since",
        "owner",
        "stuck",
    )
    _transport: asyncio.Transport
    group: Group
    """Whose connections it is counted among."""

    def __init__(self, host: Host, request_bytes: int) -> None:
        """Serve one client that is about to connect; its requests may have `request_bytes` each."""
        self.address = ""
        """Where the client is."""
        self.owner = ""
        """For whom it last created a job."""
        self.job: int | None = None
        """The job that it last created or asked about, if any."""
        self.heard = 0.0
        """When the client last sent anything, in the event loop's time."""
        self.asked = False
        """Whether the client has sent a whole request: blank lines do not stand for the first one."""
        self.begun: float | None = 0.0
        """Since when the client has owed the rest of a request, or its first one, in the event loop's time; None while
        all that it began to ask is complete."""
        self.stuck: float | None = None
        """Since when the client has left what was sent to it unread, or None."""
        self.long_since: float | None = None
        """Since when the client has been sent one long reply, or None."""
        self._host = host
        self._inbox = Inbox(request_bytes)
        self._aside: bytes | None = None
        """The request that is to be done next, and can't be yet."""
        self._queued = False
        """Whether it waits for its turn."""
        self._waits_to_change = False
        """Whether it waits until others of its group have made their changes."""
        self._held: deque[tuple[int, bytes]] | None = None
        """Replies that may not go yet, each with the number of holds that must be lifted first."""
        self._held_bytes = 0
        self._long: LongReply | None = None
        """What is sent piece by piece; nothing else is sent meanwhile."""
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
        self._kept_for_watching = 0
        self._weight = 0

    # The client's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        connected = transport.get_extra_info("socket")
        if connected is not None:
            # The system would keep megabytes for each, and hand over as much at once.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_BYTES)
        self.heard = self.begun = asyncio.get_running_loop().time()
        self._host.engine.presence.something_was_read()
        refusal = self._host.opened(self)
        if refusal is not None:
            self._send(failure_line(refusal), hold=False)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget everything about the client; its jobs go on."""
        self._ending = True
        self._inbox.clear()
        self._held = self._long = self._aside = None
        if self._answering is not None:
            self._answering.cancel()
        self._host.watchers.forget(self)
        self._host.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take requests."""
        if self._ending:
            return
        self.heard = now = asyncio.get_running_loop().time()
        self._inbox.feed(data)
        self._mind_the_clock(data, now)
        if not (self._queued or self._waits()):
            turns = self._host.turns
            if turns.heard(self, now):
                turns.effort += self.take_turn()
                return
            self._go_on()
        self._mind_the_inbox()

    def _mind_the_clock(self, data: bytes, now: float) -> None:
        """Note since when a request is owed; `data` has just come."""
        ended = data.rfind(b"\n") + 1
        if not ended:
            if self.begun is None:
                self.begun = now
        elif self.asked or not self._inbox.is_blank(len(data) - ended):
            self.asked = True
            self.begun = None if ended == len(data) else now

    def eof_received(self) -> bool:
        """Answer what was asked before the client stopped talking, then end."""
        self._ending = True
        self._refused = False
        if not self._queued:
            self.take_turn()
        return not self._transport.is_closing()

    def pause_writing(self) -> None:
        """Do nothing more for a client that doesn't read."""
        self._clogged = True
        self.stuck = asyncio.get_running_loop().time()

    def resume_writing(self) -> None:
        """Go on: the client reads again."""
        self._clogged = False
        # The rest of what is sent at the end must be read too, and nothing more tells whether it is.
        self.stuck = asyncio.get_running_loop().time() if self._transport.is_closing() else None
        if self._long is None:
            self._catch_up()
        self._go_on()

    # The server's side

    @property
    def is_read(self) -> bool:
        """Whether the server takes what the client sends; if not, its silence is no wonder."""
        return self._transport.is_reading()

    @property
    def changes_under_way(self) -> int:
        """How many of its changes are on their way to the disk."""
        return self._holds - self._lifted

    def close(self) -> None:
        """End the connection once what is on its way has gone."""
        self._ending = True
        self._refused = False
        self._inbox.clear()
        self._aside = None
        self._finish()

    def abort(self) -> None:
        """End the connection at once."""
        self._ending = True
        self._transport.abort()

    def tell(self, line: bytes) -> bool:
        """Send a notification; return False if the client does not read what it was sent before."""
        if self._clogged or self._long is not None:
            return False
        if not (self._ending or self._transport.is_closing()):
            self._write_gathered()
            self._transport.write(line)
            self.weigh()
        return True

    def keep(self, size: int) -> None:
        """Take note of how many bytes are kept for what the client watches."""
        self._kept_for_watching = size
        self.weigh()

    @property
    def long_reply_jobs(self) -> int:
        """Of how many jobs the client is being told in one reply."""
        return 0 if self._long is None else self._long.jobs

    def weight(self) -> int:
        """Return how many bytes are kept for the client."""
        return (
            len(self._inbox)
            + len(self._aside or b"")
            + self._held_bytes
            + self._kept_for_watching
            + self._transport.get_write_buffer_size()
            + (0 if self._long is None else self._long.weight())
        )

    def weigh(self) -> None:
        """Tell how many bytes are kept for the client, if it is more than a little, or was."""
        weight = self.weight()
        if weight > SMALL_BYTES or self._weight > SMALL_BYTES:
            self._weight = weight
            self._host.weigh(self, weight)

    # Doing what is asked

    def _waits(self) -> bool:
        """Whether no command may be done just now."""
        return (
            self._clogged
            or self._answering is not None
            or self._long is not None
            or self._held_bytes > MAX_HELD_BYTES
        )

    def _go_on(self) -> None:
        if not self._queued and not self._transport.is_closing():
            self._queued = True
            self._host.turns.ask(self)

    def take_turn(self) -> int:
        """Do a few commands; return how much effort that was."""
        self._queued = False
        if self._transport.is_closing():
            return 0
        self._host.engine.presence.something_was_read()
        self._gathered = []
        effort = 0
        try:
            try:
                if self._long is not None:
                    return self._send_pieces()
                caller = Caller(self.address, self)
                while effort < EFFORT_A_TURN:
                    request = self._next_request()
                    effort += self._inbox.taken >> _EFFORT_SHIFT
                    if request is None:
                        return effort
                    effort += self._answer(request, caller)
                self._go_on()
            finally:
                self._write_gathered()
                self._mind_the_inbox()
        except Exception as fault:  # noqa: BLE001 — one client's trouble is nobody else's
            self._host.turn_failed(self, fault)
        return effort

    def _next_request(self) -> Request | None:
        """Return what is to be done next, or None if nothing can be for now."""
        inbox = self._inbox
        inbox.taken = 0
        # As _waits() says, without the call: nearly all the time of a command is spent on such lines.
        if (
            self._clogged
            or self._answering is not None
            or self._long is not None
            or self._held_bytes > MAX_HELD_BYTES
            or self._transport.is_closing()
        ):
            return None
        try:
            line = self._aside
            if line is None:
                line = inbox.next_line()
            if line is None:
                self._finish()
                return None
            request = read_request(line)
        except WireError as error:
            self._refuse(str(error))
            return None
        if request.command in self._host.commands.may_wait:
            # As it came: what is made of it may take twenty times the room.
            self._aside = line if self._must_wait(request.command) else None
            if self._aside is not None:
                return None
        return request

    def _must_wait(self, command: str) -> bool:
        """Return whether a command can't be done yet; then there will be a turn when it can."""
        if command in self._host.commands.changes:
            if self.group.changes < self._host.turns.most_changes or self._host.engine.trouble is not None:
                return False
            if not self._waits_to_change:
                self._waits_to_change = True
                self.group.putting_aside.add(self.owner, self)
            return True
        # What is long is not held: it is put together when it can go.
        return command in LONG and self._held is not None

    def change_may_come(self) -> bool:
        """Take a turn for a change that was put aside; return whether there still is one."""
        self._waits_to_change = False
        self._go_on()
        return self._queued

    def _mind_the_inbox(self) -> None:
        (self._host.unread.add if self._inbox or self._aside else self._host.unread.discard)(self)
        if self._ending or self._transport.is_closing():
            return
        ahead = len(self._inbox) > self._host.ahead_bytes
        if ahead and (self._queued or self._aside is not None or self._waits()):
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            if self.begun is not None:
                # The rest of the request may have been there all the time.
                self.begun = asyncio.get_running_loop().time()
            self._transport.resume_reading()
        self.weigh()

    def _answer(self, request: Request, caller: Caller) -> int:
        """Do one request, and return how much effort it was."""
        if self._host.engine.failure is not None:
            self._send(_NOT_DONE, hold=False)
            return 1
        value: Reply
        waits = False
        try:
            meant = self._host.commands.run(caller, request.command, request.args, request.kwargs)
            if isinstance(meant, Command):
                value, waits = self._host.engine.do(meant, caller.host)
            else:
                value = meant
        except (CommandError, RefusedError) as error:
            value = Encoded(failure_line(str(error)))
        except EngineFailedError:
            _log.critical("the command %.60r of a client at %s ended it", request.command, self.address)
            value = Encoded(_NOT_DONE)
        except Exception:  # noqa: BLE001
            # Not the client's fault, and nobody else's trouble: they get an answer, we get to know.
            _log.exception("the command %.60r of a client at %s failed", request.command, self.address)
            value = Encoded(_FAILED)
        if request.command in _OF_A_JOB or request.command == "create_job":
            self._note_job(request, value)
        return self._reply(request.command, value, waits=waits)

    def _note_job(self, request: Request, value: Reply) -> None:
        if request.command == "create_job":
            number: object = value
            if type(value) is int:
                # Of a job that was refused, the owner may be anything, of any length.
                self.owner = str(request.kwargs["owner"])
        else:
            number = request.args[0] if request.args else request.kwargs.get("job_id")
        if type(number) is int:
            self.job = number

    def _reply(self, command: str, value: Reply, *, waits: bool) -> int:
        """Reply with what came of a command, and return how much effort it was."""
        if isinstance(value, Later):
            later = self._answer_later(command, value)
            self._answering = asyncio.get_running_loop().create_task(later)
            return 1
        if isinstance(value, LongReply):
            self._begin_long(value)
            return EFFORT_A_TURN
        reply = value.reply if isinstance(value, Encoded) else return_line(value)
        if len(reply) > LONG_REPLY_BYTES and self._held is None and not waits:
            self._begin_long(in_pieces(reply))
            return EFFORT_A_TURN
        self._send(reply, hold=waits)
        return (EFFORT_OF_A_CHANGE if waits else 1) + (len(reply) >> _EFFORT_SHIFT)

    async def _answer_later(self, command: str, value: Later) -> None:
        try:
            reading = self._host.readings.read(
                value.reply, group=self.group.name, owner=self.owner, listing=command in LONG
            )
            reply = (await reading).reply
        except CommandError as error:
            reply = failure_line(str(error))
        except EngineStoppingError:
            reply = _STOPPING
        except Exception:  # noqa: BLE001
            _log.exception("the command %.60r of a client at %s failed", command, self.address)
            reply = _FAILED
        self._answering = None
        if not self._transport.is_closing():
            self._reply(command, Encoded(reply), waits=False)
            self._go_on()
            self.weigh()

    # Sending

    def _begin_long(self, reply: LongReply) -> None:
        self._long = reply
        self.long_since = asyncio.get_running_loop().time()
        self._go_on()

    def _send_pieces(self) -> int:
        long = self._long
        assert long is not None
        self._write_gathered()
        for _ in range(PIECES_A_TURN):
            if self._clogged or self._transport.is_closing():
                return EFFORT_A_TURN
            piece = next(long.pieces, None)
            if piece is None:
                self._long = self.long_since = None
                self._catch_up()
                break
            self._transport.write(piece)
        self._go_on()
        return EFFORT_A_TURN

    def _catch_up(self) -> None:
        """Tell of what the client missed."""
        self._host.watchers.catch_up(self)

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
        if (
            self._ending
            and not self._held
            and self._aside is None
            and self._long is None
            and self._answering is None
            and not self._transport.is_closing()
        ):
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
            self.group.changes += 1
            self._host.engine.when_recorded(self._lift)
        if self._holds == self._lifted:
            if self._gathered is None:
                self._transport.write(data)
            else:
                self._gathered.append(data)
            return
        if self._held is None:
            self._held = deque()
        self._held.append((self._holds, data))
        self._held_bytes += len(data) + HELD_BYTES

    def _write_gathered(self) -> None:
        gathered, self._gathered = self._gathered, None
        if gathered and not self._transport.is_closing():
            self._transport.write(gathered[0] if len(gathered) == 1 else b"".join(gathered))

    def _lift(self, recorded: bool) -> None:
        self._lifted += 1
        self._host.recorded(self.group)
        if not self._held or self._transport.is_closing():
            return
        ready = []
        waited = self._waits() or self._aside is not None
        while self._held and self._held[0][0] <= self._lifted:
            reply = self._held.popleft()[1]
            self._held_bytes -= len(reply) + HELD_BYTES
            # What was asked after a change that is lost was answered as if it had been made.
            ready.append(reply if recorded else _NOT_DONE)
        if not self._held:
            self._held = None
        if ready:
            # In a turn only if the engine fails in it.
            self._write_gathered()
            self._transport.write(b"".join(ready))
        if waited or self._ending:
            self._go_on()

"""One client's connection: reads requests, and sends replies and notifications in order.

Not here: what commands do (commands.py), who gets which notification (watchers.py), whose turn it is (turns.py), and
who may connect and for how long (server.py). The rules:
- Replies go out in the order of the requests. The reply to a change waits until the change is on disk.
- A connection does a few commands in a turn. A change waits while many of its group's are on their way to the disk.
- While a client does not read, its requests are neither done nor read. If that takes too long, server.py cuts it off.
- A long reply is sent only when nothing else is on its way to the client, and built as fast as the client reads it.
"""

import asyncio
import logging
import socket
from collections import deque
from typing import Protocol, cast

from spalloc_client.wire import WireError
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.engine import Engine, EngineFailedError, EngineStoppingError
from spalloc_server.fronts.readings import Readings
from spalloc_server.fronts.v1.arguments import CommandError
from spalloc_server.fronts.v1.codec import Request, failure_line, read_request, return_line
from spalloc_server.fronts.v1.commands import LONG, Caller, Commands
from spalloc_server.fronts.v1.crowd import SMALL_BYTES, Group
from spalloc_server.fronts.v1.inbox import Inbox
from spalloc_server.fronts.v1.listing import EncodedReply, LaterReply, LongReply, Reply, in_pieces
from spalloc_server.fronts.v1.turns import Turns
from spalloc_server.fronts.v1.watchers import Watchers

_log = logging.getLogger(__name__)

EFFORT_A_TURN = 32
"""The most commands that are done in one turn."""
_EFFORT_SHIFT = 10
"""A command counts as one, plus one for each 1,024 bytes of its request (with blank lines before it) or its reply."""
EFFORT_OF_A_CHANGE = 8
"""How many commands a change counts as."""
RECEIVED_BYTES = 32 * 1024
"""The size that is set for a connection's receive buffer in the operating system, which doubles it."""
SENT_BYTES = 128 * 1024
"""The size that is set for its send buffer, which is doubled as well."""
HELD_BYTES = 128
"""Memory that a reply that waits for the disk takes besides its bytes."""
MAX_HELD_BYTES = 64 * 1024
"""A client's commands wait while more bytes of its replies than this wait for the disk."""
LONG_REPLY_BYTES = 64 * 1024
"""A longer reply is sent in pieces and ends its client's turn, since others have waited long enough."""
PIECES_A_TURN = 8
JOBS_IN_TIME = 2000
"""A client gets the time allowed for reading a short reply, and as much again for each 2,000 jobs of a long one."""

_OF_A_JOB = frozenset(
    {"job_keepalive", "get_job_state", "get_job_machine_info", "notify_job", "notify_job_ending"}
)
"""Commands by which a client shows that it holds a job."""

_FAILED = failure_line("the server failed to do this; its log says why")
_NOT_DONE = failure_line(
    "the server stops before it could record this, so it is not done; ask again when it is back"
)
_STOPPING = failure_line("the server stops before it could answer this; ask again when it is back")


class Front(Protocol):
    """The server of all connections, and what they share."""

    engine: Engine
    commands: Commands
    watchers: Watchers
    unread: "set[ClientConnection]"
    """Connections with requests that have arrived and are not done."""
    turns: Turns
    readings: Readings
    ahead_bytes: int
    """How many bytes of a client's requests are read ahead; no more are read until some are done."""

    def opened(self, connection: "ClientConnection") -> str | None:
        """Add a new connection, and set its group; return why it may not stay, or None."""

    def weigh(self, connection: "ClientConnection", weight: int) -> None:
        """Note how many bytes are kept for a connection; end some connections if all together have too many."""

    def recorded(self, group: Group) -> None:
        """Note that a change of a group is on disk, or never will be."""

    def turn_failed(self, connection: "ClientConnection", fault: Exception) -> None:
        """End a connection whose turn raised an unexpected exception."""

    def closed(self, connection: "ClientConnection") -> None:
        """Remove a connection that has ended."""


class ClientConnection(asyncio.Protocol):
    """A connection to one client."""

    __slots__ = (
        "_answering",
        "_clogged",
        "_ending",
        "_front",
        "_gathered",
        "_held",
        "_held_bytes",
        "_holds",
        "_inbox",
        "_kept_for_watching",
        "_lifted",
        "_long",
        "_postponed",
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
    """The group of addresses that it is counted in."""

    def __init__(self, front: Front, request_bytes: int) -> None:
        """Serve one client that is about to connect; a request may have `request_bytes`."""
        self.address = ""
        """The client's address."""
        self.owner = ""
        """The owner of the job that it last created."""
        self.job: int | None = None
        """The job that it last created or asked about, if any."""
        self.heard = 0.0
        """When the client last sent anything, in the event loop's time."""
        self.asked = False
        """Whether the client has sent a whole request; a blank line does not count."""
        self.begun: float | None = 0.0
        """Since when the client has owed its first request, or the rest of one, in the event loop's time; None if it
        owes none."""
        self.stuck: float | None = None
        """Since when the client has not read what was sent to it, or None."""
        self.long_since: float | None = None
        """When the long reply was begun that is being sent, or None."""
        self._front = front
        self._inbox = Inbox(request_bytes)
        self._postponed: bytes | None = None
        """The request that is to be done next, but can't be yet."""
        self._queued = False
        """Whether it waits for its turn."""
        self._waits_to_change = False
        """Whether it waits until changes of others in its group are on disk."""
        self._held: deque[tuple[int, bytes]] | None = None
        """Replies that may not be sent yet, each with the number of holds that must be lifted first."""
        self._held_bytes = 0
        self._long: LongReply | None = None
        """The reply that is sent piece by piece; nothing else is sent meanwhile."""
        self._gathered: list[bytes] | None = None
        """Replies of this turn. They are written together: a write costs as much as a command. None between turns."""
        self._answering: asyncio.Task[None] | None = None
        """Runs while a reply is read from the history; later requests wait."""
        self._holds = 0
        self._lifted = 0
        self._clogged = False
        self._ending = False
        self._refused = False
        """Whether the client got an error and may still be sending; what it sends is dropped."""
        self._kept_for_watching = 0
        self._weight = 0

    # The client's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve the client, or refuse it."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        connected = transport.get_extra_info("socket")
        if connected is not None:
            # By default the system would buffer megabytes for each connection, and pass on as much at once.
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_BYTES)
        self.heard = self.begun = asyncio.get_running_loop().time()
        self._front.engine.presence.something_was_read()
        refusal = self._front.opened(self)
        if refusal is not None:
            self._send(failure_line(refusal), hold=False)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Drop everything about the client; its jobs go on."""
        self._ending = True
        self._inbox.clear()
        self._held = self._long = self._postponed = None
        if self._answering is not None:
            self._answering.cancel()
        self._front.watchers.forget(self)
        self._front.closed(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests, and do them if it is the client's turn at once."""
        if self._ending:
            return
        self.heard = now = asyncio.get_running_loop().time()
        self._inbox.feed(data)
        self._mind_the_clock(data, now)
        if not (self._queued or self._waits()):
            turns = self._front.turns
            if turns.heard(self, now):
                turns.effort += self.take_turn()
                return
            self._go_on()
        self._mind_the_inbox()

    def _mind_the_clock(self, data: bytes, now: float) -> None:
        """Note since when a request is owed, after `data` has arrived."""
        ended = data.rfind(b"\n") + 1
        if not ended:
            if self.begun is None:
                self.begun = now
        elif self.asked or not self._inbox.is_blank(len(data) - ended):
            self.asked = True
            self.begun = None if ended == len(data) else now

    def eof_received(self) -> bool:
        """Answer the requests that came before the client stopped sending, then end."""
        self._ending = True
        self._refused = False
        if not self._queued:
            self.take_turn()
        return not self._transport.is_closing()

    def pause_writing(self) -> None:
        """Stop doing requests of a client that doesn't read."""
        self._clogged = True
        self.stuck = asyncio.get_running_loop().time()

    def resume_writing(self) -> None:
        """Go on: the client reads again."""
        self._clogged = False
        # While the connection is being closed, the client must still read the rest, and no later call tells if it does.
        self.stuck = asyncio.get_running_loop().time() if self._transport.is_closing() else None
        if self._long is None:
            self._catch_up()
        self._go_on()

    # The server's side

    @property
    def is_read(self) -> bool:
        """Whether the server reads what the client sends; if not, the client's silence does not count."""
        return self._transport.is_reading()

    @property
    def changes_under_way(self) -> int:
        """How many of the client's changes are on their way to the disk."""
        return self._holds - self._lifted

    def close(self) -> None:
        """End the connection once all replies have been sent."""
        self._ending = True
        self._refused = False
        self._inbox.clear()
        self._postponed = None
        self._finish()

    def abort(self) -> None:
        """End the connection at once."""
        self._ending = True
        self._transport.abort()

    def tell(self, line: bytes) -> bool:
        """Send a notification; return False if the client has not read what was sent before."""
        if self._clogged or self._long is not None:
            return False
        if not (self._ending or self._transport.is_closing()):
            self._write_gathered()
            self._transport.write(line)
            self.weigh()
        return True

    def keep(self, size: int) -> None:
        """Note how many bytes are kept for what the client watches."""
        self._kept_for_watching = size
        self.weigh()

    @property
    def long_reply_jobs(self) -> int:
        """How many jobs the long reply that is being sent is about; 0 if none is."""
        return 0 if self._long is None else self._long.jobs

    def weight(self) -> int:
        """Return how many bytes are kept for the client."""
        return (
            len(self._inbox)
            + len(self._postponed or b"")
            + self._held_bytes
            + self._kept_for_watching
            + self._transport.get_write_buffer_size()
            + (0 if self._long is None else self._long.weight())
        )

    def weigh(self) -> None:
        """Report how many bytes are kept for the client, if it is more than `SMALL_BYTES`, or was."""
        weight = self.weight()
        if weight > SMALL_BYTES or self._weight > SMALL_BYTES:
            self._weight = weight
            self._front.weigh(self, weight)

    # Doing requests

    def _waits(self) -> bool:
        """Return whether no command may be done now."""
        return (
            self._clogged
            or self._answering is not None
            or self._long is not None
            or self._held_bytes > MAX_HELD_BYTES
        )

    def _go_on(self) -> None:
        if not self._queued and not self._transport.is_closing():
            self._queued = True
            self._front.turns.ask(self)

    def take_turn(self) -> int:
        """Do a few commands; return how many they count as."""
        self._queued = False
        if self._transport.is_closing():
            return 0
        self._front.engine.presence.something_was_read()
        self._gathered = []
        effort = 0
        try:
            try:
                if self._long is not None:
                    return self._send_pieces()
                caller = Caller(self._front.engine.site.asker_at(self.address), self)
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
        except Exception as fault:  # noqa: BLE001 — a fault with one client must not disturb the others
            self._front.turn_failed(self, fault)
        return effort

    def _next_request(self) -> Request | None:
        """Return the request to be done next, or None if none can be done now."""
        inbox = self._inbox
        inbox.taken = 0
        # The same as _waits(), without the call: small costs like this make up most of a command's time.
        if (
            self._clogged
            or self._answering is not None
            or self._long is not None
            or self._held_bytes > MAX_HELD_BYTES
            or self._transport.is_closing()
        ):
            return None
        try:
            line = self._postponed
            if line is None:
                line = inbox.next_line()
            if line is None:
                self._finish()
                return None
            request = read_request(line)
        except WireError as error:
            self._refuse(str(error))
            return None
        if request.command in self._front.commands.may_wait:
            # As bytes: the decoded request may take twenty times as much memory.
            self._postponed = line if self._must_wait(request.command) else None
            if self._postponed is not None:
                return None
        return request

    def _must_wait(self, command: str) -> bool:
        """Return whether a command can't be done yet; the connection then gets a turn once it can."""
        if command in self._front.commands.changes:
            if self.group.changes < self._front.turns.most_changes or self._front.engine.trouble is not None:
                return False
            if not self._waits_to_change:
                self._waits_to_change = True
                self.group.postponed.add(self.owner, self)
            return True
        # A long reply is built only when it can be sent at once.
        return command in LONG and self._held is not None

    def change_may_come(self) -> bool:
        """Ask for a turn for a change that was postponed; return whether there still is one."""
        self._waits_to_change = False
        self._go_on()
        return self._queued

    def _mind_the_inbox(self) -> None:
        (self._front.unread.add if self._inbox or self._postponed else self._front.unread.discard)(self)
        if self._ending or self._transport.is_closing():
            return
        ahead = len(self._inbox) > self._front.ahead_bytes
        if ahead and (self._queued or self._postponed is not None or self._waits()):
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            if self.begun is not None:
                # The rest of the request may have arrived while the server was not reading.
                self.begun = asyncio.get_running_loop().time()
            self._transport.resume_reading()
        self.weigh()

    def _answer(self, request: Request, caller: Caller) -> int:
        """Do one request, and return how many commands it counts as."""
        if self._front.engine.failure is not None:
            self._send(_NOT_DONE, hold=False)
            return 1
        value: Reply
        waits = False
        try:
            result = self._front.commands.run(caller, request.command, request.args, request.kwargs)
            if isinstance(result, Command):
                value, waits = self._front.engine.do(result, caller.asker)
            else:
                value = result
        except (CommandError, RefusedError) as error:
            value = EncodedReply(failure_line(str(error)))
        except EngineFailedError:
            _log.critical("the command %.60r of a client at %s ended it", request.command, self.address)
            value = EncodedReply(_NOT_DONE)
        except Exception:  # noqa: BLE001
            # A fault of ours: the client gets an answer, and the log gets the fault.
            _log.exception("the command %.60r of a client at %s failed", request.command, self.address)
            value = EncodedReply(_FAILED)
        if request.command in _OF_A_JOB or request.command == "create_job":
            self._note_job(request, value)
        return self._reply(request.command, value, waits=waits)

    def _note_job(self, request: Request, value: Reply) -> None:
        if request.command == "create_job":
            number: object = value
            if type(value) is int:
                # Only now is the owner known to be a string of limited length.
                self.owner = str(request.kwargs["owner"])
        else:
            number = request.args[0] if request.args else request.kwargs.get("job_id")
        if type(number) is int:
            self.job = number

    def _reply(self, command: str, value: Reply, *, waits: bool) -> int:
        """Reply with a command's result, and return how many commands it counts as."""
        if isinstance(value, LaterReply):
            later = self._answer_later(command, value)
            self._answering = asyncio.get_running_loop().create_task(later)
            return 1
        if isinstance(value, LongReply):
            self._begin_long(value)
            return EFFORT_A_TURN
        reply = value.reply if isinstance(value, EncodedReply) else return_line(value)
        if len(reply) > LONG_REPLY_BYTES and self._held is None and not waits:
            self._begin_long(in_pieces(reply))
            return EFFORT_A_TURN
        self._send(reply, hold=waits)
        return (EFFORT_OF_A_CHANGE if waits else 1) + (len(reply) >> _EFFORT_SHIFT)

    async def _answer_later(self, command: str, value: LaterReply) -> None:
        try:
            reading = self._front.readings.read(
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
            self._reply(command, EncodedReply(reply), waits=False)
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
        """Send the notifications that the client missed."""
        self._front.watchers.catch_up(self)

    def _refuse(self, why: str) -> None:
        """Send an error to a client whose further bytes can't be understood, and end the connection."""
        self._inbox.clear()
        self._send(failure_line(why), hold=False)
        # A client that sends no more, or whose connection the server ends anyway, needs no further reading.
        self._refused = not self._ending
        self._ending = True
        self._finish()

    def _finish(self) -> None:
        """End the connection if it is to end and nothing is left to be done."""
        if (
            self._ending
            and not self._held
            and self._postponed is None
            and self._long is None
            and self._answering is None
            and not self._transport.is_closing()
        ):
            self._write_gathered()
            # From here on, the client's time for reading the rest runs.
            if self.stuck is None:
                self.stuck = asyncio.get_running_loop().time()
            if not self._refused:
                self._transport.close()
                return
            # Closing with unread bytes would reset the connection, and the client might never see the error. So the
            # rest of what it sends is read and dropped until it ends, or is cut off.
            self._transport.write_eof()
            if not self._transport.is_reading():
                self._transport.resume_reading()

    def _send(self, data: bytes, *, hold: bool) -> None:
        if hold:
            self._holds += 1
            self.group.changes += 1
            self._front.engine.when_recorded(self._lift)
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
        self._front.recorded(self.group)
        if not self._held or self._transport.is_closing():
            return
        ready = []
        waited = self._waits() or self._postponed is not None
        while self._held and self._held[0][0] <= self._lifted:
            reply = self._held.popleft()[1]
            self._held_bytes -= len(reply) + HELD_BYTES
            # After a change that is lost, the next replies are wrong as well: they assume the change.
            ready.append(reply if recorded else _NOT_DONE)
        if not self._held:
            self._held = None
        if ready:
            # There are gathered replies only if the engine failed in this very turn.
            self._write_gathered()
            self._transport.write(b"".join(ready))
        if waited or self._ending:
            self._go_on()

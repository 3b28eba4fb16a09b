"""One TCP connection shared by all threads of a program, without a thread of its own.

Of the threads that wait for something, one reads the socket and settles everybody's calls; the others
sleep. When the reader has what it came for it wakes another to read on. A background reader was tried:
handing each reply from thread to thread costs more than the reply's whole way from the server.

Rules that hold here:
- Everything but the socket's reads and writes happens under `_lock`.
- Only the call that `_reader` names reads; only the one that `_sender` names writes. They are names and not
  locks, so that a thread interrupted at any moment can tell whether it has a turn to give up. The socket is
  closed by whoever is the last to leave it, so that its number is never reused under a thread that still
  polls it.
- A thread interrupted (Ctrl-C) half-way through reading or writing a line ends the conversation: the
  stream can't be followed from there.
- A signal handler may call while its own thread is in a call here, and must not wait for that one, which can't
  go on before it. It takes over reading, and leaves the call beneath something to wake up from. Only a thread
  that is `entangled` must ask elsewhere.
"""

from __future__ import annotations

import _socket
import _thread
import os
import time
from collections import deque

from spalloc_client.conversation import Call, Conversation, Unanswered
from spalloc_client.deadline import time_left
from spalloc_client.errors import ProtocolError, ProtocolTimeoutError
from spalloc_client.handlers import raised_by_handler
from spalloc_client.polling import DO_NOT_WAIT, DOZE, POLLERR, POLLHUP, POLLIN, POLLOUT, Sleeper, poll
from spalloc_client.wire import Request, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spalloc_client.conversation import Notification
    from spalloc_client.polling import Poll
    from spalloc_client.wire import Failure, Return

CHUNK = 64 * 1024
"""Bytes read at once."""

_READ = POLLIN | POLLERR | POLLHUP

_DO_NOT_WAIT = (DO_NOT_WAIT,)
_WAIT = (0,)
_CAN_WAIT = DO_NOT_WAIT != 0
"""Whether the system's sockets can be read both ways. If not, they never wait: Windows can't be told so at a call."""

_NUDGE = Request("version")
"""What is asked so that something arrives."""


class Connection:
    """One TCP connection, shared by all threads."""

    def __init__(self, sock: _socket.socket, server: str, notifications: deque[Notification]) -> None:
        """Take over a connected socket.

        Args:
            sock: The socket; this object closes it.
            server: What to call the server in messages: `name:port`.
            notifications: Where notifications are put.
        """
        # Waiting without a deadline is then one call of the system and not two; what must not wait says so each time.
        # Green threads' sockets (gevent, eventlet) wait all the same, whatever a call says.
        self._can_wait = _CAN_WAIT and isinstance(sock, _socket.socket)
        self._do_not_wait = _DO_NOT_WAIT if self._can_wait else _WAIT
        sock.setblocking(self._can_wait)
        self._sock = sock
        self._server = server
        self._process = os.getpid()
        self._talk = Conversation(notifications)
        self._lock = _thread.RLock()
        self._sender: object | None = None
        self._sending_thread = 0
        self._reader: tuple[int] | None = None
        """The call that reads, as an object of its own that holds the thread's number."""
        self._received: list[bytes] = []
        """What was read and is still to be settled: a moment's matter, in which a handler may come."""
        self._half_sent: str | None = None
        self._sleepers: list[Sleeper] = []
        self._queued: list[Sleeper] = []
        """Threads that wait for their turn to send."""
        self._poll = self._new_poll()

    def _new_poll(self) -> Poll:
        new = poll()
        new.register(self._sock, POLLIN)
        return new

    @property
    def alive(self) -> bool:
        """Whether calls can be sent: no trouble has been met so far."""
        return self.readable and self._half_sent is None and self._process == os.getpid()

    @property
    def entangled(self) -> bool:
        """Whether this thread, being in a signal handler, can't use the connection until it has left that."""
        return self._holds_lock() or (
            self._sender is not None and self._sending_thread == _thread.get_ident()
        )

    @property
    def readable(self) -> bool:
        """Whether replies may still come."""
        return self._talk.trouble is None

    @property
    def arrived(self) -> int:
        """How many notifications this connection has brought."""
        return self._talk.arrived

    def send(self, call: Call, line: bytes, deadline: float | None) -> None:
        """Queue a call and send its request.

        Raises:
            ProtocolError: The connection is or gets lost.
            ProtocolTimeoutError: The deadline passed; unless nothing had been sent, the connection is lost
                too.
        """
        # How many bytes went; noted by the same step of the interpreter that sends them: Ctrl-C comes before or after.
        sent: list[int] = []
        try:
            try:
                while not self._take_turn(call):
                    self._wait_for_turn(call, deadline)
                while (start := sum(sent)) < len(line):
                    self._check_whole()
                    try:
                        sent += map(self._sock.send, (line[start:] if start else line,), self._do_not_wait)
                    except BlockingIOError as error:
                        if raised_by_handler(error):
                            raise
                        if not self._wait_to_send(deadline):
                            raise self._too_late(call) from None
            except BaseException as error:
                self._give_up_sending(call, sum(sent), len(line), error)
                raise
        except OSError as error:
            if raised_by_handler(error):
                raise
            raise ProtocolError(self._sentence(f"sending failed: {error.strerror or error}")) from error
        finally:
            # First, and without a lock, which is a moment to be interrupted in; only this thread ends this call's turn.
            if self._sender is call:
                self._sender = None
            with self._lock:
                if self._queued and self._sender is None:
                    self._queued[0].wake()
                    del self._queued[0]
            if self._talk.trouble is not None:
                self._leave()

    def _take_turn(self, call: Call) -> bool:
        """Queue the call and make this thread its sender, unless another thread is sending."""
        with self._lock:
            if self._sender is not None:
                return False
            self._check_usable()
            self._sending_thread = _thread.get_ident()
            self._sender = call
            self._talk.ask(call)
            return True

    def _wait_for_turn(self, call: Call, deadline: float | None) -> None:
        """Wait until another thread may have sent; ProtocolTimeoutError once the deadline has passed."""
        sleeper = Sleeper()
        try:
            with self._lock:
                if self._sender is None:
                    return
                self._queued.append(sleeper)
            left = time_left(deadline, time.monotonic())
            if left == 0.0:
                raise self._too_late(call)
            sleeper.sleep(left)
        finally:
            with self._lock:
                if sleeper in self._queued:
                    self._queued.remove(sleeper)

    def _give_up_sending(self, call: Call, sent: int, length: int, error: BaseException) -> None:
        if self._sender is not call:
            return  # it was never this thread's turn
        if sent == length:
            return  # interrupted right after: the reply will come, but no caller waits for it
        interrupted = not isinstance(error, Exception) or raised_by_handler(error)
        if sent == 0 and (interrupted or isinstance(error, ProtocolTimeoutError)):
            with self._lock:
                self._talk.unask(call)
        elif interrupted:
            # No other line may follow the part that went, but replies to earlier ones may come.
            self._half_sent = call.command
        else:
            self._lose(f"{call.command} could not be sent whole: {str(error) or type(error).__name__}")

    def _wait_to_send(self, deadline: float | None) -> bool:
        """Wait for room to send; False when the deadline passes before.

        A server that is itself stuck sending to us makes room only once somebody reads, so this reads as
        well.
        """
        me = (_thread.get_ident(),)
        try:
            with self._lock:
                reads = self._reader is None
                if reads:
                    self._reader = me
            room = poll()
            room.register(self._sock, POLLOUT | (POLLIN if reads else 0))
            events = room.poll(_milliseconds(time_left(deadline, time.monotonic())))
            if reads and any(event & _READ for _, event in events):
                self._take_bytes(self._do_not_wait)
            return bool(events)
        finally:
            if self._reader is me:
                self._reader = None
                self._leave()

    def wait(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Wait until `done()` or the deadline; whether it is done.

        `done` must become true when the conversation meets trouble.
        """
        if self._holds_lock():
            raise ProtocolError(self._sentence("a signal handler can't wait in the middle of another call"))
        me = (_thread.get_ident(),)
        beneath: tuple[int] | None = None
        try:
            while True:
                with self._lock:
                    if done():
                        return True
                    # A reader of this very thread is a call that a signal handler interrupted to make this one.
                    if self._reader is None or self._reader[0] == me[0]:
                        beneath, self._reader = self._reader, me
                if self._reader is me:
                    # One `poll` can't wait twice at the same time.
                    return self._read_until(
                        done, deadline, self._poll if beneath is None else self._new_poll()
                    )
                left = time_left(deadline, time.monotonic())
                if left == 0.0:
                    return done()
                self._sleep_behind_reader(done, left)
        finally:
            # First, and without a lock or a function, where an interruption could come; only this thread does it.
            if self._reader is me:
                self._reader = beneath
            if beneath is not None and not self.entangled:
                self._nudge()
            # Also when this thread was woken to read on and then did not: the next one must.
            if self._sleepers or self._talk.trouble is not None:
                self._leave()

    def _nudge(self) -> None:
        """Have something arrive, for the call beneath this one: what it waits for may have been read by this one."""
        try:
            self.send(Call(_NUDGE.command), encode(_NUDGE), time.monotonic() + DOZE)
        except (ProtocolError, ProtocolTimeoutError) as error:
            if raised_by_handler(error):
                raise
            # It is of no further use, and must not be waited for.
            self.close("it could not be used after a signal")

    def _sleep_behind_reader(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Sleep while another thread reads, until there is something to check."""
        sleeper = Sleeper()
        try:
            with self._lock:
                if self._reader is None or done():
                    return
                self._sleepers.append(sleeper)
            sleeper.sleep(seconds)
        finally:
            with self._lock:
                if sleeper in self._sleepers:
                    self._sleepers.remove(sleeper)

    @staticmethod
    def written(request: Request) -> bytes:
        """Return a request as `send` takes it.

        Raises:
            WireError: It holds something that JSON can't say.
        """
        return encode(request)

    def wait_for_more(self, seen: int, deadline: float | None) -> bool:
        """Wait until more than `seen` notifications have come, or trouble, or the deadline; whether before that."""
        return self.wait(lambda: self.arrived > seen or not self.alive, deadline)

    def wait_for_news(self, notifications: deque[Notification], deadline: float | None) -> bool:
        """Wait until there is a notification to read, or trouble, or the deadline; whether before that."""
        return self.wait(lambda: bool(notifications) or not self.alive, deadline)

    def _read_until(self, done: Callable[[], bool], deadline: float | None, reading: Poll) -> bool:
        if self._received:
            self._settle_received()
        while not done():
            if deadline is None and self._can_wait:
                self._take_bytes(_WAIT)
                continue
            # A deadline that has passed still gets what is there already.
            left = time_left(deadline, time.monotonic())
            if not self._can_wait:
                # Windows does not promise that closing in another thread, which shuts the socket down, ends this wait.
                left = DOZE if left is None else min(left, DOZE)
            if reading.poll(_milliseconds(left)):
                self._take_bytes(self._do_not_wait)
            elif time_left(deadline, time.monotonic()) == 0.0:
                return False
        return True

    def _take_bytes(self, flags: tuple[int]) -> None:
        """Read what there is; only for the thread that reads."""
        # Noted by the same step of the interpreter that receives them: none is lost to Ctrl-C.
        received = self._received
        try:
            received += map(self._sock.recv, (CHUNK,), flags)
        except OSError as error:
            if raised_by_handler(error):
                raise
            if not isinstance(error, BlockingIOError):
                self._lose(f"receiving failed: {error.strerror or error}")
        finally:
            self._settle_received()

    def _settle_received(self) -> None:
        """Settle the calls that the received bytes answer; an interruption half-way through ends the conversation."""
        settled = not self._received
        try:
            if not settled:
                settled = self._settle()
        finally:
            if not settled:
                self._lose("interrupted while receiving")

    def _settle(self) -> bool:
        """Settle it; return True, which is to say that nothing came between."""
        with self._lock:
            while self._received:
                before = self._talk.arrived
                settled = self._talk.receive(self._received.pop(0))
                if self._sleepers and (
                    settled or self._talk.arrived != before or self._talk.trouble is not None
                ):
                    self._wake_all()
        return True

    def _leave(self) -> None:
        """Let another thread read on, or close the socket if all is over and nobody uses it."""
        with self._lock:
            if self._reader is not None:
                return
            if self._talk.trouble is not None:
                self._wake_all()
                if self._sender is None:
                    self._sock.close()
            elif self._sleepers:
                self._sleepers[0].wake()
                del self._sleepers[0]

    def _wake_all(self) -> None:
        for sleeper in self._sleepers:
            sleeper.wake()
        self._sleepers.clear()

    def _lose(self, trouble: str) -> None:
        with self._lock:
            self._talk.lose(trouble)
            self._wake_all()

    def close(self, trouble: str = "this client closed the connection") -> None:
        """End the conversation; calls under way in other threads fail with the reason given."""
        if self._process != os.getpid():
            # The conversation belongs to the process this one was forked from: leave its stream alone.
            self._sock.close()
        else:
            with self._lock:
                # A poll in another thread returns at once from a socket that was shut down.
                try:
                    self._sock.shutdown(_socket.SHUT_RDWR)
                except OSError:
                    pass  # no longer connected
                self._talk.lose(trouble)
            self._leave()

    def outcome(self, call: Call) -> Return | Failure:
        """Return the outcome of a settled call.

        Raises:
            ProtocolError: The connection was lost first.
        """
        result = call.outcome
        assert result is not None
        if isinstance(result, Unanswered):
            raise ProtocolError(self._sentence(result.trouble))
        return result

    def _holds_lock(self) -> bool:
        """Whether this thread was interrupted while it had the lock."""
        return self._lock._is_owned()  # type: ignore[attr-defined, no-any-return]  # not documented, and everywhere

    def check_usable(self) -> None:
        """Raise ProtocolError, saying why, once the conversation is over."""
        with self._lock:
            self._check_usable()

    def _check_whole(self) -> None:
        if self._talk.trouble is not None:
            raise ProtocolError(self._sentence(self._talk.trouble))

    def _check_usable(self) -> None:
        if self._process != os.getpid():
            raise ProtocolError(
                self._sentence(
                    f"it belongs to process {self._process}, of which this one is a copy; connect again"
                )
            )
        if self._half_sent is not None:
            raise ProtocolError(
                self._sentence(f"interrupted while {self._half_sent} was sent; connect again")
            )
        self._check_whole()

    def _sentence(self, trouble: str) -> str:
        return f"connection to {self._server}: {trouble}"

    def _too_late(self, call: Call) -> ProtocolTimeoutError:
        return ProtocolTimeoutError(f"{call.command} could not be sent to {self._server} in time")


def _milliseconds(seconds: float | None) -> float | None:
    """What `poll` takes; at most a day at once, which every system's `poll` can take."""
    return 86_400_000.0 if seconds is None else min(seconds * 1000.0, 86_400_000.0)

"""Keeps one job alive until standard input ends: a process of its own beside the application.

Where no process can be started, a thread of the application runs `serve`.

It is run as a file or from its source, by an isolated interpreter (`python -I -S`), so it imports only the standard
library, and little of that. keepalive.py starts and stops it.

It reads commands as lines of standard input, and ends when that input ends: when the application closes it or dies,
however it dies. Copies of the application (forks) keep that input open too; `Application` tells which of them is the
application.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# A keepalive may be late by two thirds of its period before the job is in danger.
SENDS_PER_KEEPALIVE = 3
# A server that was away for most of a short keepalive must still be found in time.
TRIES_PER_KEEPALIVE = 10
# Seconds of a single wait, at most: systems refuse waits of weeks.
LONGEST_WAIT = 86_400.0
# Seconds between checks of processes that can't be waited for.
LOOK = 1.0
# Seconds within which a copy must announce itself after its original has ended.
GRACE = 5.0
# Copies that are remembered; programs with more are not daemons.
COPIES = 200
# Bytes of a reply that are read.
LONGEST_REPLY = 64 * 1024 * 1024
# The exit status of this process when the job's ID belongs to another job.
NOT_OURS = 77


class Orders:
    """The application's orders, read from the line that holds them."""

    def __init__(self, line: str) -> None:
        # In the order in which keepalive.py writes them.
        job_id, keepalive, timeout, reconnect_delay, self.hostname, port, start_time, owner, *login = (
            line.split()
        )
        self.job_id = int(job_id)
        self.keepalive = float(keepalive)
        """Seconds after which the server gives the job up."""
        self.timeout = self.keepalive if timeout == "None" else float(timeout)
        """Seconds a connection attempt may take."""
        self.reconnect_delay = float(reconnect_delay)
        """Seconds between attempts to connect, at most."""
        self.port = int(port)
        self.start_time = None if start_time == "None" else float(start_time)
        """When the job was created, by the server's clock, if that is known."""
        self.owner = None if owner == "None" else bytes.fromhex(owner[1:]).decode()
        """The job's owner, if known."""
        self.login: dict[str, Any] = {}
        """Who logs in at a service, by name; and the headers of a session with it."""
        for part in login:
            import json

            self.login = json.loads(bytes.fromhex(part))

    @property
    def period(self) -> float:
        """Seconds between keepalives."""
        return min(self.keepalive / SENDS_PER_KEEPALIVE, LONGEST_WAIT)

    @property
    def retry(self) -> float:
        """Seconds between attempts to connect."""
        return min(self.reconnect_delay, self.keepalive / TRIES_PER_KEEPALIVE, LONGEST_WAIT)

    @property
    def patience(self) -> float:
        """Seconds an attempt to connect may take."""
        return min(self.timeout, self.period)

    @property
    def message(self) -> bytes:
        """What is sent to keep the job alive."""
        return b'{"command":"job_keepalive","args":[%d],"kwargs":{}}\n' % self.job_id

    @property
    def question(self) -> bytes:
        """What is sent to learn whether the job is still the same."""
        if self.start_time is None:
            return b'{"command":"list_jobs","args":[],"kwargs":{}}\n'
        return b'{"command":"get_job_state","args":[%d],"kwargs":{}}\n' % self.job_id

    def is_ours(self, reply: object) -> bool:
        """Whether the answer to the question is that of the job that was created."""
        if self.start_time is not None:
            return not isinstance(reply, dict) or reply.get("start_time", self.start_time) == self.start_time
        if not isinstance(reply, list) or self.owner is None:
            return True
        return any(
            isinstance(entry, dict) and (entry.get("job_id"), entry.get("owner")) == (self.job_id, self.owner)
            for entry in reply
        )


class Application:
    """The processes for which the job is kept, and what they say.

    The application is one process at first. When it ends by itself (with status 0), the copies that it made of
    itself take its place: it was a daemon on its way. When it is killed, or fails, they are its orphans. Where the
    system does not tell how it ended, copies in a session of their own are taken for daemons.
    """

    def __init__(
        self,
        listening: int,
        process: int | None,
        me: int | None = None,
        handle: int | None = None,
        read: Callable[[int, int], bytes] = os.read,
    ) -> None:
        """Attend to an application.

        Args:
            listening: What its lines come from.
            process: Its number, it being the parent of this process; None when it is this process.
            me: This process, if it is a copy of the application that may have to take its place.
            handle: What becomes readable when the application ends, where there is that.
            read: How to read from there.
        """
        self.orders: Orders | None = None
        self.over = False
        """Whether the job need not be kept any longer."""
        self._me = me
        self._listening = listening
        self._read = read
        self._heard = b""
        self._first = process
        self._session = -1 if process is None else _session(process)
        self._running: dict[int, int | None] = {} if process is None else {process: handle}
        """The application's processes, and what shows their end, where there is that."""
        self._copies: dict[int, tuple[int, int | None]] = {}
        """Copies, of whom, and what shows their end."""
        self._vacant: dict[int, tuple[bool, float]] = {}
        """Processes of the application that have ended: whether by themselves, and until when copies may follow."""
        self._followed: set[int] = set()
        """Those of them that a copy has followed."""
        if process is not None and me is not None:
            self._copies[me] = (process, None)

    @property
    def waits(self) -> bool:
        """Whether this process is a copy that has not taken the application's place."""
        return self._me is not None and self._me not in self._running and not self.over

    def attend(self, seconds: float, *also: int) -> bool:
        """Wait until something else is readable, at most some seconds; whether it is.

        This returns sooner when the application has said something, or has ended.
        """
        until = time.monotonic() + seconds
        while not self.over:
            left = max(0.0, until - time.monotonic())
            handles = {handle: number for number, handle in self._running.items() if handle is not None}
            blind = len(handles) < len(self._running) or self._vacant
            ready = select.select(
                [self._listening, *handles, *also], [], [], min(left, LOOK) if blind else left
            )[0]
            if self._listening in ready:
                self._listen()
            for handle in handles.keys() & set(ready):
                self._end(handles[handle], _ended_by_itself(handles[handle], handle))
            self._look()
            if any(handle in ready for handle in also):
                return not self.over
            if left == 0.0 or ready:
                break
        return False

    def _listen(self) -> None:
        said = self._read(self._listening, 4096)
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            self._follow(*line.decode().split(" ", 1))
        if not said:
            self.over = True

    def _follow(self, what: str, rest: str = "") -> None:
        if what == "keep":
            self.orders = Orders(rest)
        elif what == "started" and self.orders is not None:
            self.orders.start_time = float(rest)
        elif what == "copy":
            number, original = map(int, rest.split())
            self._meet(number, original)
        elif what == "leave":
            self._end(int(rest), False)

    def _meet(self, number: int, original: int) -> None:
        """Note a copy that has announced itself."""
        if len(self._copies) >= COPIES:
            for other in [other for other in self._copies if not _exists(other)]:
                _close(self._copies.pop(other)[1])
        if len(self._copies) < COPIES:
            self._copies[number] = (original, open_handle(number))
            self._follow_up()

    def _end(self, number: int, by_itself: bool | None) -> None:
        """A process has ended; whether by itself, if that is known."""
        if number in self._running:
            _close(self._running.pop(number))
            if by_itself is not False:
                self._vacant[number] = (
                    bool(by_itself),
                    time.monotonic() + (LONGEST_WAIT if by_itself else GRACE),
                )
            self._follow_up()

    def _follow_up(self) -> None:
        """Put copies into the place of those who made them and have ended."""
        for number, (original, handle) in list(self._copies.items()):
            if original in self._vacant:
                by_itself = self._vacant[original][0]
                if by_itself or _session(number) != self._session:
                    self._running[number] = handle
                    del self._copies[number]
                    self._vacant[original] = (by_itself, time.monotonic() + GRACE)
                    self._followed.add(original)

    def _look(self) -> None:
        """Find the processes that ended without a sign, and note whether an application is left."""
        if self._first is None:
            return
        for number in [number for number, handle in self._running.items() if handle is None]:
            # A parent that has ended may still be listed, but no longer has children.
            if number != self._me and not (
                os.getppid() == number if number == self._first else _exists(number)
            ):
                self._end(number, None)
        now = time.monotonic()
        self._vacant = {number: vacancy for number, vacancy in self._vacant.items() if vacancy[1] > now}
        self._followed &= self._vacant.keys()
        self.over = self.over or not (self._running or self._vacant.keys() - self._followed)


def open_handle(number: int) -> int | None:
    """What becomes readable when a process ends; None where there is no such thing, or no such process."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(number)
    except OSError:
        return None


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _exists(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # the number belongs to another process
    return True


def _session(number: int) -> int:
    """The session of a process; one of its own once the process has ended."""
    if sys.platform == "win32":
        return 0
    try:
        return os.getsid(number)
    except OSError:
        return -number


def _ended_by_itself(number: int, handle: int) -> bool | None:
    """Whether a process that has ended did so with status 0; None where the system does not tell."""
    for _ in range(2):
        # Not waited for yet by its parent, or already: one of the two tells, unless that happens in between.
        for status in (_status_of_zombie(number), _status_by_handle(handle)):
            if status is not None:
                return status == 0
    return None


def _status_of_zombie(number: int) -> int | None:
    try:
        with open(f"/proc/{number}/stat", "rb") as file:  # noqa: PTH123  # pathlib takes as long as all the rest
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[-1]) if fields[0] == b"Z" and len(fields) == 50 else None


def _status_by_handle(handle: int) -> int | None:
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        # PIDFD_GET_INFO of Linux 6.15, asked for PIDFD_INFO_EXIT; the status is the last of the 64 bytes.
        info = bytearray(64)
        info[0] = 8
        fcntl.ioctl(handle, 0xC040FF0B, info)
    except OSError:
        return None
    return int.from_bytes(info[60:], sys.byteorder) if info[0] & 8 else None


class NotOursError(Exception):
    """The job's ID belongs to another job."""


def serve(application: Application) -> None:
    """Keep the application's job alive until that is over.

    Raises:
        NotOursError: The server has lost its records, and the ID belongs to another job.
    """
    doubtful = False
    while not application.over:
        if application.orders is None or application.waits:
            application.attend(LONGEST_WAIT)
            continue
        orders = application.orders
        try:
            if "://" in orders.hostname:
                over_https()(application, orders, NotOursError, doubtful=doubtful)
                continue
            with socket.create_connection((orders.hostname, orders.port), orders.patience) as sock:
                sock.settimeout(orders.patience)
                if doubtful and not orders.is_ours(ask(sock, orders.question, orders.patience)):
                    raise NotOursError
                keep_over(sock, application, orders)
        except (OSError, UnicodeError):
            pass  # the server is away or its network is: exactly what trying again is for
        doubtful = True
        # Not at once, but soon; standard input cuts the wait short.
        application.attend(orders.retry)


def over_https() -> Callable[..., None]:
    """Return what keeps a job of a service alive."""
    if __name__ != "__main__":
        from spalloc_client._keepalive_https import keep

        return keep
    # An isolated interpreter has no packages; where this is not run from a file, the other's text stands before it.
    names = globals()
    if "keep" not in names:
        with open(os.path.join(os.path.dirname(__file__), "_keepalive_https.py"), "rb") as file:  # noqa: PTH118, PTH120, PTH123
            exec(compile(file.read(), file.name, "exec"), names)
    found: Callable[..., None] = names["keep"]
    return found


def ask(sock: socket.socket, question: bytes, patience: float) -> object:
    """Ask over a new connection; what the server returns, None if it returns nothing that can be read."""
    import json

    sock.sendall(question)
    until = time.monotonic() + patience
    reply = bytearray()
    while not reply.endswith(b"\n"):
        received = sock.recv(65536)
        if not received or time.monotonic() > until or len(reply) > LONGEST_REPLY:
            raise ConnectionResetError
        reply += received
    try:
        message = json.loads(reply)
    except ValueError:
        return None
    return message.get("return") if isinstance(message, dict) else None


def keep_over(sock: socket.socket, application: Application, orders: Orders) -> None:
    """Send keepalives over one connection until it fails (OSError) or they are no longer wanted."""
    while not application.over:
        sock.sendall(orders.message)
        answered = False
        due = time.monotonic() + orders.period
        while (left := due - time.monotonic()) > 0 and not application.over:
            if application.attend(left, sock.fileno()):
                received = sock.recv(4096)
                if not received:
                    raise ConnectionResetError
                answered = answered or b"\n" in received
        if not answered and not application.over:
            raise TimeoutError


def main() -> None:
    """Follow the application: the arguments are its number, and the handle that shows its end."""
    try:
        if sys.platform == "win32":
            # There are no copies there, and the parent may be a launcher (venv's) in between.
            listening = _as_socket(0)
            serve(Application(listening.fileno(), None, read=lambda _, size: listening.recv(size)))
        else:
            serve(
                Application(0, int(sys.argv[1]), handle=None if sys.argv[2] == "None" else int(sys.argv[2]))
            )
    except NotOursError:
        sys.exit(NOT_OURS)


def _as_socket(pipe: int) -> socket.socket:
    """A socket that brings what a pipe does: Windows waits for sockets only."""
    import threading

    ours, its = socket.socketpair()

    def pass_on() -> None:
        with its:
            while said := os.read(pipe, 4096):
                its.sendall(said)

    threading.Thread(target=pass_on, daemon=True).start()
    return ours


if __name__ == "__main__":
    main()

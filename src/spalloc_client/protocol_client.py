"""The v1 protocol's commands as blocking calls, for any number of threads.

connection.py decides how threads share the connection, and conversation.py what the bytes mean. job.py has what a job
needs beyond single commands.
"""

# Replies have the types of replies.py on the server's word: no call is made slower by checking them.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import time
from _thread import RLock
from collections import deque

from spalloc_client import checks, commands
from spalloc_client.connection import Connection
from spalloc_client.conversation import Call, as_body
from spalloc_client.deadline import check_timeout, deadline_after, spoken, time_left
from spalloc_client.dialling import connect_to, look_up
from spalloc_client.errors import ProtocolError, ProtocolTimeoutError, SpallocServerException
from spalloc_client.versions import JAVA
from spalloc_client.wire import DEFAULT_PORT, Failure, Return

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, TypeAlias

    from spalloc_client.conversation import Notification
    from spalloc_client.https import beside
    from spalloc_client.https.session import Session
    from spalloc_client.java_port import Exchange, JavaPort
    from spalloc_client.replies import (
        BoardLocation,
        EndedJobDescription,
        JobDescription,
        JobMachineInfo,
        JobStatus,
        JobTimesAnswer,
        MachineDescription,
        NotificationBody,
        QueuePosition,
    )
    from spalloc_client.wire import Json, Request

    AnyConnection: TypeAlias = Connection | beside.Connection

_SUBSCRIBING = (
    "notify_job", "no_notify_job", "notify_machine", "no_notify_machine", "notify_job_ending", "no_notify_job_ending",
)  # fmt: skip
"""Commands that concern the connection over which they are sent."""

_GLANCE = 1.0
"""Seconds until a caller that can't be notified of a change should ask."""

__all__ = ["ProtocolClient", "ProtocolError", "ProtocolTimeoutError", "SpallocServerException"]


class ProtocolClient:
    """A blocking client of the spalloc server's protocol.

    It presents the server's commands as calls, by name or as methods. All threads of a program may use one
    client: they share its connection, and each call gets its own reply. For requesting boards, see
    `spalloc_client.Job`.

    Usage examples::

        # Connect to a spalloc server
        with ProtocolClient("hostname") as c:
            # Call commands by name
            print(c.call("version"))  # '0.1.0'

            # Call commands as if they were methods
            print(c.version())  # '0.1.0'

            # Wait for a notification to arrive
            print(c.wait_for_notification())  # {"jobs_changed": [1, 3]}

        # Done!

    Every method that sends a command takes `timeout`, the seconds its whole way to the server and back may
    take, or None (the default) to wait as long as it takes, and raises:

    - `ProtocolTimeoutError` when that time has passed,
    - `ProtocolError` when there is no connection, or it is lost before the reply,
    - `SpallocServerException` when the server refuses the command.
    """

    looking_up: float = 0.0
    """Seconds that looking up the server's name took when it was last connected to."""

    def __init__(self, hostname: str, port: str | int = DEFAULT_PORT, timeout: float | None = None) -> None:
        """Define a new connection; `connect()` makes it.

        Args:
            hostname: The server's name, or its IPv4 or IPv6 address; all addresses of a name are tried. Or the address
                of a service that speaks HTTP, `https://HOST/spalloc/`: who logs in there is said by the address, by
                `SPALLOC_USER` and `SPALLOC_PASSWORD` or `SPALLOC_TOKEN`, by `~/.netrc`, or by the system's keyring.
            port: The server's port, 1 to 65535; nothing to a service, whose address has its own.
            timeout: Seconds that `connect()` may take by default; None for as long as it
                takes.

        Raises:
            ValueError: An argument is not valid, or the extra `https` is not installed.
        """
        self._hostname = checks.hostname("hostname", hostname)
        self._port = checks.port("port", port)
        self._timeout = check_timeout(timeout)
        self._server = checks.server_name(self._hostname, self._port)
        self._session: Session | None = None
        if checks.is_url(self._hostname):
            from spalloc_client.https import session_for

            self._session = session_for(self._hostname)
        self._notifications: deque[Notification] = deque()
        self._connection: AnyConnection | None = None
        self._creation: tuple[AnyConnection, Call] | None = None
        self._java: JavaPort | None = None
        self._switch = RLock()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<{type(self).__name__} {self._server} {state}>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection without known trouble."""
        connection = self._connection
        return connection is not None and connection.alive

    @property
    def entangled(self) -> bool:
        """Whether the caller is a signal handler that interrupted a call and can't share its connection."""
        connection = self._connection
        return connection is not None and connection.entangled

    @property
    def session(self) -> Session | None:
        """The session with a service that speaks HTTP; None with a server of v1."""
        return self._session

    def connect(self, timeout: float | None = None) -> None:
        """(Re)connect to the server.

        Calls still under way in other threads on an earlier connection end with a `ProtocolError`.
        Notifications that have been received stay to be read.

        Args:
            timeout: Seconds this may take; None for what the constructor was given. Looking up the name has as
                many to itself, and 10 in any case.

        Raises:
            OSError: The connection could not be made.
            TimeoutError: (an OSError) It took too long.
        """
        timeout = check_timeout(timeout)
        self._drop("this client connected again")
        connection = self._opened(self._timeout if timeout is None else timeout)
        with self._switch:
            earlier, self._connection = self._connection, connection
        if earlier is not None:
            earlier.close("this client connected again")

    def _opened(self, within: float | None) -> AnyConnection:
        if self._session is not None:
            from spalloc_client.https import beside

            return beside.Connection(self._session, self._notifications, within)
        began = time.monotonic()
        try:
            addresses = look_up(self._hostname, self._port, within)
        finally:
            self.looking_up = time.monotonic() - began
        sock = connect_to(addresses, self._server, within)
        return Connection(sock, self._server, self._notifications)

    def close(self) -> None:
        """Disconnect from the server; calls under way in other threads end with a `ProtocolError`."""
        self._drop("this client closed the connection")

    def _drop(self, reason: str) -> None:
        with self._switch:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(reason)

    def _usable(self) -> AnyConnection:
        connection = self._connection
        if connection is None:
            raise ProtocolError(f"not connected to {self._server}")
        return connection

    def call(self, name: str, *args: Json, timeout: float | None = None, **kwargs: Json) -> Any:
        """Send a command to the server and return the reply.

        Args:
            name: The command's name.
            args: Arguments the command takes by position; before them, as release 1!7.4 has it, `timeout` may
                stand, where it can't be one of them.
            timeout: Seconds to wait before giving up, or None to wait forever.
            kwargs: Arguments the command takes by name.

        Returns:
            What the server returned: JSON, as Python has it.

        Raises:
            ProtocolTimeoutError: The time passed.
            ProtocolError: The connection is unavailable or was lost.
            SpallocServerException: The server refused the command.
            ValueError: An argument can't be written as JSON.
        """
        args, timeout = commands.timeout_apart(name, args, timeout)
        return self._ask(commands.request(name, args, kwargs), timeout)

    def _ask(self, request: Request, timeout: float | None) -> Any:
        if self._java is not None and request.command != "version":
            return self._ask_java(self._java.ask(request), timeout)
        answer = self._exchange(request, timeout)
        if request.command == "version":
            self._java = None
            if answer == JAVA:
                from spalloc_client.java_port import JavaPort

                self._java = JavaPort()
        return answer

    def _ask_java(self, steps: Exchange, timeout: float | None) -> Any:
        """Carry out what one command becomes with the Java service."""
        timeout = check_timeout(timeout)
        deadline = deadline_after(timeout, time.monotonic())
        try:
            request = next(steps)
            while True:
                try:
                    answer = self._exchange(request, time_left(deadline, time.monotonic()))
                except SpallocServerException as refusal:
                    request = steps.throw(refusal)
                else:
                    request = steps.send(answer)
        except StopIteration as done:
            return done.value

    def _exchange(self, request: Request, timeout: float | None) -> Any:
        """Send one request, and return what the server returns."""
        timeout = check_timeout(timeout)
        deadline = deadline_after(timeout, time.monotonic())
        connection: Any = self._usable()
        line = connection.written(request)
        if connection.entangled:
            return self._ask_beside(request, timeout)
        call = Call(request.command)
        if request.command == "create_job":
            self._creation = (connection, call)
        connection.send(call, line, deadline)
        if not connection.wait(lambda: call.outcome is not None, deadline):
            raise ProtocolTimeoutError(
                f"no reply to {request.command} from {self._server} within {spoken(timeout)}"
            )
        outcome = connection.outcome(call)
        if isinstance(outcome, Failure):
            raise SpallocServerException(outcome.message)
        return outcome.value

    def _ask_beside(self, request: Request, timeout: float | None) -> Any:
        """Ask over a connection of its own: a signal handler interrupted this thread where it can't be left."""
        if request.command in _SUBSCRIBING:
            raise ProtocolError(
                f"{request.command} can't be asked of {self._server} by a signal handler at this moment: "
                "another call is half sent"
            )
        deadline = deadline_after(timeout, time.monotonic())
        with ProtocolClient(self._hostname, self._port, timeout) as beside:
            return beside._exchange(request, time_left(deadline, time.monotonic()))

    def finish_creation(self, timeout: float) -> Json:
        """The reply to the last `create_job`, for callers that were interrupted before they had it.

        Returns:
            The job's ID; None if no such reply arrives within `timeout` seconds.
        """
        if self._creation is None:
            return None
        connection, call = self._creation
        connection.wait(
            lambda: call.outcome is not None or not connection.readable, time.monotonic() + timeout
        )
        return call.outcome.value if isinstance(call.outcome, Return) else None

    def wait_for_notification(self, timeout: float | None = None) -> NotificationBody | None:
        """Return the next notification to arrive.

        Notifications that have been received are returned first, oldest first, also when the connection has
        been lost since. Each is returned once, to one thread.

        Args:
            timeout: Seconds to wait before giving up, or None to wait forever. If negative, only what has
                been received is returned, or None if that is nothing.

        Returns:
            ``{"jobs_changed": [id, ...]}`` or ``{"machines_changed": [name, ...]}``, as the server sent it; after
            `notify_job_ending`, also ``{"job_ending": {...}}``.

        Raises:
            ProtocolTimeoutError: The time passed.
            ProtocolError: The connection is unusable or was lost.
        """
        timeout = check_timeout(timeout)
        now_only = timeout is not None and timeout < 0.0
        deadline = deadline_after(timeout, time.monotonic())
        while True:
            taken = self._take_notification()
            if taken is not None:
                return taken
            connection = self._connection
            if now_only and (connection is None or not connection.alive):
                return None
            if connection is None:
                raise ProtocolError(f"not connected to {self._server}")
            connection.check_usable()
            if not connection.wait_for_news(self._notifications, deadline):
                if now_only:
                    return None
                raise ProtocolTimeoutError(f"no notification from {self._server} within {spoken(timeout)}")

    def _take_notification(self) -> NotificationBody | None:
        if not self._notifications:
            return None
        try:
            return as_body(self._notifications.popleft())
        except IndexError:
            return None  # another thread has taken it since

    def wait_for_more(self, seen: int, timeout: float | None = None) -> int:
        """Wait until more than `seen` notifications have come over this connection, and return how many have.

        Unlike `wait_for_notification`, this takes none away: any number of threads may wait for the same one.

        Raises:
            ProtocolTimeoutError: The time passed.
            ProtocolError: The connection is unusable or was lost.
        """
        timeout = check_timeout(timeout)
        deadline = deadline_after(timeout, time.monotonic())
        connection = self._usable()
        if connection.entangled:
            # Nothing can be read over it at this moment; the caller may look in another way.
            time.sleep(_GLANCE if timeout is None else max(0.0, min(timeout, _GLANCE)))
            raise ProtocolTimeoutError(f"{self._server} can't be listened to in the middle of another call")
        connection.check_usable()
        if not connection.wait_for_more(seen, deadline):
            raise ProtocolTimeoutError(f"no notification from {self._server} within {spoken(timeout)}")
        connection.check_usable()
        return connection.arrived

    @property
    def arrived(self) -> int:
        """How many notifications have come over this connection; 0 without one."""
        connection = self._connection
        return 0 if connection is None else connection.arrived

    # The commands, one method each, in the protocol's order.

    def version(self, timeout: float | None = None) -> str:
        """The server's version."""
        return self.call("version", timeout=timeout)

    def create_job(self, *args: float | None, timeout: float | None = None, **kwargs: Json) -> int:
        """Queue a new job.

        Args:
            args: None or 1 for one board, `n` for at least n boards, `w, h` for a rectangle of triads, `x,
                y, z` for that board. As in release 1!7.4, `timeout` may come first: the first argument is taken
                for it if it is None or a `float`, or if there are four arguments.
            timeout: Seconds to wait before giving up, or None to wait forever.
            kwargs: `owner` (required; of a service's job, whoever logs in is), and what `spalloc_client.Job` takes by
                name about the job and its boards, not about the server or the connection.

        Returns:
            The new job's ID.

        Raises:
            SpallocServerException: There is no owner (nothing is sent), or the server refuses.
        """
        boards, timeout = commands.timeout_apart("create_job", args, timeout)
        return self._ask(commands.create_job(boards, kwargs, by_login=self._session is not None), timeout)

    def job_keepalive(self, job_id: int, timeout: float | None = None) -> None:
        """Tell the server that the job is still wanted."""
        self.call("job_keepalive", job_id, timeout=timeout)

    def get_job_state(self, job_id: int, timeout: float | None = None) -> JobStatus:
        """A job's state, power, keepalive, reason, start time and keepalive host."""
        return self.call("get_job_state", job_id, timeout=timeout)

    def get_job_machine_info(self, job_id: int, timeout: float | None = None) -> JobMachineInfo:
        """The boards a job has been allocated; each entry is None until it has."""
        return self.call("get_job_machine_info", job_id, timeout=timeout)

    def power_on_job_boards(self, job_id: int, timeout: float | None = None) -> None:
        """Power on a job's boards, or reset those that are on."""
        self.call("power_on_job_boards", job_id, timeout=timeout)

    def power_off_job_boards(self, job_id: int, timeout: float | None = None) -> None:
        """Power off a job's boards."""
        self.call("power_off_job_boards", job_id, timeout=timeout)

    def destroy_job(self, job_id: int, reason: object = None, timeout: float | None = None) -> None:
        """End a job, for a reason that its user may be shown: a string, or what `str()` makes of it."""
        self._ask(commands.destroy_job(job_id, reason), timeout)

    def notify_job(self, job_id: int | None = None, timeout: float | None = None) -> None:
        """Ask for notifications about a job, or about all with None."""
        self.call("notify_job", job_id, timeout=timeout)

    def no_notify_job(self, job_id: int | None = None, timeout: float | None = None) -> None:
        """Ask for no more notifications about a job, or about any with None."""
        self.call("no_notify_job", job_id, timeout=timeout)

    def notify_machine(self, machine_name: str | None = None, timeout: float | None = None) -> None:
        """Ask for notifications about a machine, or about all with None."""
        self.call("notify_machine", machine_name, timeout=timeout)

    def no_notify_machine(self, machine_name: str | None = None, timeout: float | None = None) -> None:
        """Ask for no more notifications about a machine, or about any with None."""
        self.call("no_notify_machine", machine_name, timeout=timeout)

    def list_jobs(self, timeout: float | None = None) -> list[JobDescription]:
        """All live jobs, oldest first."""
        return self.call("list_jobs", timeout=timeout)

    def list_machines(self, timeout: float | None = None) -> list[MachineDescription]:
        """All machines, highest priority first; in a notebook, the list is shown as a picture of them."""
        from spalloc_client.drawing.pictures import MachineList

        machines: list[MachineDescription] = self.call("list_machines", timeout=timeout)
        if not isinstance(machines, list):
            return machines  # a server of its own kind; what to make of that is the caller's to say
        return MachineList(machines, lambda: self.list_jobs(timeout=timeout))

    def queue_position(self, job_id: int, timeout: float | None = None) -> QueuePosition | None:
        """A job's place in the queue and why it waits; None if it is not queued. Not every server has this command."""
        return self.call("job_queue_position", job_id, timeout=timeout)

    def job_times(self, job_id: int, timeout: float | None = None) -> JobTimesAnswer | None:
        """How long a job may have its boards; None if it is not live. Not every server has this command."""
        return self.call("job_times", job_id, timeout=timeout)

    def extend_job(self, job_id: int, time_limit: float | str, timeout: float | None = None) -> float:
        """Give a job another time limit. Not every server has this command.

        Args:
            job_id: The job.
            time_limit: Seconds, or a duration such as `2h`, counted from the moment when its boards were allocated.
            timeout: As everywhere.

        Returns:
            The limit that it has now, in seconds.

        Raises:
            ValueError: `time_limit` is no duration (nothing is sent).
        """
        return self.call("extend_job", job_id, checks.duration("time_limit", time_limit), timeout=timeout)

    def notify_job_ending(self, job_id: int, timeout: float | None = None) -> None:
        """Ask to be notified when a job is about to be ended by the server. Not every server has this command."""
        self.call("notify_job_ending", job_id, timeout=timeout)

    def no_notify_job_ending(self, job_id: int, timeout: float | None = None) -> None:
        """Ask for no more such notifications. Not every server has this command."""
        self.call("no_notify_job_ending", job_id, timeout=timeout)

    def list_ended_jobs(
        self,
        owner: str | None = None,
        machine: str | None = None,
        limit: int = 100,
        timeout: float | None = None,
    ) -> list[EndedJobDescription]:
        """Jobs that have ended, the latest first. Not every server remembers them.

        Args:
            owner: Only this owner's; None for anyone's.
            machine: Only those that had boards of this machine; None for all.
            limit: How many at most, 1 to 1000.
            timeout: As everywhere.
        """
        return self.call("list_ended_jobs", owner=owner, machine=machine, limit=limit, timeout=timeout)

    def report_problem(
        self,
        address: str,
        x: int | None = None,
        y: int | None = None,
        p: int | None = None,
        description: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Report a sick board; when enough users have, it is set aside. Not every server takes reports.

        Args:
            address: The host name of the board's Ethernet-connected chip, as `get_job_machine_info` gives it.
            x: The chip that is sick, if it is one, on its board.
            y: The same.
            p: The core that is sick, if it is one.
            description: What is wrong, at most 1000 characters.
            timeout: As everywhere.
        """
        self.call("report_problem", address, x=x, y=y, p=p, description=description, timeout=timeout)

    def get_board_position(
        self, machine_name: str, x: int, y: int, z: int, timeout: float | None = None
    ) -> list[int] | None:
        """Where the board (x, y, z) is, as `[cabinet, frame, board]`; None if there is no such board."""
        return self.call("get_board_position", machine_name, x, y, z, timeout=timeout)

    def get_board_at_position(
        self, machine_name: str, x: int, y: int, z: int, timeout: float | None = None
    ) -> list[int] | None:
        """Which board, as `[x, y, z]`, is at cabinet `x`, frame `y`, board `z`; None if there is none."""
        return self.call("get_board_at_position", machine_name, x, y, z, timeout=timeout)

    def where_is(
        self, *args: float | None, timeout: float | None = None, **kwargs: str | int
    ) -> BoardLocation | None:
        """Find a board or chip.

        Args:
            args: `job_id, chip_x, chip_y`, and `timeout`, as release 1!7.4 has them; or `timeout` alone.
            timeout: As everywhere.
            kwargs: One of four sets: `machine, x, y, z` · `machine, cabinet, frame, board` ·
                `machine, chip_x, chip_y` · `job_id, chip_x, chip_y`.

        Returns:
            The board's places, and the job that has it, if any; None if there is no such board.

        Raises:
            SpallocServerException: The arguments are none of the four sets (nothing is sent), or the server
                refuses.
        """
        request, timeout = commands.where_is(args, kwargs, timeout)
        return self._ask(request, timeout)

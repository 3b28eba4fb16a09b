"""The v1 protocol's commands as coroutines.

spalloc_client/protocol_client.py is its blocking twin. commands.py and conversation.py decide for both.
"""

# Replies have the types of replies.py on the server's word: no call is made slower by checking them.
# mypy: disable-error-code="no-any-return"
# ruff: noqa: ASYNC109  # arguments are those of the blocking twin, `timeout` included

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from spalloc_client import checks, commands
from spalloc_client.aio.connection import AwaitedCall, Connection
from spalloc_client.aio.dialling import connect_to, look_up
from spalloc_client.conversation import Notification, as_body
from spalloc_client.deadline import check_timeout, deadline_after, spoken, time_left
from spalloc_client.errors import ProtocolError, ProtocolTimeoutError, SpallocServerException
from spalloc_client.versions import JAVA
from spalloc_client.wire import DEFAULT_PORT, Failure, Json, Request, Return

if TYPE_CHECKING:
    from typing import TypeAlias

    from spalloc_client.https import service
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

    AnyConnection: TypeAlias = Connection | service.Connection


class ProtocolClient:
    """A client of the spalloc server's protocol, for asyncio.

    The names and meanings are those of `spalloc_client.ProtocolClient`; everything that waits is awaited.
    The tasks of one event loop may share a client. A task that is cancelled while it waits leaves the
    connection in order.

    Usage examples::

        async with ProtocolClient("hostname") as c:
            print(await c.version())
            await c.notify_job()
            print(await c.wait_for_notification())
    """

    looking_up: float = 0.0
    """Seconds that looking up the server's name took when it was last connected to."""

    def __init__(self, hostname: str, port: str | int = DEFAULT_PORT, timeout: float | None = None) -> None:
        """Define a new connection; `connect()` makes it.

        Args:
            hostname: The server's name, or its IPv4 or IPv6 address; all addresses of a name are tried. Or the address
                of a service that speaks HTTP, as for `spalloc_client.ProtocolClient`.
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
        self._creation: tuple[AnyConnection, AwaitedCall] | None = None
        self._java: JavaPort | None = None

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<{type(self).__name__} {self._server} {state}>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection without known trouble."""
        return self._connection is not None and self._connection.alive

    @property
    def session(self) -> Session | None:
        """The session with a service that speaks HTTP; None with a server of v1."""
        return self._session

    async def connect(self, timeout: float | None = None) -> None:
        """(Re)connect to the server.

        Calls still under way in other tasks on an earlier connection end with a `ProtocolError`.
        Notifications that have been received stay to be read.

        Args:
            timeout: Seconds this may take; None for what the constructor was given. Looking up the name has as
                many to itself, and 10 in any case.

        Raises:
            OSError: The connection could not be made.
            TimeoutError: (an OSError) It took too long.
        """
        timeout = check_timeout(timeout)
        await self._drop("this client connected again")
        connection = await self._opened(self._timeout if timeout is None else timeout)
        earlier, self._connection = self._connection, connection
        if earlier is not None:
            await earlier.close("this client connected again")

    async def _opened(self, within: float | None) -> AnyConnection:
        if self._session is not None:
            from spalloc_client.https import service

            to_service = service.Connection(self._session, self._notifications)
            await to_service.open(within)
            return to_service
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            addresses = await look_up(self._hostname, self._port, within)
        finally:
            self.looking_up = clock() - began
        sock = await connect_to(addresses, self._server, within)
        connection = Connection(self._server, self._notifications)
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection

    async def close(self) -> None:
        """Disconnect from the server; calls under way in other tasks end with a `ProtocolError`."""
        await self._drop("this client closed the connection")

    async def _drop(self, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(reason)

    def _usable(self) -> AnyConnection:
        if self._connection is None:
            raise ProtocolError(f"not connected to {self._server}")
        return self._connection

    async def call(self, name: str, *args: Json, timeout: float | None = None, **kwargs: Json) -> Any:
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
        return await self._ask(commands.request(name, args, kwargs), timeout)

    async def _ask(self, request: Request, timeout: float | None) -> Any:
        if self._java is not None and request.command != "version":
            return await self._ask_java(self._java.ask(request), timeout)
        answer = await self._exchange(request, timeout)
        if request.command == "version":
            self._java = None
            if answer == JAVA:
                from spalloc_client.java_port import JavaPort

                self._java = JavaPort()
        return answer

    async def _ask_java(self, steps: Exchange, timeout: float | None) -> Any:
        """Carry out what one command becomes with the Java service."""
        timeout = check_timeout(timeout)
        clock = asyncio.get_running_loop().time
        deadline = deadline_after(timeout, clock())
        try:
            request = next(steps)
            while True:
                try:
                    answer = await self._exchange(request, time_left(deadline, clock()))
                except SpallocServerException as refusal:
                    request = steps.throw(refusal)
                else:
                    request = steps.send(answer)
        except StopIteration as done:
            return done.value

    async def _exchange(self, request: Request, timeout: float | None) -> Any:
        """Send one request, and return what the server returns."""
        timeout = check_timeout(timeout)
        connection: Any = self._usable()
        line = connection.written(request)
        call = AwaitedCall(request.command)
        if request.command == "create_job":
            self._creation = (connection, call)
        try:
            async with asyncio.timeout(timeout):
                await connection.send(call, line)
                await call.done
        except TimeoutError:
            raise ProtocolTimeoutError(
                f"no reply to {request.command} from {self._server} within {spoken(timeout)}"
            ) from None
        outcome = connection.outcome(call)
        if isinstance(outcome, Failure):
            raise SpallocServerException(outcome.message)
        return outcome.value

    async def finish_creation(self, timeout: float) -> Json:
        """The reply to the last `create_job`, for callers that were cancelled before they had it.

        Returns:
            The job's ID; None if no such reply arrives within `timeout` seconds.
        """
        if self._creation is None:
            return None
        connection, call = self._creation
        if call.outcome is None and connection.alive:
            call.done = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await call.done
            except TimeoutError:
                return None
        return call.outcome.value if isinstance(call.outcome, Return) else None

    async def wait_for_notification(self, timeout: float | None = None) -> NotificationBody | None:
        """Return the next notification to arrive.

        Notifications that have been received are returned first, oldest first, also when the connection has
        been lost since. Each is returned once, to one task.

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
        try:
            async with asyncio.timeout(timeout):
                while not self._notifications:
                    if timeout is not None and timeout < 0.0:
                        return None
                    connection = self._usable()
                    connection.check_usable()
                    await connection.news()
                return as_body(self._notifications.popleft())
        except TimeoutError:
            raise ProtocolTimeoutError(
                f"no notification from {self._server} within {spoken(timeout)}"
            ) from None

    async def wait_for_more(self, seen: int, timeout: float | None = None) -> int:
        """Wait until more than `seen` notifications have come over this connection, and return how many have.

        Unlike `wait_for_notification`, this takes none away: any number of tasks may wait for the same one.

        Raises:
            ProtocolTimeoutError: The time passed.
            ProtocolError: The connection is unusable or was lost.
        """
        timeout = check_timeout(timeout)
        connection = self._usable()
        try:
            async with asyncio.timeout(timeout):
                while connection.arrived <= seen:
                    connection.check_usable()
                    await connection.news()
        except TimeoutError:
            raise ProtocolTimeoutError(
                f"no notification from {self._server} within {spoken(timeout)}"
            ) from None
        return connection.arrived

    @property
    def arrived(self) -> int:
        """How many notifications have come over this connection; 0 without one."""
        return 0 if self._connection is None else self._connection.arrived

    # The commands, one method each, in the protocol's order.

    async def version(self, timeout: float | None = None) -> str:
        """The server's version."""
        return await self.call("version", timeout=timeout)

    async def create_job(self, *args: float | None, timeout: float | None = None, **kwargs: Json) -> int:
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
        return await self._ask(
            commands.create_job(boards, kwargs, by_login=self._session is not None), timeout
        )

    async def job_keepalive(self, job_id: int, timeout: float | None = None) -> None:
        """Tell the server that the job is still wanted."""
        await self.call("job_keepalive", job_id, timeout=timeout)

    async def get_job_state(self, job_id: int, timeout: float | None = None) -> JobStatus:
        """A job's state, power, keepalive, reason, start time and keepalive host."""
        return await self.call("get_job_state", job_id, timeout=timeout)

    async def get_job_machine_info(self, job_id: int, timeout: float | None = None) -> JobMachineInfo:
        """The boards a job has been allocated; each entry is None until it has."""
        return await self.call("get_job_machine_info", job_id, timeout=timeout)

    async def power_on_job_boards(self, job_id: int, timeout: float | None = None) -> None:
        """Power on a job's boards, or reset those that are on."""
        await self.call("power_on_job_boards", job_id, timeout=timeout)

    async def power_off_job_boards(self, job_id: int, timeout: float | None = None) -> None:
        """Power off a job's boards."""
        await self.call("power_off_job_boards", job_id, timeout=timeout)

    async def destroy_job(self, job_id: int, reason: object = None, timeout: float | None = None) -> None:
        """End a job, for a reason that its user may be shown: a string, or what `str()` makes of it."""
        await self._ask(commands.destroy_job(job_id, reason), timeout)

    async def notify_job(self, job_id: int | None = None, timeout: float | None = None) -> None:
        """Ask for notifications about a job, or about all with None."""
        await self.call("notify_job", job_id, timeout=timeout)

    async def no_notify_job(self, job_id: int | None = None, timeout: float | None = None) -> None:
        """Ask for no more notifications about a job, or about any with None."""
        await self.call("no_notify_job", job_id, timeout=timeout)

    async def notify_machine(self, machine_name: str | None = None, timeout: float | None = None) -> None:
        """Ask for notifications about a machine, or about all with None."""
        await self.call("notify_machine", machine_name, timeout=timeout)

    async def no_notify_machine(self, machine_name: str | None = None, timeout: float | None = None) -> None:
        """Ask for no more notifications about a machine, or about any with None."""
        await self.call("no_notify_machine", machine_name, timeout=timeout)

    async def list_jobs(self, timeout: float | None = None) -> list[JobDescription]:
        """All live jobs, oldest first."""
        return await self.call("list_jobs", timeout=timeout)

    async def list_machines(self, timeout: float | None = None) -> list[MachineDescription]:
        """All machines, highest priority first."""
        return await self.call("list_machines", timeout=timeout)

    async def queue_position(self, job_id: int, timeout: float | None = None) -> QueuePosition | None:
        """A job's place in the queue and why it waits; None if it is not queued. Not every server has this command."""
        return await self.call("job_queue_position", job_id, timeout=timeout)

    async def job_times(self, job_id: int, timeout: float | None = None) -> JobTimesAnswer | None:
        """How long a job may have its boards; None if it is not live. Not every server has this command."""
        return await self.call("job_times", job_id, timeout=timeout)

    async def extend_job(self, job_id: int, time_limit: float | str, timeout: float | None = None) -> float:
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
        return await self.call(
            "extend_job", job_id, checks.duration("time_limit", time_limit), timeout=timeout
        )

    async def notify_job_ending(self, job_id: int, timeout: float | None = None) -> None:
        """Ask to be notified when a job is about to be ended by the server. Not every server has this command."""
        await self.call("notify_job_ending", job_id, timeout=timeout)

    async def no_notify_job_ending(self, job_id: int, timeout: float | None = None) -> None:
        """Ask for no more such notifications. Not every server has this command."""
        await self.call("no_notify_job_ending", job_id, timeout=timeout)

    async def list_ended_jobs(
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
        return await self.call("list_ended_jobs", owner=owner, machine=machine, limit=limit, timeout=timeout)

    async def report_problem(
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
        await self.call("report_problem", address, x=x, y=y, p=p, description=description, timeout=timeout)

    async def get_board_position(
        self, machine_name: str, x: int, y: int, z: int, timeout: float | None = None
    ) -> list[int] | None:
        """Where the board (x, y, z) is, as `[cabinet, frame, board]`; None if there is no such board."""
        return await self.call("get_board_position", machine_name, x, y, z, timeout=timeout)

    async def get_board_at_position(
        self, machine_name: str, x: int, y: int, z: int, timeout: float | None = None
    ) -> list[int] | None:
        """Which board, as `[x, y, z]`, is at cabinet `x`, frame `y`, board `z`; None if there is none."""
        return await self.call("get_board_at_position", machine_name, x, y, z, timeout=timeout)

    async def where_is(
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
        return await self._ask(request, timeout)

"""A job, for asyncio programs: runs the steps of job_steps.py over the asyncio ProtocolClient.

spalloc_client/job.py is its blocking twin. job_steps.py and requirements.py decide for both.
"""

# ruff: noqa: ASYNC109  # arguments are those of the blocking twin, `timeout` included

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Collection, Coroutine, Generator, Mapping
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from spalloc_client import config, job_steps, step_kinds
from spalloc_client.aio.protocol_client import ProtocolClient
from spalloc_client.deadline import spoken
from spalloc_client.errors import ProtocolError, ProtocolTimeoutError
from spalloc_client.keepalive import Keepalive, is_copy
from spalloc_client.logs import is_read, log
from spalloc_client.options import USE_CONFIG
from spalloc_client.requirements import gather
from spalloc_client.states import JobState

if TYPE_CHECKING:
    from typing import Unpack

    from spalloc_client.config import Files
    from spalloc_client.job_answers import MachineInfo, Status, Times
    from spalloc_client.options import JobOptions, UseConfig
    from spalloc_client.progress import Progress
    from spalloc_client.replies import QueuePosition
    from spalloc_client.tunnel.running import Channel, Door, Tunnel

T = TypeVar("T")

_CANCELLATIONS = 1000
"""How many cancellations do not keep a job from being destroyed."""


class Job:
    """Boards of a SpiNNaker machine, requested, kept and freed by tasks.

    The names, arguments and meanings are those of `spalloc_client.Job`; what asks the server is awaited,
    attributes included::

        async with Job(6) as j:
            my_boot(await j.hostname, await j.width, await j.height)

        j = await Job(6)
        await j.wait_until_ready()
        await j.destroy()

    A task may be cancelled wherever it waits, any number of times. `async with` frees the boards then, too: while a job
    is being destroyed, which is bounded, a cancellation waits for that.
    """

    def __init__(
        self,
        *args: int,
        config_filenames: Files | UseConfig | None = USE_CONFIG,
        resume_job_id: int | None = None,
        on_wait: Callable[[Progress], object] | None = None,
        **options: Unpack[JobOptions],
    ) -> None:
        """Describe a job; the request is made when the Job is awaited or entered.

        Arguments are those of `spalloc_client.Job`, and are checked at once; `on_wait` may also return something
        to be awaited.

        Raises:
            ValueError: An argument, or the configuration, says something that can't be.
        """
        self._requirements = gather(
            args,
            options,
            config.read_config(None if config_filenames == USE_CONFIG else config_filenames),
            resume_job_id,
        )
        self._on_wait = on_wait
        self._steps = job_steps.JobSteps(self._requirements)
        self._client = ProtocolClient(self._requirements.hostname, self._requirements.port)
        self._connecting = asyncio.Lock()
        self._has_connected = False
        self._process = os.getpid()
        self._helper: Keepalive | None = None
        self._tunnels: list[Tunnel] = []
        self._started = False

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Describe the job that this program runs in, to be taken on as `spalloc_client.Job.from_environment` does.

        Raises:
            ValueError: It runs in none; or an option says something that can't be.
        """
        return cls(resume_job_id=config.job_of_environment(), **options)

    def __await__(self) -> Generator[Any, None, Self]:
        """Make the request; the result is this Job."""
        return self._start().__await__()

    async def __aenter__(self) -> Self:
        """Make the request and wait until the boards are ready; if that fails, free them."""
        await self._start()
        try:
            await self.wait_until_ready()
        except BaseException:
            await self.destroy()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Free the boards; a copy of the process (a fork) leaves them to its original, if that is still there."""
        if is_copy(self._process):
            await self.close()
        else:
            await self.destroy()

    def __del__(self) -> None:
        helper = getattr(self, "_helper", None)  # none if the constructor did not come that far
        # When the interpreter ends, the keepalive ends with it, and there may be nothing left to warn with.
        if helper is not None and helper.is_this_process_s and not sys.is_finalizing():
            import warnings

            warnings.warn(
                f"{self!r} is held by nobody and was not destroyed: it is not kept alive any longer",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
            helper.stop()

    def __repr__(self) -> str:
        return f"<Job {self.id} on {self._requirements.server}>"

    async def _start(self) -> Self:
        if not self._started:
            self._started = True
            try:
                await self._run(self._steps.start())
            except BaseException:
                await self._run(self._steps.abandon(), surely=True)
                raise
        return self

    @property
    def id(self) -> int | None:
        """The job's ID; None before the request was made. Not to be awaited."""
        return self._steps.job_id

    @property
    def state(self) -> Coroutine[Any, Any, JobState]:
        """The current state of the job."""
        return self._of_status(lambda told: told.state)

    @property
    def power(self) -> Coroutine[Any, Any, bool | None]:
        """Whether the boards are powered, or being powered, on; None if there are no boards."""
        return self._of_status(lambda told: told.power)

    @property
    def reason(self) -> Coroutine[Any, Any, str | None]:
        """Why the job was destroyed, if it was and if a reason was given."""
        return self._of_status(lambda told: told.reason)

    async def machine_info(self) -> MachineInfo:
        """Return everything about the boards, as of one moment."""
        info = await self._run(self._steps.machine_info())
        if not self._tunnels:
            return info
        from spalloc_client.tunnel.doors import within_reach

        return within_reach(info, self._tunnels)

    @property
    def connections(self) -> Coroutine[Any, Any, dict[tuple[int, int], str] | None]:
        """The hostnames of all Ethernet-connected chips, ``{(x, y): hostname, ...}``; None without boards."""
        return self._of_info(lambda told: told.connections_copy)

    @property
    def hostname(self) -> Coroutine[Any, Any, str | None]:
        """The hostname of chip (0, 0); None without boards."""
        return self._of_info(lambda told: told.hostname)

    @property
    def width(self) -> Coroutine[Any, Any, int | None]:
        """The width of the network in chips; None without boards."""
        return self._of_info(lambda told: told.width)

    @property
    def height(self) -> Coroutine[Any, Any, int | None]:
        """The height of the network in chips; None without boards."""
        return self._of_info(lambda told: told.height)

    @property
    def machine_name(self) -> Coroutine[Any, Any, str | None]:
        """The name of the machine the boards are in; None without boards."""
        return self._of_info(lambda told: told.machine_name)

    @property
    def boards(self) -> Coroutine[Any, Any, list[list[int]] | None]:
        """The logical coordinates of the boards, `[[x, y, z], ...]`; None without boards."""
        return self._of_info(lambda told: told.boards_copy)

    async def set_power(self, power: bool) -> None:
        """Turn the boards on (resetting those that are on) or off; does nothing if there are none yet."""
        await self._run(self._steps.set_power(power))

    async def reset(self) -> None:
        """Reset (power-cycle) the boards; does nothing if there are none yet."""
        await self.set_power(True)

    async def boot(self) -> None:
        """Boot the boards, with SpiNNMan (`pip install SpiNNMan`).

        Raises:
            BootError: They can't be booted, there are none yet, or there is no SpiNNMan.
        """
        from spalloc_client.booting import boot_async

        await boot_async(await self.hostname)

    async def wait_for_state_change(self, old_state: JobState, timeout: float | None = None) -> JobState:
        """Wait until the job's state differs from the given one, or `timeout` seconds have passed.

        Returns:
            The new state, or the old state if the time passed.
        """
        status = await self._run(self._steps.wait_for_state_change(old_state, timeout))
        return old_state if status is None else status.state

    async def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait until the job has its boards and they are ready.

        Raises:
            StateChangeTimeoutError: `timeout` seconds passed first.
            JobDestroyedError: The job was destroyed first.
        """
        await self._run(self._steps.wait_until_ready(timeout))

    async def where_is_machine(self, chip_x: int, chip_y: int) -> tuple[int, int, int]:
        """Find the cabinet, frame and board of a chip of the job.

        Raises:
            ValueError: The job has no such chip, or no boards yet.
        """
        return await self._run(self._steps.where_is(chip_x, chip_y))

    async def queue_position(self) -> QueuePosition | None:
        """Where the job stands in the queue and why it waits; None if it is not queued.

        Raises:
            SpallocServerException: The server does not know the command.
        """
        place: QueuePosition | None = await self._run(self._steps.queue_position())
        return place

    async def times(self) -> Times:
        """How long the job may have its boards, and when the server ends it, as of one moment.

        Where the server knows no time limits, and once the job is no more, every part is None.
        """
        from spalloc_client import job_ends

        return await self._run(job_ends.times(self._steps))

    async def extend(self, time_limit: float | str) -> float:
        """Give the job another time limit, which may also be shorter.

        Args:
            time_limit: Seconds, or a duration such as `2h`, counted from the moment when the boards were allocated.

        Returns:
            The limit that the job has now, in seconds.

        Raises:
            ValueError: `time_limit` is no duration.
            JobDestroyedError: The job is no more.
            SpallocServerException: The server refuses, and says why; or it knows no time limits.
        """
        from spalloc_client import job_ends

        return await self._run(job_ends.extend(self._steps, time_limit))

    async def wait_for_ending(self, before: float | str, timeout: float | None = None) -> Times | None:
        """Wait until the server is about to end the job, by its time limit or for another reason.

        The server may go away and come back meanwhile. Of a job that no end is set for, the end may be set later.

        Args:
            before: How long before: seconds, or a duration such as `5m`.
            timeout: Seconds to wait, or None to wait as long as the job lives.

        Returns:
            The job's times, with when it ends and why; None if the timeout passed first.

        Raises:
            ValueError: `before` is no duration.
            JobDestroyedError: The job was destroyed.
        """
        from spalloc_client import job_ends

        return await self._run(job_ends.wait_for_ending(self._steps, before, timeout))

    async def report_problem(self, description: str, hostname: str | None = None) -> None:
        """Report a sick board of the job; when enough users have reported a board, it is set aside.

        Args:
            description: What is wrong, at most 1000 characters.
            hostname: The board, by one of the names in `connections`; None if the job has only one.

        Raises:
            ValueError: The job has no such board, or several and none was named.
            SpallocServerException: The server refused, or takes no reports.
        """
        if self._tunnels:
            from spalloc_client.tunnel.doors import own_name

            hostname = own_name(hostname, await self._run(self._steps.machine_info()), self._tunnels)
        await self._run(self._steps.report_problem(description, hostname))

    def tunnel(self, ports: Collection[int] = ()) -> Tunnel:
        """Bring the boards of a service within reach of this computer, until the tunnel is left.

        Each board gets an address of its own on this computer's loopback, with the UDP ports for SCP (17893) and
        booting (54321), and `hostname` and `connections` name these while the tunnel is open. What programs send there
        is carried through the service's websocket, and answers come back the same way; so does what boards send to IP
        tags that were set through the tunnel::

            async with Job(3) as job, job.tunnel() as tunnel:
                await my_application(await job.hostname)

        Where a computer has only one loopback address, as with macOS, `tunnel.addresses` tells which port of it stands
        for which port of which board.

        Args:
            ports: Other UDP ports of the boards, 1 to 65535, that programs are to reach.

        Raises:
            ValueError: A port is none, the server is no service, or the extra `https` is not installed.
        """
        made = self._new_tunnel(ports)
        self._tunnels.insert(0, made)
        return made

    async def connect(self, x: int, y: int, port: int = 17893) -> Channel:
        """Return a channel to a UDP port of a board of a service, without a port of this computer.

        It has `send(data)`, `close()` and, to be awaited, `receive(timeout)`; as with UDP, datagrams may be lost. All
        channels of a Job share a connection.

        Args:
            x: With `y`, the board's Ethernet-connected chip, as in `connections`.
            y: The same.
            port: UDP port of the board, 1 to 65535.

        Raises:
            ValueError: The job has no such board, the port is none, the server is no service, or the extra `https` is
                not installed.
            ProtocolError: There are no boards yet, or the service lets nobody reach them.
            OSError: The service can't be reached.
        """
        for tunnel in self._tunnels:
            if tunnel.is_open:
                return tunnel.connect(x, y, port)
        made = self._new_tunnel((), listens=False)
        await made.start()
        self._tunnels.append(made)
        return made.connect(x, y, port)

    def _new_tunnel(self, ports: Collection[int], *, listens: bool = True) -> Tunnel:
        from spalloc_client.tunnel import doors

        session = doors.check(self._client.session, self._requirements.server)

        async def knock(again: bool) -> Door:
            if again:
                await self._run(self._steps.status())  # which logs in, if that is what is missing
            assert self.id is not None
            return doors.door(session, self.id)

        async def boards() -> Mapping[tuple[int, int], str]:
            return doors.boards_of(await self._run(self._steps.machine_info()), self.id)

        from spalloc_client.tunnel.running import Tunnel

        return Tunnel(knock, boards, ports, listens=listens)

    async def _close_tunnels(self) -> None:
        while self._tunnels:
            await self._tunnels.pop().stop()

    async def destroy(self, reason: object = None) -> None:
        """Destroy the job and disconnect from the server; that it can't be reached is logged, not raised."""
        try:
            await self._close_tunnels()
        finally:
            await self._run(self._steps.destroy(reason), surely=True)

    async def close(self) -> None:
        """Disconnect from the server and stop keeping the job alive; this does not free the boards."""
        try:
            await self._close_tunnels()
        finally:
            await self._run(self._steps.close())

    async def _of_status(self, part: Callable[[Status], T]) -> T:
        return part(await self._run(self._steps.status()))

    async def _of_info(self, part: Callable[[MachineInfo], T]) -> T:
        return part(await self.machine_info())

    async def _run(self, steps: step_kinds.Steps[T], *, surely: bool = False) -> T:
        """Do the steps; if surely, to their end before a cancellation has its effect."""
        if not self._started:
            raise ProtocolError("this Job has not been requested yet: await it, or enter it with async with")
        result: Any = None
        error: BaseException | None = None
        cancelled: list[asyncio.CancelledError] = []
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                result = error = None
                try:
                    result = await (self._perform_again(step, cancelled) if surely else self._perform(step))
                except BaseException as raised:  # noqa: BLE001  # the steps decide, also about cancellation
                    error = raised
        except StopIteration as stop:
            if cancelled:
                raise cancelled[0] from None
            return stop.value  # type: ignore[no-any-return]

    async def _perform_again(self, step: step_kinds.Step, cancelled: list[asyncio.CancelledError]) -> Any:
        """Do a step that may be repeated, and repeat it when this task is cancelled meanwhile."""
        while True:
            try:
                return await self._perform(step)
            except asyncio.CancelledError as cancellation:
                cancelled.append(cancellation)
                if len(cancelled) > _CANCELLATIONS:
                    raise

    async def _perform(self, step: step_kinds.Step) -> Any:  # noqa: C901
        match step:
            case step_kinds.Ask():
                if self._helper is not None:
                    self._helper.ensure()
                return await self._command(step.command)(*step.args, timeout=step.within, **step.kwargs)
            case step_kinds.Now():
                return asyncio.get_running_loop().time()
            case step_kinds.Connected():
                return self._client.connected
            case step_kinds.Arrived():
                return self._client.arrived
            case step_kinds.Watch():
                return await self._client.wait_for_more(step.seen, step.within)
            case step_kinds.Connect():
                return await self._connect(step)
            case step_kinds.Disconnect():
                await self._client.close()
            case step_kinds.Sleep():
                await asyncio.sleep(step.seconds)
            case step_kinds.FinishCreation():
                return await self._client.finish_creation(step.within)
            case step_kinds.StartHelper():
                self._helper = Keepalive()
            case step_kinds.Adopt():
                if self._helper is not None:
                    self._helper.adopt(step.job_id, step.keepalive, self._requirements, step.start_time)
            case step_kinds.Identify():
                if self._helper is not None:
                    self._helper.identify(step.start_time)
            case step_kinds.StopHelper():
                if self._helper is not None:
                    self._helper.stop()
                    self._helper = None
            case step_kinds.Listened():
                return self._on_wait is not None or is_read("job")
            case step_kinds.Tell():
                told = None if self._on_wait is None else self._on_wait(step.progress)
                if isawaitable(told):
                    await told
            case step_kinds.Log():
                log("job", step.message, warning=step.warning)
        return None

    def _command(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        # By its method, which is what programs' tests replace when they put a mock in the client's place.
        method: Callable[..., Coroutine[Any, Any, Any]] | None = getattr(self._client, name, None)
        return partial(self._client.call, name) if method is None else method

    async def _connect(self, step: step_kinds.Connect) -> bool:
        # Of several tasks that miss the connection, one makes it.
        try:
            async with asyncio.timeout(step.within):
                await self._connecting.acquire()
        except TimeoutError:
            raise ProtocolTimeoutError(
                f"not connected to {self._requirements.hostname} within {spoken(step.within)}"
            ) from None
        try:
            if self._has_connected and self._client.connected:
                return False
            await self._client.connect(step.within)
            self._has_connected = True
            step.looking_up = self._client.looking_up
            return True
        finally:
            self._connecting.release()

"""A job, for blocking programs: runs the steps of job_steps.py over a ProtocolClient.

job_steps.py decides what to do when, and requirements.py what may be asked for; this file carries it out.

Attributes that may be None, and that release 1!7.4.1 declares without it, are typed `X | Any` here: that is true, and
programs that were checked against that release need no change.
"""

from __future__ import annotations

import os
import sys
import time
from _thread import TIMEOUT_MAX
from functools import partial

from spalloc_client import config, job_steps, step_kinds
from spalloc_client.deadline import spoken
from spalloc_client.errors import JobDestroyedError, ProtocolTimeoutError, StateChangeTimeoutError
from spalloc_client.logs import is_read, log
from spalloc_client.options import USE_CONFIG, with_meanings
from spalloc_client.polling import waiting_lock
from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.requirements import gather
from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any, Self, TypeVar, Unpack

    from spalloc_client.config import Files
    from spalloc_client.job_answers import MachineInfo, Times
    from spalloc_client.keepalive import Keepalive
    from spalloc_client.options import JobOptions, UseConfig
    from spalloc_client.progress import Progress
    from spalloc_client.replies import QueuePosition
    from spalloc_client.tunnel.beside import Channel, Tunnel
    from spalloc_client.tunnel.running import Door

    T = TypeVar("T")

__all__ = ["Job", "JobDestroyedError", "JobState", "StateChangeTimeoutError"]


class Job:
    """Boards of a SpiNNaker machine: requested, kept and freed.

    Constructing a Job connects to a spalloc server and requests boards; `Job.__init__` says how. The object
    then tells the state of the request, controls the boards allocated and says how to reach them.

    In its simplest form, a Job is used as a context manager::

        >>> from spalloc_client import Job
        >>> with Job(6) as j:
        ...     my_boot(j.hostname, j.width, j.height)
        ...     my_application(j.hostname)

    Here six boards are requested, and the block is entered once they are allocated and powered on. When
    control leaves the block, in whatever way, the job is destroyed and the server powers the boards down for
    others.

    The same step by step::

        >>> j = Job(6)
        >>> j.wait_until_ready()
        >>> my_boot(j.hostname, j.width, j.height)
        >>> my_application(j.hostname)
        >>> j.destroy()

    Attributes ask the server. All of them, and all methods, may be used by any thread, and by signal handlers. If
    the connection is lost, or brings no reply, they take a new one. Within `timeout` seconds (and the time that
    the name server takes) they return or raise:

    - `ProtocolTimeoutError` when the server does not answer,
    - `ProtocolError` when no connection can be made, or the Job was closed,
    - `SpallocServerException` when the server refuses.

    To be able to find out later what happened to a job, log its `id`, `machine_name` and `boards`.
    """

    def __init__(
        self,
        *args: int,
        config_filenames: Files | UseConfig | None = USE_CONFIG,
        resume_job_id: int | None = None,
        on_wait: Callable[[Progress], object] | None = None,
        **options: Unpack[JobOptions],
    ) -> None:
        """Request a SpiNNaker machine.

        A Job is constructed in one of these styles::

            >>> # Any single (SpiNN-5) board
            >>> Job()
            >>> Job(1)

            >>> # Any machine with at least 4 boards
            >>> Job(4)

            >>> # Any 7-or-more board machine at least as square as 1:2
            >>> Job(7, min_ratio=0.5)

            >>> # Any rectangle of 4x5 triads (may or may not be a whole machine)
            >>> Job(4, 5)

            >>> # A whole machine of 4x2 triads, its edges joined up
            >>> Job(4, 2, require_torus=True)

            >>> # Board x=3, y=2, z=1 on the machine named "m"
            >>> Job(3, 2, 1, machine="m")

            >>> # Keep using (and keeping alive) an existing job
            >>> Job(resume_job_id=123)

        When done with a Job, call `destroy()` (or, unusually, `close()`), or use it as a context manager. A
        process of its own keeps the job alive until then, or until this process ends: by any way but that of a
        daemon, whose copies go on. A Job that nothing refers to is not kept alive, with a ResourceWarning.

        Options that are left out come from configuration files (`spalloc_client.config`). Beyond these, `hostname` and
        `owner` have no default.

        Args:
            args: The boards, as above.
            config_filenames: Files, or one file, to read the configuration from, instead of the usual places; an
                empty list to use none.
            resume_job_id: Take on this job instead of creating one, and keep it alive as it was created to
                be. All other requirements are ignored.
            on_wait: Called with a `Progress` while `wait_until_ready()`, or the beginning of a `with` block, waits:
                at each new state and place in the queue, in the thread that waits. What it raises ends the wait.
            OPTIONS

        Raises:
            ValueError: An argument, or the configuration, says something that can't be (nothing has been
                sent); or the server's version is not supported.
            OSError: No connection to the server can be made.
            JobDestroyedError: The job to resume no longer exists.
            ProtocolError: See above.
            ProtocolTimeoutError: See above.
            SpallocServerException: See above.
            LoginError: (a SpallocServerException) A service lets nobody in with this login, or there is none.
        """
        requirements = gather(
            args,
            options,
            config.read_config(None if config_filenames == USE_CONFIG else config_filenames),
            resume_job_id,
        )
        self._requirements = requirements
        self._on_wait = on_wait
        self._steps = job_steps.JobSteps(requirements)
        self._client = ProtocolClient(requirements.hostname, requirements.port)
        self._connecting = waiting_lock()
        self._has_connected = False
        self._process = os.getpid()
        self._helper: Keepalive | None = None
        self._tunnels: list[Tunnel] = []
        try:
            self._run(self._steps.start())
        except BaseException:
            self._run(self._steps.abandon())
            raise

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Take on the job that this program runs in, as a command of `spalloc --command` does.

        The job and its server are those of the variables `SPALLOC_ID`, `SPALLOC_SERVER_HOSTNAME` and
        `SPALLOC_SERVER_PORT`. `close()` leaves the job to the command around; `destroy()` and leaving a `with` block
        end it.

        Args:
            options: Keyword arguments of `Job`.

        Raises:
            ValueError: This program runs in no job; or what `Job` raises.
        """
        return cls(resume_job_id=config.job_of_environment(), **options)

    def __enter__(self) -> Self:
        """Wait until the boards are ready; if that fails, or is interrupted, free them."""
        try:
            self.wait_until_ready()
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Free the boards; a copy of the process (a fork) leaves them to its original, if that is still there."""
        if _is_copy(self._process):
            self.close()
        else:
            self.destroy()

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
            self._client.close()

    def __repr__(self) -> str:
        return f"<Job {self.id} on {self._requirements.server}>"

    def _repr_svg_(self) -> str | None:
        """In a notebook: a picture of the job's boards, once it has some."""
        from spalloc_client.drawing.pictures import job_picture
        from spalloc_client.errors import ProtocolError

        if self.id is None:
            return None
        try:
            machines: Any = self._run(self._steps.ask("list_machines"))
            jobs: Any = self._run(self._steps.ask("list_jobs"))
        except (ProtocolError, ProtocolTimeoutError):
            return None  # closed, or out of reach: its name will do
        return job_picture(self.id, machines, jobs)

    @property
    def id(self) -> int | Any:
        """The job's ID."""
        return self._steps.job_id

    @property
    def state(self) -> JobState:
        """The current state of the job."""
        return self._run(self._steps.status()).state

    @property
    def power(self) -> bool | Any:
        """Whether the boards are powered, or being powered, on; None if there are no boards."""
        return self._run(self._steps.status()).power

    @property
    def reason(self) -> str | Any:
        """Why the job was destroyed, if it was and if a reason was given."""
        return self._run(self._steps.status()).reason

    def machine_info(self) -> MachineInfo:
        """Return everything about the boards, as of one moment."""
        info = self._run(self._steps.machine_info())
        if not self._tunnels:
            return info
        from spalloc_client.tunnel.doors import within_reach

        return within_reach(info, self._tunnels)

    @property
    def connections(self) -> dict[tuple[int, int], str] | Any:
        """The hostnames of all Ethernet-connected chips, ``{(x, y): hostname, ...}``; None without boards."""
        return self.machine_info().connections_copy

    @property
    def hostname(self) -> str | None:
        """The hostname of chip (0, 0); None without boards."""
        return self.machine_info().hostname

    @property
    def width(self) -> int | Any:
        """The width of the network in chips; None without boards."""
        return self.machine_info().width

    @property
    def height(self) -> int | Any:
        """The height of the network in chips; None without boards."""
        return self.machine_info().height

    @property
    def machine_name(self) -> str | Any:
        """The name of the machine the boards are in; None without boards."""
        return self.machine_info().machine_name

    @property
    def boards(self) -> list[list[int]] | None:
        """The logical coordinates of the boards, `[[x, y, z], ...]`; None without boards."""
        return self.machine_info().boards_copy

    def set_power(self, power: bool) -> None:
        """Turn the boards on or off; does nothing if there are none yet.

        `wait_until_ready()` waits until that is done.

        Args:
            power: True to power on, which resets boards that are on; False to power off.
        """
        self._run(self._steps.set_power(power))

    def reset(self) -> None:
        """Reset (power-cycle) the boards; does nothing if there are none yet.

        `wait_until_ready()` waits until that is done.
        """
        self.set_power(True)

    def boot(self) -> None:
        """Boot the boards, which are powered on but not booted when a job is ready.

        This takes some ten seconds, and needs SpiNNMan, which the extra `boot` or `pip install SpiNNMan` installs.

        Raises:
            BootError: They can't be booted, there are none yet, or there is no SpiNNMan.
        """
        from spalloc_client.booting import boot

        boot(self.hostname)

    def wait_for_state_change(self, old_state: JobState, timeout: float | None = None) -> JobState:
        """Block until the job's state differs from the given one.

        The server may go away and come back meanwhile.

        Args:
            old_state: The state whose end to wait for.
            timeout: Seconds to wait, or None to wait forever.

        Returns:
            The new state, or the old state if the time passed.
        """
        status = self._run(self._steps.wait_for_state_change(old_state, timeout))
        return old_state if status is None else status.state

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Block until the job has its boards and they are ready.

        The server may go away and come back meanwhile.

        Args:
            timeout: Seconds to wait, or None to wait forever.

        Raises:
            StateChangeTimeoutError: The time passed first.
            JobDestroyedError: The job was destroyed first.
        """
        self._run(self._steps.wait_until_ready(timeout))

    def where_is_machine(self, chip_x: int, chip_y: int) -> tuple[int, int, int]:
        """Find the board of a chip.

        Args:
            chip_x: The chip's x coordinate in the job.
            chip_y: The chip's y coordinate in the job.

        Returns:
            The cabinet, frame and board.

        Raises:
            ValueError: The job has no such chip, or no boards yet.
        """
        return self._run(self._steps.where_is(chip_x, chip_y))

    def queue_position(self) -> QueuePosition | None:
        """Where the job stands in the queue and why it waits; None if it is not queued.

        Raises:
            SpallocServerException: The server does not know the command.
        """
        place: QueuePosition | None = self._run(self._steps.queue_position())
        return place

    def times(self) -> Times:
        """How long the job may have its boards, and when the server ends it, as of one moment.

        Where the server knows no time limits, and once the job is no more, every part is None.
        """
        from spalloc_client import job_ends

        return self._run(job_ends.times(self._steps))

    def extend(self, time_limit: float | str) -> float:
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

        return self._run(job_ends.extend(self._steps, time_limit))

    def wait_for_ending(self, before: float | str, timeout: float | None = None) -> Times | None:
        """Block until the server is about to end the job, by its time limit or for another reason.

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

        return self._run(job_ends.wait_for_ending(self._steps, before, timeout))

    def report_problem(self, description: str, hostname: str | None = None) -> None:
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

            hostname = own_name(hostname, self._run(self._steps.machine_info()), self._tunnels)
        self._run(self._steps.report_problem(description, hostname))

    def tunnel(self, ports: Collection[int] = ()) -> Tunnel:
        """Bring the boards of a service within reach of this computer, until the tunnel is left.

        Each board gets an address of its own on this computer's loopback, with the UDP ports for SCP (17893) and
        booting (54321), and `hostname` and `connections` name these while the tunnel is open. What programs send there
        is carried through the service's websocket, and answers come back the same way; so does what boards send to IP
        tags that were set through the tunnel::

            with Job(3) as job, job.tunnel() as tunnel:
                my_application(job.hostname)

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

    def connect(self, x: int, y: int, port: int = 17893) -> Channel:
        """Return a channel to a UDP port of a board of a service, without a port of this computer.

        It has `send(data)`, `receive(timeout)` and `close()`; as with UDP, datagrams may be lost. All channels of a Job
        share a connection.

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
        made.start()
        self._tunnels.append(made)
        return made.connect(x, y, port)

    def _new_tunnel(self, ports: Collection[int], *, listens: bool = True) -> Tunnel:
        from spalloc_client.tunnel import doors

        session = doors.check(self._client.session, self._requirements.server)

        def knock(again: bool) -> Door:
            if again:
                self._run(self._steps.status())  # which logs in, if that is what is missing
            return doors.door(session, self.id)

        def boards() -> Mapping[tuple[int, int], str]:
            return doors.boards_of(self._run(self._steps.machine_info()), self.id)

        from spalloc_client.tunnel.beside import Tunnel

        return Tunnel(knock, boards, ports, listens=listens)

    def _close_tunnels(self) -> None:
        while self._tunnels:
            self._tunnels.pop().stop()

    def destroy(self, reason: object = None) -> None:
        """Destroy the job and disconnect from the server.

        This takes less than 30 seconds. If the server can't be reached this is logged, not raised; the job then ends
        with its keepalive.

        Args:
            reason: An explanation for users who ask about the job: a string, or what `str()` makes of it.
        """
        try:
            self._close_tunnels()
        finally:
            self._run(self._steps.destroy(reason))

    def close(self) -> None:
        """Disconnect from the server and stop keeping the job alive.

        This does not free the boards, and the server gives the job up once its keepalive has passed. Most
        applications want `destroy()`.
        """
        try:
            self._close_tunnels()
        finally:
            self._run(self._steps.close())

    def _run(self, steps: step_kinds.Steps[T]) -> T:
        result: Any = None
        error: BaseException | None = None
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                result = error = None
                try:
                    result = self._perform(step)
                except BaseException as raised:  # noqa: BLE001  # the steps decide, also about Ctrl-C
                    error = raised
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _perform(self, step: step_kinds.Step) -> Any:  # noqa: C901
        match step:
            case step_kinds.Ask():
                if self._helper is not None:
                    self._helper.ensure()
                if step.command == "notify_job" and self._client.entangled:
                    return None  # watching will look each second
                return self._command(step.command)(*step.args, timeout=step.within, **step.kwargs)
            case step_kinds.Now():
                return time.monotonic()
            case step_kinds.Connected():
                return self._client.connected
            case step_kinds.Arrived():
                return self._client.arrived
            case step_kinds.Watch():
                return self._client.wait_for_more(step.seen, step.within)
            case step_kinds.Connect():
                return self._connect(step)
            case step_kinds.Disconnect():
                return self._client.close()
            case step_kinds.Sleep():
                return time.sleep(step.seconds)
            case step_kinds.FinishCreation():
                return self._client.finish_creation(step.within)
            case step_kinds.StartHelper():
                from spalloc_client.keepalive import Keepalive

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
                if self._on_wait is not None:
                    self._on_wait(step.progress)
            case step_kinds.Log():
                log("job", step.message, warning=step.warning)
        return None

    def _command(self, name: str) -> Callable[..., Any]:
        # By its method, which is what programs' tests replace when they put a mock in the client's place.
        method: Callable[..., Any] | None = getattr(self._client, name, None)
        return partial(self._client.call, name) if method is None else method

    def _connect(self, step: step_kinds.Connect) -> bool:
        # Of several threads that miss the connection, one makes it.
        within = step.within
        if not self._connecting.acquire(timeout=-1 if within is None else min(within, TIMEOUT_MAX)):
            raise ProtocolTimeoutError(
                f"not connected to {self._requirements.hostname} within {spoken(within)}"
            )
        try:
            if self._has_connected and self._client.connected:
                return False
            self._client.connect(within)
            self._has_connected = True
            step.looking_up = self._client.looking_up
            return True
        finally:
            self._connecting.release()


Job.__init__.__doc__ = with_meanings(Job.__init__.__doc__, "            {0.name}: {0.meaning}\n")


def _is_copy(of: int) -> bool:
    if os.getpid() == of:
        return False
    from spalloc_client.keepalive import is_copy

    return is_copy(of)

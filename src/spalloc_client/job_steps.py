"""How a job is requested, watched and freed: which command to send when, and what to do when the server goes away.

The decisions of both Jobs, blocking and asyncio, are written once, as generators. They yield what to do (a Step), and
are sent the result, or have the exception raised in them. There is no socket, clock, thread or log here, so a test can
play through a job's whole life in no time.

Rules that hold here:
- Commands that may be repeated (all but create_job) are repeated on a new connection when a connection is lost.
- Nothing waits longer than its caller allows, reconnecting included.
- A connection on which a reply did not come in time is given up: it may be dead without any sign. A caller that may
  wait forever asks again on a new one, with more patience each time.
- Each new connection is first used to check that the server still means the same job by the ID. A server that lost
  its records may have given the ID to another client's job, which we must not keep alive, power or end.
- What a signal handler raises belongs to the program, and passes through everything here.
"""

from __future__ import annotations

from spalloc_client import commands
from spalloc_client.deadline import check_timeout, deadline_after, spoken, time_left
from spalloc_client.errors import (
    JobDestroyedError,
    ProtocolError,
    ProtocolTimeoutError,
    SpallocServerException,
    StateChangeTimeoutError,
)
from spalloc_client.handlers import raised_by_handler
from spalloc_client.job_answers import NO_BOARDS, UNKNOWN, AnswerError, MachineInfo, Status, is_id
from spalloc_client.states import JobState
from spalloc_client.step_kinds import (
    Adopt,
    Arrived,
    Ask,
    Connect,
    Connected,
    Disconnect,
    FinishCreation,
    Identify,
    Listened,
    Log,
    Now,
    Sleep,
    StartHelper,
    StopHelper,
    Tell,
    Watch,
)
from spalloc_client.versions import JAVA, complaint
from spalloc_client.wire import plain_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias, TypeVar

    from spalloc_client.requirements import Requirements
    from spalloc_client.step_kinds import Steps
    from spalloc_client.wire import Json

    T = TypeVar("T")
    Look: TypeAlias = Callable[[float | None], Steps[tuple[T | None, float | None]]]

CHECK_PERIOD = 30.0
"""Seconds a job is watched, at most, without asking the server: a dead connection is noticed within this time."""

PATIENCE = 10.0
"""Seconds until a question that may take forever is first asked again, on a new connection."""

MOST_PATIENCE = 600.0
"""The longest of these waits; each is twice as long as the one before."""

PLACE_PATIENCE = 2.0
"""Seconds that the answer about a job's place in the queue may take: it is only for display."""

LEAVING = 14.0
"""Seconds that each of the two attempts to destroy a job may take, at most."""

JAVA_KEEPALIVE = 60.0
"""Seconds that the Java service gives jobs that are to have no keepalive."""

CREATION_PATIENCE = 1.0
"""Seconds an interrupted create_job is waited for, so that the job it made can be destroyed."""


class _NotOursError(JobDestroyedError):
    """The job no longer exists; its ID may be another job's."""


class JobSteps:
    """The life of one job. Methods return generators for a driver to run."""

    def __init__(self, requirements: Requirements) -> None:
        self._requirements = requirements
        self._job_id: int | None = None
        self._keepalive: float | None = None
        self._info: MachineInfo | None = None
        self._start_time: float | None = None
        self._doubtful = False
        """Whether there is a connection over which the job has not yet been checked to be ours."""
        self._gone = False
        """Whether the job is known not to be ours."""
        self._closed = False
        self._away = False
        """Whether the loss of the server has been reported."""
        self._destroyed = False
        self.knows_times = False
        """Whether the server is known to know time limits."""
        self._is_java = False
        """Whether the server is the Java service, on its v1 port."""
        self._tells_places = True
        """Whether the server may know the command for places in the queue."""

    @property
    def job_id(self) -> int | None:
        """The job's ID; None until it has one."""
        return self._job_id

    @property
    def keepalive(self) -> float | None:
        """The job's keepalive in seconds; None if it needs none."""
        return self._keepalive

    def start(self) -> Steps[None]:
        """Connect, and create the job or take on an existing one.

        Raises:
            OSError: No connection to the server can be made.
            ValueError: Its version is not supported.
            JobDestroyedError: The job to take on no longer exists.
        """
        yield from self._connect(self._requirements.timeout)
        if self._requirements.resume_job_id is None:
            yield from self._create()
        else:
            yield from self._resume(self._requirements.resume_job_id)

    def abandon(self) -> Steps[None]:
        """Destroy a job that would be left behind, since its creation failed or was interrupted.

        Ctrl-C, or the cancellation of a task, can come at any moment, also between the server's reply and the
        moment when its ID is stored.
        """
        try:
            if self._requirements.resume_job_id is None:
                job_id = yield from FinishCreation(CREATION_PATIENCE)
                if is_id(job_id):
                    reason = "Interrupted while it was created."
                    yield from self._ask("destroy_job", (job_id, reason), {}, 2, self._leaving)
        except (ProtocolError, ProtocolTimeoutError, SpallocServerException, ValueError) as error:
            if raised_by_handler(error):
                raise
            yield from Log(
                f"A spalloc job may have been created, and left to its keepalive: {error}", warning=True
            )
        finally:
            yield from self.close()

    def _create(self) -> Steps[None]:
        wanted = self._requirements
        self._keepalive = wanted.keepalive
        if self._keepalive is None and wanted.is_for_service:
            from spalloc_client.address import LONGEST_KEEPALIVE

            self._keepalive = LONGEST_KEEPALIVE
            yield from Log(
                f"{wanted.server} ends jobs of which it hears nothing for {spoken(LONGEST_KEEPALIVE)}: this program "
                "keeps its job alive, which ends soon after it.",
                warning=True,
            )
        if self._keepalive is not None:
            # Before the job is asked for: while the server answers, the helper starts.
            yield from StartHelper()
        kwargs = wanted.kwargs
        if not wanted.is_for_service and kwargs.keys() & {"group", "collab"}:
            kwargs = yield from self._without_unknown_payer(kwargs)
        if "time_limit" in kwargs:
            kwargs = yield from self._without_unknown_limit(kwargs)
        if self._is_java:
            kwargs = yield from self._as_java_heeds(kwargs)
        job_id = yield from Ask("create_job", wanted.args, wanted.timeout, kwargs)
        if not is_id(job_id):
            raise ProtocolError(f"the server's reply to create_job is {job_id!r}, which is not a job's ID")
        self._job_id = job_id
        self._doubtful = False
        if self._keepalive is not None:
            yield from Adopt(job_id, self._keepalive, None)
        yield from Log(f"Created spalloc job {job_id}.")

    def _without_unknown_payer(self, kwargs: Mapping[str, Json]) -> Steps[Mapping[str, Json]]:
        """Return the arguments without a group or collaboration, and with a warning, where the server has none."""
        from spalloc_client.extensions import has_extensions

        unknown = {"collab": "collaborations"}
        if not has_extensions((yield from self.ask("list_machines"))):
            unknown["group"] = "groups"
        for name in unknown.keys() & kwargs.keys():
            yield from Log(
                f"The server {self._requirements.server} knows no {unknown[name]}: the job is created without one.",
                warning=True,
            )
        return {name: value for name, value in kwargs.items() if name not in unknown}

    def _without_unknown_limit(self, kwargs: Mapping[str, Json]) -> Steps[Mapping[str, Json]]:
        """Return the arguments without the time limit, and with a warning, where the server would refuse it."""
        from spalloc_client.extensions import knows_times

        wanted = self._requirements
        self.knows_times = yield from knows_times(self.ask)
        if self.knows_times:
            return kwargs
        yield from Log(
            f"The server {wanted.server} knows no time limits: the job is created without one.",
            warning=True,
        )
        return {name: value for name, value in kwargs.items() if name != "time_limit"}

    def _as_java_heeds(self, kwargs: Mapping[str, Json]) -> Steps[Mapping[str, Json]]:
        """Return the arguments with a keepalive, without which jobs end all the same; tell of what is not heeded."""
        server = self._requirements.server
        for name in ("require_torus", "max_dead_links"):
            if kwargs.get(name):
                yield from Log(f"The server {server} does not heed {name}.", warning=True)
        if self._keepalive is not None:
            return kwargs
        self._keepalive = JAVA_KEEPALIVE
        yield from Log(
            f"The server {server} ends jobs without a keepalive after {JAVA_KEEPALIVE:g} seconds: the job is kept "
            "alive all the same, until this program ends.",
            warning=True,
        )
        yield from StartHelper()
        return {**kwargs, "keepalive": self._keepalive}

    def _resume(self, job_id: int) -> Steps[None]:
        self._job_id = job_id
        status = yield from self.status()
        if status.state in (JobState.unknown, JobState.destroyed):
            reason = "" if status.reason is None else f": {status.reason}"
            raise JobDestroyedError(f"Job {job_id} does not exist: {status.state.name}{reason}")
        self._keepalive = status.keepalive
        if self._keepalive is not None:
            yield from StartHelper()
            yield from Adopt(job_id, self._keepalive, self._start_time)
        yield from Log(f"Resumed spalloc job {job_id}.")

    def _connect(self, within: float | None) -> Steps[float]:
        """Connect; the seconds that looking up the server's name took, which are not counted in `within`."""
        if self._closed:
            raise ProtocolError(f"this Job, {self._job_id}, was closed")
        deadline = deadline_after(within, (yield from Now()))
        # Before the connection is there for other threads to use.
        self._doubtful = self._job_id is not None
        connect = Connect(within)
        new = yield from connect
        # A mock in a client's place has no times to tell, whatever class it says it has.
        looking_up = connect.looking_up if type(connect.looking_up) is float else 0.0
        if self._requirements.ignore_version or not new:
            return looking_up
        version = yield from Ask("version", (), (yield from _left(_later(deadline, looking_up))))
        self._is_java = version == JAVA
        trouble = complaint(version)
        if trouble is not None:
            yield from Disconnect()
            raise ValueError(f"{self._requirements.server}: {trouble}")
        return looking_up

    def _make_sure(self, deadline: float | None) -> Steps[None]:
        """Make sure that the job is ours on the current connection.

        Raises:
            _NotOursError: It is not.
        """
        if self._doubtful and not self._gone:
            if self._start_time is None and self._requirements.known_owner is not None:
                jobs = yield from Ask("list_jobs", (), (yield from _left(deadline)))
                yield from self._recognise_owner(jobs)
            else:
                answer = yield from Ask("get_job_state", (self._job_id,), (yield from _left(deadline)))
                yield from self._recognise(Status(answer))
        if self._gone:
            raise _NotOursError(f"The spalloc server no longer recognises job {self._job_id}.")

    def _recognise_owner(self, jobs: Json) -> Steps[None]:
        """Do the same for a job without a known time of creation: it is another job if its owner differs."""
        entries = [entry for entry in jobs if isinstance(entry, dict)] if isinstance(jobs, list) else []
        for entry in entries:
            owner, time = entry.get("owner"), entry.get("start_time")
            if entry.get("job_id") == self._job_id and owner != self._requirements.known_owner:
                yield from self._disown()
            elif entry.get("job_id") == self._job_id and isinstance(time, int | float):
                self._start_time = time
        self._doubtful = False

    def _disown(self) -> Steps[None]:
        self._gone = True
        yield from StopHelper()
        yield from Log(
            f"The spalloc server has lost its records: job {self._job_id} is another one now, and is left alone.",
            warning=True,
        )

    def _recognise(self, status: Status) -> Steps[bool]:
        """Note when the job was created, and return whether it is ours: a job of another time is another job."""
        self._doubtful = status.state == JobState.unknown  # its ID may be given to another job at any moment
        if status.start_time is None or status.start_time == self._start_time:
            return True
        if self._start_time is None:
            self._start_time = status.start_time
            yield from Identify(status.start_time)
            return True
        yield from self._disown()
        return False

    def ask(self, command: str, *args: Json, **kwargs: Json) -> Steps[Json]:
        """Send a command that may be repeated; if the connection is lost, do so on a new one.

        Raises:
            ProtocolError: No connection can be made within the timeout.
            ProtocolTimeoutError: The timeout passed.
            SpallocServerException: The server refused.
        """
        return (yield from self._ask(command, args, kwargs, None, self._requirements.timeout))

    def _ask(
        self,
        command: str,
        args: tuple[Json, ...],
        kwargs: Mapping[str, Json],
        tries: int | None,
        timeout: float | None,
    ) -> Steps[Json]:
        deadline = deadline_after(
            timeout if timeout is None or tries is None else timeout * tries, (yield from Now())
        )
        tried = 0
        while True:
            patience = _least(deadline, (yield from Now()) + _patience(tried, timeout))
            try:
                if not (yield from Connected()):
                    longer = yield from self._connect((yield from _left(patience)))
                    deadline, patience = _later(deadline, longer), _later(patience, longer)
                if command != "get_job_state":
                    yield from self._make_sure(patience)
                answer: Json = yield from Ask(command, args, (yield from _left(patience)), kwargs)
            except (ProtocolError, ProtocolTimeoutError, OSError) as error:
                if raised_by_handler(error):
                    raise
                silent = isinstance(error, ProtocolTimeoutError)
                if silent:
                    yield from Disconnect()
                tried += 1
                # The first new attempt is made at once: a connection may be lost without the server being
                # away.
                pause = 0.0 if tried == 1 or silent else self._requirements.reconnect_delay
                left = yield from _left(deadline)
                if left == 0.0:
                    raise ProtocolTimeoutError(
                        f"{command}: no answer within {spoken(timeout)}: {error}"
                    ) from error
                if self._closed or tried == tries or (left is not None and left <= pause):
                    if silent:
                        raise
                    raise ProtocolError(f"no answer to {command}: {error}") from error
            else:
                return answer
            # The connection that failed is of no further use; another thread may have made a new one by now, so
            # nothing is closed here.
            yield from Sleep(pause)

    def status(self) -> Steps[Status]:
        """Ask for the job's state."""
        if self._gone:
            return UNKNOWN
        status = Status((yield from self.ask("get_job_state", self._job_id)))
        return status if (yield from self._recognise(status)) else UNKNOWN

    def machine_info(self) -> Steps[MachineInfo]:
        """Ask for the job's boards.

        They are asked for each time, since a reset may move the job to other boards; a Job that was closed tells
        those that it knows of.
        """
        if self._closed and self._info is not None and self._info.boards is not None:
            return self._info
        try:
            info = MachineInfo((yield from self.ask("get_job_machine_info", self._job_id)))
        except _NotOursError:
            return NO_BOARDS
        before, self._info = self._info, info
        if before is not None and None not in (before.boards, info.boards) and not info.same_as(before):
            yield from Log(
                f"Job {self._job_id} was moved: its boards are {info.places} now, and were {before.places}.",
                warning=True,
            )
        return info

    def set_power(self, power: bool) -> Steps[None]:
        """Turn the job's boards on (or reset them) or off."""
        yield from self.ask("power_on_job_boards" if power else "power_off_job_boards", self._job_id)

    def where_is(self, chip_x: int, chip_y: int) -> Steps[tuple[int, int, int]]:
        """Find the cabinet, frame and board of a chip of the job.

        Raises:
            ValueError: The job has no such chip, or no boards yet.
        """
        try:
            found = yield from self.ask("where_is", job_id=self._job_id, chip_x=chip_x, chip_y=chip_y)
        except _NotOursError:
            found = None
        if found is None or self._is_elsewhere(found, chip_x, chip_y):
            raise ValueError(f"job {self._job_id} has no chip ({chip_x}, {chip_y}), or no boards yet")
        place = found.get("physical") if isinstance(found, dict) else None
        if isinstance(place, list) and len(place) == 3 and all(type(part) is int for part in place):
            cabinet, frame, board = place
            return cabinet, frame, board
        raise AnswerError("where_is", found)

    def _is_elsewhere(self, found: Json, chip_x: int, chip_y: int) -> bool:
        """Whether a place is not the job's: servers wrap coordinates around, and look beyond its boards."""
        chip = [plain_number(chip_x), plain_number(chip_y)]
        return isinstance(found, dict) and (
            found.get("job_id", self._job_id) != self._job_id or found.get("job_chip", chip) != chip
        )

    def queue_position(self) -> Steps[Any]:
        """Ask for the job's place in the queue; None if it is not queued, or is no more."""
        try:
            return (yield from self.ask("job_queue_position", self._job_id))
        except _NotOursError:
            return None

    def report_problem(self, description: str, hostname: str | None) -> Steps[None]:
        """Report a board of the job.

        Raises:
            ValueError: The job has no such board; or no board was named, and it does not have just one.
        """
        names = list(((yield from self.machine_info()).connections or {}).values())
        if hostname is None and len(names) == 1:
            hostname = names[0]
        if hostname not in names:
            known = f"it has: {', '.join(names)}" if names else "it has no boards"
            raise ValueError(f"hostname is {hostname!r}; it must name a board of job {self._job_id}: {known}")
        yield from self.ask("report_problem", hostname, description=description)

    def wait_for_state_change(
        self, old_state: JobState | None, timeout: float | None
    ) -> Steps[Status | None]:
        """Wait until the job's state changes, across any number of lost connections.

        Returns:
            The job's new status, or None if the timeout passed first.
        """

        def look(within: float | None) -> Steps[tuple[Status | None, None]]:
            status = yield from self.look(within)
            return (status if status.state != old_state else None), None

        try:
            return (yield from self.watch(look, timeout))
        except _NotOursError:
            return UNKNOWN

    def look(self, within: float | None) -> Steps[Status]:
        """Ask for the job's state once, over the current connection."""
        status = Status((yield from Ask("get_job_state", (self._job_id,), within)))
        return status if (yield from self._recognise(status)) else UNKNOWN

    def watch(self, look: Look[T], timeout: float | None) -> Steps[T | None]:
        """Look at once and at each change of the job, across any number of lost connections.

        Args:
            look: Called with the seconds that it may take; returns what it was to find, or None, and then the seconds
                after which to look again though nothing has changed, or None.
            timeout: Seconds to wait, or None to wait forever.

        Returns:
            What was found; None if the timeout passed first.
        """
        timeout = check_timeout(timeout)
        deadline = deadline_after(timeout, (yield from Now()))
        failures = 0
        while (left := (yield from _left(deadline))) != 0.0:
            try:
                found = yield from self._watch(look, deadline, failures)
            except (ProtocolError, ProtocolTimeoutError, OSError) as error:
                if self._closed or raised_by_handler(error):
                    raise
                failures += 1
                pause = 0.0 if failures == 1 else self._requirements.reconnect_delay
                if isinstance(error, ProtocolTimeoutError):
                    # The connection seems good, but nothing arrives.
                    yield from Disconnect()
                if failures > 1 and not self._away:
                    # Once, however long the server is away, and however often callers begin to wait meanwhile.
                    self._away = True
                    yield from Log(
                        f"Job {self._job_id}: The spalloc server is unreachable ({error}), will keep trying...",
                        warning=True,
                    )
                left = yield from _left(deadline)
                yield from Sleep(pause if left is None else min(pause, left))
            else:
                return found
        return None

    def _watch(self, look: Look[T], deadline: float | None, failures: int) -> Steps[T | None]:
        """Watch over one connection; None once the deadline passed."""
        timeout = _patience(failures, self._requirements.timeout)
        if not (yield from Connected()):
            yield from self._connect(_least(timeout, (yield from _left(deadline))))
        yield from self._make_sure(_least(deadline, (yield from Now()) + timeout))
        yield from Ask("notify_job", (self._job_id,), _least(timeout, (yield from _left(deadline))))
        if self._away:
            self._away = False
            yield from Log(f"Job {self._job_id}: Connected to the spalloc server again.", warning=True)
        while (left := (yield from _left(deadline))) != 0.0:
            # Counted before the question: a change that comes between question and wait is not missed.
            seen = yield from Arrived()
            found, again = yield from look(_least(timeout, left))
            if found is not None:
                return found
            period = CHECK_PERIOD if self._keepalive is None else min(CHECK_PERIOD, self._keepalive / 2)
            try:
                yield from Watch(seen, _least(_least(period, again), (yield from _left(deadline))))
            except ProtocolTimeoutError as error:
                if raised_by_handler(error):
                    raise
                # Nothing has come for a while: ask, which also shows whether the server is still there.
        return None

    def wait_until_ready(self, timeout: float | None) -> Steps[None]:
        """Wait until the job has its boards and they are powered.

        Raises:
            StateChangeTimeoutError: The timeout passed first.
            JobDestroyedError: The job was destroyed, or the server does not know it.
        """
        timeout = check_timeout(timeout)
        deadline = deadline_after(timeout, (yield from Now()))
        state: JobState | None = None
        told = ""
        while True:
            left = yield from _left(deadline)
            looks_again = state == JobState.queued and self._tells_places and (yield from Listened())
            within = _least(left, CHECK_PERIOD) if looks_again else left
            status = yield from self.wait_for_state_change(state, within)
            left = yield from _left(deadline)
            if status is None and looks_again and left != 0.0:
                told = yield from self._tell_place(told, left)
                continue
            if status is None:
                was = "its state is not known" if state is None else f"it is in the state {state.name}"
                raise StateChangeTimeoutError(
                    f"job {self._job_id} was not ready within {spoken(timeout)}: {was}"
                )
            state = status.state
            if state == JobState.ready:
                if self._info is not None:
                    yield from self.machine_info()  # which tells if these are others than before
                return
            if state == JobState.destroyed:
                unexplained = f"job {self._job_id} was destroyed, no reason given"
                raise JobDestroyedError(unexplained if status.reason is None else status.reason)
            if state == JobState.unknown:
                raise JobDestroyedError(f"The spalloc server no longer recognises job {self._job_id}.")
            yield from Log(_PROGRESS[state].format(self._job_id))
            if (yield from Listened()):
                told = yield from self._tell(state, left)

    def _tell(self, state: JobState, left: float | None) -> Steps[str]:
        """Report the job's new state; return what was reported of its place."""
        from spalloc_client.progress import Progress

        told = (yield from self._tell_place("", left)) if state == JobState.queued else ""
        if not told:
            yield from Tell(Progress(self._job_id, state))
        return told

    def _tell_place(self, told: str, left: float | None) -> Steps[str]:
        """Report the job's place in the queue if the answer differs from the last; return what was reported."""
        from spalloc_client.progress import Progress

        place = (yield from self._place(left)) if self._tells_places else None
        progress = Progress(self._job_id, JobState.queued, place)
        if progress.position is None or str(progress) == told:
            return told
        yield from Log(str(progress))
        yield from Tell(progress)
        return str(progress)

    def _place(self, left: float | None) -> Steps[Json]:
        """Ask for the job's place in the queue; None if there is no answer."""
        within = _least(_least(left, self._requirements.timeout), PLACE_PATIENCE)
        try:
            return (yield from self._ask("job_queue_position", (self._job_id,), {}, 1, within))
        except SpallocServerException:
            self._tells_places = False
        except (_NotOursError, ProtocolError, ProtocolTimeoutError, OSError) as error:
            # Whether the job is still there, and the server, is checked by the calls that need to know.
            if raised_by_handler(error):
                raise
        return None

    def destroy(self, reason: object) -> Steps[None]:
        """End the job, if the server can be reached, and release everything."""
        if self._destroyed:
            return
        self._destroyed = True
        self._closed = False  # a Job that was closed may still be destroyed
        try:
            # Once over the current connection, once over a new one: a program that ends should not wait long.
            request = commands.destroy_job(self._job_id, reason)
            yield from self._ask(request.command, request.args, {}, 2, self._leaving)
        except _NotOursError:
            pass  # there is nothing to destroy, and the job that has its ID is not ours
        except (ProtocolError, ProtocolTimeoutError, SpallocServerException, OSError, ValueError) as error:
            if raised_by_handler(error):
                raise
            fate = "stays until it is destroyed" if self._keepalive is None else "ends with its keepalive"
            yield from Log(
                f"Could not destroy spalloc job {self._job_id}, which {fate}: {error}", warning=True
            )
        finally:
            yield from self.close()

    @property
    def _leaving(self) -> float | None:
        """Seconds that an attempt to destroy the job may take."""
        return _least(self._requirements.timeout, LEAVING)

    def close(self) -> Steps[None]:
        """Release everything but the job."""
        self._closed = True
        yield from StopHelper()
        yield from Disconnect()


_PROGRESS = {
    JobState.queued: "Job {} has been queued by the spalloc server.",
    JobState.power: "Job {}: Waiting for board power commands to complete.",
}


def _left(deadline: float | None) -> Steps[float | None]:
    """Seconds until the deadline, 0.0 once it has passed; None when there is no deadline."""
    return time_left(deadline, (yield from Now()))


def _least(one: float | None, other: float | None) -> float | None:
    if one is None:
        return other
    return one if other is None else min(one, other)


def _later(deadline: float | None, seconds: float) -> float | None:
    return None if deadline is None else deadline + seconds


def _patience(tried: int, timeout: float | None) -> float:
    """Seconds that one attempt may take, after `tried` earlier ones."""
    return min(PATIENCE * 2.0 ** min(tried, 10), MOST_PATIENCE) if timeout is None else timeout

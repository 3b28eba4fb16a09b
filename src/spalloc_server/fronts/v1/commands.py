"""The commands of the v1 protocol: their names and parameters, what each does to the site, and its result.

Results are values that JSON can write; see connection.py for how they are sent. core/ decides whether a command may be
done, and by whom.
"""

import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import msgspec

from spalloc_client.states import JobState
from spalloc_client.wire import Json
from spalloc_server.clock import Clock
from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import (
    Command,
    CreateJob,
    DestroyJob,
    ExtendJob,
    KeepAlive,
    Report,
    SetPower,
)
from spalloc_server.core.forecast import Forecast
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.questions import (
    BoardInFrame,
    BoardOfMachine,
    ChipOfJob,
    ChipOfMachine,
    Location,
    SiteView,
    board_at,
    board_with_address,
    boards_of_job,
    job_times,
    where_is,
)
from spalloc_server.core.requests import DEFAULT_MAX_DEAD_BOARDS, RequestError, requested
from spalloc_server.engine import Outcome
from spalloc_server.fronts.v1.arguments import (
    LONGEST_NAME,
    CommandError,
    Parameter,
    a_boolean,
    a_number,
    a_string,
    a_whole_number,
    bind,
    names,
    or_null,
    up_to,
)
from spalloc_server.fronts.v1.codec import return_line
from spalloc_server.fronts.v1.listing import (
    EncodedReply,
    LaterReply,
    Listing,
    LongReply,
    Reply,
    ended_listing,
)
from spalloc_server.fronts.v1.watcher import Watcher
from spalloc_server.fronts.v1.watchers import Watchers
from spinnaker.geometry import Board, Chip
from spinnaker.places import Place

T = TypeVar("T")

PROTOCOL_VERSION = "1.0.0"
"""What `version` returns. Every published client accepts it: they require 0.4.0 or more, below 2.0.0."""

DEFAULT_KEEPALIVE_SECONDS = 60.0

LONGEST_DESCRIPTION = 1000
"""The most characters of a user's description of a faulty board; it is kept, logged and shown."""
DEFAULT_ENDED_JOBS = 100
MOST_ENDED_JOBS = 1000
"""The most ended jobs that one listing may have."""

LONG = frozenset({"list_jobs", "list_ended_jobs"})
"""Commands that may have long replies."""


class Door(Protocol):
    """The part of the engine that commands use."""

    @property
    def site(self) -> SiteView:
        """The site, for reading."""

    @property
    def clock(self) -> Clock:
        """The core's time."""

    def do(self, command: Command[T], by: Asker, /) -> Outcome[T]:
        """Have the site do a command; raises RefusedError if it is not done."""

    def forecast(self) -> Forecast | None:
        """Return when waiting jobs are expected to get boards, as of late; None if that is being worked out first."""

    def ended_record(self, number: int, /) -> JobRecord | None:
        """Return the record of an ended job if it is in memory; else None."""

    def ended_job(self, number: int, /) -> Awaitable[JobRecord | None]:
        """Return the record on disk of an ended job; None if there is none."""

    def ended_jobs(
        self,
        owner: str | None,
        machine: str | None,
        limit: int,
        write: Callable[[Sequence[JobRecord]], bytes],
        /,
    ) -> Awaitable[bytes]:
        """Return what `write` makes of the `limit` jobs, of an owner and on a machine, that ended last."""


class Caller(msgspec.Struct, frozen=True):
    """The client that sent a command."""

    asker: Asker
    watcher: Watcher
    """Gets the notifications that it asks for."""


class V1Command(msgspec.Struct, frozen=True):
    """One command of the protocol."""

    parameters: tuple[Parameter, ...] | None
    """What it takes, by name or by position; None for a command that checks its arguments itself."""
    run: Callable[..., "Reply | Command[Json]"]
    """Called with the caller and a value for each parameter, by name; its result is that of `Commands.run`."""
    gets_raw: bool = False
    """Whether parameters are taken by name only, and `run` is called with the caller, the arguments by position and the
    arguments by name as they came, and then the parameters."""
    changes: bool = False
    """Whether it is lasting: an address may have only a limited number of these under way."""


_JOB = (Parameter("job_id", a_whole_number),)
_ANY_JOB = (Parameter("job_id", or_null(a_whole_number), None),)
_ANY_MACHINE = (Parameter("machine_name", or_null(up_to(LONGEST_NAME)), None),)
_SPOT = (
    Parameter("machine_name", a_string),
    *(Parameter(name, a_whole_number) for name in ("x", "y", "z")),
)
_CREATE_JOB = (
    Parameter("owner", up_to(LONGEST_NAME)),
    Parameter("keepalive", or_null(a_number), DEFAULT_KEEPALIVE_SECONDS),
    Parameter("machine", or_null(up_to(LONGEST_NAME)), None),
    Parameter("tags", or_null(names), None),
    # The newest published client sends null for min_ratio and require_torus when its user sets neither.
    Parameter("min_ratio", or_null(a_number), None),
    Parameter("max_dead_boards", or_null(a_whole_number), DEFAULT_MAX_DEAD_BOARDS),
    Parameter("max_dead_links", or_null(a_whole_number), None),
    Parameter("require_torus", or_null(a_boolean), None),
    Parameter("time_limit", or_null(a_number), None),
    Parameter("group", or_null(up_to(LONGEST_NAME)), None),
)
_EXTEND_JOB = (*_JOB, Parameter("time_limit", a_number))
_NOT_OF_BOARDS = frozenset({"owner", "keepalive", "time_limit", "group"})
"""Arguments of `create_job` that `list_jobs` lists by themselves."""
_DESTROY_JOB = (*_JOB, Parameter("reason", or_null(a_string), None))
_ENDED = (
    *(Parameter(name, or_null(a_string), None) for name in ("owner", "machine")),
    Parameter("limit", a_whole_number, DEFAULT_ENDED_JOBS),
)
_PROBLEM = (
    Parameter("address", a_string),
    *(Parameter(name, or_null(a_whole_number), None) for name in ("x", "y", "p")),
    Parameter("description", or_null(up_to(LONGEST_DESCRIPTION)), None),
)


class Commands:
    """All commands to one site."""

    def __init__(self, door: Door, watchers: Watchers) -> None:
        """Serve the site behind `door`; `watchers` keeps the clients that want notifications."""
        self.counts: Counter[str] = Counter()
        """How often each command was called."""
        self.listing = Listing()
        """Writes the result of `list_jobs`."""
        self._door = door
        self._watchers = watchers
        self._commands = {
            "version": V1Command((), self._version),
            "create_job": V1Command(_CREATE_JOB, self._create_job, gets_raw=True, changes=True),
            "job_keepalive": V1Command(_JOB, self._job_keepalive),
            "get_job_state": V1Command(_JOB, self._get_job_state),
            "get_job_machine_info": V1Command(_JOB, self._get_job_machine_info),
            "power_on_job_boards": V1Command(_JOB, self._power_on, changes=True),
            "power_off_job_boards": V1Command(_JOB, self._power_off, changes=True),
            "destroy_job": V1Command(_DESTROY_JOB, self._destroy_job, changes=True),
            "notify_job": V1Command(_ANY_JOB, self._notify_job),
            "no_notify_job": V1Command(_ANY_JOB, self._no_notify_job),
            "notify_machine": V1Command(_ANY_MACHINE, self._notify_machine),
            "no_notify_machine": V1Command(_ANY_MACHINE, self._no_notify_machine),
            "list_jobs": V1Command((), self._list_jobs),
            "list_machines": V1Command((), self._list_machines),
            "get_board_position": V1Command(_SPOT, self._get_board_position),
            "get_board_at_position": V1Command(_SPOT, self._get_board_at_position),
            "where_is": V1Command(None, self._where_is),
            "job_queue_position": V1Command(_JOB, self._job_queue_position),
            "list_ended_jobs": V1Command(_ENDED, self._list_ended_jobs),
            "job_times": V1Command(_JOB, self._job_times),
            "job_starts": V1Command((), self._job_starts),
            "extend_job": V1Command(_EXTEND_JOB, self._extend_job, changes=True),
            "notify_job_ending": V1Command(_JOB, self._notify_job_ending),
            "no_notify_job_ending": V1Command(_JOB, self._no_notify_job_ending),
            "report_problem": V1Command(_PROBLEM, self._report_problem, changes=True),
        }
        self.changes = frozenset(name for name, command in self._commands.items() if command.changes)
        """Commands that only count once they are recorded."""
        self.may_wait = self.changes | LONG
        """Commands that can't always be done at once."""

    def run(
        self, caller: Caller, name: str, args: Sequence[Json], kwargs: Mapping[str, Json]
    ) -> "Reply | Command[Json]":
        """Return the reply to one command, or the core's command whose result is the reply.

        Raises:
            CommandError: The command can't be done; the message says what was wrong.
        """
        command = self._commands.get(name)
        if command is None:
            raise CommandError(
                f"there is no command {name[:60]!r}; there are {', '.join(sorted(self._commands))}"
            )
        self.counts[name] += 1
        try:
            if command.parameters is None:
                return command.run(caller, args, kwargs)
            if command.gets_raw:
                values = bind(name, command.parameters, (), kwargs)
                return command.run(caller, args, kwargs, **values)
            return command.run(caller, **bind(name, command.parameters, args, kwargs))
        except RequestError as error:
            raise CommandError(str(error)) from error

    def _version(self, _caller: Caller) -> Json:
        return PROTOCOL_VERSION

    # Jobs

    def _create_job(
        self,
        _caller: Caller,
        args: Sequence[Json],
        kwargs: Mapping[str, Json],
        *,
        owner: str,
        keepalive: float | None,
        machine: str | None,
        tags: tuple[str, ...] | None,
        min_ratio: float | None,
        max_dead_boards: int | None,
        max_dead_links: int | None,
        require_torus: bool | None,
        time_limit: float | None,
        group: str | None,
    ) -> CreateJob:
        numbers = [_perhaps_whole(value) for value in args]
        request = requested(
            numbers,
            machine=machine,
            tags=tags,
            min_ratio=min_ratio,
            max_dead_boards=max_dead_boards,
            max_dead_links=max_dead_links,
            require_torus=bool(require_torus),
        )
        asked = Asked(
            tuple(number for number in numbers if isinstance(number, int)),
            {name: value for name, value in kwargs.items() if name not in _NOT_OF_BOARDS},
        )
        return CreateJob(request, asked, owner, keepalive, time_limit, group)

    def _job_keepalive(self, caller: Caller, job_id: int) -> Json:
        self._door.do(KeepAlive(job_id), caller.asker)
        return None

    def _get_job_state(self, caller: Caller, job_id: int) -> Reply:
        record = self._door.do(KeepAlive(job_id), caller.asker).value
        if record is not None:
            return {
                "state": record.state.value,
                "power": record.power,
                "keepalive": record.keepalive,
                "reason": None,
                "start_time": record.created,
                "keepalivehost": record.keepalive_host,
            }
        ended = self._door.ended_record(job_id)
        if ended is None and self._door.site.has_given(job_id):
            return LaterReply(lambda: self._read_final_state(job_id, caller.asker.host))
        return _final_state(ended, caller.asker.host)

    async def _read_final_state(self, number: int, host: str) -> EncodedReply:
        try:
            return EncodedReply(return_line(_final_state(await self._door.ended_job(number), host)))
        except sqlite3.Error as error:
            raise CommandError(f"the history can't be read just now, try again later: {error}") from error

    def _get_job_machine_info(self, caller: Caller, job_id: int) -> Json:
        record = self._door.do(KeepAlive(job_id), caller.asker).value
        its = None if record is None else boards_of_job(self._door.site, record)
        if its is None:
            return dict.fromkeys(("width", "height", "connections", "machine_name", "boards"))
        return {
            "width": its.width,
            "height": its.height,
            "connections": list(its.addresses.items()),
            "machine_name": its.machine.name,
            "boards": its.boards,
        }

    def _power_on(self, _caller: Caller, job_id: int) -> SetPower:
        return SetPower(job_id, on=True)

    def _power_off(self, _caller: Caller, job_id: int) -> SetPower:
        return SetPower(job_id, on=False)

    def _destroy_job(self, _caller: Caller, job_id: int, reason: str | None) -> DestroyJob:
        return DestroyJob(job_id, reason)

    def _notify_job(self, caller: Caller, job_id: int | None) -> None:
        self._watchers.watch_job(caller.watcher, job_id)

    def _no_notify_job(self, caller: Caller, job_id: int | None) -> None:
        self._watchers.unwatch_job(caller.watcher, job_id)

    def _notify_machine(self, caller: Caller, machine_name: str | None) -> None:
        self._watchers.watch_machine(caller.watcher, machine_name)

    def _no_notify_machine(self, caller: Caller, machine_name: str | None) -> None:
        self._watchers.unwatch_machine(caller.watcher, machine_name)

    def _notify_job_ending(self, caller: Caller, job_id: int) -> None:
        self._watchers.watch_ending(caller.watcher, job_id)

    def _no_notify_job_ending(self, caller: Caller, job_id: int) -> None:
        self._watchers.unwatch_ending(caller.watcher, job_id)

    def _extend_job(self, _caller: Caller, job_id: int, time_limit: float) -> ExtendJob:
        return ExtendJob(job_id, float(time_limit))

    def _job_times(self, _caller: Caller, job_id: int) -> Json:
        times = job_times(self._door.site, job_id, self._door.clock.now())
        if times is None:
            return None
        return {
            "time_limit": times.time_limit,
            "ends_in": times.ends_in,
            "why": times.why,
            "expected_seconds": times.expected_seconds,
            "expected_by": times.expected_by,
            "expected_start": self._starts().get(job_id),
        }

    def _job_starts(self, _caller: Caller) -> Json:
        if self._door.forecast() is None:
            return None
        return {str(number): start for number, start in self._starts().items()}

    def _starts(self) -> dict[int, list[float]]:
        """Return in how many seconds jobs are expected to start, at least and at most; empty while nothing is known."""
        forecast = self._door.forecast()
        if forecast is None:
            return {}
        now, jobs = self._door.clock.now(), self._door.site.jobs
        return {
            number: [max(0.0, start.earliest - now), max(0.0, start.latest - now)]
            for number, start in forecast.ranges.items()
            if number in jobs and jobs[number].record.state is JobState.queued
        }

    def _list_jobs(self, _caller: Caller) -> EncodedReply | LongReply:
        return self.listing.of(self._door.site.jobs)

    def _list_ended_jobs(
        self, _caller: Caller, owner: str | None, machine: str | None, limit: int
    ) -> LaterReply:
        if not 1 <= limit <= MOST_ENDED_JOBS:
            raise CommandError(f"limit is {limit}; it must be 1 to {MOST_ENDED_JOBS}")
        return LaterReply(lambda: self._read_ended_jobs(owner, machine, limit))

    async def _read_ended_jobs(self, owner: str | None, machine: str | None, limit: int) -> EncodedReply:
        try:
            return EncodedReply(await self._door.ended_jobs(owner, machine, limit, ended_listing))
        except sqlite3.Error as error:
            raise CommandError(f"the history can't be read just now, try again later: {error}") from error

    def _job_queue_position(self, _caller: Caller, job_id: int) -> Json:
        waiting = self._door.site.waiting(job_id)
        if waiting is None:
            return None
        return {"position": waiting.position, "of": waiting.queued, "reason": waiting.sentence}

    # Machines

    def _list_machines(self, _caller: Caller) -> Json:
        return [
            {
                "name": machine.name,
                "tags": sorted(machine.tags),
                "width": machine.size.width,
                "height": machine.size.height,
                "dead_boards": sorted(machine.dead_boards),
                "dead_links": [[*end.board, end.link.value] for end in sorted(machine.dead_links)],
                "set_aside_boards": [
                    [*board, why]
                    for board, why in sorted(self._door.site.boards.set_aside(machine.name).items())
                ],
                "reservations": [
                    {
                        "name": one.name,
                        "from": one.begins,
                        "to": one.ends,
                        "owners": sorted(one.owners),
                        "reason": one.reason,
                        "ends_jobs": one.ends_jobs,
                        "boards": sorted(boards),
                    }
                    for one, boards in self._door.site.reserving.on(machine.name)
                ],
            }
            for machine in self._door.site.machines.values()
        ]

    def _get_board_position(self, _caller: Caller, machine_name: str, x: int, y: int, z: int) -> Json:
        machine = self._door.site.machines.get(machine_name)
        return None if machine is None else machine.places.get(Board(x, y, z))

    def _get_board_at_position(self, _caller: Caller, machine_name: str, x: int, y: int, z: int) -> Json:
        machine = self._door.site.machines.get(machine_name)
        return None if machine is None else board_at(machine, Place(x, y, z))

    def _report_problem(
        self,
        _caller: Caller,
        address: str,
        x: int | None,
        y: int | None,
        p: int | None,
        description: str | None,
    ) -> Report:
        board = board_with_address(self._door.site, address)
        if board is None:
            raise CommandError(
                f"no board has the address {address[:60]!r}; give that of its Ethernet-connected chip"
            )
        where = [f"{name} {value}" for name, value in (("x", x), ("y", y), ("p", p)) if value is not None]
        text = ", ".join([*where, *([description] if description else [])])
        return Report(board, text)

    def _where_is(self, _caller: Caller, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Json:
        if args:
            raise CommandError("where_is takes its arguments by name")
        where = where_is(self._door.site, _location(kwargs))
        if where is None:
            return None
        return {
            "machine": where.machine,
            "logical": where.logical,
            "physical": where.physical,
            "chip": where.chip,
            "board_chip": where.board_chip,
            "job_id": where.job_id,
            "job_chip": where.job_chip,
        }


def _perhaps_whole(value: Json) -> Json:
    """Return what a client asks to allocate, as a whole number if it may be meant as one."""
    if type(value) is int or isinstance(value, list | dict) or (type(value) is float and value.is_integer()):
        return a_whole_number("what to allocate", value)
    return value


def _location(words: Mapping[str, Json]) -> Location:
    """Return the chip or board that `where_is` asks about."""
    machine = a_string("machine", words["machine"]) if "machine" in words else ""
    number = {name: a_whole_number(name, value) for name, value in words.items() if name != "machine"}
    match sorted(words):
        case ["chip_x", "chip_y", "job_id"]:
            return ChipOfJob(number["job_id"], Chip(number["chip_x"], number["chip_y"]))
        case ["chip_x", "chip_y", "machine"]:
            return ChipOfMachine(machine, Chip(number["chip_x"], number["chip_y"]))
        case ["machine", "x", "y", "z"]:
            return BoardOfMachine(machine, Board(number["x"], number["y"], number["z"]))
        case ["board", "cabinet", "frame", "machine"]:
            return BoardInFrame(machine, Place(number["cabinet"], number["frame"], number["board"]))
    raise CommandError(
        f"where_is can't be asked by {', '.join(sorted(words)) or 'nothing'}; it takes machine x y z, "
        "machine cabinet frame board, machine chip_x chip_y, or job_id chip_x chip_y"
    )


def _final_state(ended: JobRecord | None, host: str) -> Json:
    """Return the state, for a client at `host`, of a job that has ended (`ended`) or is unknown (None)."""
    return {
        "state": (JobState.unknown if ended is None else JobState.destroyed).value,
        "power": None,
        "keepalive": None,
        "reason": None if ended is None else ended.reason,
        "start_time": None,
        "keepalivehost": None,
        "ended_here": ended is not None and ended.ended_by == host,
        "ended_by": None if ended is None else ended.ended_by,
    }

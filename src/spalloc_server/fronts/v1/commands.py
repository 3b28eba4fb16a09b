# The v1 commands: what each is called, takes, does to the site and returns.
#
# No bytes and no sockets: connections are connection.py's subject. Values returned here can be written as JSON.
"""The commands of the v1 protocol."""

import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, cast

import msgspec

from spalloc_client.states import JobState
from spalloc_client.wire import Json
from spalloc_server.clock import Clock, moment
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.machine import DEFAULT_TAG, Machine
from spalloc_server.core.requests import (
    DEFAULT_MAX_DEAD_BOARDS,
    DEFAULT_MIN_RATIO,
    JobRequest,
    RequestError,
    checked,
    shape_of,
)
from spalloc_server.core.site import Site
from spalloc_server.core.trust import Trust
from spalloc_server.core.whereis import Holder, locate
from spalloc_server.fronts.v1.arguments import (
    LONGEST_NAME,
    CommandError,
    Parameter,
    a_number,
    a_text,
    a_truth,
    a_whole_number,
    bind,
    names,
    or_null,
    up_to,
)
from spalloc_server.fronts.v1.codec import return_line
from spalloc_server.fronts.v1.listing import Encoded, Later, Listing, LongReply, Reply, ended_listing
from spinnaker.geometry import Board, Chip, first_chip
from spinnaker.places import Place

PROTOCOL_VERSION = "1.0.0"
"""What `version` answers: a version that every published client accepts (they want 0.4.0 or more, below 2.0.0)."""

DEFAULT_KEEPALIVE_SECONDS = 60.0


LONGEST_DESCRIPTION = 1000
"""Characters of what a user says of a sick board; it is kept, logged and shown."""
LONGEST_REASON = 1000
"""Characters of why a job was destroyed that are kept. What is longer is cut: a job can always be destroyed."""
DEFAULT_ENDED_JOBS = 100
MOST_ENDED_JOBS = 1000
"""Ended jobs that one listing may have."""

CHANGES = frozenset(
    {"create_job", "destroy_job", "power_on_job_boards", "power_off_job_boards", "report_problem"}
)
"""Commands that are worth nothing before they are recorded."""


class EndedJobs(Protocol):
    """Where ended jobs are found."""

    def ended_record(self, number: int, /) -> JobRecord | None:
        """Return the record of a job that has ended, if it is in memory."""

    def ended_job(self, number: int, /) -> Awaitable[JobRecord | None]:
        """Return what is recorded of a job that has ended; None if nothing is."""

    def ended_jobs(
        self,
        owner: str | None,
        machine: str | None,
        limit: int,
        write: Callable[[Sequence[JobRecord]], bytes],
        /,
    ) -> Awaitable[bytes]:
        """Return what `write` makes of the jobs that ended last: of an owner, on a machine, `limit` at most."""


class Watcher(Protocol):
    """Whose notifications a connection asks for; None stands for all."""

    def watch_job(self, job: int | None) -> None:
        """Begin telling of changes to a job."""

    def unwatch_job(self, job: int | None) -> None:
        """Stop telling of changes to a job."""

    def watch_machine(self, machine: str | None) -> None:
        """Begin telling of changes to a machine."""

    def unwatch_machine(self, machine: str | None) -> None:
        """Stop telling of changes to a machine."""


class Caller(msgspec.Struct, frozen=True):
    """Who sent a command."""

    host: str
    watcher: Watcher


class Command(msgspec.Struct, frozen=True):
    """One command of the protocol."""

    parameters: tuple[Parameter, ...] | None
    """What it takes; None for a command that looks at its arguments itself."""
    run: Callable[..., Reply]
    """Called with the caller and a value for each parameter; or else with the arguments by position, and by name."""


class Commands:
    """All commands, bound to one site."""

    def __init__(
        self, site: Site, clock: Clock, ended_jobs: EndedJobs, trouble: Callable[[], str | None]
    ) -> None:
        """Serve `site`.

        Args:
            site: Whose jobs and machines the commands are about.
            clock: Where the time is read.
            ended_jobs: Where ended jobs are found.
            trouble: Returns why nothing can be recorded just now, or None.
        """
        self.trust = Trust()
        """May be replaced at any time."""
        self.counts: Counter[str] = Counter()
        """How often each command was called."""
        self._site = site
        self._clock = clock
        self._ended_jobs = ended_jobs
        self._trouble = trouble
        self.listing = Listing()
        """What `list_jobs` returns."""
        job = (Parameter("job_id", a_whole_number),)
        any_job = (Parameter("job_id", or_null(a_whole_number), None),)
        any_machine = (Parameter("machine_name", or_null(up_to(LONGEST_NAME)), None),)
        spot = (
            Parameter("machine_name", a_text),
            *(Parameter(name, a_whole_number) for name in ("x", "y", "z")),
        )
        problem = (
            Parameter("address", a_text),
            *(Parameter(name, or_null(a_whole_number), None) for name in ("x", "y", "p")),
            Parameter("description", or_null(up_to(LONGEST_DESCRIPTION)), None),
        )
        ended = (
            *(Parameter(name, or_null(a_text), None) for name in ("owner", "machine")),
            Parameter("limit", a_whole_number, DEFAULT_ENDED_JOBS),
        )
        self._commands = {
            "version": Command((), self._version),
            "create_job": Command(None, self._create_job),
            "job_keepalive": Command(job, self._job_keepalive),
            "get_job_state": Command(job, self._get_job_state),
            "get_job_machine_info": Command(job, self._get_job_machine_info),
            "power_on_job_boards": Command(job, self._power_on),
            "power_off_job_boards": Command(job, self._power_off),
            "destroy_job": Command((*job, Parameter("reason", or_null(a_text), None)), self._destroy_job),
            "notify_job": Command(any_job, lambda caller, job: caller.watcher.watch_job(job)),
            "no_notify_job": Command(any_job, lambda caller, job: caller.watcher.unwatch_job(job)),
            "notify_machine": Command(any_machine, lambda caller, name: caller.watcher.watch_machine(name)),
            "no_notify_machine": Command(
                any_machine, lambda caller, name: caller.watcher.unwatch_machine(name)
            ),
            "list_jobs": Command((), self._list_jobs),
            "list_machines": Command((), self._list_machines),
            "get_board_position": Command(spot, self._get_board_position),
            "get_board_at_position": Command(spot, self._get_board_at_position),
            "where_is": Command(None, self._where_is),
            "job_queue_position": Command(job, self._job_queue_position),
            "list_ended_jobs": Command(ended, self._list_ended_jobs),
            "report_problem": Command(problem, self._report_problem),
        }

    def run(self, caller: Caller, name: str, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Reply:
        """Do one command and return its result.

        Raises:
            CommandError: It can't be done; the message says what was wrong.
        """
        command = self._commands.get(name)
        if command is None:
            raise CommandError(
                f"there is no command {name[:60]!r}; there are {', '.join(sorted(self._commands))}"
            )
        self.counts[name] += 1
        if name in CHANGES:
            self._check_records()
        if command.parameters is None:
            return command.run(caller, args, kwargs)
        return command.run(caller, *bind(name, command.parameters, args, kwargs))

    def _check_records(self) -> None:
        # Whoever gives up waiting and asks again would get a second job once there is room again.
        trouble = self._trouble()
        if trouble is not None:
            raise CommandError(f"the server takes no changes for now, try again later: {trouble}")

    def _version(self, _caller: Caller) -> Json:
        return PROTOCOL_VERSION

    # Jobs

    _CREATE_JOB = (
        Parameter("owner", up_to(LONGEST_NAME)),
        Parameter("keepalive", or_null(a_number), DEFAULT_KEEPALIVE_SECONDS),
        Parameter("machine", or_null(up_to(LONGEST_NAME)), None),
        Parameter("tags", or_null(names), None),
        # The newest published client says null for these two when it is told nothing.
        Parameter("min_ratio", or_null(a_number), None),
        Parameter("max_dead_boards", or_null(a_whole_number), DEFAULT_MAX_DEAD_BOARDS),
        Parameter("max_dead_links", or_null(a_whole_number), None),
        Parameter("require_torus", or_null(a_truth), None),
    )

    def _create_job(self, caller: Caller, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Json:
        values = bind("create_job", self._CREATE_JOB, (), kwargs)
        owner, keepalive = cast("str", values[0]), cast("float | None", values[1])
        if keepalive is not None and keepalive <= 0:
            raise CommandError(
                f"keepalive is {keepalive}; it must be more than 0 seconds, or null for no limit"
            )
        machine, tags = cast("str | None", values[2]), cast("tuple[str, ...] | None", values[3])
        if machine is not None and tags is not None:
            raise CommandError(
                "machine and tags were both given; name one machine, or the tags that any must have"
            )
        numbers = [
            a_whole_number("what to allocate", value)
            if type(value) is int
            or (type(value) is float and value.is_integer())
            or isinstance(value, list | dict)
            else value
            for value in args
        ]
        try:
            request = checked(
                JobRequest(
                    shape=shape_of(numbers),
                    machine=machine,
                    tags=frozenset((DEFAULT_TAG,) if tags is None else tags),
                    min_ratio=DEFAULT_MIN_RATIO if values[4] is None else cast("float", values[4]),
                    max_dead_boards=cast("int | None", values[5]),
                    max_dead_links=cast("int | None", values[6]),
                    require_torus=bool(values[7]),
                )
            )
        except RequestError as error:
            raise CommandError(str(error)) from error
        refusal = self._site.refusal(owner, caller.host)
        if refusal is not None:
            raise CommandError(refusal)
        asked = Asked(
            tuple(cast("Sequence[int]", numbers)),
            {name: value for name, value in kwargs.items() if name not in ("owner", "keepalive")},
        )
        return self._site.create_job(
            request,
            asked,
            owner=owner,
            keepalive=keepalive,
            host=caller.host,
            at=moment(self._clock),
        )

    def _job_keepalive(self, caller: Caller, number: int) -> Json:
        self._site.keep_alive(number, caller.host, moment(self._clock))
        return None

    def _get_job_state(self, caller: Caller, number: int) -> Reply:
        job = self._site.keep_alive(number, caller.host, moment(self._clock))
        if job is not None:
            record = job.record
            return {
                "state": record.state.value,
                "power": record.power,
                "keepalive": record.keepalive,
                "reason": None,
                "start_time": record.created,
                "keepalivehost": record.keepalive_host,
            }
        ended = self._ended_jobs.ended_record(number)
        if ended is None and self._site.has_given(number):
            return Later(lambda: self._read_fate(number, caller.host))
        return _fate(ended, caller.host)

    async def _read_fate(self, number: int, host: str) -> Encoded:
        try:
            return Encoded(return_line(_fate(await self._ended_jobs.ended_job(number), host)))
        except sqlite3.Error as error:
            raise CommandError(f"the history can't be read just now, try again later: {error}") from error

    def _get_job_machine_info(self, caller: Caller, number: int) -> Json:
        job = self._site.keep_alive(number, caller.host, moment(self._clock))
        allocation = None if job is None else job.record.allocation
        if allocation is None:
            return dict.fromkeys(("width", "height", "connections", "machine_name", "boards"))
        machine = self._site.machines[allocation.machine]
        boards = sorted(allocation.boards)
        width, height = allocation.chips
        return {
            "width": width,
            "height": height,
            "connections": [
                [
                    allocation.chip_in_job(machine.size, first_chip(machine.size, board)),
                    machine.addresses[board],
                ]
                for board in boards
            ],
            "machine_name": machine.name,
            "boards": boards,
        }

    def _power_on(self, caller: Caller, number: int) -> Json:
        self._check_trust(caller, number)
        self._site.keep_alive(number, caller.host, moment(self._clock))
        self._site.set_power(number, on=True)
        return None

    def _power_off(self, caller: Caller, number: int) -> Json:
        self._check_trust(caller, number)
        self._site.keep_alive(number, caller.host, moment(self._clock))
        self._site.set_power(number, on=False)
        return None

    def _check_trust(self, caller: Caller, number: int) -> None:
        job = self._site.jobs.get(number)
        refusal = None if job is None else self.trust.refusal(job.record, caller.host)
        if refusal is not None:
            raise CommandError(refusal)

    def _destroy_job(self, caller: Caller, number: int, reason: str | None) -> Json:
        self._check_trust(caller, number)
        if reason is not None and len(reason) > LONGEST_REASON:
            reason = reason[: LONGEST_REASON - 1] + "…"
        self._site.destroy_job(number, reason, moment(self._clock), by=caller.host)
        return None

    def _list_jobs(self, _caller: Caller) -> Encoded | LongReply:
        return self.listing.of(self._site.jobs)

    def _list_ended_jobs(self, _caller: Caller, owner: str | None, machine: str | None, limit: int) -> Later:
        if not 1 <= limit <= MOST_ENDED_JOBS:
            raise CommandError(f"limit is {limit}; it must be 1 to {MOST_ENDED_JOBS}")
        return Later(lambda: self._read_ended_jobs(owner, machine, limit))

    async def _read_ended_jobs(self, owner: str | None, machine: str | None, limit: int) -> Encoded:
        try:
            return Encoded(await self._ended_jobs.ended_jobs(owner, machine, limit, ended_listing))
        except sqlite3.Error as error:
            raise CommandError(f"the history can't be read just now, try again later: {error}") from error

    def _job_queue_position(self, _caller: Caller, number: int) -> Json:
        waiting = self._site.waiting(number)
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
                    [*board, why] for board, why in sorted(self._site.set_aside(machine.name).items())
                ],
            }
            for machine in self._site.machines.values()
        ]

    def _get_board_position(self, _caller: Caller, name: str, x: int, y: int, z: int) -> Json:
        machine = self._site.machines.get(name)
        return None if machine is None else machine.places.get(Board(x, y, z))

    def _get_board_at_position(
        self, _caller: Caller, name: str, cabinet: int, frame: int, board: int
    ) -> Json:
        machine = self._site.machines.get(name)
        return None if machine is None else _board_at(machine, Place(cabinet, frame, board))

    def _report_problem(
        self,
        caller: Caller,
        address: str,
        x: int | None,
        y: int | None,
        p: int | None,
        description: str | None,
    ) -> Json:
        key = next(
            (
                BoardKey(machine.name, board)
                for machine in self._site.machines.values()
                for board, its_address in machine.addresses.items()
                if its_address == address
            ),
            None,
        )
        if key is None:
            raise CommandError(
                f"no board has the address {address[:60]!r}; give that of its Ethernet-connected chip"
            )
        where = [f"{name} {value}" for name, value in (("x", x), ("y", y), ("p", p)) if value is not None]
        text = ", ".join([*where, *([description] if description else [])])
        self._site.report_problem(key, caller.host, text, moment(self._clock))
        return None

    def _where_is(self, _caller: Caller, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Json:
        if args:
            raise CommandError("where_is takes its arguments by name")
        values = {
            name: a_text(name, value) if name == "machine" else a_whole_number(name, value)
            for name, value in kwargs.items()
        }
        found = self._spot(values)
        if found is None:
            return None
        machine, chip = found
        where = locate(machine, chip, lambda board: self._holder(machine, board))
        if where is None or ("job_id" in values and where.job_id != values["job_id"]):
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

    def _spot(self, values: Mapping[str, object]) -> tuple[Machine, Chip] | None:
        """Return the chip that `where_is` asks for, or None if there is no such machine, board or job."""
        number = cast("Mapping[str, int]", values)
        match sorted(values):
            case ["chip_x", "chip_y", "job_id"]:
                job = self._site.jobs.get(number["job_id"])
                if job is None or job.record.allocation is None:
                    return None
                allocation = job.record.allocation
                machine = self._site.machines[allocation.machine]
                chip = Chip(number["chip_x"], number["chip_y"])
                return machine, allocation.chip_in_machine(machine.size, chip)
            case ["chip_x", "chip_y", "machine"]:
                named = self._site.machines.get(cast("str", values["machine"]))
                return None if named is None else (named, Chip(number["chip_x"], number["chip_y"]))
            case ["machine", "x", "y", "z"]:
                named = self._site.machines.get(cast("str", values["machine"]))
                if named is None or number["z"] not in range(3):
                    return None
                return named, first_chip(named.size, Board(number["x"], number["y"], number["z"]))
            case ["board", "cabinet", "frame", "machine"]:
                named = self._site.machines.get(cast("str", values["machine"]))
                if named is None:
                    return None
                board = _board_at(named, Place(number["cabinet"], number["frame"], number["board"]))
                return None if board is None else (named, first_chip(named.size, board))
        raise CommandError(
            f"where_is can't be asked by {', '.join(sorted(values)) or 'nothing'}; it takes machine x y z, "
            "machine cabinet frame board, machine chip_x chip_y, or job_id chip_x chip_y"
        )

    def _holder(self, machine: Machine, board: Board) -> Holder | None:
        number = self._site.holders.get(BoardKey(machine.name, board))
        if number is None:
            return None
        allocation = self._site.jobs[number].record.allocation
        return None if allocation is None else Holder(number, allocation)


def _fate(ended: JobRecord | None, host: str) -> Json:
    """Return the state, for `host`, of a job that has ended, or of which nothing is known."""
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


def _board_at(machine: Machine, place: Place) -> Board | None:
    return next((board for board, its_place in machine.places.items() if its_place == place), None)

"""Does the administrator's commands about reservations in the running server, and answers them once they are on disk.

What a reservation does to jobs is decided in core/. naming.py finds the boards that were named.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec

from spalloc_server.core.administration import Reserve, Unreserve
from spalloc_server.core.commands import LONGEST_REASON, RefusedError
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.reservations import WARNING_SECONDS, Reservation, flaw, sentence
from spalloc_server.engine import Engine
from spalloc_server.operation.board_commands import Boards
from spalloc_server.operation.control.protocol import DONE, Answer, Line
from spalloc_server.operation.doing import Doing, do, refusing, settled
from spalloc_server.operation.naming import NoBoardError, boards_named
from spalloc_server.words import counted, date_and_time, there_are

WOULD_END_JOBS = 3
"""The status of an `add` without `now` that was refused because jobs would end without a timely warning."""


class Add(Boards, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The arguments of `reservations.add`."""

    name: str
    begins: datetime = msgspec.field(name="from")
    """With its offset from UTC; in the past for now."""
    ends: datetime = msgspec.field(name="to")
    reason: str
    tags: list[str] = msgspec.field(default_factory=list)
    owners: list[str] = msgspec.field(default_factory=list)
    ends_jobs: bool = True
    now: bool = False
    """Whether jobs may end that can't be told `WARNING_SECONDS` before."""


class Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `reservations.remove`."""

    names: list[str]


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `reservations.list`: none."""


class ReservationCommands:
    """The administrators' commands about the reservations of one server."""

    def __init__(self, engine: Engine) -> None:
        """Do commands with `engine`."""
        self._engine = engine
        self._site = engine.site

    @property
    def commands(self) -> Mapping[str, Doing]:
        """The commands, by their names on the control socket."""
        return {
            "reservations.list": refusing(self._list),
            "reservations.add": refusing(self._add),
            "reservations.remove": refusing(self._remove),
        }

    async def _list(self, arguments: Mapping[str, object], _by: str) -> Answer:
        msgspec.convert(arguments, NoArguments)
        await settled(self._engine)
        wall = self._engine.clock.wall()
        found = sorted(self._site.reserving, key=lambda one: (one.begins, one.name))
        return Answer(DONE, f"there {_are(len(found))}", [self._line(one, wall) for one in found])

    async def _add(self, arguments: Mapping[str, object], by: str) -> Answer:
        options = msgspec.convert(arguments, Add)
        if options.begins.tzinfo is None or options.ends.tzinfo is None:
            raise ValueError("a time has no offset from UTC; write one as 2026-12-01T09:00:00+01:00")
        wall = self._engine.clock.wall()
        new = self._reservation(options, by, wall)
        there = list(self._others(new))
        hurried = new.ends_jobs and new.begins < wall + WARNING_SECONDS and flaw(new) is None
        if there and hurried and not options.now:
            minutes = f"{WARNING_SECONDS / 60:.0f} minutes"
            return Answer(
                WOULD_END_JOBS,
                f"nothing is changed: {counted(len(there), 'job')} would end at "
                f"{date_and_time(max(wall, new.begins))}, told less than {minutes} before; begin later, keep these "
                "jobs with --keeps-jobs, or end them all the same with --now",
                [_of_job(record, f"would lose {boards}") for record, boards in there],
            )
        await do(self._engine, Reserve(new))
        fate = (
            f"ends at {date_and_time(new.begins)} if it is still there" if new.begins > wall else "ends now"
        )
        fate = fate if new.ends_jobs else "may go on"
        lines = [_of_job(record, f"has {boards} now, and {fate}") for record, boards in there]
        times = f"from {_written(options.begins)} to {_written(options.ends)}"
        return Answer(DONE, f"reserved {times}: {sentence(new, self._site.machines)}", lines)

    async def _remove(self, arguments: Mapping[str, object], by: str) -> Answer:
        options = msgspec.convert(arguments, Remove)
        await do(self._engine, Unreserve(tuple(dict.fromkeys(options.names)), by))
        return Answer(DONE, f"{there_are(len(set(options.names)), 'reservation')} removed")

    def _reservation(self, options: Add, by: str, wall: float) -> Reservation:
        """Return what is to be reserved.

        Raises:
            NoBoardError: The names mean no boards.
            RefusedError: It would be over already.
        """
        machines, known = set[str](), self._site.machines
        keys: set[BoardKey] = set()
        if any(options.names) or not options.tags:
            keys = set(boards_named(self._site, options.names, whole_machines=True))
        for name in {key.machine for key in keys}:
            whole = {BoardKey(name, board) for board in known[name].places}
            if whole <= keys:
                # By its name: boards that are added to it later are reserved as well.
                machines.add(name)
                keys -= whole
        for tag in options.tags:
            if not any(tag in machine.tags for machine in known.values()):
                raise NoBoardError(f"no machine has the tag {tag[:60]!r}")
        if options.ends.timestamp() <= wall:
            raise RefusedError(f"it would end at {_written(options.ends)}, which is over")
        return Reservation(
            name=options.name,
            begins=options.begins.timestamp(),
            ends=options.ends.timestamp(),
            reason=options.reason[:LONGEST_REASON],
            boards=frozenset((key.machine, key.board) for key in keys),
            machines=frozenset(machines),
            tags=frozenset(options.tags),
            owners=frozenset(options.owners),
            ends_jobs=options.ends_jobs,
            by=by,
        )

    def _others(self, reservation: Reservation) -> Iterator[tuple[JobRecord, str]]:
        """Yield the jobs of others that have boards of a reservation, each with how many boards."""
        reserved = {name: reservation.boards_on(machine) for name, machine in self._site.machines.items()}
        for job in self._site.jobs.values():
            allocation = job.record.allocation
            if allocation is None or reservation.lets(job.record.owner):
                continue
            both = allocation.boards & reserved.get(allocation.machine, frozenset())
            if both:
                yield job.record, f"{counted(len(both), 'board')} of it"

    def _line(self, one: Reservation, wall: float) -> Line:
        machines = self._site.machines
        state = "over" if one.is_over(wall) else "in force" if one.begins <= wall else "to come"
        times = f"from {date_and_time(one.begins)} to {date_and_time(one.ends)}"
        made = "configured" if one.by is None else f"by {one.by}"
        about = {
            "kind": "reservation",
            "name": one.name,
            "state": state,
            "from": one.begins,
            "to": one.ends,
            "owners": sorted(one.owners),
            "reason": one.reason,
            "ends_jobs": one.ends_jobs,
            "by": one.by,
            "machines": sorted(one.machines),
            "tags": sorted(one.tags),
            "boards": [[name, *board] for name, board in sorted(one.boards)],
            "reserved": {
                name: len(boards) for name, machine in machines.items() if (boards := one.boards_on(machine))
            },
            "jobs": [record.id for record, _ in self._others(one)],
        }
        return Line(f"{state}, {times}, {made}: {sentence(one, machines)}", about)


def _of_job(record: JobRecord, fate: str) -> Line:
    about = {"kind": "job", "job": record.id, "owner": record.owner}
    return Line(f"job {record.id} of {record.owner} {fate}", about)


def _are(number: int) -> str:
    return f"{'is' if number == 1 else 'are'} {counted(number, 'reservation')}"


def _written(when: datetime) -> str:
    return when.isoformat(" ", timespec="seconds")

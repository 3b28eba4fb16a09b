"""Does the administrator's commands about boards in the running server, and answers them once they are on disk.

What they do to boards is decided in core/administration.py. naming.py finds the boards that were named.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import msgspec

from spalloc_server.clock import moment
from spalloc_server.core.administration import ClearReports, Drain, PutBack
from spalloc_server.core.board_life import Objection
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.notable import Notable, notable, notable_boards
from spalloc_server.core.requests import BoardAt, RectangleAt
from spalloc_server.engine import Engine
from spalloc_server.operation.control.protocol import DONE, Answer, Line
from spalloc_server.operation.doing import Doing, do, refusing, settled
from spalloc_server.operation.naming import Names, boards_named
from spalloc_server.words import counted, date_and_time, there_are

WOULD_MOVE_JOBS = 3
"""The status of an `out` without `now` that was refused because jobs would lose their boards."""


class Boards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of a command about boards."""

    boards: list[str] = []
    physical: list[tuple[str, int, int, int]] = []
    frames: list[tuple[str, int, int]] = []

    @property
    def names(self) -> Names:
        """The names of boards that were typed."""
        return Names(self.boards, self.physical, self.frames)


class Out(Boards, frozen=True, forbid_unknown_fields=True):
    """The arguments of `boards.drain` and `boards.out`."""

    reason: str = ""
    now: bool = False
    """Whether jobs may lose their boards."""


class BoardCommands:
    """The administrators' commands about the boards of one server."""

    def __init__(self, engine: Engine) -> None:
        """Do commands with `engine`."""
        self._engine = engine
        self._site = engine.site

    @property
    def commands(self) -> Mapping[str, Doing]:
        """The commands, by their names on the control socket."""
        return {
            "boards.list": refusing(self._list),
            "boards.drain": refusing(self._drain),
            "boards.out": refusing(self._out),
            "boards.back": refusing(self._back),
            "boards.clear-reports": refusing(self._clear_reports),
        }

    async def _list(self, arguments: Mapping[str, object], _by: str) -> Answer:
        options = msgspec.convert(arguments, Boards)
        at = moment(self._engine.clock)
        found = notable_boards(self._site, at)
        if any(options.names):
            listed = [one.key for one in found]
            wanted = set(boards_named(self._site, options.names, whole_machines=True, others=listed))
            found = [one for one in found if one.key in wanted]
        await settled(self._engine)
        there = there_are(len(found), "board")
        return Answer(
            DONE, f"{there} drained, set aside, silent, reported or no longer configured", map(_line, found)
        )

    async def _drain(self, arguments: Mapping[str, object], by: str) -> Answer:
        options = msgspec.convert(arguments, Out)
        keys = boards_named(self._site, options.names)
        await do(self._engine, Drain(keys, options.reason, by))
        return self._answer(keys, f"{there_are(len(keys), 'board')} drained")

    async def _out(self, arguments: Mapping[str, object], by: str) -> Answer:
        options = msgspec.convert(arguments, Out)
        keys = boards_named(self._site, options.names)
        jobs = sorted({holder for key in keys if (holder := self._site.boards.holder(key)) is not None})
        if jobs and not options.now:
            return Answer(
                WOULD_MOVE_JOBS,
                f"nothing is changed: {counted(len(jobs), 'job')} would lose boards; drain the boards to let what runs "
                "there end first, or have it moved at once with --now",
                [self._outlook(job) for job in jobs],
            )
        moved = await do(self._engine, Drain(keys, options.reason, by, moves_jobs=True))
        ended = f"; {there_are(len(moved), 'job')} moved" if moved else ""
        out = f"{there_are(len(keys), 'board')} out of service{ended}"
        return self._answer(keys, out, [self._fate(job) for job in moved])

    async def _back(self, arguments: Mapping[str, object], by: str) -> Answer:
        options, boards = msgspec.convert(arguments, Boards), self._site.boards
        keys = boards_named(self._site, options.names, others={*boards.all_drained(), *boards.lost()})
        before = notable(self._site, keys, moment(self._engine.clock))
        here = sum(one.drained is None and one.fault is None and one.place is not None for one in before)
        await do(self._engine, PutBack(keys, by))
        said = [f"{there_are(len(keys) - here, 'board')} put back"] if here < len(keys) else []
        if here:
            said.append(f"nothing is changed for {counted(here, 'board')} in service")
        return self._answer(keys, "; ".join(said))

    async def _clear_reports(self, arguments: Mapping[str, object], by: str) -> Answer:
        options = msgspec.convert(arguments, Boards)
        keys = boards_named(self._site, options.names, whole_machines=True)
        reported, aside = self._site.reported(), self._site.boards.objections
        before = [key for key in keys if key in reported or Objection.REPORTED in aside(key)]
        await do(self._engine, ClearReports(keys, by))
        return self._answer(before, f"the reports of {counted(len(keys), 'board')} are cleared")

    # Parts of the above

    def _answer(self, keys: Iterable[BoardKey], text: str, lines: Sequence[Line] = ()) -> Answer:
        at = moment(self._engine.clock)
        return Answer(DONE, text, chain(lines, map(_line, notable(self._site, keys, at))))

    def _outlook(self, number: int) -> Line:
        """Return a line that says what would happen to a job that lost its boards."""
        record = self._site.jobs[number].record
        boards = 0 if record.allocation is None else len(record.allocation.boards)
        certain = isinstance(record.request.shape, BoardAt | RectangleAt)
        then = "wait until they are back" if certain else "get others, or wait for them"
        text = f"job {number} of {record.owner} would lose its {counted(boards, 'board')} and {then}"
        return Line(text, {"kind": "job", "job": number, "owner": record.owner})

    def _fate(self, number: int) -> Line:
        """Return a line that says what has happened to a job that has lost its boards."""
        job = self._site.jobs.get(number)
        if job is None:
            return Line(f"job {number} has ended", {"kind": "job", "job": number})
        waiting = self._site.waiting(number)
        now = "has others now." if waiting is None else f"waits for others. {waiting.sentence}"
        about = {"kind": "job", "job": number, "owner": job.record.owner}
        return Line(f"job {number} of {job.record.owner} has lost its boards and {now}", about)


def _line(one: Notable) -> Line:
    return Line(_sentence(one), _about(one))


def _sentence(one: Notable) -> str:
    said = []
    if one.drained is not None:
        said.append(f"drained by {one.drained.by}{_since(one.drained.since)}: {one.drained.why}")
    if one.fault is not None:
        then = "being tested" if one.doing == "testing" else "set aside"
        if one.job is not None:
            then = "to be tested when its job gives it back"
        until = "" if one.until is None else f" until {date_and_time(one.until)}"
        said.append(f"{then}{_since(one.fault_since)}{until}: {one.fault}")
    if one.reports:
        said.append(f"reported by {counted(one.reports, 'host')}")
    if one.silent is not None:
        said.append(f"in a frame whose BMP does not answer{_since(one.silent_since)}: {one.silent}")
    if one.place is None:
        said.append("no longer configured")
    if one.job is not None:
        said.append(f"job {one.job} of {one.owner} has it")
    return f"{one.key.machine} {one.key.board}: {'; '.join(said) or 'in service'}"


def _since(when: float | None) -> str:
    return "" if when is None else f" since {date_and_time(when)}"


def _about(one: Notable) -> dict[str, object]:
    drained = None
    if one.drained is not None:
        drained = {"reason": one.drained.why, "by": one.drained.by, "since": one.drained.since}
    return {
        "kind": "board",
        "machine": one.key.machine,
        "board": list(one.key.board),
        "physical": None if one.place is None else list(one.place),
        "address": one.address,
        "state": one.doing,
        "job": one.job,
        "owner": one.owner,
        "drained": drained,
        "set_aside": one.fault,
        "set_aside_since": one.fault_since,
        "until": one.until,
        "reports": one.reports,
        "silent": one.silent,
        "silent_since": one.silent_since,
    }

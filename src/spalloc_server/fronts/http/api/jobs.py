"""Jobs: created, described, kept alive, powered and ended; lists of them are in lists.py.

Who may do what with which job is decided in core/; a job that a client may not use is answered as if there were none.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import msgspec

from spalloc_client.states import JobState
from spalloc_server.core.admission import is_for
from spalloc_server.core.commands import (
    Command,
    DestroyJob,
    ExtendJob,
    KeepAlive,
    RefusedError,
    Report,
    SetPower,
)
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.emergency import UNRECORDED, LiftStop, StopAll
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.questions import (
    ChipOfJob,
    board_at,
    board_with_address,
    where_is,
)
from spalloc_server.core.requests import RequestError
from spalloc_server.engine import Engine, Outcome
from spalloc_server.fronts.http.api import documents
from spalloc_server.fronts.http.api.answers import (
    ACCEPTED,
    NOTHING,
    Answer,
    HttpError,
    document,
    later,
    tagged,
    text,
    unless_known,
)
from spalloc_server.fronts.http.api.conventions import seconds
from spalloc_server.fronts.http.api.creation import command_for
from spalloc_server.fronts.http.api.job_documents import Writer, power_word, state_of
from spalloc_server.fronts.http.api.machines import ChipQuery, where_document
from spalloc_server.fronts.http.api.records import Records
from spalloc_server.fronts.http.api.refusals import AGAIN_SECONDS, refused, require
from spalloc_server.fronts.http.api.requests import Request, path_number
from spalloc_server.fronts.http.api.table import Query
from spalloc_server.fronts.http.api.waiting import Poll, Polls
from spalloc_server.recorded import recorded_soon
from spinnaker.geometry import Board, Chip, board_of_chip
from spinnaker.places import Place

T = TypeVar("T")


class DestroyQuery(Query, frozen=True):
    """Why a job is destroyed."""

    reason: str = ""


class StopQuery(Query, frozen=True):
    """Why all jobs are ended."""

    reason: str = ""


class WaitQuery(Query, frozen=True):
    """Whether to wait for a change."""

    wait: bool = False


class Jobs:
    """Answers about jobs, and does what clients want done with them."""

    def __init__(self, door: Engine, polls: Polls, records: Records) -> None:
        """Serve the site behind `door`.

        Args:
            door: Drives the site.
            polls: Has the requests that wait.
            records: Reads jobs that have ended.
        """
        self._door = door
        self._polls = polls
        self._records = records

    async def create(self, request: Request, body: documents.NewJob) -> Answer:
        """Create a job."""
        number = await self._do(request, command_for(self._door.site, body))
        refused = self._door.ended_record(number)
        if refused is not None and refused.allocated is None and refused.ended_by is None:
            # The first decision is made by the time the job is on disk: it can never run.
            why = (refused.reason or "").removeprefix("Cancelled: ")
            raise HttpError(400, why or "no machine available which matches allocation request")
        url = f"{request.service}jobs/{number}"
        return document(documents.CreatedJob(number, url), 201, (b"location", url.encode()))

    def stop_state(self, request: Request) -> Answer:  # noqa: ARG002
        """Say whether all jobs were stopped."""
        stopped = self._door.site.stopped
        return document(documents.Stop(stopped is not None, stopped))

    async def stop_all(self, request: Request, query: StopQuery) -> Answer:
        """End all jobs, and take no new ones."""
        ended = self._begin(request, StopAll(query.reason)).value
        unrecorded = None if await recorded_soon(self._door) else UNRECORDED
        reason = self._door.site.stopped
        return document(documents.Stop(stopped=True, reason=reason, ended_jobs=ended, unrecorded=unrecorded))

    def lift_stop(self, request: Request) -> Answer:
        """Take new jobs again."""
        self._begin(request, LiftStop())
        return document(documents.Stop(stopped=False))

    # One job

    def describe(self, request: Request, job: str, query: WaitQuery) -> Answer | Poll | Awaitable[Answer]:
        """Describe a job."""
        number = path_number(job)
        now = self._record_now(request, number)
        if now is None:
            return self._describe_old(request, number)

        def render() -> Answer:
            record = self._record_now(request, number)
            if record is None:
                raise HttpError(410, f"job {number} has ended")
            return self._described(request, record)

        # What has ended does not change any more.
        if query.wait and now.state is not JobState.destroyed:
            return self._polls.enter(request, "job", number, render)
        return unless_known(render(), request.header(b"if-none-match"))

    async def _describe_old(self, request: Request, number: int) -> Answer:
        record = await self._record_on_disk(request, number)
        return unless_known(self._described(request, record), request.header(b"if-none-match"))

    def _described(self, request: Request, record: JobRecord) -> Answer:
        job = self._door.site.jobs.get(record.id)
        state = state_of(self._polls.run, record, job)
        return tagged(self._writer(request).state(record, job), request.base, state)

    def _writer(self, request: Request) -> Writer:
        return Writer(request, self._door.site, self._door.clock, self._door.forecast())

    def _record_now(self, request: Request, number: int) -> JobRecord | None:
        """Return the record of a job that the client may use, or None if it may be on disk.

        Raises:
            HttpError: There is none.
        """
        job = self._door.site.jobs.get(number)
        record = self._door.ended_record(number) if job is None else job.record
        if record is None and self._door.site.has_given(number):
            return None
        if record is None or not is_for(record, request.asker):
            raise HttpError(404, "no such job")
        return record

    async def _record_on_disk(self, request: Request, number: int) -> JobRecord:
        record = await self._records.read(request, lambda: self._door.ended_job(number))
        if record is None or not is_for(record, request.asker):
            raise HttpError(404, "no such job")
        return record

    async def record(self, request: Request, job: str) -> JobRecord:
        """Return the record of a job that the client may see.

        Raises:
            HttpError: There is none.
        """
        number = path_number(job)
        return self._record_now(request, number) or await self._record_on_disk(request, number)

    async def record_to_use(self, request: Request, job: str) -> JobRecord:
        """Return the record of a job whose boards the client may reach.

        Raises:
            HttpError: There is none, or they may only look at it.
        """
        record = await self.record(request, job)
        require(self._door.site.trust.refusal(record, request.asker))
        return record

    async def destroy(self, request: Request, job: str, query: DestroyQuery) -> Answer:
        """End a job; one that has ended stays as it is."""
        record = await self.record(request, job)
        if record.state is not JobState.destroyed:
            await self._do(request, DestroyJob(record.id, query.reason))
        return NOTHING

    async def keep_alive(self, request: Request, job: str, body: bytes) -> Answer:  # noqa: ARG002
        """Keep a job alive; one that has ended stays as it is."""
        await self._heard(request, job)
        return text("ok")

    async def _heard(self, request: Request, job: str) -> JobRecord:
        """Keep a job alive, and return its record."""
        record = await self.record(request, job)
        await self._do(request, KeepAlive(record.id))
        return record

    async def extend(self, request: Request, job: str, body: documents.TimeLimit) -> Answer:
        """Change a job's time limit."""
        record = await self.record(request, job)
        limit = seconds("time-limit", body.time_limit)
        try:
            changed = await self._do(request, ExtendJob(record.id, limit))
        except RequestError as error:
            raise HttpError(400, str(error)) from error
        return document(documents.TimeLimit(changed))

    # Its boards

    async def machine(self, request: Request, job: str) -> Answer:
        """Describe a job's boards."""
        record = await self._heard(request, job)
        described = self._writer(request).machine(record)
        return NOTHING if described is None else document(described)

    async def power(self, request: Request, job: str) -> Answer:
        """Say whether a job's boards are on."""
        record = await self._heard(request, job)
        return NOTHING if record.power is None else document(documents.Power(power_word(record)))

    async def set_power(self, request: Request, job: str, body: documents.PowerWanted) -> Answer:
        """Switch a job's boards on, or reset them, or off."""
        record = await self.record(request, job)
        if record.state is JobState.destroyed:
            raise HttpError(410, f"job {record.id} has ended, and has no boards to switch")
        await self._do(request, SetPower(record.id, on=body.power in ("ON", 1)))
        return NOTHING if record.power is None else ACCEPTED

    async def chip(self, request: Request, job: str, query: ChipQuery) -> Answer:
        """Say where a chip of a job is."""
        record = await self._heard(request, job)
        chip = Chip(query.x, query.y)
        found = where_is(self._door.site, ChipOfJob(record.id, chip))
        # A coordinate beyond the job's edge may lead to one of its boards around the whole machine.
        if found is None or found.job_chip != chip or record.allocation is None:
            return NOTHING
        where = where_document(self._door.site, request, found)
        size = self._door.site.machines[found.machine].size
        first = record.allocation.chip_in_job(size, Chip(*where.board_chip))
        return document(msgspec.structs.replace(where, chip=chip, board_chip=first, machine_chip=found.chip))

    async def report(self, request: Request, job: str, body: documents.IssueReport) -> Answer:
        """Take a report of boards that are faulty."""
        record = await self.record(request, job)
        keys = [(board, self._board_of(record, board)) for board in body.boards]
        for board, key in keys:
            if key is None:
                raise HttpError(400, f"no board of this site is {_named(board)}")
        for board, key in keys:
            if key is not None and self._door.site.boards.holder(key) != record.id:
                return document(documents.ReportedIssue(f"{_named(board)} not allocated to job {record.id}"))
        for _, key in keys:
            if key is not None:
                await self._do(request, Report(key, body.issue))
        return document(documents.ReportedIssue("report noted"))

    def _board_of(self, record: JobRecord, named: documents.BoardOfReport) -> BoardKey | None:
        site = self._door.site
        if named.address is not None:
            key = board_with_address(site, named.address)
            return key if key is not None and named.machine in (None, key.machine) else None
        name = named.machine or (None if record.allocation is None else record.allocation.machine)
        machine = None if name is None else site.machines.get(name)
        if machine is None:
            return None
        board = None
        if named.chip is not None:
            board, _ = board_of_chip(machine.size, Chip(*named.chip))
        elif named.cabinet is not None and named.frame is not None and named.board is not None:
            board = board_at(machine, Place(named.cabinet, named.frame, named.board))
        elif named.x is not None and named.y is not None and named.z is not None:
            board = Board(named.x, named.y, named.z)
        return None if board is None or board not in machine.places else BoardKey(machine.name, board)

    # The engine

    def _begin(self, request: Request, command: Command[T]) -> Outcome[T]:
        """Have the site do a command, and return its outcome.

        Raises:
            HttpError: It is not done.
        """
        try:
            return self._door.do(command, request.asker)
        except RefusedError as error:
            raise refused(error) from error

    async def _do(self, request: Request, command: Command[T]) -> T:
        """Have the site do a command, and return its result once it is on disk.

        Raises:
            HttpError: It is not done.
        """
        outcome = self._begin(request, command)
        if outcome.waits:
            recorded: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            self._door.when_recorded(lambda done: None if recorded.done() else recorded.set_result(done))
            if not await recorded:
                raise later(
                    503, "the server stops, and this may not be done: ask again in a moment", AGAIN_SECONDS
                )
        return outcome.value


def _named(board: documents.BoardOfReport) -> str:
    if board.address is not None:
        return f"the board at {board.address}"
    if board.chip is not None:
        return f"the board with chip {board.chip}"
    if board.cabinet is not None:
        return f"cabinet {board.cabinet}, frame {board.frame}, board {board.board}"
    return f"triad ({board.x},{board.y},{board.z})"

"""What documents say of a job: all to those who may use it, and to others what the site shows everybody.

Everybody who may look at jobs sees whose they are, what they asked for and which boards they have, as with v1 and with
every scheduler of a cluster: people who wait want to know for whom. Addresses of clients and of boards, reasons and
groups are for those who may use the job.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from spalloc_client.states import JobState
from spalloc_server.clock import Clock
from spalloc_server.core.admission import is_for
from spalloc_server.core.forecast import Forecast
from spalloc_server.core.jobs import Job, JobRecord
from spalloc_server.core.questions import SiteView, boards_of_job, job_times
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle, RectangleAt, Shape
from spalloc_server.fronts.http.api import documents
from spalloc_server.fronts.http.api.conventions import written_time, written_time_or_none
from spalloc_server.fronts.http.api.machines import machine_url
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.words import counted
from spinnaker.geometry import Board

STATES = {
    JobState.unknown: "UNKNOWN",
    JobState.queued: "QUEUED",
    JobState.power: "POWER",
    JobState.ready: "READY",
    JobState.destroyed: "DESTROYED",
}


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes documents for one request."""

    request: Request
    site: SiteView
    clock: Clock
    forecast: Forecast | None

    def job_url(self, number: int) -> str:
        """Return the address of a job."""
        return f"{self.request.service}jobs/{number}"

    def state(self, record: JobRecord, job: Job | None) -> documents.JobState:
        """Describe a job to somebody who may use it.

        Args:
            record: The job's record.
            job: The job if it is live, else None.
        """
        url = self.job_url(record.id)
        holds = record.power is not None
        heard = None
        if job is not None:
            heard = self.clock.wall() - (self.clock.now() - job.heard)
        return documents.JobState(
            state=STATES[record.state],
            owner=record.owner,
            account=record.account,
            group=record.group,
            start_time=written_time(record.created),
            finish_time=written_time_or_none(record.ended),
            reason=None if record.ended is None else record.reason or "",
            keepalive_host=None if job is None else record.keepalive_host,
            keep_alive_time=written_time_or_none(heard),
            keepalive_ref=f"{url}/keepalive",
            machine_ref=f"{url}/machine",
            power_ref=f"{url}/machine/power",
            chip_ref=f"{url}/chip",
            proxy_ref=self._proxy_url(record.id) if holds else None,
            power=power_word(record) if holds else None,
            allocated_time=written_time_or_none(record.allocated) if holds else None,
            queue=self._queue(record),
            times=self._times(record),
            original_request=_original(record),
        )

    def _proxy_url(self, number: int) -> str:
        # http becomes ws, and https wss.
        return f"ws{self.request.base.removeprefix('http')}proxy/{number}"

    def _queue(self, record: JobRecord) -> documents.InQueue | None:
        waiting = self.site.waiting(record.id)
        if waiting is None:
            return None
        start = None if self.forecast is None else self.forecast.ranges.get(record.id)
        now = self.clock.now()
        return documents.InQueue(
            position=waiting.position,
            of=waiting.queued,
            reason=waiting.sentence,
            earliest_start=None if start is None else round(max(0.0, start.earliest - now), 1),
            latest_start=None if start is None else round(max(0.0, start.latest - now), 1),
        )

    def _times(self, record: JobRecord) -> documents.JobTimes | None:
        times = job_times(self.site, record.id, self.clock.now())
        if times is None:
            return None
        return documents.JobTimes(
            time_limit=times.time_limit,
            ends_in=_rounded(times.ends_in),
            why=times.why,
            expected_seconds=_rounded(times.expected_seconds),
            expected_by=times.expected_by,
        )

    def summary(self, record: JobRecord, job: Job | None, *, details: bool = True) -> documents.JobSummary:
        """Describe a job to somebody who may look at jobs.

        Args:
            record: The job's record.
            job: The job if it is live, else None.
            details: Whether to say all of it to those who may use it.
        """
        allocation = record.allocation
        theirs = is_for(record, self.request.asker)
        return documents.JobSummary(
            job_id=record.id,
            job_ref=self.job_url(record.id),
            state=STATES[record.state],
            owner=record.owner,
            account=record.account,
            start_time=written_time(record.created),
            asked=_in_words(record.request),
            machine_name=None if allocation is None else allocation.machine,
            boards=None if allocation is None else sorted(allocation.boards),
            allocated_time=written_time_or_none(record.allocated),
            time_limit=record.time_limit,
            finish_time=written_time_or_none(record.ended),
            yours=theirs,
            details=self.state(record, job) if theirs and details else None,
            machine=self.machine(record) if theirs and details and job is not None else None,
        )

    def machine(self, record: JobRecord) -> documents.MachineOfJob | None:
        """Describe the boards of a job, or the size of those that it had; None if it never had any."""
        allocation = record.allocation
        if allocation is None:
            return None
        its = None if record.state is JobState.destroyed else boards_of_job(self.site, record)
        width, height = (1, 1) if allocation.size is None else allocation.size
        return documents.MachineOfJob(
            width=width,
            height=height,
            depth=1 if allocation.size is None else 3,
            machine_name=allocation.machine,
            connections=[] if its is None else list(its.addresses.items()),
            boards=[] if its is None else list(its.boards),
            power=f"{self.job_url(record.id)}/machine/power",
            machine_ref=machine_url(self.request, allocation.machine),
        )


def state_of(run: str, record: JobRecord, job: Job | None) -> object:
    """Return what of a job must not change, or change and change back, without those who wait being told.

    Args:
        run: Tells this run of the server from others, which count again.
        record: The job's record.
        job: The job if it is live, else None.
    """
    what = record.state.value, record.power, record.allocated, record.reason, record.time_limit
    return record.id, what, None if job is None else (run, job.changes)


def power_word(record: JobRecord) -> Any:
    """Return `ON` if all of a job's boards are on, else `OFF`."""
    return "ON" if record.power and record.state is JobState.ready else "OFF"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _in_words(request: JobRequest) -> str:
    match request.shape:
        case AnyBoard():
            return "1 board"
        case Boards(count):
            return counted(count, "board")
        case Rectangle(size):
            return f"{size} triads"
        case BoardAt(board):
            return f"board {board}"
        case RectangleAt(origin, size):
            return f"{size} triads at board {origin}"


def _original(record: JobRecord) -> documents.OriginalRequest:
    request, words = record.request, record.asked.kwargs
    shape = request.shape
    place = _place(shape)
    count = {AnyBoard: 1, Boards: getattr(shape, "count", None)}.get(type(shape))
    tags = words.get("tags")
    by_tags = request.machine is None or tags is not None
    return documents.OriginalRequest(
        owner=record.owner,
        group=_word(words, "group"),
        nmpi_collab=_word(words, "nmpi_collab"),
        nmpi_job_id=cast("int | str | None", words.get("nmpi_job_id")),
        keepalive_interval=record.keepalive,
        num_boards=count,
        dimensions=documents.Dimensions(*shape.size) if isinstance(shape, Rectangle | RectangleAt) else None,
        board=None if place is None else _board(place, words.get("board")),
        machine_name=None if by_tags else request.machine,
        tags=(list(map(str, tags)) if isinstance(tags, list | tuple) else sorted(request.tags))
        if by_tags
        else None,
        max_dead_boards=request.max_dead_boards,
        min_ratio=request.min_ratio,
        max_dead_links=request.max_dead_links,
        require_torus=request.require_torus,
        time_limit=record.time_limit,
    )


def _place(shape: Shape) -> Board | None:
    """Return the first board that a request names, if it names one."""
    match shape:
        case BoardAt(board) | RectangleAt(board, _):
            return board
    return None


def _board(board: Board, chosen: object) -> documents.BoardChoice:
    if isinstance(chosen, Mapping):
        return documents.BoardChoice(**chosen)
    return documents.BoardChoice(*board)


def _word(words: Mapping[str, object], name: str) -> str | None:
    value = words.get(name)
    return None if value is None else str(value)

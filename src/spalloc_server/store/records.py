"""Encodes the records of jobs and reservations as JSON for the disk, and decodes them.

See writing.py for the SQL statements that write them. A field that is added later needs a default here, so that
records of older servers can still be read.
"""

from math import isfinite

import msgspec

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.requests import JobRequest, args_of, checked, shape_of
from spalloc_server.core.reservations import Reservation, flaw
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size


class UnreadableError(ValueError):
    """A record that can't be used; the message says why."""


class StoredRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job's request on disk; its shape is written as the positional arguments of `create_job`."""

    args: tuple[int, ...]
    machine: str | None
    tags: tuple[str, ...]
    min_ratio: float
    max_dead_boards: int | None
    max_dead_links: int | None
    require_torus: bool


class StoredJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job's record on disk."""

    id: int
    owner: str
    created: float
    keepalive: float | None
    request: StoredRequest
    asked_args: tuple[int, ...]
    asked_kwargs: dict[str, object]
    keepalive_host: str
    state: int
    power: bool | None = None
    allocation: Allocation | None = None
    reason: str | None = None
    ended: float | None = None
    owner_host: str = ""
    ended_by: str | None = None
    stays_off: bool = False
    time_limit: float | None = None
    allocated: float | None = None
    moved_back: float = 0.0
    work: float | None = None
    expected_end: float | None = None
    start_number: int = 0
    account: str | None = None
    group: str | None = None


_YEAR_1, _YEAR_10_000 = -62_135_596_800.0, 253_402_300_800.0
_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(StoredJob).decode
_write_in_order = msgspec.json.Encoder(order="deterministic").encode
_read_reservation = msgspec.json.Decoder(Reservation).decode


def to_text(record: JobRecord) -> bytes:
    """Return a job's record as JSON."""
    request = record.request
    return _write(
        StoredJob(
            id=record.id,
            owner=record.owner,
            created=record.created,
            keepalive=record.keepalive,
            request=StoredRequest(
                args=args_of(request.shape),
                machine=request.machine,
                tags=tuple(sorted(request.tags)),
                min_ratio=request.min_ratio,
                max_dead_boards=request.max_dead_boards,
                max_dead_links=request.max_dead_links,
                require_torus=request.require_torus,
            ),
            asked_args=record.asked.args,
            asked_kwargs=dict(record.asked.kwargs),
            keepalive_host=record.keepalive_host,
            state=record.state.value,
            power=record.power,
            allocation=record.allocation,
            reason=record.reason,
            ended=record.ended,
            owner_host=record.owner_host,
            ended_by=record.ended_by,
            stays_off=record.stays_off,
            time_limit=record.time_limit,
            allocated=record.allocated,
            moved_back=record.moved_back,
            work=record.work,
            expected_end=record.expected_end,
            start_number=record.start_number,
            account=record.account,
            group=record.group,
        )
    )


def from_row(number: int, ended: float | None, text: bytes) -> JobRecord:
    """Return the record that `to_text` wrote, checked against its row in the table.

    Raises:
        UnreadableError: It is not a job record, is inconsistent, or is another job's.
    """
    record = from_text(text)
    if record.id != number:
        raise UnreadableError(f"it is job {record.id}'s")
    if (record.state is JobState.destroyed) != (ended is not None):
        raise UnreadableError("it does not agree with its row on whether the job has ended")
    return record


def from_text(text: bytes) -> JobRecord:
    """Return the record that `to_text` wrote.

    Raises:
        UnreadableError: The text is not a job record, or is inconsistent.
    """
    try:
        record = _record(_read(text))
        checked(record.request)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableError(str(error)) from error
    flaw = _flaw(record)
    if flaw is not None:
        raise UnreadableError(flaw)
    return record


def is_date(moment: float) -> bool:
    """Return whether a moment of Unix time can be written as a date, in the years 1 to 9999."""
    return _YEAR_1 <= moment < _YEAR_10_000


def _flaw(record: JobRecord) -> str | None:
    """Return how a record is inconsistent, beyond what `JobRecord` checks itself; None if it is not."""
    spans = [span for span in (record.keepalive, record.time_limit) if span is not None]
    ends = (record.ended or 0.0, record.expected_end or 0.0)
    times = (record.created, *ends, record.allocated or 0.0, record.moved_back, record.work or 0.0, *spans)
    dates = (record.created, record.ended or 0.0, record.allocated or 0.0)
    if not all(map(isfinite, times)) or not all(map(is_date, dates)) or min(spans, default=1.0) <= 0:
        return "its times make no sense"
    allocation = record.allocation
    if allocation is not None:
        size = allocation.size or Size(1, 1)
        if not allocation.boards or min(size) < 1:
            return "it has no boards"
        if not all(map(_is_board, (allocation.origin, *allocation.boards))):
            return "its boards can't be"
    return None


def _is_board(board: Board) -> bool:
    return board.x >= 0 and board.y >= 0 and board.z in range(BOARDS_PER_TRIAD)


def _record(stored: StoredJob) -> JobRecord:
    request = stored.request
    allocated = stored.allocated
    if allocated is None and stored.allocation is not None and stored.ended is None:
        # Servers that knew no limits did not write it down; it was not before this.
        allocated = stored.created
    return JobRecord(
        id=stored.id,
        owner=stored.owner,
        created=stored.created,
        keepalive=stored.keepalive,
        request=JobRequest(
            shape=shape_of(request.args),
            machine=request.machine,
            tags=frozenset(request.tags),
            min_ratio=request.min_ratio,
            max_dead_boards=request.max_dead_boards,
            max_dead_links=request.max_dead_links,
            require_torus=request.require_torus,
        ),
        asked=Asked(stored.asked_args, stored.asked_kwargs),
        keepalive_host=stored.keepalive_host,
        state=JobState(stored.state),
        power=stored.power,
        allocation=stored.allocation,
        reason=stored.reason,
        ended=stored.ended,
        owner_host=stored.owner_host,
        ended_by=stored.ended_by,
        stays_off=stored.stays_off,
        time_limit=stored.time_limit,
        allocated=allocated,
        moved_back=stored.moved_back,
        work=stored.work,
        expected_end=stored.expected_end,
        start_number=stored.start_number,
        account=stored.account,
        group=stored.group,
    )


def reservation_to_text(reservation: Reservation) -> bytes:
    """Return a reservation as JSON."""
    return _write_in_order(reservation)


def reservation_from_text(name: str, text: bytes) -> Reservation:
    """Return the reservation that `reservation_to_text` wrote, checked against the name of its row.

    Raises:
        UnreadableError: The text is no reservation, or that of another name.
    """
    try:
        reservation = _read_reservation(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableError(str(error)) from error
    if reservation.name != name:
        raise UnreadableError(f"it is {reservation.name}'s")
    wrong = flaw(reservation)
    if wrong is not None:
        raise UnreadableError(f"it {wrong}")
    return reservation

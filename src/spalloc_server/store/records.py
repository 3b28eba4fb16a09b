# How jobs look on disk: a job's record as a JSON text, and back.
#
# The tables that the texts stand in are database.py's subject. A field that is added later needs a default here,
# so that texts written by an older server can still be read.
"""Job records as JSON."""

import msgspec

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.requests import JobRequest, args_of, shape_of


class StoredRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request; its shape is written as `create_job`'s positional arguments."""

    args: tuple[int, ...]
    machine: str | None
    tags: tuple[str, ...]
    min_ratio: float
    max_dead_boards: int | None
    max_dead_links: int | None
    require_torus: bool


class StoredJob(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job."""

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


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(StoredJob).decode


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
        )
    )


def from_text(text: bytes) -> JobRecord:
    """Return the record that `to_text` wrote.

    Raises:
        msgspec.ValidationError: The text is not a job's.
    """
    stored = _read(text)
    request = stored.request
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
    )

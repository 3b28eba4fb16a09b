# The reply to `list_jobs`, put together from parts that are kept as bytes until their job changes.
#
# What a listing says of a job stands here; which jobs there are, in the core.
"""The listing of all jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from spalloc_client.wire import Json, Return, encode
from spalloc_server.core.jobs import Job, JobRecord

_write = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Encoded:
    """A reply that is already bytes."""

    reply: bytes
    """The whole line, with its newline."""


Reply: TypeAlias = "Json | Encoded"
"""What a command may return."""


class Listing:
    """Writes listings of jobs; a job that has not changed since the last one costs next to nothing."""

    def __init__(self) -> None:
        """Begin with nothing written."""
        self._written: dict[int, tuple[JobRecord, bytes]] = {}

    def of(self, jobs: Mapping[int, Job]) -> Encoded:
        """Return the listing of `jobs`, in their order."""
        written = self._written
        if len(written) > 2 * len(jobs) + 100:
            self._written = written = {number: part for number, part in written.items() if number in jobs}
        parts = []
        for number, job in jobs.items():
            record = job.record
            part = written.get(number)
            if part is None or part[0] is not record:
                part = written[number] = (record, _written(record))
            parts.append(part[1])
        return Encoded(b'{"return":[' + b",".join(parts) + b"]}\n")


def ended_entry(record: JobRecord) -> dict[str, Any]:
    """Return what a listing says of a job that has ended."""
    return _entry(record) | {"reason": record.reason, "ended": record.ended}


def _written(record: JobRecord) -> bytes:
    entry = _entry(record)
    text = _write(entry)
    if not text.isascii():
        # Every other line is ASCII, so that peers read it whatever encoding they expect; so is this.
        return encode(Return(entry))[len(b'{"return":') : -len(b"}\n")]
    return text


def _entry(record: JobRecord) -> dict[str, Any]:
    allocation = record.allocation
    return {
        "job_id": record.id,
        "owner": record.owner,
        "start_time": record.created,
        "keepalive": record.keepalive,
        "state": record.state.value,
        "power": record.power,
        "args": record.asked.args,
        "kwargs": record.asked.kwargs,
        "allocated_machine_name": None if allocation is None else allocation.machine,
        "boards": None if allocation is None else sorted(allocation.boards),
        "keepalivehost": record.keepalive_host,
    }

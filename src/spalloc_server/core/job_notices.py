"""What the log says of jobs that start and end."""

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.effects import Notice
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.networks import Groups

TIMED_OUT = "Job timed out."
STARTED_COLD = "The server was started afresh."


def of_start(record: JobRecord, allocation: Allocation, groups: Groups) -> Notice:
    """Return the notice that a job starts on an allocation."""
    about: dict[str, str | int] = {
        "job": record.id,
        "owner": record.owner,
        "client": record.owner_host,
        "machine": allocation.machine,
        "boards": len(allocation.boards),
    }
    return Notice(f"job {record.id} starts", about=about, of=groups.of(record.owner_host))


def of_end(record: JobRecord, groups: Groups) -> Notice:
    """Return the notice that a job has ended."""
    by = record.ended_by
    about: dict[str, str | int] = {"job": record.id, "owner": record.owner}
    about["by"] = by or ("time-out" if record.reason == TIMED_OUT else "server")
    if record.reason is not None:
        about["reason"] = record.reason
    # Endings by the server itself are limited by the number of boards, or of jobs at its start.
    is_limited = about["by"] == "server" and (record.allocation is not None or record.reason == STARTED_COLD)
    of = None if is_limited else groups.of(by or record.owner_host)
    return Notice(f"job {record.id} ends", about=about, of=of)

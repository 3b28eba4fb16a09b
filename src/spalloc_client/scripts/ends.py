"""How long jobs may have their boards, and when they end: asked of the server, and worded for users.

Commands import this file only where a server knows time limits.
"""

from __future__ import annotations

from spalloc_client import durations
from spalloc_client.errors import SpallocServerException
from spalloc_client.extensions import has_extensions
from spalloc_client.job_answers import NO_TIMES, JobTimes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.protocol_client import ProtocolClient


def times_of(client: ProtocolClient, job_id: int, timeout: float | None, machines: object) -> JobTimes | None:
    """Ask for a job's times.

    Args:
        client: A connection.
        job_id: The job.
        timeout: Seconds to wait for the answer.
        machines: The server's answer to `list_machines`.

    Returns:
        The times, with nothing in them for a job that is not live; None if the server knows no time limits.
    """
    if not has_extensions(machines):
        return None
    try:
        answer = client.job_times(job_id, timeout=timeout)
    except SpallocServerException:
        return None
    return NO_TIMES if answer is None else JobTimes(answer)


def limit_of(job_id: int, times: JobTimes) -> str:
    """Return in a sentence how long a job may have its boards."""
    if times.time_limit is None:
        return f"Job {job_id}: It has no time limit."
    sentence = f"Job {job_id}: It may have its boards for {durations.in_words(times.time_limit)}"
    if times.ends_in is None:
        return f"{sentence}."
    return f"{sentence}, of which {durations.in_words(times.ends_in)} are left."

# What `spalloc` says while its user waits: a sentence for each state, the time waited, the place in the queue.
#
# Sentences only, made from values; who asks the server and writes them is alloc.py.
"""Progress of a job towards its boards, in words."""

from __future__ import annotations

from spalloc_client.states import JobState
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.scripts.queue import Place


def duration(seconds: float) -> str:
    """Return a time waited as `0:07`, `12:34` or `1:02:03`."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def sentence(job_id: int, state: int, reason: str | None = None) -> Text:
    """Return what to say about a job that has come to `state`."""
    if state == JobState.queued:
        return Text(f"Job {job_id}: Waiting in queue...", Style.YELLOW)
    if state == JobState.power:
        return Text(f"Job {job_id}: Waiting for power on...", Style.YELLOW)
    if state == JobState.ready:
        return Text(f"Job {job_id}: Ready!", Style.GREEN)
    if state == JobState.destroyed:
        why = "." if reason is None else f": {printable(reason)}"
        return Text(f"Job {job_id}: Destroyed{why}", Style.RED)
    if state == JobState.unknown:
        return Text(f"Job {job_id}: Job not recognised by server.", Style.RED)
    return Text(f"Job {job_id}: Entered an unrecognised state {state}.", Style.RED)


def waiting(job_id: int, state: int, waited: float, place: Place | None) -> Text:
    """Return what to say while a job stays in `state`.

    Args:
        job_id: The job.
        state: Queued or power.
        waited: Seconds since the job was asked for.
        place: Its place in the queue, if known.
    """
    line = sentence(job_id, state) + " " + duration(waited)
    return line + f" ({place})" if place is not None and state == JobState.queued else line

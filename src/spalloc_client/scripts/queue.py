# A job's place in the server's queue: from servers that tell it, and worked out for those that do not.
#
# Values and one question; when it is asked is the commands' subject.
"""Places in the queue."""

from __future__ import annotations

from spalloc_client.errors import SpallocServerException
from spalloc_client.scripts.answers import AnswerError, Listed, listed
from spalloc_client.states import JobState
from spalloc_client.terminal.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.protocol_client import ProtocolClient

_COMMAND = "job_queue_position"


class Place:
    """A job's place in the queue."""

    __slots__ = ("of", "position", "reason")
    position: int
    """1 for the next one."""
    of: int
    """How many jobs wait."""
    reason: str
    """A sentence on what it waits for, safe to print; empty when the server doesn't tell."""

    def __init__(self, position: int, of: int, reason: str = "") -> None:
        self.position = position
        self.of = of
        self.reason = reason

    def __str__(self) -> str:
        return f"{ordinal(self.position)} of {self.of}"


def place_in_queue(
    client: ProtocolClient, job_id: int, timeout: float | None, jobs: Sequence[Listed] | None = None
) -> Place | None:
    """Ask for a job's place in the queue.

    Args:
        client: A connection.
        job_id: The job.
        timeout: Seconds to wait for each answer.
        jobs: All live jobs, if the caller has just asked for them.

    Returns:
        The place, or None for a job that is not in the queue.
    """
    try:
        answer = client.call(_COMMAND, job_id, timeout=timeout)
    except SpallocServerException:
        # A server that doesn't know the command lists its jobs in the queue's order.
        if jobs is None:
            jobs = listed(client.list_jobs(timeout=timeout))
        return place_among(job_id, [job.job_id for job in jobs if job.state == JobState.queued])
    return _read(answer)


def place_among(job_id: int, queued: Sequence[int]) -> Place | None:
    """Return the place of a job among the IDs of queued jobs, oldest first; None when it isn't queued."""
    if job_id not in queued:
        return None
    return Place(queued.index(job_id) + 1, len(queued))


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th and so on."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _read(answer: object) -> Place | None:
    if answer is None:
        return None
    if not isinstance(answer, dict):
        raise AnswerError(f"its answer to {_COMMAND} is no object")
    try:
        return Place(int(answer["position"]), int(answer["of"]), printable(str(answer.get("reason") or "")))
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(f"its answer to {_COMMAND} is not understood: {error}") from error

"""A job's place in the server's queue: as the server reports it, or computed where the server does not.

Values and one question; the commands decide when to ask it.
"""

from __future__ import annotations

from spalloc_client.answers import Listed, listed
from spalloc_client.errors import SpallocServerException
from spalloc_client.extensions import has_extensions
from spalloc_client.job_answers import AnswerError
from spalloc_client.states import JobState
from spalloc_client.terminal.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from spalloc_client.protocol_client import ProtocolClient

_COMMAND = "job_queue_position"

_MOST_ASKED = 100
"""Jobs that the server is asked about one by one, for a list."""


class QueuePosition:
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

    @property
    def cause(self) -> str:
        """What the job waits for, without the place that the server's sentence begins with."""
        return self.reason.removeprefix(f"Number {self.position} of {self.of} in the queue; ")


def place_in_queue(
    client: ProtocolClient,
    job_id: int,
    timeout: float | None,
    jobs: Sequence[Listed] | None = None,
    machines: object = None,
) -> QueuePosition | None:
    """Ask for a job's place in the queue.

    Args:
        client: A connection.
        job_id: The job.
        timeout: Seconds to wait for each answer.
        jobs: All live jobs, if the caller has just asked for them.
        machines: The answer to `list_machines`, likewise: it shows whether the server would hang up on the question.

    Returns:
        The place, or None for a job that is not in the queue.
    """
    if machines is None or has_extensions(machines):
        try:
            return _read(client.call(_COMMAND, job_id, timeout=timeout))
        except SpallocServerException:
            pass  # it doesn't know the command
    # Such a server lists its jobs in the queue's order.
    if jobs is None:
        jobs = listed(client.list_jobs(timeout=timeout))
    return place_among(job_id, _queued(jobs))


def places_in_queue(
    client: ProtocolClient, jobs: Sequence[Listed], wanted: Sequence[Listed], timeout: float | None
) -> dict[int, QueuePosition]:
    """Ask for the places of jobs in the queue; the server is asked for the reasons of the first 100 only.

    Args:
        client: A connection.
        jobs: All live jobs.
        wanted: Those whose places are wanted.
        timeout: Seconds to wait for each answer.

    Returns:
        The places of those that are queued, by ID.
    """
    queued = _queued(jobs)
    places: dict[int, QueuePosition] = {}
    asking = bool(queued) and has_extensions(client.call("list_machines", timeout=timeout))
    for job in wanted:
        place = place_among(job.job_id, queued)
        if place is None:
            continue
        if asking and len(places) < _MOST_ASKED:
            try:
                place = _read(client.call(_COMMAND, job.job_id, timeout=timeout)) or place
            except SpallocServerException:
                asking = False  # the server doesn't know the command
        places[job.job_id] = place
    return places


def _queued(jobs: Sequence[Listed]) -> list[int]:
    """Return the IDs of queued jobs, oldest first; none where the server hides others' jobs, which may be queued."""
    if any(job.state == JobState.unknown for job in jobs):
        return []
    return [job.job_id for job in jobs if job.state == JobState.queued]


def place_among(job_id: int, queued: Sequence[int]) -> QueuePosition | None:
    """Return the place of a job among the IDs of queued jobs, oldest first; None when it isn't queued."""
    if job_id not in queued:
        return None
    return QueuePosition(queued.index(job_id) + 1, len(queued))


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th and so on."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _read(answer: object) -> QueuePosition | None:
    if answer is None:
        return None
    if not isinstance(answer, dict):
        raise AnswerError(_COMMAND, answer)
    try:
        return QueuePosition(
            int(answer["position"]), int(answer["of"]), printable(str(answer.get("reason") or ""))
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AnswerError(_COMMAND, answer, error) from error

"""What the application is told of a job while it waits for boards.

job_steps.py decides when to ask, and when to tell.
"""

from __future__ import annotations

from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.wire import Json


class Progress:
    """How far a job has come; as a string, a sentence that says so."""

    __slots__ = ("job_id", "of", "position", "reason", "state")
    job_id: int | None
    """The job's ID."""
    state: JobState
    """`queued`, or `power` while its boards are being powered."""
    position: int | None
    """Its place in the queue, counted from 1; None if it is not queued, or the server does not tell."""
    of: int | None
    """How many jobs wait; None as above."""
    reason: str | None
    """What it waits for, a sentence of the server's; None as above."""

    def __init__(self, job_id: int | None, state: JobState, place: Json = None) -> None:
        """Take the server's answer to `job_queue_position`, or None."""
        self.job_id = job_id
        self.state = state
        told = place if isinstance(place, dict) else {}
        position, of, reason = told.get("position"), told.get("of"), told.get("reason")
        self.position = position if type(position) is int else None
        self.of = of if type(of) is int else None
        self.reason = reason if isinstance(reason, str) and reason else None

    def __str__(self) -> str:
        if self.reason is not None:
            return f"Job {self.job_id}: {self.reason}"
        if self.position is not None:
            return f"Job {self.job_id}: Number {self.position} of {self.of} in the queue."
        doing = "being powered" if self.state == JobState.power else "waiting in the queue"
        return f"Job {self.job_id} is {doing}."

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

# Looking out for a job's end while its user has the boards: a thread that waits for the server's word.
#
# What is made of it is the caller's.
"""Notice that a job has ended."""

from __future__ import annotations

import threading

from spalloc_client.errors import ProtocolError, ProtocolTimeoutError, SpallocServerException
from spalloc_client.states import JobState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from spalloc_client.job import Job

_ENDED = (JobState.destroyed, JobState.unknown)


class Outlook:
    """A thread that waits for a job's end."""

    def __init__(self, job: Job, ring: Callable[[], None]) -> None:
        """Describe it.

        Args:
            job: The job, which is ready.
            ring: Called, in the thread, once `end` is known.
        """
        self._job = job
        self._ring = ring
        self.end: tuple[JobState, str | None] | None = None
        """The state in which the job ended and the reason, once it has."""

    def start(self) -> None:
        """Begin to look out; the process may end without waiting for this."""
        threading.Thread(target=self._look, name="spalloc-outlook", daemon=True).start()

    def _look(self) -> None:
        try:
            state = JobState.ready
            while state not in _ENDED:
                state = self._job.wait_for_state_change(state)
            self.end = (state, self._job.reason if state == JobState.destroyed else None)
        except (OSError, ProtocolError, ProtocolTimeoutError, SpallocServerException, ValueError):
            # The job was given back, which closes the connection; or the server came back as one that says nothing of
            # jobs. Whoever uses the boards goes on.
            return
        self._ring()

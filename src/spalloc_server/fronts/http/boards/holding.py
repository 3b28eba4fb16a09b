"""Who uses boards through the service, and for which job: told to stop as soon as the job has lost its boards.

The engine tells of a loss once that is on disk, in the same turn of the loop in which it orders the boards off: others
get them only after that. Whoever sends to boards asks `is_held` besides, before every packet.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.jobs import JobRecord
from spalloc_server.engine import Engine


@dataclass(eq=False, slots=True)
class Hold:
    """One use of a job's boards."""

    job: int
    allocation: Allocation | None
    """The boards."""
    end: Callable[[str], None]
    """Called when the job loses them, with the reason: nothing may be sent to them once it returns."""


class Holdings:
    """All uses of boards of one kind."""

    def __init__(self, engine: Engine) -> None:
        """Listen to the changes of an engine."""
        self._engine = engine
        self._holds: dict[int, set[Hold]] = {}
        engine.listeners.add(self)

    @contextmanager
    def hold(self, record: JobRecord, end: Callable[[str], None]) -> Iterator[Hold]:
        """Use the boards that a job has now, in the block; see `Hold` for `end`."""
        hold = Hold(record.id, record.allocation, end)
        self._holds.setdefault(record.id, set()).add(hold)
        try:
            yield hold
        finally:
            of_job = self._holds[record.id]
            of_job.discard(hold)
            if not of_job:
                del self._holds[record.id]

    def is_held(self, hold: Hold) -> bool:
        """Return whether the job has the same boards still, and wants them on."""
        job = self._engine.site.jobs.get(hold.job)
        if job is None or hold.allocation is None:
            return False
        return job.record.allocation is hold.allocation and job.record.power is True

    def why_lost(self, number: int) -> str:
        """Return why a job's boards can't be used, for the job's owner."""
        job = self._engine.site.jobs.get(number)
        if job is None:
            record = self._engine.ended_record(number)
            reason = None if record is None else record.reason
            return f"job {number} was destroyed{f': {reason}' if reason else ''}"
        if job.record.allocation is None:
            return f"job {number} has no boards now"
        if not job.record.power:
            return f"the boards of job {number} are switched off"
        return f"job {number} has other boards than before"

    def stop(self, why: str) -> None:
        """End all uses, and listen no more."""
        self._engine.listeners.discard(self)
        for of_job in list(self._holds.values()):
            for hold in list(of_job):
                hold.end(why)

    def jobs_changed(self, jobs: set[int]) -> None:
        """End the uses of boards that jobs have lost."""
        for number in jobs & self._holds.keys():
            for hold in list(self._holds[number]):
                if not self.is_held(hold):
                    hold.end(self.why_lost(number))

    def machines_changed(self, machines: set[str]) -> None:
        """Do nothing: what jobs lose when machines change is told as a change of the jobs."""

    def jobs_ending(self, jobs: set[int]) -> None:
        """Do nothing."""

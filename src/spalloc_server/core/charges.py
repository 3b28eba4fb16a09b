"""Charges: what each allocation of a job cost, in boards and in time.

A charge is made when the allocation ends, and is recorded together with the job, from whose record it follows. So
whatever is killed in between, charges are what the history of allocations says. What they add up to is in usage.py.
"""

from typing import NamedTuple

from spalloc_server.core.jobs import JobRecord


class Charge(NamedTuple):
    """What one allocation of a job cost; a job that was moved to other boards has several."""

    job: int
    """The job's ID."""
    owner: str
    account: str | None
    """The account that created the job; None for none."""
    group: str | None
    """The group that is charged; None for none."""
    machine: str
    boards: int
    """How many the job had."""
    begun: float
    """When they were allocated, in seconds of Unix time."""
    ended: float
    """When the job had them no more, in seconds of Unix time; never before `begun`."""

    @property
    def board_seconds(self) -> float:
        """Boards times seconds."""
        return self.boards * (self.ended - self.begun)


def charge_of(record: JobRecord, until: float) -> Charge | None:
    """Return what a job's present allocation has cost until a moment of Unix time; None if it has no boards.

    While the computer's clock tells a time before the allocation, because it was set back, that is nothing.
    """
    allocation, begun = record.allocation, record.allocated
    if allocation is None or begun is None:
        return None
    return Charge(
        record.id,
        record.owner,
        record.account,
        record.group,
        allocation.machine,
        len(allocation.boards),
        begun,
        max(begun, until),
    )

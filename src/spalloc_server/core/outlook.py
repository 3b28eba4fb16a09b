"""Which jobs would end under other machines.

What would become of jobs under other machines: asked before a configuration takes effect, so nothing is changed here.

The same is decided by changes.py and the scheduler when it does take effect.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spalloc_server.core.changes import objection
from spalloc_server.core.jobs import JobRecord, shortened
from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import SiteView
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.site import SLICE_STEPS

_SUBMITTED_AT_ONCE = 500
"""Waiting jobs that are gone through at a time."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A job that would end."""

    job: int
    owner: str
    why: str


class Outlook:
    """What would become of a site's jobs under other machines.

    Whether a waiting job could ever run there may take long to find out, so that is done in slices, and jobs may come
    meanwhile: whoever asks goes on with `work_out` until nothing is `unknown`.
    """

    def __init__(self, machines: Sequence[Machine]) -> None:
        """Look at how it would be with `machines`, highest priority first."""
        self._machines = tuple(machines)
        self._after = {machine.name: machine for machine in machines}
        self._known: set[int] = set()
        """Waiting jobs of which it is known whether they could run."""
        self._hopeless: dict[int, str] = {}

    def unknown(self, site: SiteView) -> list[JobRecord]:
        """Return the waiting jobs of which it is still to be found out whether they could run."""
        if _what_jobs_need(site.machines.values()) == _what_jobs_need(self._machines):
            # What could never run here could never run there, and is found out by the site itself.
            return []
        return [
            job.record
            for job in site.jobs.values()
            if job.record.allocation is None and job.id not in self._known
        ]

    def work_out(self, waiting: Iterable[JobRecord]) -> Iterator[None]:
        """Find out whether jobs could run; yields whenever as much is done as should be at a time."""
        scheduler = Scheduler(self._machines, slice_steps=SLICE_STEPS)
        for machine in self._machines:
            # None is to start.
            scheduler.occupy(machine.name, machine.places)
        submitted: set[int] = set()
        for record in waiting:
            scheduler.submit(record.id, record.request, 0.0)
            submitted.add(record.id)
            if not len(submitted) % _SUBMITTED_AT_ONCE:
                yield
        while submitted and not scheduler.is_settled:
            scheduler.decide(0.0)
            for job, why in scheduler.take_refused():
                self._hopeless[job] = shortened(f"Cancelled: {why}")
            yield
        # Not before: whoever asks may leave off in the middle.
        self._known |= submitted

    def endings(self, site: SiteView) -> list[Ending]:
        """Return the jobs that would end, as far as is known, the oldest first."""
        if tuple(site.machines.values()) == self._machines:
            return []
        endings = []
        for job in site.jobs.values():
            allocation = job.record.allocation
            if allocation is None:
                why = self._hopeless.get(job.id)
            else:
                name = allocation.machine
                why = objection(allocation, site.machines.get(name), self._after.get(name))
            if why is not None:
                endings.append(Ending(job.id, job.record.owner, why))
        return endings


def _what_jobs_need(machines: Iterable[Machine]) -> frozenset[tuple[object, ...]]:
    """Return all of the machines on which it depends whether a waiting job could ever run."""
    return frozenset((one.name, one.size, one.tags, one.dead_boards, one.dead_links) for one in machines)

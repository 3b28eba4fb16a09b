"""Which jobs would end if the machines were changed: asked before a new configuration takes effect.

Nothing is changed here. When the configuration takes effect, allocation.py and the scheduler decide the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spalloc_server.core.allocation import objection
from spalloc_server.core.jobs import JobRecord, shortened
from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import SiteView
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.site import SLICE_STEPS

_SUBMITTED_AT_ONCE = 500
"""How many queued jobs are submitted between two pauses."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A job that would end."""

    job: int
    owner: str
    why: str


class Outlook:
    """What would happen to a site's jobs if it had other machines.

    To find out whether a queued job could ever run there can take long, so it is done in slices, and jobs may arrive
    meanwhile. Call `work_out` for all jobs that are `unknown`, until there are none.
    """

    def __init__(self, machines: Sequence[Machine]) -> None:
        """Ask what would happen with `machines`, highest priority first."""
        self._machines = tuple(machines)
        self._after = {machine.name: machine for machine in machines}
        self._known: set[int] = set()
        """Queued jobs of which it is known whether they could run."""
        self._impossible: dict[int, str] = {}

    def unknown(self, site: SiteView) -> list[JobRecord]:
        """Return the queued jobs of which it is not yet known whether they could run."""
        if _what_jobs_need(site.machines.values()) == _what_jobs_need(self._machines):
            # A job that could never run there can never run here either, and the site ends it by itself.
            return []
        return [
            job.record
            for job in site.jobs.values()
            if job.record.allocation is None and job.id not in self._known
        ]

    def work_out(self, waiting: Iterable[JobRecord]) -> Iterator[None]:
        """Find out whether jobs could run; yields after each slice of the work."""
        scheduler = Scheduler(self._machines, slice_steps=SLICE_STEPS)
        for machine in self._machines:
            # All boards are in use, so that no job starts.
            scheduler.occupy(machine.name, machine.places)
        submitted: set[int] = set()
        for record in waiting:
            scheduler.submit(record.id, record.request, 0.0)
            submitted.add(record.id)
            if not len(submitted) % _SUBMITTED_AT_ONCE:
                yield
        while submitted and not scheduler.is_done:
            scheduler.decide(0.0)
            for job, why in scheduler.take_refused():
                self._impossible[job] = shortened(f"Cancelled: {why}")
            yield
        # Not earlier: the caller may stop in the middle.
        self._known |= submitted

    def endings(self, site: SiteView) -> list[Ending]:
        """Return the jobs that are known to end, the oldest first."""
        if tuple(site.machines.values()) == self._machines:
            return []
        endings = []
        for job in site.jobs.values():
            allocation = job.record.allocation
            if allocation is None:
                why = self._impossible.get(job.id)
            else:
                name = allocation.machine
                why = objection(allocation, site.machines.get(name), self._after.get(name))
            if why is not None:
                endings.append(Ending(job.id, job.record.owner, why))
        return endings


def _what_jobs_need(machines: Iterable[Machine]) -> frozenset[tuple[object, ...]]:
    """Return everything about machines that decides whether a queued job could ever run."""
    return frozenset((one.name, one.size, one.tags, one.dead_boards, one.dead_links) for one in machines)

"""Which jobs would end if machines or reservations were changed: asked before a new configuration takes effect.

Nothing is changed here. When the configuration takes effect, allocation.py and the scheduler decide the same.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spalloc_server.core.allocation import objection
from spalloc_server.core.jobs import JobRecord, shortened
from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import SiteView
from spalloc_server.core.reservations import (
    WARNING_SECONDS,
    Reservation,
    by_machine,
    clash_sentence,
    first_to_end,
)
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.core.site import SLICE_STEPS
from spinnaker.geometry import Board

_SUBMITTED_AT_ONCE = 500
"""How many queued jobs are submitted between two pauses."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A job that a reload would end."""

    job: int
    owner: str
    why: str
    when: float | None = None
    """When, in Unix time, if a reservation ends it that begins later; None for at once."""


class Outlook:
    """What would happen to a site's jobs if it had other machines and reservations.

    To find out whether a queued job could ever run there can take long, so it is done in slices, and jobs may arrive
    meanwhile. Call `work_out` for all jobs that are `unknown`, until there are none.
    """

    def __init__(self, machines: Sequence[Machine], reservations: Collection[Reservation] = ()) -> None:
        """Ask what would happen with `machines`, highest priority first, and these reservations configured."""
        self._machines = tuple(machines)
        self._reservations = reservations
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

    def clash(self, site: SiteView) -> str | None:
        """Return which reservation can't be beside one that was made by command, and why; None if all can."""
        for one in self._reservations:
            wrong = clash_sentence(one, site.reserving.added.values(), self._machines)
            if wrong is not None:
                return f"reservation {one.name} {wrong}, or remove that one, which was made by command"
        return None

    def endings(self, site: SiteView, wall: float) -> list[Victim]:
        """Return the jobs that are known to end, oldest first: at `wall` (Unix time), or too soon to be told."""
        current = [
            one
            for one in (*self._reservations, *site.reserving.added.values())
            if one.begins < wall + WARNING_SECONDS and not one.is_over(wall)
        ]
        reserved = by_machine(current, self._machines)
        if tuple(site.machines.values()) == self._machines and not reserved:
            return []
        endings = []
        for job in site.jobs.values():
            allocation = job.record.allocation
            if allocation is None:
                why = self._impossible.get(job.id)
            else:
                name = allocation.machine
                why = objection(allocation, site.machines.get(name), self._after.get(name))
                reservation = None if why else _reserved(site, job.record, reserved)
                if reservation is not None:
                    when = reservation.begins if reservation.begins > wall else None
                    endings.append(Victim(job.id, job.record.owner, reservation.why, when))
            if why is not None:
                endings.append(Victim(job.id, job.record.owner, why))
        return endings


def _reserved(
    site: SiteView,
    record: JobRecord,
    reserved: Mapping[str, Sequence[tuple[Reservation, frozenset[Board]]]],
) -> Reservation | None:
    """Return which of the reservations `reserved` would end a job; None if none ends it sooner than now."""
    allocation = record.allocation
    if allocation is None:
        return None
    name = allocation.machine
    after = first_to_end(record.owner, allocation.boards, reserved.get(name, ()))
    before = first_to_end(record.owner, allocation.boards, site.reserving.on(name))
    if after is None or (before is not None and before.begins <= after.begins):
        return None
    return after


def _what_jobs_need(machines: Iterable[Machine]) -> frozenset[tuple[object, ...]]:
    """Return everything about machines that decides whether a queued job could ever run."""
    return frozenset((one.name, one.size, one.tags, one.dead_boards, one.dead_links) for one in machines)

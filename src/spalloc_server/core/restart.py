"""The start of a server: it takes up the jobs and boards that an earlier process recorded, or ends them all.

How they are recorded is decided in the store, what a recorded board goes through in upkeep.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate, takewhile

from spalloc_client.states import JobState
from spalloc_server.core.effects import BoardKey, BoardRecord, keys_of
from spalloc_server.core.job_notices import STARTED_COLD
from spalloc_server.core.jobs import Job, JobRecord
from spalloc_server.core.life import Happening
from spalloc_server.core.reconfiguration import end_touched, watch_standing
from spalloc_server.core.reports import RECENT_SECONDS
from spalloc_server.core.site import Site
from spalloc_server.moment import Moment
from spalloc_server.words import counted

MOST_RECALLED = 200_000
"""Boards of ended jobs that are looked at, at the start, to see which hosts had them; the latest first."""

MOST_NAMED = 20
"""Jobs that one line of the log names; of more, it says how many there are."""


def recall(
    site: Site,
    jobs: Iterable[JobRecord],
    boards: Mapping[BoardKey, BoardRecord],
    next_job: int,
    *,
    at: Moment,
    all_off: bool = False,
    doubtful: bool = False,
) -> None:
    """Take up where an earlier process was, as recorded; every keepalive starts afresh.

    Args:
        site: One to which nothing has happened yet.
        jobs: All jobs that are recorded.
        boards: What is recorded of boards between jobs.
        next_job: The next job's ID.
        at: When it happens.
        all_off: Whether the boards lost their power meanwhile, as virtual ones do that end with the server.
        doubtful: Whether there may be jobs that are not recorded: boards that no job has are switched off first.
    """
    site.next_job = next_job
    records = sorted(jobs, key=lambda record: record.id)
    for record in sorted(
        (r for r in records if r.state is JobState.destroyed), key=lambda r: (r.ended or 0.0, r.id)
    ):
        site.remember(record)
    _recall_hosts(site, (r for r in records if r.state is JobState.destroyed), at)
    _recall_live(site, [record for record in records if record.state is not JobState.destroyed], at)
    site.upkeep.recall(_perhaps_on(site, boards) if doubtful else boards, at.now)
    ended = end_touched(site, None, at)
    if ended:
        first = ", ".join(map(str, ended[:MOST_NAMED]))
        others = f" and {len(ended) - MOST_NAMED} more" if len(ended) > MOST_NAMED else ""
        site.notice(
            f"this start ends {counted(len(ended), 'job')} whose boards the configuration no longer has: "
            f"{first}{others}",
            {"jobs": len(ended)},
            serious=True,
        )
    for job in list(site.jobs.values()):
        if job.record.allocation is None:
            site.scheduler.submit(job.id, job.record.request, job.since)
        elif job.record.state is JobState.power or (all_off and job.record.power):
            site.order(job, Happening.POWER_ASKED, job.record.allocation, on=bool(job.record.power))
    site.follow_upkeep()
    watch_standing(site, {})


def begin_afresh(
    site: Site,
    jobs: Iterable[JobRecord],
    boards: Mapping[BoardKey, BoardRecord],
    next_job: int,
    *,
    at: Moment,
) -> None:
    """End all recorded jobs and forget what failed; all boards are switched off before a job gets them.

    Ended jobs stay in the history, no ID is given again, and what an administrator drained stays so.

    Args:
        site: One to which nothing has happened yet.
        jobs: All jobs that are recorded.
        boards: What is recorded of boards.
        next_job: The next job's ID.
        at: When it happens.
    """
    site.next_job = next_job
    jobs = list(jobs)
    _recall_hosts(site, jobs, at)
    perhaps_on = set(boards)
    for record in sorted(jobs, key=lambda record: (record.ended or at.wall, record.id)):
        if record.state is JobState.destroyed:
            site.remember(record)
        else:
            job = _take_up(site, record, at)
            site.retire(job, STARTED_COLD, at)
            if record.allocation is not None:
                perhaps_on.update(keys_of(record.allocation))
    perhaps_on |= _every_board(site)
    all_off = {
        key: BoardRecord(owed_off=True, drained=boards[key].drained if key in boards else None)
        for key in perhaps_on
    }
    site.upkeep.recall(all_off, at.now)
    site.follow_upkeep()


def _recall_live(site: Site, records: Iterable[JobRecord], at: Moment) -> None:
    for record in records:
        job = _take_up(site, record, at)
        if record.keepalive is not None:
            site.keepalives.add(at.now + record.keepalive, job.id)
        allocation = record.allocation
        if allocation is not None:
            site.headcount.get_boards(record)
            site.scheduler.restore_running(job.id, record.request, allocation)
            site.upkeep.hold(allocation.machine, allocation.boards, job.id)


def _take_up(site: Site, record: JobRecord, at: Moment) -> Job:
    job = site.jobs[record.id] = Job(record, at.now, since=at.now - max(0.0, at.wall - record.created))
    site.headcount.add(record)
    return job


def _perhaps_on(site: Site, boards: Mapping[BoardKey, BoardRecord]) -> dict[BoardKey, BoardRecord]:
    """Return what is recorded of boards, and of all that no job has that they may be on."""
    nobodys = _every_board(site) - site.boards.states.keys()
    return {key: replace(boards.get(key, BoardRecord()), owed_off=True) for key in nobodys | boards.keys()}


def _recall_hosts(site: Site, records: Iterable[JobRecord], at: Moment) -> None:
    """Remember which hosts had which boards lately; jobs that have not ended end now."""
    had = sorted(
        (max(0.0, at.wall - (record.ended or at.wall)), record.id, record.owner_host, record.allocation)
        for record in records
        if record.allocation is not None and at.wall - (record.ended or at.wall) <= RECENT_SECONDS
    )
    boards = accumulate(len(allocation.boards) for *_, allocation in had)
    few = sum(1 for _ in takewhile(lambda total: total <= MOST_RECALLED, boards))
    for age, _, host, allocation in reversed(had[:few]):
        site.reports.had(keys_of(allocation), host, at.now - age)


def _every_board(site: Site) -> set[BoardKey]:
    return {BoardKey(machine.name, board) for machine in site.machines.values() for board in machine.places}

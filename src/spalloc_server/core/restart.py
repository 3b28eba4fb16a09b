"""The start of a server: it takes up the jobs and boards that an earlier process recorded, or ends them all.

See the store for how they are recorded, and upkeep.py for what a recorded board goes through.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate, takewhile

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.effects import STARTED_COLD, BoardKey, BoardRecord, keys_of
from spalloc_server.core.jobs import Happening, Job, JobRecord
from spalloc_server.core.limits import began_before
from spalloc_server.core.reconfiguration import end_touched, watch_standing
from spalloc_server.core.reports import RECENT_SECONDS
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment, is_likely
from spalloc_server.words import counted

MOST_RECALLED = 200_000
"""How many boards of ended jobs are gone through to see which hosts had them, latest jobs first."""

MOST_NAMED = 20
"""How many jobs one line of the log names; the others are counted."""


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
    """Continue where an earlier process stopped, from its records; every keepalive starts again.

    Args:
        site: A new site.
        jobs: All recorded jobs.
        boards: The recorded boards.
        next_job: The next job's ID.
        at: When it happens.
        all_off: Whether the boards lost their power meanwhile, as virtual boards do.
        doubtful: Whether records may be missing; then boards without a job are switched off before they are free.
    """
    site.next_job = next_job
    site.scheduler.learn(site.remembered.lengths)
    records = sorted(jobs, key=lambda record: record.id)
    for record in sorted(
        (r for r in records if r.state is JobState.destroyed), key=lambda r: (r.ended or 0.0, r.id)
    ):
        site.remember(record)
    _recall_holders(site, (r for r in records if r.state is JobState.destroyed), at)
    latest = last_recorded(records)
    _recall_live(site, [r for r in records if r.state is not JobState.destroyed], latest, at)
    site.shares.recall(site.remembered.shares, latest, at)
    site.count_shares(at)
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
            site.submit(job)
        elif job.record.state is JobState.power or (all_off and job.record.power):
            site.order(job, Happening.POWER_ASKED, job.record.allocation, on=bool(job.record.power))
    _recall_memory(site, at)
    site.collect_findings()
    watch_standing(site, {})


def start_cold(
    site: Site,
    jobs: Iterable[JobRecord],
    boards: Mapping[BoardKey, BoardRecord],
    next_job: int,
    *,
    at: Moment,
) -> None:
    """End all recorded jobs and forget faults; every board is switched off before a job gets it.

    Ended jobs stay in the history, no job ID is used again, and drained boards stay drained.

    Args:
        site: A new site.
        jobs: All recorded jobs.
        boards: The recorded boards.
        next_job: The next job's ID.
        at: When it happens.
    """
    site.next_job = next_job
    site.scheduler.learn(site.remembered.lengths)
    jobs = list(jobs)
    site.shares.recall(site.remembered.shares, last_recorded(jobs), at)
    _recall_holders(site, jobs, at)
    keys = _every_board(site)
    for record in sorted(jobs, key=lambda record: (record.ended or at.wall, record.id)):
        if record.state is JobState.destroyed:
            site.remember(record)
        else:
            job = _restore(site, record, at)
            site.retire(job, STARTED_COLD, at)
            if record.allocation is not None:
                keys.update(keys_of(record.allocation))
    switched_off_first = {
        key: BoardRecord(owed_off=True, drained=boards[key].drained if key in boards else None)
        for key in keys
    }
    # Of boards that are neither configured nor a job's, the records say whether they are on.
    site.upkeep.recall({**boards, **switched_off_first}, at.now)
    site.collect_findings()


def last_recorded(records: Iterable[JobRecord]) -> float | None:
    """Return the latest time in jobs' records, in seconds of Unix time; None if there are none."""
    return max((record.ended or record.allocated or record.created for record in records), default=None)


def _recall_live(site: Site, records: Iterable[JobRecord], latest: float | None, at: Moment) -> None:
    holders: list[tuple[float, Job, Allocation]] = []
    for record in records:
        job = _restore(site, record, at)
        if record.keepalive is not None:
            site.keepalives.add(at.now + record.keepalive, job.id)
        if record.allocation is not None:
            assert record.allocated is not None
            job.began = began_before(record.allocated, latest, at)
            job.recalled = at.now if latest is None or is_likely(latest, at.wall) else None
            holders.append((job.began, job, record.allocation))
            site.upkeep.hold(record.allocation.machine, record.allocation.boards, job.id)
            site.quotas.begin(job.id, len(record.allocation.boards), job.began)
            # Its user could not be told while the server was down.
            site.follow_limit(job, at, told_from=at.now)
    site.quotas.recalled(at.now)
    for began, job, allocation in sorted(
        holders, key=lambda holder: (holder[0], holder[1].record.start_number, holder[1].id)
    ):
        end = job.record.expected_end
        site.scheduler.begin(
            job.id,
            allocation.machine,
            allocation.boards,
            request=job.record.request,
            owner=job.record.owner,
            limit=job.record.time_limit,
            started=began,
            # As long after its begin as was expected, whatever the clock says now.
            until=None if end is None else began + (end - (job.record.allocated or end)),
        )


def _recall_memory(site: Site, at: Moment) -> None:
    memory = site.remembered.scheduler
    if memory is not None:
        try:
            site.scheduler.recall(memory, at.wall - at.now, at.now)
        except (ValueError, ArithmeticError, RecursionError) as error:
            site.notice(
                f"what the scheduler remembered can't be read, so it begins with nothing: {error}",
                {},
                serious=True,
            )


def _restore(site: Site, record: JobRecord, at: Moment) -> Job:
    job = site.jobs[record.id] = Job(record, at.now, since=at.now - max(0.0, at.wall - record.created))
    site.headcount.note(record)
    site.quotas.wait(job.id, record.group)
    return job


def _perhaps_on(site: Site, boards: Mapping[BoardKey, BoardRecord]) -> dict[BoardKey, BoardRecord]:
    """Return records by which boards are switched off before they are free (`owed_off`), since they may be on.

    These are all configured boards that no job holds; other boards' records stay as they are.
    """
    # So early in a start, only boards that a job holds have a state.
    without_job = _every_board(site) - site.boards.states.keys()
    off_first = {key: replace(boards.get(key, BoardRecord()), owed_off=True) for key in without_job}
    return {**boards, **off_first}


def _recall_holders(site: Site, records: Iterable[JobRecord], at: Moment) -> None:
    """Remember which hosts had which boards lately; jobs that have not ended had them until now."""
    had = sorted(
        (max(0.0, at.wall - (record.ended or at.wall)), record.id, record.source, record.allocation)
        for record in records
        if record.allocation is not None and at.wall - (record.ended or at.wall) <= RECENT_SECONDS
    )
    totals = accumulate(len(allocation.boards) for *_, allocation in had)
    kept = sum(1 for _ in takewhile(lambda total: total <= MOST_RECALLED, totals))
    for age, _, host, allocation in reversed(had[:kept]):
        site.reports.had(keys_of(allocation), host, at.now - age)


def _every_board(site: Site) -> set[BoardKey]:
    return {BoardKey(machine.name, board) for machine in site.machines.values() for board in machine.places}

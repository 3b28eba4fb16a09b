"""When a job may get boards: what it is told, and that asking changes nothing."""

from collections.abc import Iterator
from random import Random

import pytest

from benchmarks.scheduling.starts import Knowing, measure
from spalloc_server.core.forecast import FIRST, Forecast, Forecaster
from spalloc_server.core.keeping import Keeper
from spalloc_server.core.lengths import UNKNOWN_SECONDS, Length, Lengths
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Zone
from spalloc_server.core.packing.steps import whole
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest, Rectangle
from spalloc_server.core.run_ahead import MOST_EVENTS, RUNS
from spalloc_server.core.scheduler import PATIENCE, Scheduler, Start
from spalloc_server.simulate.trace import TraceJob
from spinnaker.geometry import Board, Size, boards_of

ONE = JobRequest(AnyBoard())
WHOLE = JobRequest(Rectangle(Size(4, 4)))


def forecast(scheduler: Scheduler, now: float) -> Forecast:
    return whole(Forecaster().forecast(scheduler, now))


def end(scheduler: Scheduler, start: Start, now: float) -> None:
    scheduler.ended(start.job, now, counts=True)
    scheduler.release(start.allocation.machine, start.allocation.boards)


def test_on_an_empty_machine_a_job_is_expected_to_start_at_once() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    for job in (1, 2):
        scheduler.submit(job, WHOLE, 0.0)
    (start,) = scheduler.decide(0.0)
    end(scheduler, start, 7.0)
    assert forecast(scheduler, 7.0).ranges == {2: (7.0, 7.0)}


def test_a_job_is_expected_to_start_when_alike_jobs_would_have_ended() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.learn([Length("me", 48, 300.0, None)] * 10)
    for job in (1, 2, 3):
        scheduler.submit(job, WHOLE, 0.0, owner="me")
    assert len(scheduler.decide(0.0)) == 1
    assert forecast(scheduler, 100.0).ranges == {2: (300.0, 300.0), 3: (600.0, 600.0)}


def test_a_job_is_expected_to_take_the_part_of_its_limit_that_jobs_took_lately() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.learn([Length("me", 48, 300.0, 600.0)] * 10)
    for job in (1, 2):
        scheduler.submit(job, WHOLE, 0.0, owner="me", limit=1000.0)
    scheduler.decide(0.0)
    assert forecast(scheduler, 0.0).ranges == {2: (500.0, 500.0)}


def test_if_the_newest_jobs_took_other_times_than_those_before_both_are_expected() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.learn([Length("me", 48, 100.0, None)] * 30 + [Length("me", 48, 300.0, None)] * 10)
    for job in (1, 2):
        scheduler.submit(job, WHOLE, 0.0, owner="me")
    scheduler.decide(0.0)
    assert forecast(scheduler, 0.0).ranges == {2: (100.0, 300.0)}


def test_ranges_are_wider_while_jobs_wait_for_longer_than_they_were_told() -> None:
    """Those that start late at last would be learned from too late."""
    scheduler, forecaster = Scheduler([Machine("m", Size(4, 4))]), Forecaster()
    scheduler.learn([Length("me", 48, 300.0, None)] * 10)
    for job in range(1, 22):
        scheduler.submit(job, WHOLE, 0.0, owner="me")
    scheduler.decide(0.0)
    whole(forecaster.forecast(scheduler, 0.0))
    for job in range(2, 18):
        scheduler.withdraw(job)
        forecaster.started(job, 300.0 * (job - 1))
    assert whole(forecaster.forecast(scheduler, 290.0)).ranges[18] == (300.0, 300.0)
    earliest, latest = whole(forecaster.forecast(scheduler, 60_000.0)).ranges[18]
    assert earliest < 60_001.0
    assert latest > 60_100.0


def test_a_reservation_is_waited_for() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.set_zones("m", [Zone("r", frozenset(boards_of(Size(4, 4))), 0.0, 5000.0, frozenset())])
    scheduler.submit(1, ONE, 0.0)
    scheduler.decide(0.0)
    assert forecast(scheduler, 10.0).ranges == {1: (5000.0, 5000.0)}


def test_boards_that_are_set_aside_are_not_waited_for() -> None:
    scheduler = Scheduler([Machine("m", Size(1, 1))])
    for board in boards_of(Size(1, 1)):
        scheduler.set_aside("m", board)
    scheduler.submit(1, ONE, 0.0)
    scheduler.decide(0.0)
    assert forecast(scheduler, 0.0).ranges == {}


def test_the_range_of_a_job_for_which_a_spot_is_kept_has_the_moment_when_that_is_free() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.submit(1, JobRequest(Boards(24)), 0.0, limit=20_000.0)
    scheduler.decide(0.0)
    scheduler.submit(2, WHOLE, 0.0, limit=600.0)
    now = PATIENCE + 1
    scheduler.decide(now)
    earliest, latest = forecast(scheduler, now).ranges[2]
    assert scheduler.promised(2) == 20_000.0
    assert now <= earliest <= 20_000.0 <= latest


def events(seed: int) -> Iterator[tuple[float, int, JobRequest, str, float | None]]:
    random, now = Random(seed), 0.0
    for job in range(1, 61):
        now += random.expovariate(1 / 40)
        size = random.choice([1, 1, 3, 6, 12, 30, 48])
        request = ONE if size == 1 else JobRequest(Boards(size))
        yield now, job, request, random.choice("abc"), random.choice([None, 600.0, 6000.0])


@pytest.mark.parametrize("seed", range(2))
def test_asking_changes_no_decision_and_a_copy_decides_the_same(seed: int) -> None:
    """And no range ends before it begins, or lies in the past."""
    asked, unasked = (
        Scheduler([Machine("m", Size(4, 4), dead_boards=frozenset({Board(1, 1, 1)}))]) for _ in "ab"
    )
    forecaster = Forecaster()
    everyone = [asked, unasked]
    ends: list[tuple[float, Start]] = []
    random = Random(seed)

    def happen(now: float) -> None:
        decided = [scheduler.decide(now) for scheduler in everyone]
        assert all(one == decided[0] for one in decided), now
        for start in decided[0]:
            forecaster.started(start.job, now)
            ends.append((now + random.expovariate(1 / 700), start))

    for now, job, request, owner, limit in events(seed):
        while ends and min(ends, key=lambda one: one[0])[0] <= now:
            at, start = ends.pop(ends.index(min(ends, key=lambda one: one[0])))
            for scheduler in everyone:
                scheduler.ended(start.job, at, counts=scheduler in (asked, unasked))
                scheduler.release(start.allocation.machine, start.allocation.boards)
            happen(at)
        for scheduler in everyone:
            scheduler.submit(job, request, now, owner=owner, limit=limit)
        forecaster.came(request, owner, limit, now)
        happen(now)
        found = {} if job % 15 else whole(forecaster.forecast(asked, now)).ranges
        assert all(now <= one.earliest <= one.latest for one in found.values())
        if job == 30:
            # It shares what is known of lengths, so it need not be told.
            everyone.append(whole(asked.copy(1000)))


def test_a_forecast_is_made_in_short_slices_and_ends() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    forecaster = Forecaster()
    for job in range(1, 300):
        scheduler.submit(job, JobRequest(Boards(1 + job % 40)), float(job))
        forecaster.came(JobRequest(Boards(1 + job % 40)), "", None, float(job))
    scheduler.decide(300.0)
    steps = list(forecaster.forecast(scheduler, 300.0))
    assert max(steps) <= 25
    assert sum(steps) <= RUNS * MOST_EVENTS * 10
    assert len(whole(forecaster.forecast(scheduler, 300.0)).ranges) <= FIRST


def test_no_slice_of_a_forecast_goes_through_more_than_a_few_jobs_or_more_than_one_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many jobs wait, and have boards."""
    done = {"copies": 0, "jobs": 0}

    def count(owner: type, name: str, what: str) -> None:
        work = getattr(owner, name)

        def counted(*args: object, **options: object) -> object:
            done[what] += 1
            return work(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    scheduler = Scheduler([Machine(name, Size(8, 8)) for name in "abc"])
    for job in range(1000):
        scheduler.submit(job, ONE if job < 500 else JobRequest(Boards(100)), float(job))
    scheduler.decide(1000.0)
    count(Keeper, "copy", "copies")
    count(Lengths, "likely", "jobs")
    count(Scheduler, "_add", "jobs")
    count(Scheduler, "_leave", "jobs")
    for _ in Forecaster().forecast(scheduler, 1000.0):
        assert done["copies"] <= 1
        assert done["jobs"] <= max(64, FIRST + 1)
        done.update(copies=0, jobs=0)


def test_a_job_that_leaves_or_gets_another_limit_while_a_forecast_is_made_gets_no_range() -> None:
    """It was for a job that is no more, or for another one; and it is not remembered for ever."""
    scheduler, forecaster = Scheduler([Machine("m", Size(4, 4))]), Forecaster()
    for job in range(1, 5):
        scheduler.submit(job, WHOLE, 0.0)
    scheduler.decide(0.0)
    work = forecaster.forecast(scheduler, 0.0)
    next(work)
    scheduler.withdraw(2)
    forecaster.left(2)
    scheduler.limit(3, 60.0)
    assert whole(work).ranges.keys() == {4}
    for job in (3, 4):
        forecaster.left(job)
    assert forecaster.told == 0


def made_log(jobs: int) -> list[TraceJob]:
    random, now, log = Random(5), 0.0, []
    for _ in range(jobs):
        now += random.expovariate(1 / 150)
        boards = random.choice([1, 3, 3, 6, 6, 12, 24, 48])
        log.append(TraceJob(now, random.lognormvariate(6.0, 0.8), boards))
    return log


@pytest.mark.uncounted
def test_eight_of_ten_jobs_of_a_made_log_start_within_their_range() -> None:
    figures = measure(made_log(300), "4x4", each=2)
    assert figures is not None
    assert figures.told > 50
    assert figures.right >= 0.8


@pytest.mark.uncounted
def test_who_knows_how_long_jobs_take_tells_narrower_ranges() -> None:
    knows, guesses = (
        measure(made_log(200), "4x4", each=4, knowing=one) for one in (Knowing.LENGTHS, Knowing.NOTHING)
    )
    assert knows is not None
    assert guesses is not None
    assert knows.width < guesses.width


def test_while_nothing_is_known_a_job_that_has_just_begun_is_not_expected_to_end_at_once() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    for job in (1, 2):
        scheduler.submit(job, WHOLE, 0.0)
    scheduler.decide(0.0)
    assert forecast(scheduler, 0.1).ranges[2].earliest >= UNKNOWN_SECONDS

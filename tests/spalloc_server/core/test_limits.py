"""Time limits of jobs, told as stories: when one ends a job, who is told before, and which one a job gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.states import JobState
from spalloc_server.core.admission import Control, JobLimits, Trust
from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import CreateJob, ExtendJob, RefusedError, SetRules
from spalloc_server.core.endings import OLD_TIMERS, Ending
from spalloc_server.core.jobs import Asked
from spalloc_server.core.limits import HOW_TO_GET_MORE, LimitRules, TimeLimits
from spalloc_server.core.questions import JobTimes, job_times
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest, Rectangle, RequestError
from spalloc_server.core.scheduler import PATIENCE_WITH_LIMIT
from spalloc_server.core.site import JOBS_A_TICK
from spalloc_server.core.timekeeping import AT_REST_SECONDS, DRIFT_SECONDS
from spinnaker.geometry import Board, Size
from tests.examples import examples
from tests.spalloc_server.core.driver import HOST, World, machine

ONE = JobRequest(AnyBoard())
WHOLE = JobRequest(Rectangle(Size(2, 2)))
HALF_AN_HOUR = 1800.0
REASON = f"Its time limit is 30 minutes; {HOW_TO_GET_MORE}."


def limited(world: World, time_limit: float | None = HALF_AN_HOUR, request: JobRequest = ONE) -> int:
    return world.create(request, keepalive=None, time_limit=time_limit)


# The end


def test_a_job_is_ended_when_its_limit_is_reached_and_told_how_to_get_more() -> None:
    world = World()
    job = limited(world)
    world.answer_all()
    world.wait(HALF_AN_HOUR - 0.1)
    assert world.record(job).state is JobState.ready
    world.wait(0.1)
    assert world.record(job).state is JobState.destroyed
    assert world.record(job).reason == REASON
    assert world.record(job).ended_by is None
    world.answer_all()
    assert not world.hardware.on
    assert world.site.jobs_ended_by_limit == 1
    assert {"job": job, "owner": "me", "by": "time limit", "reason": REASON} in [
        n.about for n in world.notices
    ]


def test_a_limit_counts_from_the_moment_when_the_boards_are_allocated() -> None:
    world = World()
    first, second = limited(world, None, WHOLE), limited(world)
    world.answer_all()
    world.wait(1e5)
    assert world.record(second).state is JobState.queued
    world.destroy(first)
    world.answer_all()
    world.wait(HALF_AN_HOUR - 1)
    assert world.record(second).state is JobState.ready
    world.wait(1)
    assert world.record(second).reason == REASON


def test_powering_a_job_again_does_not_give_it_more_time() -> None:
    world = World()
    job = limited(world)
    world.answer_all()
    world.wait(1000)
    world.power(job, on=True)
    world.answer_all()
    world.wait(800)
    assert world.record(job).reason == REASON


def test_a_job_that_is_moved_to_other_boards_starts_its_limit_over() -> None:
    world = World(machine(), machine(name="n"))
    job = limited(world)
    world.answer_all()
    world.wait(1000)
    board = next(iter(world.record(job).allocation.boards))  # type: ignore[union-attr]
    world.power(job, on=True)
    world.answer(world.orders[0], {board: "it is on fire"})
    world.answer_all()
    world.wait(HALF_AN_HOUR - 1)
    assert world.record(job).state is JobState.ready
    world.wait(1)
    assert world.record(job).reason == REASON


def test_a_moved_job_that_waits_for_boards_is_not_ended_by_its_limit() -> None:
    world = World(machine(1, 1))
    job = limited(world, request=JobRequest(Rectangle(Size(1, 1))))
    world.answer_all()
    world.power(job, on=True)
    world.answer(world.orders[0], {Board(0, 0, 0): "it is on fire"})
    assert world.record(job).state is JobState.queued
    assert world.site.ending(job) is None
    world.wait(30)
    assert world.record(job).state is JobState.queued


def test_a_job_without_a_limit_is_not_ended() -> None:
    world = World()
    job = limited(world, None)
    world.wait(1e7)
    assert world.record(job).state is JobState.power


def test_a_crowd_whose_limits_end_together_is_ended_in_several_ticks() -> None:
    world = World(machine(12, 12))
    jobs = [limited(world) for _ in range(JOBS_A_TICK + 10)]
    world.now += HALF_AN_HOUR
    world.site.tick(world.at)
    world.settle()
    # Of each job it is due that its end was near, and that it is there.
    assert sum(job in world.site.jobs for job in jobs) >= 10
    deadline = world.site.next_deadline()
    assert deadline is not None
    assert deadline <= world.now
    world.wait(0)
    assert not any(job in world.site.jobs for job in jobs)


# What the user is told before


def test_the_end_is_told_five_minutes_before_or_at_half_of_a_short_limit() -> None:
    world = World()
    long, short = limited(world), limited(world, 100.0)
    world.wait(HALF_AN_HOUR)
    assert world.endings_told == [(50.0, short), (1500.0, long)]


def test_an_extension_is_told_if_the_end_was_near_and_then_the_new_end_when_it_is_near() -> None:
    world = World()
    job = limited(world)
    world.wait(1600)
    assert world.do(ExtendJob(job, 3600.0), HOST) == 3600.0
    world.wait(10000)
    assert world.endings_told == [(1500.0, job), (1600.0, job), (3300.0, job)]
    assert world.record(job).ended == 1_000_000.0 + 3600.0


def test_an_extension_long_before_the_end_is_nobodys_news() -> None:
    world = World()
    job = limited(world)
    world.do(ExtendJob(job, 3600.0), HOST)
    assert world.endings_told == []


def test_a_job_with_several_causes_to_end_is_ended_by_the_soonest() -> None:
    world = World()
    job = limited(world)
    soon = Ending(600.0, "The boards are reserved from then on.", near=0.0)
    world.site.expect_end(job, "reservation", soon, world.at)
    world.settle()
    assert world.endings_told == [(0.0, job)]
    assert world.site.ending(job) == soon
    world.site.expect_end(job, "reservation", None, world.at)
    world.settle()
    assert world.endings_told == [(0.0, job), (0.0, job)]
    world.site.expect_end(job, "reservation", soon, world.at)
    world.wait(600)
    assert world.record(job).reason == "The boards are reserved from then on."
    assert world.site.jobs_ended_by_limit == 0


def test_what_is_expected_of_a_job_that_has_ended_makes_no_difference() -> None:
    world = World()
    job = limited(world)
    world.destroy(job)
    world.site.expect_end(job, "reservation", Ending(600.0, "So it is.", near=0.0), world.at)
    assert world.site.ending(job) is None
    assert world.site.endings.next() is None or world.site.endings.due(1e9, 100) == []


# Extending


def test_a_job_can_get_a_longer_and_a_shorter_limit_and_is_ended_by_the_last() -> None:
    world = World()
    job = limited(world)
    world.wait(100)
    world.do(ExtendJob(job, 7200.0), HOST)
    world.do(ExtendJob(job, 900.0), HOST)
    assert world.job_records[job].time_limit == 900.0
    world.wait(799)
    assert world.record(job).state is JobState.power
    world.wait(1)
    assert world.record(job).reason == f"Its time limit is 15 minutes; {HOW_TO_GET_MORE}."


def test_a_queued_job_and_one_without_a_limit_can_get_one() -> None:
    world = World()
    first, second = limited(world, None, WHOLE), limited(world, None)
    world.wait(1000)
    world.do(ExtendJob(second, 60.0), HOST)
    world.do(ExtendJob(first, 1060.0), HOST)
    world.wait(60)
    assert world.record(first).state is JobState.destroyed
    world.answer_all()
    world.wait(60)
    assert world.record(second).ended == 1_000_000.0 + 1120.0


def test_a_limit_that_is_over_already_is_refused_and_does_not_end_the_job() -> None:
    world = World()
    job = limited(world)
    world.wait(720)
    with pytest.raises(
        RefusedError, match=r"^job 1 has had its boards for 12 minutes, .* than 5 minutes, or destroy"
    ):
        ExtendJob(job, 300.0).apply(world.site, Asker(HOST), world.at)
    assert world.record(job).time_limit == HALF_AN_HOUR


def test_extending_is_for_those_who_may_destroy_the_job() -> None:
    world = World()
    job = limited(world)
    world.site.trust = Trust(Control.OWNER)
    refusal = ExtendJob(job, 60.0).refusal(world.site, Asker("203.0.113.9"))
    assert refusal is not None
    assert refusal.startswith(f"job {job} was created from {HOST}")
    assert ExtendJob(job, 60.0).refusal(world.site, Asker(HOST)) is None


def test_a_job_that_is_not_live_can_not_be_extended() -> None:
    assert ExtendJob(7, 60.0).refusal(World().site, Asker(HOST)) == (
        "job 7 is not live, so its time limit can't be changed"
    )


@pytest.mark.parametrize("time_limit", [0.0, -1.0, float("inf")])
def test_a_limit_is_more_than_nothing(time_limit: float) -> None:
    with pytest.raises(RequestError, match="it must be more than 0 seconds"):
        ExtendJob(7, time_limit)
    with pytest.raises(RequestError, match="it must be more than 0 seconds, or null for the site's default"):
        CreateJob(ONE, Asked((), {}), "me", None, time_limit)


def test_extending_again_and_again_keeps_no_memory() -> None:
    world = World()
    job = limited(world)
    for seconds in range(2000, 4000):
        world.do(ExtendJob(job, float(seconds)), HOST)
    assert len(world.site.endings._timers) <= OLD_TIMERS + 2


def test_a_job_is_not_extended_where_another_counts_on_its_end() -> None:
    world = World(machine(2, 1))
    job = limited(world, 7200.0, JobRequest(Rectangle(Size(2, 1))))
    world.answer_all()
    assert ExtendJob(job, 9000.0).refusal(world.site, Asker(HOST)) is None
    waiting = limited(world, 60.0, JobRequest(Rectangle(Size(2, 1))))
    world.wait(7000)
    world.settle()
    assert "kept for it" in world.site.scheduler.waiting(waiting).sentence
    assert ExtendJob(job, 9000.0).refusal(world.site, Asker(HOST)) == (
        f"job {job} can't have its boards for longer, since job {waiting}, which has waited longest, is to have "
        "some of its boards then"
    )
    assert ExtendJob(job, 7100.0).refusal(world.site, Asker(HOST)) is None


def test_the_spot_of_a_job_counts_against_extensions_as_soon_as_its_patience_ends_though_nothing_happens() -> (
    None
):
    world = World()
    job = limited(world, 7200.0)
    world.answer_all()
    waiting = limited(world, 60.0, WHOLE)
    world.wait(PATIENCE_WITH_LIMIT - 1.0)
    assert ExtendJob(job, 9000.0).refusal(world.site, Asker(HOST)) is None
    world.wait(1.0)
    assert ExtendJob(job, 9000.0).refusal(world.site, Asker(HOST)) == (
        f"job {job} can't have its boards for longer, since job {waiting}, which has waited longest, is to have "
        "some of its boards then"
    )


def test_a_job_that_went_before_older_ones_because_it_was_short_does_not_become_long() -> None:
    world = World()
    half = JobRequest(Boards(6))
    first = limited(world, 3600.0, half)
    limited(world, 9600.0, half)
    world.answer_all()
    wide, honest = limited(world, 3600.0, WHOLE), limited(world, 7200.0, half)
    world.wait(600)
    short = limited(world, 60.0, half)
    world.destroy(first)
    world.answer_all()
    assert world.record(honest).allocation is None
    assert world.record(short).allocation is not None
    for older in (wide, honest):
        assert ExtendJob(short, 36_000.0).refusal(world.site, Asker(HOST)) == (
            f"job {short} can't have its boards for longer, since job {older} came before it, still waits, and may use "
            "some of its boards"
        )
        world.restart()
        assert ExtendJob(short, 36_000.0).refusal(world.site, Asker(HOST)) is not None
        world.destroy(older)
    limited(world, 3600.0, WHOLE)
    assert ExtendJob(short, 36_000.0).refusal(world.site, Asker(HOST)) is None


def test_a_job_is_extended_though_older_ones_wait_that_would_not_get_its_boards_sooner() -> None:
    world = World(machine(), machine(name="other"))
    there = JobRequest(Boards(12), machine="other")
    limited(world, 1e6, JobRequest(AnyBoard(), machine="m")), limited(world, 1e6, there)
    limited(world, 60.0, there), limited(world, 60.0, JobRequest(Boards(12), machine="m"))
    job = limited(world, 60.0, JobRequest(AnyBoard(), machine="m"))
    assert world.record(job).allocation is not None
    assert ExtendJob(job, 9000.0).refusal(world.site, Asker(HOST)) is None
    assert ExtendJob(job, 2e6).refusal(world.site, Asker(HOST)) is not None


# Which limit


def rules(**parts: object) -> LimitRules:
    return LimitRules(**parts)  # type: ignore[arg-type]


SITE = rules(
    default_time_limit=3600.0,
    longest_time_limit=86400.0,
    of_tags={"gold": TimeLimits(longest=172800.0), "quick": TimeLimits(60.0, 600.0)},
    of_machines={"desk": TimeLimits(longest=1800.0)},
)


@pytest.mark.parametrize(
    ("request_", "default", "longest"),
    [
        (ONE, 3600.0, 86400.0),
        (JobRequest(AnyBoard(), machine="room"), 3600.0, 86400.0),
        (JobRequest(AnyBoard(), machine="desk"), 1800.0, 1800.0),
        (JobRequest(AnyBoard(), tags=frozenset({"gold"})), 3600.0, 172800.0),
        (JobRequest(AnyBoard(), tags=frozenset({"quick"})), 60.0, 600.0),
        (JobRequest(AnyBoard(), tags=frozenset({"gold", "quick"})), 60.0, 600.0),
        (JobRequest(AnyBoard(), tags=frozenset()), 3600.0, 86400.0),
    ],
)
def test_the_limits_are_those_of_the_machine_else_of_the_tags_else_of_the_site(
    request_: JobRequest, default: float, longest: float
) -> None:
    assert SITE.of(request_) == TimeLimits(default, longest)


def asked(world: World, time_limit: float | None, request: JobRequest = ONE) -> CreateJob:
    world.site.time_limits = SITE
    return CreateJob(request, Asked((), {}), "me", None, time_limit)


def test_a_job_that_gives_no_limit_gets_the_default() -> None:
    world = World()
    job = world.do(asked(world, None), HOST)
    assert world.record(job).time_limit == 3600.0


def test_where_only_the_longest_is_set_it_is_the_default() -> None:
    assert rules(longest_time_limit=600.0).chosen(ONE, None) == 600.0


def test_a_longer_limit_than_allowed_is_refused_with_the_longest_that_is() -> None:
    world = World()
    assert asked(world, 86400.0).refusal(world.site, Asker(HOST)) is None
    assert asked(world, 172800.0).refusal(world.site, Asker(HOST)) == (
        "the time limit is 2 days; the longest that this server allows is 1 day"
    )
    desk = JobRequest(AnyBoard(), machine="desk")
    assert asked(world, 7200.0, desk).refusal(world.site, Asker(HOST)) == (
        "the time limit is 2 hours; the longest that this server allows on machine desk is 30 minutes"
    )


def test_extending_beyond_the_longest_is_refused_but_not_what_a_job_has_already() -> None:
    world = World()
    job = limited(world, 7200.0)
    world.site.time_limits = rules(longest_time_limit=3600.0)
    assert ExtendJob(job, 7200.0).refusal(world.site, Asker(HOST)) is None
    assert ExtendJob(job, 7201.0).refusal(world.site, Asker(HOST)) == (
        "the time limit is 2 hours 1 second; the longest that this server allows is 1 hour"
    )


def test_new_rules_are_for_new_jobs() -> None:
    world = World()
    before = limited(world, None)
    world.do(SetRules(JobLimits(), Trust(), rules(default_time_limit=60.0)))
    after = limited(world, None)
    world.wait(100)
    assert world.record(before).state is JobState.power
    assert world.record(after).state is JobState.destroyed


# Questions


def test_a_client_can_ask_when_a_job_will_end_and_why() -> None:
    world = World()
    job, waiting = limited(world, request=WHOLE), limited(world, 60.0)
    world.wait(600)
    assert job_times(world.site, job, world.now) == JobTimes(HALF_AN_HOUR, 1200.0, REASON, 1200.0, "limit")
    assert job_times(world.site, waiting, world.now) == JobTimes(60.0, None, None, 60.0, "limit")
    assert job_times(world.site, 99, world.now) is None


# Restarts and clocks


def test_the_time_while_the_server_was_down_counts() -> None:
    world = World()
    job = limited(world)
    world.answer_all()
    world.wait(600)
    world.now += 600
    world.restart()
    world.wait(599)
    assert world.record(job).state is JobState.ready
    world.wait(1)
    assert world.record(job).ended == 1_000_000.0 + HALF_AN_HOUR


def test_a_job_whose_limit_was_reached_meanwhile_ends_after_its_user_can_have_been_told() -> None:
    world = World()
    job = limited(world)
    world.answer_all()
    world.now += 7200
    world.restart()
    assert world.endings_told == [(7200.0, job)]
    world.wait(299)
    assert world.record(job).state is JobState.ready
    world.wait(1)
    assert world.record(job).reason == REASON


@pytest.mark.parametrize("jump", [AT_REST_SECONDS + 1, 10 * 365 * 86400.0, -DRIFT_SECONDS - 1.0, -1e6])
def test_a_clock_that_jumped_while_the_server_was_down_ends_no_job_early(jump: float) -> None:
    world = World()
    job = limited(world)
    world.answer_all()
    world.wait(600)
    last = world.create(ONE, keepalive=None)
    world.answer_all()
    site_before = world.site
    world.now += jump
    world.restart()
    assert world.site is not site_before
    assert world.record(last).state is JobState.ready
    # 600 seconds are certain: they are in the records.
    world.wait(1199)
    assert world.record(job).state is JobState.ready
    world.wait(1)
    assert world.record(job).reason == REASON


class Skewed(World):
    """A world whose computer's clock can be wrong."""

    error = 0.0

    @property
    def wall(self) -> float:
        return super().wall + self.error


def test_a_clock_that_is_set_right_soon_after_the_start_ends_no_job_early() -> None:
    world = Skewed()
    job = limited(world)
    world.answer_all()
    world.wait(600)
    world.error = 3 * 3600.0
    world.restart()
    world.wait(100)
    world.error = 0.0
    world.wait(1099)
    assert world.record(job).state is JobState.ready
    world.wait(1)
    assert world.record(job).reason == REASON
    # At the start, when the clock was found to be right, and in time.
    assert [when for when, _ in world.endings_told] == [600.0, 900.0, 1500.0]


def test_a_clock_that_is_set_back_after_a_start_gives_a_job_no_more_than_its_limit_again() -> None:
    world = Skewed()
    job = limited(world)
    world.answer_all()
    world.wait(600)
    world.restart()
    world.error = -1e7
    world.wait(1799)
    assert world.record(job).state is JobState.ready
    world.wait(1)
    assert world.record(job).reason == REASON


@examples(100)
@given(
    limit=st.floats(1.0, 10_000.0),
    events=st.lists(
        st.tuples(st.sampled_from(["wait", "restart", "extend", "power"]), st.floats(0.1, 4000.0)), max_size=8
    ),
)
def test_no_job_keeps_boards_longer_than_its_limit(limit: float, events: list[tuple[str, float]]) -> None:
    """But for a restart, after which its user is told first."""
    world = World()
    job = world.create(ONE, keepalive=None, time_limit=limit)
    world.answer_all()
    start = 0.0
    for event, seconds in events:
        if job not in world.site.jobs:
            break
        if event == "wait":
            world.wait(seconds)
        elif event == "restart":
            world.now += seconds
            world.restart()
            start = world.now
        elif event == "power":
            world.power(job, on=True)
        elif seconds > world.now and ExtendJob(job, seconds).refusal(world.site, Asker(HOST)) is None:
            limit = world.do(ExtendJob(job, seconds), HOST)
            start = 0.0
        world.answer_all()
    world.wait(20_000.0)
    ended = world.record(job).ended
    assert ended is not None
    latest = max(limit, start + min(300.0, limit / 2))
    assert ended - 1_000_000.0 == pytest.approx(latest)

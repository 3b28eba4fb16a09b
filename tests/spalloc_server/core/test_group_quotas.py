"""Quotas of groups, told as stories: what jobs cost, when nothing is left, who is told before, and what ends."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.states import JobState
from spalloc_server.core.account_commands import AddAccount
from spalloc_server.core.admission import JobLimits, Trust
from spalloc_server.core.askers import SERVER, Asker, Login, Role
from spalloc_server.core.commands import CreateJob, RefusedError, SetRules
from spalloc_server.core.endings import Ending, Endings
from spalloc_server.core.group_commands import AddGroup, RemoveGroup, SetGroups, SetQuota
from spalloc_server.core.groups import Group, GroupRules, Groups
from spalloc_server.core.jobs import Asked
from spalloc_server.core.questions import job_times
from spalloc_server.core.quotas import ENDED_AT_ONCE, OLD_TIMERS, Quotas
from spalloc_server.core.requests import AnyBoard, JobRequest, Rectangle
from spinnaker.geometry import Board, Size
from tests.examples import examples
from tests.spalloc_server.core.driver import World, machine

ONE = JobRequest(AnyBoard())
TRIAD = JobRequest(Rectangle(Size(1, 1)))
WHOLE = JobRequest(Rectangle(Size(2, 2)))
HOUR = 3600.0
WARNING = 300.0
REASON = (
    "The quota of group lab is used up: 1 board-hour. Ask an administrator for more, or have another group "
    "charged."
)
JANE = Asker("10.0.0.1", Login("jane", Role.USER))


def site(quota: float | None = HOUR, world: World | None = None) -> World:
    """Return a site where jane is in the groups lab, which has a quota and is her default, and free."""
    world = world or World()
    world.do(AddGroup("lab", quota, "mary"))
    world.do(AddGroup("free", None, "mary"))
    world.do(AddAccount("jane", Role.USER, None, "mary"))
    world.do(SetGroups("jane", ("lab", "free"), "lab", "mary"))
    return world


def job(
    world: World, request: JobRequest = ONE, group: str | None = None, by: Asker = JANE, **more: float
) -> int:
    number = world.do(CreateJob(request, Asked((), {}), "jane", None, group=group, **more), by)
    world.answer_all()
    return number


def used(world: World, group: str = "lab") -> float:
    return world.group_records[group].used


def states(world: World, *jobs: int) -> list[JobState]:
    return [world.record(number).state for number in jobs]


def left(world: World, group: str = "lab") -> float | None:
    return world.site.quotas.left(world.site.groups.by_name[group], world.now)


# What a job costs


def test_a_job_costs_its_boards_from_their_allocation_until_it_gives_them_back() -> None:
    world = site(None)
    first = job(world, WHOLE)
    world.wait(100)
    waiting = job(world, TRIAD)
    world.wait(100)
    world.power(first, on=False)
    world.answer_all()
    world.wait(100)
    world.destroy(first)
    assert used(world) == 300 * 12
    world.answer_all()
    world.wait(10)
    world.destroy(waiting)
    assert used(world) == 300 * 12 + 10 * 3
    assert world.record(first).group == "lab"


def test_what_runs_counts_before_it_ends() -> None:
    world = site(2 * HOUR)
    job(world, TRIAD)
    world.wait(60)
    assert used(world) == 0
    assert left(world) == 2 * HOUR - 180


def test_a_job_without_boards_costs_nothing() -> None:
    world = site(None)
    blocking, waiting = job(world, WHOLE, "free"), job(world)
    world.wait(100)
    world.destroy(waiting)
    assert used(world) == 0
    assert world.record(blocking).group == "free"


def test_a_moved_job_is_charged_for_all_boards_that_it_had_but_not_for_the_time_between() -> None:
    world = site(None, World(machine(1, 1)))
    moved = job(world, TRIAD)
    world.wait(100)
    world.power(moved, on=True)
    world.answer(world.orders[0], {Board(0, 0, 0): "it is on fire"})
    assert states(world, moved) == [JobState.queued]
    assert used(world) == 300
    world.answer_all()
    world.wait(50)
    assert used(world) == 300
    assert left(world) is None


def test_a_job_of_no_group_costs_nobody_anything() -> None:
    world = site()
    number = world.create(ONE)
    assert world.record(number).group is None
    world.wait(10)
    world.destroy(number)
    assert world.group_records["lab"].used == 0


def test_a_job_is_charged_to_the_default_or_to_the_group_that_it_names() -> None:
    world = site()
    assert world.record(job(world)).group == "lab"
    assert world.record(job(world, group="free")).group == "free"
    robot = Asker("10.0.0.2", Login("robot", Role.SERVICE))
    assert world.record(job(world, group="lab", by=robot)).group == "lab"
    assert world.record(job(world, by=robot)).group is None


@pytest.mark.parametrize(
    ("by", "group", "why"),
    [
        (JANE, "attic", "the account jane is in no group 'attic'; it is in lab, free"),
        (Asker("10.0.0.2"), "lab", "a client without an account can't have a job charged to group 'lab'"),
        (Asker("10.0.0.2", Login("robot", Role.ADMINISTRATOR)), "attic", "there is no group 'attic'"),
    ],
)
def test_no_job_is_created_for_a_group_that_can_not_be_charged(by: Asker, group: str, why: str) -> None:
    refusal = CreateJob(ONE, Asked((), {}), "jane", None, group=group).refusal(site().site, by)
    assert refusal is not None
    assert refusal.startswith(why)


def test_where_a_group_is_required_nobody_without_one_creates_a_job() -> None:
    world = site()
    world.do(SetRules(JobLimits(), Trust(), groups=GroupRules(required=True)))
    create = CreateJob(ONE, Asked((), {}), "jane", None)
    assert create.refusal(world.site, JANE) is None
    refusal = create.refusal(world.site, Asker("10.0.0.2"))
    assert refusal is not None
    assert "this server charges each job to one" in refusal


# The end


def test_all_jobs_of_a_group_end_when_nothing_is_left_and_are_told_why() -> None:
    world = site()
    three, one, other = job(world, TRIAD), job(world), job(world, group="free")
    world.wait(HOUR / 4 - 0.1)
    assert states(world, three, one) == [JobState.ready, JobState.ready]
    world.wait(0.1)
    assert states(world, three, one, other) == [JobState.destroyed, JobState.destroyed, JobState.ready]
    assert world.record(three).reason == world.record(one).reason == REASON
    assert used(world) == HOUR
    assert world.site.jobs_ended_by_quota == 2
    assert {"job": one, "owner": "jane", "by": "quota", "reason": REASON} in [n.about for n in world.notices]


def test_the_end_moves_as_jobs_come_and_go() -> None:
    world = site()
    first = job(world)
    assert world.site.ending(first) == Ending(HOUR, REASON, HOUR - WARNING)
    world.wait(600)
    second = job(world, TRIAD)
    # 3000 are left, at four a second.
    assert world.site.ending(first) == Ending(600 + 750, REASON, 600 + 750 - WARNING)
    world.wait(50)
    world.destroy(second)
    assert world.site.ending(first) == Ending(650 + 2800, REASON, 650 + 2800 - WARNING)
    world.wait(2799)
    assert states(world, first) == [JobState.ready]
    world.wait(1)
    assert states(world, first) == [JobState.destroyed]
    assert used(world) == HOUR


def test_users_are_told_before_and_how_long_their_jobs_have() -> None:
    world = site()
    number = job(world)
    times = job_times(world.site, number, world.now)
    assert times is not None
    assert (times.ends_in, times.why) == (HOUR, REASON)
    world.wait(HOUR - WARNING - 1)
    assert not world.site.is_ending_soon(number)
    world.wait(1)
    assert world.site.is_ending_soon(number)
    assert world.endings_told == [(HOUR - WARNING, number)]
    job(world, TRIAD)
    assert world.endings_told[-2:] == [(HOUR - WARNING, number), (HOUR - WARNING, number + 1)]
    assert world.site.ending(number) == Ending(HOUR - WARNING + 75, REASON, HOUR - WARNING + 75 - WARNING)


def test_how_long_before_they_are_told_is_for_the_site_to_say() -> None:
    world = site()
    number = job(world)
    world.do(SetRules(JobLimits(), Trust(), groups=GroupRules(quota_warning=HOUR)))
    assert world.site.is_ending_soon(number)
    world.do(SetRules(JobLimits(), Trust(), groups=GroupRules(quota_warning=10.0)))
    assert not world.site.is_ending_soon(number)
    world.wait(HOUR)
    assert states(world, number) == [JobState.destroyed]


def test_a_time_limit_that_comes_before_ends_the_job_as_ever() -> None:
    world = site()
    number = job(world, time_limit=60.0)
    ending = world.site.ending(number)
    assert ending is not None
    assert ending.at == 60.0
    world.wait(60)
    assert (world.record(number).reason or "").startswith("Its time limit is 1 minute")
    assert used(world) == 60


def test_jobs_that_wait_end_as_well_since_nothing_may_ever_be_left_for_them() -> None:
    world = site()
    running, waiting = job(world, WHOLE), job(world)
    world.wait(300)
    assert states(world, running, waiting) == [JobState.destroyed, JobState.destroyed]
    assert world.record(waiting).reason == REASON
    assert world.record(waiting).allocation is None
    assert used(world) == HOUR


def test_a_moved_job_that_waits_is_not_told_of_an_end_that_it_has_no_more() -> None:
    world = site(600.0, World(machine(1, 1)))
    moved = job(world, TRIAD)
    assert world.site.is_ending_soon(moved)
    world.power(moved, on=True)
    world.answer(world.orders[0], {Board(0, 0, 0): "it is on fire"})
    assert states(world, moved) == [JobState.queued]
    assert world.site.ending(moved) is None
    world.wait(30)
    assert states(world, moved) == [JobState.queued]


@pytest.mark.parametrize("spent", [HOUR, HOUR - 0.5])
def test_no_job_is_created_for_a_group_with_nothing_left(spent: float) -> None:
    world = site()
    world.site.groups.put(replace(world.site.groups.by_name["lab"], used=spent))
    with pytest.raises(RefusedError) as refused:
        job(world)
    assert str(refused.value) == (
        f"group lab has used {'1 board-hour' if spent == HOUR else '3600 board-seconds'} of its quota of 1 "
        "board-hour; ask an administrator for more, or have another group charged"
    )
    assert states(world, job(world, group="free")) == [JobState.ready]


def test_thousands_of_waiting_jobs_end_in_several_goes() -> None:
    world = site()
    job(world, WHOLE)
    waiting = [job(world) for _ in range(ENDED_AT_ONCE + 10)]
    world.now += 300
    world.site.tick(world.at)
    assert not world.settle()
    assert states(world, *waiting).count(JobState.queued) == 10
    assert world.site.next_deadline() is not None
    world.site.tick(world.at)
    assert world.settle()
    assert states(world, *waiting).count(JobState.destroyed) == len(waiting)
    assert {world.record(number).allocated for number in waiting} == {None}


# Changed quotas


def test_a_larger_quota_counts_at_once() -> None:
    world = site()
    number = job(world)
    world.wait(HOUR - 10)
    world.do(SetQuota("lab", HOUR, "mary", adds=True))
    assert not world.site.is_ending_soon(number)
    assert world.endings_told[-1] == (HOUR - 10, number)
    world.wait(HOUR + 9)
    assert states(world, number) == [JobState.ready]
    world.wait(1)
    assert used(world) == 2 * HOUR
    assert (world.record(number).reason or "").startswith("The quota of group lab is used up: 2 board-hours.")


def test_a_smaller_quota_that_is_used_up_already_ends_jobs_at_once() -> None:
    world = site()
    number = job(world)
    world.wait(600)
    world.do(SetQuota("lab", 500.0, "mary"))
    world.wait(0)
    assert states(world, number) == [JobState.destroyed]
    assert used(world) == 600


def test_a_group_that_loses_its_limit_goes_on() -> None:
    world = site()
    number = job(world)
    world.wait(HOUR - 1)
    world.do(SetQuota("lab", None, "mary"))
    world.wait(10 * HOUR)
    assert states(world, number) == [JobState.ready]


def test_a_group_with_live_jobs_is_not_removed() -> None:
    world = site()
    number = job(world)
    with pytest.raises(
        RefusedError, match=f"1 live job is charged to group lab, and .* before they end: {number}"
    ):
        world.do(RemoveGroup("lab", "mary"))
    world.destroy(number)
    world.do(RemoveGroup("lab", "mary"))


# Restarts


def test_a_killed_server_goes_on_counting_and_so_does_the_time_in_which_it_was_down() -> None:
    world = site()
    number = job(world, TRIAD)
    world.wait(100)
    world.now += 500
    world.restart()
    assert left(world) == HOUR - 1800
    world.answer_all()
    world.wait(599.9)
    assert states(world, number) == [JobState.ready]
    world.wait(0.1)
    assert states(world, number) == [JobState.destroyed]
    assert used(world) == pytest.approx(HOUR, abs=1e-3)


def test_jobs_whose_quota_was_used_up_while_the_server_was_down_are_told_before_they_end() -> None:
    world = site()
    number = job(world, TRIAD)
    world.now += 1500
    world.restart()
    world.answer_all()
    assert world.site.is_ending_soon(number)
    with pytest.raises(RefusedError):
        job(world)
    world.wait(WARNING - 0.1)
    assert states(world, number) == [JobState.ready]
    world.wait(0.1)
    assert states(world, number) == [JobState.destroyed]
    assert used(world) == pytest.approx(3 * 1800, abs=1e-3)


def test_after_a_start_nobody_begins_to_use_more_than_is_left() -> None:
    world = site()
    first = job(world)
    world.wait(HOUR - 20)
    world.restart()
    world.answer_all()
    second = job(world, TRIAD)
    world.wait(5)
    assert states(world, first, second) == [JobState.destroyed] * 2
    assert used(world) == pytest.approx(HOUR, abs=1e-3)


@pytest.mark.parametrize("many", [1, ENDED_AT_ONCE + 1])
def test_jobs_that_wait_get_no_boards_by_a_start_if_nothing_is_left(many: int) -> None:
    world = site()
    running, *waiting = [job(world, WHOLE if not number else ONE) for number in range(many + 1)]
    world.now += HOUR
    world.restart(*world.machines, machine(name="another"))
    world.wait(1)
    assert states(world, running) == [JobState.ready]
    assert {world.record(number).state for number in waiting} == {JobState.destroyed}
    assert {world.record(number).allocated for number in waiting} == {None}


@pytest.mark.parametrize("limited", [False, True])
def test_a_job_ends_also_if_the_clock_was_wrong_when_the_server_started_and_is_right_again(
    *, limited: bool
) -> None:
    world = site()
    number = job(world, **({"time_limit": 2 * HOUR} if limited else {}))
    world.wait(HOUR - 200)
    world.skew += 2 * HOUR
    world.restart()
    world.skew -= 2 * HOUR
    world.answer_all()
    # The end of which its user was told stays the same: the warning is as long as ever.
    world.wait(WARNING)
    assert states(world, number) == [JobState.destroyed]
    assert world.record(number).reason == REASON


def test_a_cold_start_charges_for_the_jobs_that_it_ends() -> None:
    world = site(None)
    job(world, TRIAD)
    world.wait(100)
    world.start_cold()
    assert used(world) == 300


def test_a_clock_that_is_set_back_never_makes_a_job_cheaper_than_nothing() -> None:
    world = site(None)
    number = job(world, TRIAD)
    world.wait(10)
    world.skew -= 1000
    world.destroy(number)
    assert used(world) == 0


# Parts


@examples(100)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 5), st.sampled_from(("begin", "lose", "end")), st.integers(1, 9), st.floats(0, 50)
        ),
        max_size=60,
    )
)
def test_what_runs_adds_up_whatever_comes_and_goes(steps: list[tuple[int, str, int, float]]) -> None:
    groups = Groups()
    groups.put(Group("lab", 1e6, 0.0, 0.0))
    quotas, now = Quotas(groups, Endings()), 0.0
    running: dict[int, tuple[int, float]] = {}
    for number, step, boards, seconds in steps:
        now += seconds
        if step == "begin":
            quotas.wait(number, "lab")
            quotas.begin(number, boards, now)
            running[number] = boards, now
        else:
            running.pop(number, None)
            if number in quotas.jobs_of("lab"):
                (quotas.lose(number, now) if step == "lose" else quotas.end(number))
        quotas.follow(now)
        expected = sum(boards * (now - began) for boards, began in running.values())
        assert quotas.used(groups.by_name["lab"], now) == pytest.approx(expected, abs=1e-3)
        rate = sum(boards for boards, _ in running.values())
        for one in running:
            ending = quotas.ending(one)
            assert ending is not None
            assert ending.at == pytest.approx(now + (1e6 - expected) / rate, abs=1e-3)


def test_a_group_whose_jobs_come_and_go_leaves_no_timers_behind() -> None:
    groups = Groups()
    groups.put(Group("lab", 1e9, 0.0, 0.0))
    quotas = Quotas(groups, Endings())
    for number in range(1000):
        quotas.wait(number, "lab")
        quotas.begin(number, 1 + number % 7, float(number))
        quotas.follow(float(number))
        quotas.end(number)
        quotas.follow(float(number))
    assert len(quotas._timers) <= 2 + OLD_TIMERS + 1
    assert quotas.next() is not None


def test_thousands_of_jobs_near_their_end_are_told_once_a_second_that_it_moves_and_end_on_time() -> None:
    groups, endings = Groups(), Endings()
    groups.put(Group("lab", 10_000.0, 0.0, 0.0))
    quotas, now, number = Quotas(groups, endings), 0.0, 0
    told = 0
    began: dict[int, float] = {}
    while not (over := endings.due(now, 10_000)):
        # Twenty come and ten go a second.
        for step in range(3 if number >= 1000 else 1000):
            if step == 2 and number > 1000:
                quotas.end(number - 500)
                endings.forget(number - 500)
                groups.charge("lab", now - began.pop(number - 500))
            else:
                number += 1
                began[number] = now
                quotas.wait(number, "lab")
                quotas.begin(number, 1, now)
        quotas.follow(now)
        told += len(endings.take_news())
        now = min(now + 0.1, endings.next() or inf)
        quotas.follow(now)
    assert quotas.left(groups.by_name["lab"], now) == pytest.approx(0.0, abs=1.0)
    assert over
    # Some ten seconds, of which the last two are followed closely; else it were ninety times as many as jobs.
    assert told < 40 * number


def test_a_group_that_nobody_knows_any_more_stops_no_job() -> None:
    world = site()
    number = job(world)
    del world.group_records["lab"]
    world.restart()
    world.answer_all()
    world.wait(10 * HOUR)
    assert states(world, number) == [JobState.ready]
    world.destroy(number)
    world.do(AddGroup("lab", HOUR, "mary"), SERVER)
    assert used(world) == 0

"""What happens to jobs, told as stories: the core's promises one at a time."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.states import JobState
from spalloc_server.core.askers import Asker
from spalloc_server.core.effects import BoardKey, BoardRecord
from spalloc_server.core.jobs import LIFE, Asked, Happening, after, first_job
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spalloc_server.core.site import JOBS_A_TICK
from spalloc_server.core.timekeeping import Moment
from spalloc_server.store.records import to_text
from spinnaker.geometry import Board, Link, Size
from tests.spalloc_server.core.driver import HOST, World, is_carrying, machine

ONE = JobRequest(AnyBoard())
THREE = JobRequest(Boards(3))
WHOLE = JobRequest(Rectangle(Size(2, 2)))


def test_a_job_is_queued_then_powered_then_ready() -> None:
    world = World()
    first = world.create(THREE)
    assert world.record(first).state is JobState.power
    assert world.record(first).power is True
    world.answer_all()
    assert world.record(first).state is JobState.ready
    second = world.create(WHOLE)
    assert world.record(second).state is JobState.queued
    assert world.record(second).power is None


def test_job_ids_count_up_from_one_and_are_never_used_again() -> None:
    world = World()
    assert [world.create(ONE) for _ in range(3)] == [1, 2, 3]
    for number in (1, 2, 3):
        world.destroy(number)
    world.restart()
    assert world.create(ONE) == 4


def test_a_record_says_when_its_boards_were_allocated_also_after_the_end() -> None:
    world = World()
    first, second = world.create(WHOLE), world.create(WHOLE)
    world.answer_all()
    world.wait(30.0)
    world.power(first, on=True)
    assert world.record(first).allocated == 1_000_000.0
    assert world.record(second).allocated is None
    world.destroy(first)
    world.answer_all()
    assert world.record(first).allocated == 1_000_000.0
    assert world.record(second).allocated == 1_000_030.0


def test_a_job_that_is_moved_has_its_boards_since_it_got_the_new_ones() -> None:
    world = World(machine(), machine(name="n"))
    job = world.create(ONE)
    world.answer_all()
    world.wait(30.0)
    board = next(iter(world.record(job).allocation.boards))  # type: ignore[union-attr]
    world.power(job, on=True)
    world.answer(world.orders[0], {board: "it is on fire"})
    world.answer_all()
    assert world.record(job).state is JobState.ready
    assert world.record(job).allocated == 1_000_030.0


def test_a_queued_job_starts_when_boards_are_free_again_and_not_before() -> None:
    world = World()
    first = world.create(WHOLE)
    world.answer_all()
    second = world.create(ONE)
    world.destroy(first)
    assert world.record(second).state is JobState.queued, "its boards are still being switched off"
    world.answer_all()
    assert world.record(second).state is JobState.ready


def test_boards_cool_down_before_they_are_free() -> None:
    world = World(machine(cool_down_seconds=30.0))
    first = world.create(WHOLE)
    world.answer_all()
    second = world.create(ONE)
    world.destroy(first)
    world.answer_all()
    world.wait(29.0)
    assert world.record(second).state is JobState.queued
    world.wait(1.0)
    assert world.record(second).state is JobState.power


def test_boards_warm_up_before_a_job_is_ready() -> None:
    world = World(machine(settle_seconds=5.0))
    job = world.create(THREE)
    world.answer_all()
    world.wait(4.9)
    assert world.record(job).state is JobState.power
    world.wait(0.2)
    assert world.record(job).state is JobState.ready


def test_a_job_that_no_machine_could_hold_is_destroyed_at_once_and_told_why() -> None:
    world = World()
    job = world.create(JobRequest(Boards(13)))
    assert world.record(job).state is JobState.destroyed
    assert (world.record(job).reason or "").startswith("Cancelled: ")
    assert world.record(job).ended == world.wall


def test_a_job_that_is_not_kept_alive_is_destroyed() -> None:
    world = World()
    job = world.create(THREE, keepalive=60.0)
    world.answer_all()
    world.wait(50.0)
    world.site.keep_alive(job, Asker(HOST), world.at)
    world.wait(59.0)
    assert world.record(job).state is JobState.ready
    world.wait(1.5)
    assert world.record(job).state is JobState.destroyed
    assert world.record(job).reason == "Job timed out."
    world.answer_all()
    assert not world.hardware.on


def test_a_job_without_keepalive_lives_until_it_is_destroyed() -> None:
    world = World()
    job = world.create(ONE, keepalive=None)
    world.answer_all()
    world.wait(1e6)
    assert world.record(job).state is JobState.ready


def test_keeping_a_job_alive_from_elsewhere_is_noted() -> None:
    world = World()
    job = world.create(ONE)
    world.site.keep_alive(job, Asker("203.0.113.9"), world.at)
    world.settle()
    assert world.job_records[job].keepalive_host == "203.0.113.9"


def test_powering_on_again_resets_the_boards() -> None:
    world = World()
    job = world.create(THREE)
    world.answer_all()
    before = dict(world.hardware.on)
    world.power(job, on=True)
    assert world.record(job).state is JobState.power
    world.answer_all()
    assert world.record(job).state is JobState.ready
    assert all(world.hardware.on[key] > number for key, number in before.items())


def test_power_off_is_ready_too_with_the_boards_off() -> None:
    world = World()
    job = world.create(THREE)
    world.answer_all()
    world.power(job, on=False)
    world.answer_all()
    assert (world.record(job).state, world.record(job).power) == (JobState.ready, False)
    assert not world.hardware.on


def test_the_last_power_asked_for_is_what_makes_a_job_ready() -> None:
    world = World()
    job = world.create(THREE)
    (power_on,) = world.orders
    world.power(job, on=False)
    world.answer(power_on)
    assert world.record(job).state is JobState.power
    world.answer_all()
    assert (world.record(job).state, world.record(job).power) == (JobState.ready, False)


def test_power_does_nothing_to_a_queued_or_unknown_job() -> None:
    world = World()
    world.create(WHOLE)
    queued = world.create(ONE)
    world.orders.clear()
    world.power(queued, on=True)
    world.power(99, on=True)
    assert world.orders == []


def test_links_that_leave_a_job_are_cut_and_those_inside_are_not() -> None:
    world = World(machine(3, 3))
    first, second = world.create(THREE), world.create(THREE)
    world.answer_all()
    held = world.site.boards.holders()
    assert set(held.values()) == {first, second}
    inside = 0
    for key in held:
        for link in Link:
            if is_carrying(world, key, link):
                inside += 1
    # Within a triad each of the three boards reaches the other two.
    assert inside == 2 * 6


def test_destroying_a_job_switches_its_boards_off() -> None:
    world = World()
    job = world.create(THREE)
    world.answer_all()
    world.destroy(job, "done")
    assert world.record(job).reason == "done"
    assert all(record.owed_off for record in world.board_records.values())
    assert len(world.board_records) == 3
    world.answer_all()
    assert not world.hardware.on
    assert not world.board_records


def test_destroying_a_destroyed_or_unknown_job_changes_nothing() -> None:
    world = World()
    job = world.create(ONE)
    world.destroy(job, "first")
    world.destroy(job, "second")
    world.destroy(77)
    assert world.record(job).reason == "first"


def test_a_job_whose_board_fails_is_moved_to_healthy_boards_and_never_ends() -> None:
    world = World()
    job = world.create(JobRequest(Boards(3)))
    (order,) = world.orders
    sick = min(order.boards)
    world.jobs_told.clear()
    world.answer(order, {sick: "its FPGA 1 did not load"})
    assert world.record(job).state is JobState.power, "the move is made within the same batch"
    allocation = world.record(job).allocation
    assert allocation is not None
    assert sick not in allocation.boards
    world.answer_all()
    assert world.record(job).state is JobState.ready
    assert any(str(sick) in notice.text and notice.serious for notice in world.notices)
    assert world.board_records[BoardKey("m", sick)].aside == "its FPGA 1 did not load"
    assert BoardKey("m", sick) not in world.hardware.on


def test_a_moved_job_waits_in_the_queue_when_no_other_boards_are_available() -> None:
    world = World(machine(1, 1))
    job = world.create(JobRequest(Boards(3)), keepalive=None)
    (order,) = world.orders
    world.answer(order, {Board(0, 0, 1): "no answer"})
    assert world.record(job).state is JobState.queued
    world.answer_all()
    assert world.record(job).state is JobState.queued
    world.wait(61.0)
    world.answer_all()
    assert world.record(job).state is JobState.ready, "the board passed its test and was given back"


def test_a_moved_job_keeps_its_turn() -> None:
    world = World(machine(1, 1))
    first = world.create(JobRequest(Boards(3)), keepalive=None)
    world.wait(1.0)
    second = world.create(JobRequest(Boards(3)), keepalive=None)
    world.wait(1.0)
    world.answer(world.orders[0], {Board(0, 0, 0): "dead"})
    waiting = [world.site.waiting(job) for job in (first, second)]
    assert [one.position for one in waiting if one is not None] == [1, 2]
    world.answer_all()
    world.wait(61.0)
    world.answer_all()
    assert world.record(first).state is JobState.ready
    assert world.record(second).state is JobState.queued


def test_how_long_a_job_has_waited_is_remembered_through_a_restart() -> None:
    world = World()
    blocker = world.create(WHOLE, keepalive=None)
    world.answer_all()
    waiting = world.create(WHOLE, keepalive=None)
    world.wait(500.0)
    world.restart()
    assert world.site.jobs[waiting].since == world.now - 500.0
    world.destroy(blocker)
    world.answer_all()
    assert world.record(waiting).state is JobState.ready


def test_a_faulty_board_is_tested_again_each_time_after_a_longer_rest() -> None:
    world = World(machine(1, 1))
    job = world.create(JobRequest(BoardAt(Board(0, 0, 0))))
    (order,) = world.orders
    world.answer(order, {Board(0, 0, 0): "dead"})
    world.answer_all()
    rests = []
    for _ in range(4):
        since = world.now
        while not world.orders:
            world.wait(1.0)
        (test,) = world.orders
        assert test.on
        rests.append(world.now - since)
        world.site.keep_alive(job, Asker(HOST), world.at)
        world.answer(test, {Board(0, 0, 0): "dead"})
        world.answer_all()
    assert rests == sorted(rests)
    assert rests[3] > rests[0]


def test_boards_that_stay_on_are_not_allocated_until_they_are_switched_off() -> None:
    world = World(machine(1, 1))
    first = world.create(JobRequest(Boards(3)), keepalive=None)
    world.answer_all()
    second = world.create(JobRequest(Boards(3)), keepalive=None)
    world.destroy(first)
    (off,) = world.orders
    world.answer(off, {Board(0, 0, 2): "its BMP does not answer"})
    assert world.record(second).state is JobState.queued
    world.wait(61.0)
    world.answer_all()
    assert world.record(second).state is JobState.ready


def test_a_job_whose_boards_will_not_go_off_keeps_trying() -> None:
    world = World()
    job = world.create(THREE, keepalive=None)
    world.answer_all()
    world.power(job, on=False)
    (off,) = world.orders
    world.answer(off, dict.fromkeys(off.boards, "its BMP does not answer"))
    assert world.record(job).state is JobState.power
    world.wait(20.0)
    world.answer_all()
    assert (world.record(job).state, world.record(job).power) == (JobState.ready, False)


@pytest.mark.parametrize("moment", ["queued", "power", "ready", "off"])
def test_a_restart_continues_a_job_where_it_was(moment: str) -> None:
    world = World()
    if moment == "queued":
        blocker = world.create(WHOLE)
    job = world.create(THREE)
    if moment in ("ready", "off"):
        world.answer_all()
    if moment == "off":
        world.power(job, on=False)
        world.answer_all()
    before = world.record(job)
    hardware = dict(world.hardware.on)
    world.restart()
    assert world.record(job) == before
    if moment in ("ready", "off"):
        assert world.orders == [], "boards that are as they should be are left alone"
        assert world.hardware.on == hardware
    if moment == "queued":
        world.destroy(blocker)
    world.answer_all()
    assert world.record(job).state is JobState.ready


def test_a_restart_after_which_all_boards_are_off_powers_those_of_jobs() -> None:
    world = World()
    job = world.create(THREE)
    world.answer_all()
    world.hardware.on.clear()
    world.restart(all_off=True)
    assert world.record(job).state is JobState.power
    world.answer_all()
    assert world.record(job).state is JobState.ready
    assert len(world.hardware.on) == 3


def test_a_restart_switches_off_boards_that_were_still_to_be_switched_off() -> None:
    world = World()
    job = world.create(THREE)
    world.answer_all()
    world.destroy(job)
    world.restart()
    waiting = world.create(WHOLE)
    assert world.record(waiting).state is JobState.queued
    world.answer_all()
    assert world.record(waiting).state is JobState.ready


def test_a_restart_remembers_boards_that_were_set_aside() -> None:
    world = World(machine(1, 1))
    job = world.create(JobRequest(BoardAt(Board(0, 0, 0))))
    world.answer(world.orders[0], {Board(0, 0, 0): "dead"})
    world.destroy(job)
    world.answer_all()
    assert world.board_records == {BoardKey("m", Board(0, 0, 0)): BoardRecord(False, "dead", aside_since=1e6)}
    world.restart()
    again = world.create(JobRequest(BoardAt(Board(0, 0, 0))))
    assert world.record(again).state is JobState.queued
    world.wait(0.0)
    world.answer_all()
    assert world.record(again).state is JobState.ready, "it was tried after the restart, and is well"


def test_keepalives_start_again_after_a_restart() -> None:
    world = World()
    job = world.create(THREE, keepalive=60.0)
    world.answer_all()
    world.wait(50.0)
    world.restart()
    world.wait(59.0)
    assert world.record(job).state is JobState.ready
    world.wait(2.0)
    assert world.record(job).state is JobState.destroyed


def test_a_board_that_enough_users_report_is_set_aside_when_its_job_gives_it_back() -> None:
    world = World(machine(1, 1))
    key = BoardKey("m", Board(0, 0, 0))
    for number, host in enumerate(("10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3")):
        job = world.create(JobRequest(Boards(3)), host=host, keepalive=None)
        world.answer_all()
        world.site.report_problem(key, host, f"link errors {number}", world.at)
        world.settle()
        assert world.record(job).state is JobState.ready, "whoever has the board keeps it"
        world.destroy(job)
        world.answer_all()
    waiting = world.create(JobRequest(Boards(3)), keepalive=None)
    assert world.record(waiting).state is JobState.queued
    record = world.board_records[key]
    assert record.aside == "3 hosts reported it: link errors 0; link errors 2; link errors 3"
    world.restart()
    world.wait(86_000.0)
    world.answer_all()
    assert world.record(waiting).state is JobState.queued
    world.wait(1_000.0)
    world.answer_all()
    assert world.record(waiting).state is JobState.ready, "it was tried after a day, and is well"


def test_a_free_board_that_enough_hosts_report_is_set_aside_at_once() -> None:
    world = World(machine(1, 1))
    world.lend(BoardKey("m", Board(0, 0, 0)), "a", "b", "c")
    for host in ("a", "b", "c"):
        world.site.report_problem(BoardKey("m", Board(0, 0, 0)), host, "", world.at)
        world.settle()
    world.answer_all()
    whole = world.create(JobRequest(Boards(3)))
    assert world.record(whole).state is JobState.queued
    assert world.board_records[BoardKey("m", Board(0, 0, 0))].aside == "3 hosts reported it: no description"


def test_a_board_that_is_reported_while_it_cools_down_is_not_available_either() -> None:
    world = World(machine(1, 1, cool_down_seconds=30.0))
    key = BoardKey("m", Board(0, 0, 0))
    for host in ("a", "b", "c"):
        world.wait(31.0)
        world.lend(key, host)
    for host in ("a", "b", "c"):
        world.site.report_problem(key, host, "smoke", world.at)
        world.settle()
    waiting = world.create(THREE, keepalive=None)
    world.wait(31.0)
    assert world.record(waiting).state is JobState.queued
    assert world.site.boards.in_care() == {key: "3 hosts reported it: smoke"}
    world.restart()
    assert world.record(waiting).state is JobState.queued, "the fault is recorded, too"
    world.wait(86_000.0)
    assert not world.orders, "it rests for a day"
    world.wait(1_000.0)
    world.answer_all()
    world.wait(31.0)
    assert world.record(waiting).state is JobState.power, "it passed its test"


def test_a_reported_board_rests_its_time_whatever_its_bmp_does() -> None:
    world = World(machine(1, 1))
    key = BoardKey("m", Board(0, 0, 0))
    world.lend(key, "a", "b", "c")
    for host in ("a", "b", "c"):
        world.site.report_problem(key, host, "smoke", world.at)
    world.settle()
    world.answer_all()
    frame = world.machines[0].places[key.board].in_frame
    for why in ("no answer", None):
        world.site.frame_silent("m", frame, why, world.at)
        world.settle()
    assert not world.orders
    assert key in world.site.boards.in_care()


def test_jobs_that_ended_early_leave_no_keepalive_timers_behind() -> None:
    world = World()
    living = world.create(ONE, keepalive=1e9)
    for _ in range(1_000):
        world.destroy(world.create(ONE, keepalive=1e9))
        world.answer_all()
    assert len(world.site.keepalives) < 100
    world.wait(2e9)
    assert world.record(living).state is JobState.destroyed


def test_only_the_latest_destroyed_jobs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spalloc_server.core.site.REMEMBERED_JOBS", 2)
    world = World()
    jobs = [world.create(ONE) for _ in range(3)]
    for job in jobs:
        world.destroy(job)
    assert list(world.site.ended) == jobs[1:]


IMPOSSIBLE = JobRequest(Boards(999))


def _destroy_all(world: World) -> None:
    for job in list(world.site.jobs):
        world.site.destroy_job(job, None, world.at)


@pytest.mark.parametrize(
    "end_all",
    [
        pytest.param(lambda world: world.wait(61.0), id="keepalives run out"),
        pytest.param(_destroy_all, id="destroyed in one batch"),
        pytest.param(
            lambda world: world.reconfigure(machine(name="other")), id="machine no longer configured"
        ),
        pytest.param(lambda world: world.restart(machine(name="other")), id="machine gone at the start"),
        pytest.param(World.start_cold, id="cold start"),
    ],
)
def test_any_number_of_jobs_may_end_at_once_and_each_end_is_recorded(
    end_all: Callable[[World], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spalloc_server.core.site.REMEMBERED_JOBS", 2)
    world = World()
    jobs = [world.create(ONE) for _ in range(12)]
    end_all(world)
    world.settle()
    assert not world.site.jobs
    assert {world.job_records[job].state for job in jobs} == {JobState.destroyed}
    assert len(world.site.ended) == 2


def test_thousands_of_jobs_whose_time_is_up_at_once_end_some_at_a_time() -> None:
    world = World()
    jobs = [world.create(JobRequest(Boards(3)), keepalive=10.0) for _ in range(1000)]
    world.now += 11.0
    ends = []
    while world.site.jobs:
        before = len(world.site.jobs)
        deadline = world.site.next_deadline()
        assert deadline is not None
        assert deadline <= world.now, "the rest is due at once"
        world.site.tick(world.at)
        world.settle()
        ends.append(before - len(world.site.jobs))
    assert sum(ends) == len(jobs)
    assert max(ends) <= JOBS_A_TICK


def test_any_number_of_jobs_that_can_never_run_may_arrive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spalloc_server.core.site.REMEMBERED_JOBS", 2)
    world = World()
    jobs = [
        world.site.create_job(
            IMPOSSIBLE, Asked((999,), {}), owner="me", keepalive=1.0, by=Asker(HOST), at=Moment(0.0, 0.0)
        )
        for _ in range(9)
    ]
    world.site.decide(Moment(0.0, 0.0))
    unrecorded = [world.site.ended_record(job) for job in jobs]
    assert all(unrecorded), "what is still to be recorded is never forgotten"
    world.settle()
    assert [world.job_records[job] for job in jobs] == unrecorded


def test_a_job_that_can_never_run_leaves_only_a_short_record() -> None:
    world = World()
    name = "x" * 256
    request = JobRequest(AnyBoard(), machine=None, tags=frozenset({name}), max_dead_links=3)
    asked = Asked((), {"tags": [name], "max_dead_links": 3})
    job = world.site.create_job(request, asked, owner="me", keepalive=None, by=Asker(HOST), at=world.at)
    world.settle()
    record = world.job_records[job]
    assert record.reason is not None
    assert record.reason.startswith("Cancelled: ")
    assert len(to_text(record)) < 600
    assert name not in to_text(record).decode()


@given(st.floats(0, 4e9), st.floats(0, 90 * 86_400))
def test_a_server_without_records_begins_with_job_ids_that_no_earlier_run_used(
    start: float, later: float
) -> None:
    first, second = first_job(start), first_job(start + later)
    assert 1 <= first <= 90_000_000, "people type IDs: ten million jobs more have 8 digits at most"
    jobs_meanwhile = int(later * 9.9)
    ids = range(first, first + jobs_meanwhile)
    assert second not in ids or jobs_meanwhile == 0


def test_watchers_are_told_of_every_step() -> None:
    world = World()
    job = world.create(THREE)
    world.answer_all()
    world.power(job, on=False)
    world.answer_all()
    world.destroy(job)
    assert world.jobs_told == [{job}] * 5
    assert world.machines_told == [{"m"}, {"m"}]
    world.answer_all()
    assert world.machines_told == [{"m"}] * 3, "the boards are free again"


def test_every_state_and_happening_is_either_in_the_table_or_refused() -> None:
    for state in JobState:
        for happening in Happening:
            if (state, happening) in LIFE:
                assert after(state, happening) is LIFE[state, happening]
            else:
                with pytest.raises(ValueError, match=state.name):
                    after(state, happening)
    assert not any(state is JobState.destroyed for state, _ in LIFE), "nothing happens to a destroyed job"

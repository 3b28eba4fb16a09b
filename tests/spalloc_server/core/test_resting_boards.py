"""Boards that failed or were reported, and rest until they are tried again."""

from dataclasses import replace

from spalloc_client.states import JobState
from spalloc_server.core.askers import Asker
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.requests import BoardAt, Boards, JobRequest
from spinnaker.geometry import Board
from tests.spalloc_server.core.driver import HOST, World, machine

BOARD = Board(0, 0, 0)
KEY = BoardKey("m", BOARD)
DAY = 86_400.0


def a_world() -> World:
    """A site whose board some hosts have had."""
    world = World(machine(1, 1))
    world.lend(KEY, "a", "b", "c", "d")
    return world


def report(world: World, text: str = "smoke") -> None:
    """Have enough users report the board."""
    for host in ("a", "b", "c"):
        world.site.report_problem(KEY, host, text, world.at)
    world.settle()


def fail_once(world: World) -> None:
    """Have the board not come up for a job; it is off and rests after that."""
    job = world.create(JobRequest(BoardAt(BOARD)), keepalive=None)
    world.answer(world.orders[0], {BOARD: "dead"})
    world.destroy(job)
    world.answer_all()


def seconds_until_next_order(world: World, limit: float = 2 * DAY) -> float:
    began = world.now
    while not world.orders:
        deadline = world.site.next_deadline()
        assert deadline is not None
        assert deadline <= began + limit, "nothing is planned for the board"
        world.wait(deadline - world.now)
    return world.now - began


def silence(world: World, why: str | None) -> None:
    frame = world.machines[0].places[BOARD].in_frame
    world.site.frame_silent("m", frame, why, world.at)
    world.settle()


def test_a_rest_that_was_cut_short_does_not_end_the_next_one_early() -> None:
    world = a_world()
    fail_once(world)
    world.wait(50.0)
    silence(world, "no answer")
    silence(world, None)
    (test,) = world.orders
    world.answer(test, {BOARD: "dead"})
    world.answer_all()
    # It failed twice, so it rests for twice as long as at first; the first rest would end in ten seconds.
    assert seconds_until_next_order(world) == 120.0


def test_a_server_that_was_paused_over_the_end_of_two_rests_goes_on() -> None:
    world = a_world()
    fail_once(world)
    world.wait(50.0)
    silence(world, "no answer")
    silence(world, None)
    world.answer(world.orders[0], {BOARD: "dead"})
    world.answer_all()
    # The timer of the rest that was cut short and that of the next one come in one turn.
    world.now += 1000.0
    world.site.tick(world.at)
    world.settle()
    assert [order.boards for order in world.orders] == [{BOARD}]


def test_a_board_that_failed_often_and_is_reported_keeps_count_of_its_failures() -> None:
    world = a_world()
    fail_once(world)
    for _ in range(3):
        seconds_until_next_order(world)
        world.answer(world.orders[0], {BOARD: "dead"})
        world.answer_all()
    report(world)
    seconds_until_next_order(world)
    world.answer(world.orders[0], {BOARD: "dead"})
    world.answer_all()
    assert seconds_until_next_order(world) == 60.0 * 2**4


def test_a_board_that_rests_because_it_failed_and_is_reported_rests_as_long_as_reported_ones_do() -> None:
    world = a_world()
    fail_once(world)
    world.wait(30.0)
    report(world)
    assert seconds_until_next_order(world) == DAY
    assert world.board_records[KEY].aside == "3 hosts reported it: smoke"


def test_a_report_while_a_board_is_tested_counts_even_if_it_passes() -> None:
    world = a_world()
    fail_once(world)
    seconds_until_next_order(world)
    report(world)
    world.answer_all()
    waiting = world.create(JobRequest(Boards(3)), keepalive=None)
    assert world.record(waiting).state is JobState.queued
    assert seconds_until_next_order(world) == DAY
    world.answer_all()
    assert world.record(waiting).state is JobState.ready


def test_a_reported_board_that_can_not_be_switched_off_is_tried_soon_and_rests_once_it_is_off() -> None:
    world = a_world()
    report(world)
    (off,) = world.orders
    world.answer(off, {BOARD: "no answer"})
    assert seconds_until_next_order(world) == 120.0
    world.answer_all()
    assert seconds_until_next_order(world) == DAY


def test_a_host_that_reports_a_board_in_a_loop_is_in_the_log_once() -> None:
    world = a_world()
    for number in range(100):
        world.site.report_problem(KEY, "a", f"smoke {number}", world.at)
    world.settle()
    assert [notice.text for notice in world.warnings] == ["m (0, 0, 0) is reported by a: smoke 0"]
    for host in ("b", "c"):
        world.site.report_problem(KEY, host, "", world.at)
    world.settle()
    assert world.board_records[KEY].aside == "3 hosts reported it: smoke 99", "what was said last counts"


def test_reports_of_a_board_that_is_set_aside_already_are_neither_logged_nor_recorded() -> None:
    world = a_world()
    report(world)
    world.answer_all()
    before = len(world.warnings)
    for number in range(100):
        for host in ("a", "b", "c", "d"):
            world.site.report_problem(KEY, host, f"smoke {number}", world.at)
            assert not world.site.take_effects()
    assert len(world.warnings) == before


def test_reports_of_a_board_that_its_job_still_has_are_logged_no_more_once_there_are_enough() -> None:
    world = a_world()
    job = world.create(JobRequest(Boards(3)))
    world.site.machines["m"] = replace(world.site.machines["m"], reports_to_set_aside=1)
    for number in range(300):
        world.site.report_problem(KEY, "a", f"smoke {number}", world.at)
        world.settle()
    assert len(world.warnings) == 1
    world.destroy(job)
    assert [notice.text for notice in world.warnings[1:]] == [
        "m (0, 0, 0) is set aside: 1 host reported it: smoke 0"
    ]


def test_a_board_that_is_back_in_use_can_be_reported_again() -> None:
    world = a_world()
    report(world)
    world.answer_all()
    world.wait(DAY)
    for _ in range(3):
        world.answer_all()
    assert world.board_records == {}
    report(world, "more smoke")
    assert world.board_records[KEY].aside == "3 hosts reported it: more smoke"


def test_reports_of_a_board_still_count_when_it_goes_from_job_to_job() -> None:
    world = a_world()
    for host in ("e", "f", "g"):
        job = world.create(JobRequest(Boards(3)), host=host)
        world.answer_all()
        world.site.report_problem(KEY, host, "smoke", world.at)
        world.destroy(job)
        world.answer_all()
    assert world.site.boards.in_care()[KEY] == "3 hosts reported it: smoke"


def test_reports_of_one_board_take_a_bounded_amount_of_memory() -> None:
    world = a_world()
    for number in range(1000):
        report(world, f"smoke {number}")
        world.answer_all()
        world.wait(1.0)
    assert len(world.site._care._timers) <= 2
    assert seconds_until_next_order(world) == DAY - 1000.0, "it rests from when there were enough reports on"


def test_a_reported_board_that_passed_its_test_after_a_day_is_well() -> None:
    world = a_world()
    report(world)
    world.answer_all()
    seconds_until_next_order(world)
    world.answer_all()
    assert world.board_records == {}
    world.site.keep_alive(1, Asker(HOST), world.at)
    assert world.site.boards.in_care() == {}


def test_a_board_that_fails_for_years_is_tried_once_an_hour_and_disturbs_nobody() -> None:
    world = a_world()
    fail_once(world)
    for _ in range(2500):  # a test and a power-off each time
        if not world.orders:
            assert seconds_until_next_order(world, limit=3600.0) <= 3600.0
        order = world.orders[0]
        world.answer(order, {BOARD: "dead"} if order.on else {})
    assert world.create(JobRequest(BoardAt(Board(0, 0, 1)))) in world.site.jobs

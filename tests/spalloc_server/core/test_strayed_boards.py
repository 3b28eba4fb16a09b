"""Boards that are found not to be as they were ordered: what becomes of them, and of jobs that have them."""

from dataclasses import replace

import pytest

from spalloc_client.states import JobState
from spalloc_server.core.allocation import border
from spalloc_server.core.effects import BoardKey, PowerOrder
from spalloc_server.core.requests import AnyBoard, BoardAt, JobRequest, Rectangle
from spinnaker.geometry import Board, Link, Size
from spinnaker.places import Frame, Place
from tests.spalloc_server.core.driver import World, machine

THREE = JobRequest(Rectangle(Size(1, 1)))
RESET = "it was reset"


def stray(world: World, number: int, *boards: Board) -> None:
    world.site.boards_strayed("m", number, dict.fromkeys(boards, RESET), world.at)
    world.settle()


def ready_job(world: World) -> tuple[int, PowerOrder]:
    job = world.create(THREE, keepalive=None)
    (order,) = world.orders
    world.answer_all()
    return job, order


def test_all_boards_of_a_job_are_powered_again_and_its_state_says_so() -> None:
    world = World()
    job, order = ready_job(world)
    stray(world, order.number, min(order.boards))
    assert world.record(job).state is JobState.power
    (again,) = world.orders
    assert (again.boards, again.on, again.cut) == (order.boards, True, order.cut)
    world.answer_all()
    record = world.record(job)
    assert record.state is JobState.ready
    assert record.allocation is not None
    assert record.allocation.boards == order.boards, "it keeps its boards"
    assert [notice.text for notice in world.warnings if f"job {job}" in notice.text] == [
        f"job {job}: its boards are powered again"
    ]


def test_a_job_whose_boards_do_not_come_up_again_is_moved() -> None:
    world = World()
    job, order = ready_job(world)
    sick = min(order.boards)
    stray(world, order.number, sick)
    world.answer(world.orders[0], {sick: "dead"})
    world.answer_all()
    record = world.record(job)
    assert record.state is JobState.ready
    assert record.allocation is not None
    assert sick not in record.allocation.boards


def test_boards_that_a_job_wants_off_are_switched_off_again() -> None:
    world = World()
    job, _ = ready_job(world)
    world.power(job, on=False)
    (off,) = world.orders
    world.answer_all()
    stray(world, off.number, min(off.boards))
    (again,) = world.orders
    assert not again.on
    world.answer_all()
    assert world.record(job).state is JobState.ready


def test_a_job_that_waits_for_another_order_goes_on_waiting_for_that() -> None:
    world = World()
    job, order = ready_job(world)
    world.power(job, on=True)
    (reset,) = world.orders
    stray(world, order.number, min(order.boards))
    assert world.orders == [reset]
    world.answer_all()
    assert world.record(job).state is JobState.ready


def test_boards_that_no_job_has_are_switched_off_and_then_free() -> None:
    world = World()
    free = world.site.free_boards("m")
    stray(world, 1, Board(0, 0, 0))
    assert world.site.free_boards("m") == free - 1
    (off,) = world.orders
    assert (off.boards, off.on) == ({Board(0, 0, 0)}, False)
    world.answer_all()
    assert world.site.free_boards("m") == free


def test_boards_in_care_and_unknown_boards_are_left_to_the_orders_under_way() -> None:
    world = World()
    job, order = ready_job(world)
    world.destroy(job)
    (off,) = world.orders
    stray(world, order.number, min(order.boards), Board(9, 9, 0))
    assert world.orders == [off]


def test_after_a_restart_all_boards_are_watched_that_need_no_order() -> None:
    world = World(machine(2, 2))
    job, order = ready_job(world)
    coming = world.create(JobRequest(AnyBoard()), keepalive=None)
    (being_powered,) = world.orders
    world.restart()
    watched = world.standing
    held = next(each for each in watched if each.on)
    assert (held.boards, held.cut) == (order.boards, order.cut)
    free = next(each for each in watched if not each.on)
    everything = frozenset(world.machines[0].places)
    assert free.boards == everything - order.boards - being_powered.boards
    assert world.record(coming).state is JobState.power
    assert world.record(job).state is JobState.ready


def test_boards_that_are_added_are_watched_unless_they_are_switched_first() -> None:
    world = World(machine())
    owed, back = sorted(world.machines[0].places)[:2]
    job = world.create(JobRequest(BoardAt(owed)), keepalive=None)
    world.answer_all()
    world.reconfigure()
    assert world.record(job).state is JobState.destroyed
    world.answer(world.orders[0], {owed: "its BMP does not answer"})
    world.standing.clear()
    world.reconfigure(machine())
    (off,) = world.orders
    assert off.boards == {owed}
    (idle,) = world.standing
    assert (idle.boards, idle.on) == (world.machines[0].places.keys() - {owed}, False)
    stray(world, idle.number, back)
    assert world.orders[-1].boards == {back}
    assert not world.orders[-1].on


def test_all_boards_of_a_frame_with_another_bmp_are_watched_and_no_others() -> None:
    places = {board: Place(0, board.x, 3 * board.y + board.z) for board in machine().places}
    before = replace(machine(), places=places, bmps={Frame(0, 0): "a", Frame(0, 1): "b"})
    world = World(before)
    job = world.create(JobRequest(Rectangle(Size(2, 1))), keepalive=None)
    (order,) = world.orders
    world.answer_all()
    world.standing.clear()
    world.reconfigure(replace(before, bmps={**before.bmps, Frame(0, 1): "c"}))
    assert world.record(job).state is JobState.ready
    changed = before.in_frame(Frame(0, 1)).keys()
    held, free = sorted(world.standing, key=lambda each: not each.on)
    assert held.boards == order.boards & changed
    assert held.cut == {end for end in order.cut if end.board in changed}
    assert (free.boards, free.on) == (changed - order.boards, False)


def test_a_board_is_tested_with_what_jobs_rely_on() -> None:
    world = World()
    _, order = ready_job(world)
    sick = min(order.boards)
    stray(world, order.number, sick)
    world.answer(world.orders[0], {sick: "dead"})
    world.answer_all()
    world.wait(3600.0)
    (test,) = (each for each in world.orders if each.boards == {sick} and each.on)
    assert {end.link for end in test.cut} == set(Link)


def test_watched_borders_are_those_of_the_whole_job() -> None:
    world = World(machine(3, 3))
    world.create(JobRequest(Rectangle(Size(2, 2))), keepalive=None)
    world.answer_all()
    world.restart()
    held = next(each for each in world.standing if each.on)
    (job,) = world.site.jobs.values()
    assert job.record.allocation is not None
    assert held.cut == border(world.machines[0], job.record.allocation)


@pytest.mark.parametrize("resting", [False, True], ids=["cooling", "resting"])
def test_a_board_that_is_on_while_it_cools_down_or_rests_is_switched_off_first(resting: bool) -> None:
    world = World(machine(cool_down_seconds=10.0))
    free = world.site.free_boards("m")
    job, order = ready_job(world)
    one = min(order.boards)
    if resting:
        stray(world, order.number, one)
        world.answer(world.orders[0], {one: "dead"})
        world.answer_all()
    world.destroy(job)
    world.answer_all()
    stray(world, 99, one)
    world.wait(9.0)
    (off,) = world.orders
    assert (off.boards, off.on) == ({one}, False)
    world.wait(20.0)
    assert world.site.free_boards("m") == free - 1
    world.answer_all()
    for _ in range(20):
        world.wait(30.0)
        world.answer_all()
    assert world.site.free_boards("m") == free


def test_a_board_that_is_on_again_before_the_others_of_its_order_are_off_is_switched_off_again() -> None:
    world = World()
    free = world.site.free_boards("m")
    job, order = ready_job(world)
    world.destroy(job)
    (off,) = world.orders
    one = min(order.boards)
    stray(world, off.number, one)
    world.answer(off)
    (again,) = world.orders
    assert (again.boards, again.on) == ({one}, False)
    assert world.site.free_boards("m") == free - 1
    world.answer_all()
    assert world.site.free_boards("m") == free


# Boards that stray again and again


def stray_from_its_job(world: World, job: int, sick: Board) -> None:
    """Have a board of a job that is ready reset itself, and all that follows come about."""
    assert world.record(job).state is JobState.ready
    on = world.hardware.on[BoardKey("m", sick)]
    stray(world, on, sick)
    world.answer_all()


def test_a_board_that_resets_itself_each_minute_is_set_aside_at_the_third_time_and_its_job_moved() -> None:
    world = World()
    job, order = ready_job(world)
    sick = min(order.boards)
    for _ in range(2):
        stray_from_its_job(world, job, sick)
        assert world.record(job).allocation is not None
        assert world.site.boards.set_aside("m") == {}, "its job keeps it"
        world.wait(60.0)
    stray_from_its_job(world, job, sick)
    record = world.record(job)
    assert record.state is JobState.ready
    assert record.allocation is not None
    assert sick not in record.allocation.boards
    assert world.site.boards.set_aside("m") == {
        sick: f"3 times within an hour it was not as it was ordered, the last time: {RESET}"
    }
    assert f"job {job} is moved: {sick} of m failed" in [notice.text for notice in world.warnings]


def rest_of(world: World, sick: Board) -> float:
    """Return how many seconds it takes until a board that is set aside is back in use."""
    began = world.now
    while sick in world.site.boards.set_aside("m"):
        world.wait(10.0)
        world.answer_all()
    return world.now - began


def test_a_board_that_passes_its_tests_and_strays_again_rests_longer_and_longer_up_to_an_hour() -> None:
    world = World()
    free = world.site.free_boards("m")
    sick = Board(0, 0, 0)
    one = JobRequest(BoardAt(sick))
    rests = []
    while len(rests) < 20:
        job = world.create(one, keepalive=None)
        world.answer_all()
        while sick not in world.site.boards.set_aside("m"):
            stray_from_its_job(world, job, sick)
        world.destroy(job)
        world.answer_all()
        rests.append(rest_of(world, sick))
        assert world.site.free_boards("m") == free
    assert rests[:4] == [60.0, 120.0, 240.0, 480.0]
    assert max(rests) <= 3600.0


def test_strays_that_are_more_than_an_hour_apart_leave_a_board_to_its_job() -> None:
    world = World()
    job, order = ready_job(world)
    for _ in range(10):
        stray_from_its_job(world, job, min(order.boards))
        world.wait(1801.0)
    record = world.record(job)
    assert record.allocation is not None
    assert record.allocation.boards == order.boards


def test_a_free_board_that_switches_itself_on_again_and_again_is_set_aside() -> None:
    world = World()
    sick = Board(0, 0, 0)
    free = world.site.free_boards("m")
    for _ in range(3):
        assert world.site.free_boards("m") == free
        stray(world, 99, sick)
        world.answer_all()
    assert list(world.site.boards.set_aside("m")) == [sick]
    assert rest_of(world, sick) == pytest.approx(60.0)
    assert world.site.free_boards("m") == free


def test_a_board_that_switches_itself_on_again_and_again_while_it_cools_down_is_set_aside() -> None:
    world = World(machine(cool_down_seconds=10.0))
    job, order = ready_job(world)
    sick = min(order.boards)
    world.destroy(job)
    world.answer_all()
    for _ in range(3):
        stray(world, 99, sick)
        world.answer_all()
    assert list(world.site.boards.set_aside("m")) == [sick]
    assert rest_of(world, sick) >= 60.0


def test_a_job_that_wants_its_boards_off_keeps_one_that_strays_which_is_set_aside_afterwards() -> None:
    world = World()
    job, _ = ready_job(world)
    world.power(job, on=False)
    (off,) = world.orders
    world.answer_all()
    sick = min(off.boards)
    for _ in range(3):
        stray(world, off.number, sick)
        (off,) = world.orders
        assert not off.on
        world.answer_all()
    assert world.record(job).state is JobState.ready
    world.destroy(job)
    world.answer_all()
    assert list(world.site.boards.set_aside("m")) == [sick]


def test_a_reload_does_not_change_how_often_a_board_has_strayed() -> None:
    world = World()
    job, order = ready_job(world)
    sick = min(order.boards)
    for _ in range(2):
        stray_from_its_job(world, job, sick)
    world.reconfigure(replace(machine(), board_retry_seconds=61.0))
    stray_from_its_job(world, job, sick)
    assert list(world.site.boards.set_aside("m")) == [sick]

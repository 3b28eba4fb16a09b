"""Frames whose BMP does not answer: what becomes of their boards, and of the jobs that have or want them."""

from spalloc_client.states import JobState
from spalloc_server.core.requests import AnyBoard, BoardAt, JobRequest, Rectangle
from spinnaker.geometry import Board, Size
from spinnaker.places import Frame
from tests.spalloc_server.core.driver import World, machine

# Eight triads fill the first frame; the ninth is alone in the second.
SIZE = (3, 3)
FIRST, SECOND = Frame(0, 0), Frame(0, 1)
ALONE = Board(2, 2, 0)
SILENT = "its BMP at 10.0.0.1 does not answer"


def fall_silent(world: World, frame: Frame, why: str | None) -> None:
    world.site.frame_silent("m", frame, why, world.at)
    world.settle()


def test_boards_behind_a_silent_bmp_are_not_available_until_it_answers() -> None:
    world = World(machine(*SIZE))
    fall_silent(world, SECOND, SILENT)
    job = world.create(JobRequest(BoardAt(ALONE)), keepalive=None)
    assert world.record(job).state is JobState.queued
    fall_silent(world, SECOND, None)
    assert world.record(job).state is JobState.power


def test_jobs_go_to_frames_that_answer() -> None:
    world = World(machine(*SIZE))
    fall_silent(world, FIRST, SILENT)
    for _ in range(3):
        job = world.create(JobRequest(AnyBoard()))
        allocation = world.record(job).allocation
        assert allocation is not None
        assert all(world.machines[0].places[board].in_frame == SECOND for board in allocation.boards)
    assert world.record(world.create(JobRequest(AnyBoard()))).state is JobState.queued


def test_a_job_keeps_the_boards_it_has_when_their_bmp_falls_silent() -> None:
    world = World(machine(*SIZE))
    job = world.create(JobRequest(BoardAt(ALONE)), keepalive=None)
    world.answer_all()
    fall_silent(world, SECOND, SILENT)
    fall_silent(world, SECOND, SILENT)
    assert world.record(job).state is JobState.ready
    fall_silent(world, SECOND, None)
    assert world.record(job).state is JobState.ready


def test_boards_that_were_freed_while_their_bmp_was_silent_are_free_when_it_answers() -> None:
    world = World(machine(*SIZE))
    job = world.create(JobRequest(BoardAt(ALONE)), keepalive=None)
    world.answer_all()
    world.destroy(job)
    fall_silent(world, SECOND, SILENT)
    world.answer_all()
    waiting = world.create(JobRequest(BoardAt(ALONE)), keepalive=None)
    assert world.record(waiting).state is JobState.queued
    fall_silent(world, SECOND, None)
    assert world.record(waiting).state is JobState.power


def test_what_waits_for_a_silent_frame_is_done_at_once_when_it_answers() -> None:
    world = World(machine(*SIZE))
    job = world.create(JobRequest(BoardAt(ALONE)), keepalive=None)
    world.answer_all()
    world.destroy(job)
    (off,) = world.orders
    fall_silent(world, SECOND, SILENT)
    world.answer(off, {ALONE: SILENT})
    assert not world.orders
    fall_silent(world, SECOND, None)
    (again,) = world.orders
    assert not again.on
    assert again.boards == {ALONE}
    world.answer(again)
    assert world.record(world.create(JobRequest(BoardAt(ALONE)))).state is JobState.power


def test_silence_and_its_end_are_in_the_log_and_told_to_watchers() -> None:
    world = World(machine(*SIZE))
    world.machines_told.clear()
    fall_silent(world, SECOND, SILENT)
    fall_silent(world, SECOND, None)
    fall_silent(world, SECOND, None)
    assert [notice.text for notice in world.notices] == [
        f"m cabinet 0, frame 1: its 3 boards are not given to jobs: {SILENT}",
        "m cabinet 0, frame 1: its BMP answers again",
    ]
    assert world.machines_told == [{"m"}, {"m"}]


def test_a_request_for_more_than_answers_waits_and_is_not_refused() -> None:
    world = World(machine(*SIZE))
    fall_silent(world, SECOND, SILENT)
    job = world.create(JobRequest(Rectangle(Size(3, 3))), keepalive=None)
    assert world.record(job).state is JobState.queued
    fall_silent(world, SECOND, None)
    assert world.record(job).state is JobState.power


def test_late_news_of_a_frame_that_is_no_longer_configured_is_ignored() -> None:
    world = World(machine(*SIZE))
    world.reconfigure(machine(2, 2))
    fall_silent(world, SECOND, SILENT)
    assert not world.site.boards.silent.why
    world.reconfigure(machine(*SIZE))
    assert world.record(world.create(JobRequest(BoardAt(ALONE)))).state is JobState.power

"""Boards that an administrator takes from jobs and puts back, whatever else happens to them."""

from dataclasses import replace

import pytest

from spalloc_client.states import JobState
from spalloc_server.core import board_life
from spalloc_server.core.administration import ClearReports, Drain, PutBack
from spalloc_server.core.board_life import Condition, Free, Held, Objection, Resting
from spalloc_server.core.commands import Report
from spalloc_server.core.effects import BoardKey, BoardRecord
from spalloc_server.core.notable import notable_boards
from spalloc_server.core.objections import Drained
from spalloc_server.core.questions import count_boards
from spalloc_server.core.requests import BoardAt, Boards, JobRequest
from spinnaker.geometry import Board
from tests.spalloc_server.core.driver import World, machine

KEY = BoardKey("m", Board(0, 0, 0))
THIS_BOARD = JobRequest(BoardAt(KEY.board))
THREE = JobRequest(Boards(3))
WORD = Drained("the fan is broken", "jane", 1_000_000.0)
RECORD = BoardRecord(drained=WORD)


def drain(world: World, *keys: BoardKey, moves_jobs: bool = False) -> list[int]:
    return world.do(Drain(keys or (KEY,), WORD.why, WORD.by, moves_jobs))


def put_back(world: World, *keys: BoardKey) -> None:
    world.do(PutBack(keys or (KEY,), "jane"))


def state(world: World, job: int) -> JobState:
    return world.record(job).state


def doing(world: World, key: BoardKey = KEY) -> type:
    return type(world.site.boards.state(key))


def told(world: World) -> list[str]:
    return [notice.text for notice in world.notices if notice.about.get("by") == "jane"]


def fail(world: World, key: BoardKey = KEY) -> None:
    """Let a board fail under a job, so that it rests."""
    job = world.create(JobRequest(BoardAt(key.board)))
    world.answer(world.orders[-1], {key.board: "it is dark"})
    world.destroy(job)
    world.answer_all()
    assert doing(world, key) is Resting


def test_a_free_board_that_is_drained_is_not_available_until_it_is_put_back() -> None:
    world = World(machine(1, 1))
    drain(world)
    job = world.create(THIS_BOARD)
    world.wait(10.0)
    assert state(world, job) is JobState.queued
    assert world.site.boards.set_aside("m") == {KEY.board: "drained: the fan is broken"}
    assert count_boards(world.site)["m"][Condition.DRAINED] == 1
    assert world.board_records == {KEY: RECORD}
    put_back(world)
    world.answer_all()
    assert state(world, job) is JobState.ready
    assert world.board_records == {}
    assert told(world) == [
        "m (0, 0, 0) is drained by jane: the fan is broken",
        "m (0, 0, 0) is put back, by jane",
    ]


def test_a_job_whose_board_is_drained_goes_on_to_its_end_and_the_next_gets_others() -> None:
    world = World(machine(2, 1))
    job = world.create(THREE)
    world.answer_all()
    (key, *_) = sorted(world.site.boards.holders())
    assert drain(world, key) == []
    world.wait(10.0)
    world.power(job, on=False)
    world.power(job, on=True)
    world.answer_all()
    assert state(world, job) is JobState.ready
    assert doing(world, key) is Held
    assert count_boards(world.site)["m"][Condition.HELD] == 3
    world.destroy(job)
    world.answer_all()
    assert count_boards(world.site)["m"][Condition.DRAINED] == 1
    whole = world.create(JobRequest(Boards(6)), keepalive=None)
    three = world.create(THREE)
    world.answer_all()
    assert state(world, whole) is JobState.queued
    assert state(world, three) is JobState.ready
    assert world.board_records == {key: RECORD}


def test_a_board_that_is_taken_out_at_once_is_switched_off_and_its_job_gets_others() -> None:
    world = World(machine(2, 1))
    job = world.create(THREE)
    world.answer_all()
    (key, *_) = before = sorted(world.site.boards.holders())
    assert drain(world, key, moves_jobs=True) == [job]
    world.answer_all()
    assert state(world, job) is JobState.ready
    assert not set(before) & set(world.site.boards.holders()), "it has the other triad"
    assert doing(world, key) is Free
    assert key not in world.hardware.on
    assert [each.text for each in world.notices if "jane" in each.text] == [
        f"m {key.board} is drained by jane: the fan is broken",
        f"job {job} is moved: {key.board} of m taken out by jane",
    ], "the cause comes first"


def test_a_job_that_has_no_other_boards_waits_until_its_board_is_put_back() -> None:
    world = World(machine(1, 1))
    job = world.create(THIS_BOARD, keepalive=None)
    assert drain(world, moves_jobs=True) == [job], "also while its boards are being powered"
    world.answer_all()
    world.wait(1000.0)
    assert state(world, job) is JobState.queued
    put_back(world)
    world.answer_all()
    assert state(world, job) is JobState.ready


@pytest.mark.parametrize("answered", [False, True])
def test_a_job_that_is_moved_keeps_its_boards_off_if_its_owner_had_them_off(answered: bool) -> None:
    world = World(machine(2, 1))
    job = world.create(THREE)
    world.answer_all()
    world.power(job, on=False)
    if answered:
        world.answer_all()
    (key, *_) = sorted(world.site.boards.holders())
    drain(world, key, moves_jobs=True)
    world.answer_all()
    assert (state(world, job), world.record(job).power) == (JobState.ready, False)
    assert key not in world.site.boards.holders()
    assert not world.hardware.on
    world.power(job, on=True)
    world.answer_all()
    assert world.hardware.on.keys() == world.site.boards.holders().keys()


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("wants_on", [False, True])
def test_a_moved_job_that_waits_has_its_boards_as_its_owner_wanted_them_last(
    restarts: bool, wants_on: bool
) -> None:
    world = World(machine(1, 1))
    job = world.create(THIS_BOARD, keepalive=None)
    world.power(job, on=False)
    drain(world, moves_jobs=True)
    world.answer_all()
    if wants_on:
        world.power(job, on=True)
    if restarts:
        world.restart()
    assert (state(world, job), world.record(job).power) == (JobState.queued, None)
    put_back(world)
    world.answer_all()
    assert (state(world, job), world.record(job).power) == (JobState.ready, wants_on)
    assert (KEY in world.hardware.on) == wants_on


def test_a_moved_job_that_waits_can_be_ended() -> None:
    world = World(machine(1, 1))
    job = world.create(THIS_BOARD)
    world.power(job, on=False)
    drain(world, moves_jobs=True)
    world.destroy(job)
    assert state(world, job) is JobState.destroyed


@pytest.mark.parametrize("on", [False, True])
def test_a_drained_board_that_is_no_longer_configured_can_be_put_back(on: bool) -> None:
    world = World(machine(1, 1))
    before = world.machines[0]
    if on:
        world.create(THIS_BOARD)
        world.answer_all()
    drain(world)
    world.reconfigure(replace(before, name="other"))
    put_back(world)
    assert told(world)[-1] == "m (0, 0, 0) is put back, by jane"
    perhaps_on = {KEY: BoardRecord(owed_off=True)}
    assert world.board_records == (perhaps_on if on else {}), "its job was ended just now"
    world.answer_all()
    assert not world.site.boards.all_drained()
    world.reconfigure(before)
    world.answer_all()
    assert world.site.free_boards("m") == 3


@pytest.mark.parametrize("has_job", [False, True])
@pytest.mark.parametrize("cold", [False, True])
def test_a_drained_board_stays_so_through_restarts(has_job: bool, cold: bool) -> None:
    world = World(machine(1, 1))
    job = world.create(THIS_BOARD) if has_job else None
    world.answer_all()
    drain(world)
    for _ in range(2):
        world.start_cold() if cold else world.restart()
        world.answer_all()
        assert world.site.boards.drained(KEY) == WORD
        assert world.board_records == {KEY: RECORD}
        if job is not None:
            assert state(world, job) is (JobState.destroyed if cold else JobState.ready)
    other = world.create(THIS_BOARD)
    assert state(world, other) is JobState.queued
    if job is not None:
        world.destroy(job)
        world.answer_all()
    assert state(world, other) is JobState.queued
    put_back(world)
    world.restart()
    world.answer_all()
    assert state(world, other) is JobState.ready
    assert world.board_records == {}


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("has_job", [False, True])
def test_a_drained_board_stays_so_while_it_is_out_of_the_configuration(restarts: bool, has_job: bool) -> None:
    world = World(machine(1, 1))
    before = world.machines[0]
    if has_job:
        world.create(THIS_BOARD)
        world.answer_all()
    drain(world)
    world.reconfigure(replace(before, name="other"))
    if restarts:
        world.restart()
        if not has_job:
            assert not world.warnings, "there is nothing to be feared of it"
    world.reconfigure(before)
    world.answer_all()
    assert world.site.boards.drained(KEY) == WORD
    job = world.create(THIS_BOARD)
    assert state(world, job) is JobState.queued
    put_back(world)
    world.answer_all()
    assert state(world, job) is JobState.ready


def restart(world: World, how: str) -> None:
    match how:
        case "cold":
            world.start_cold()
        case _:
            world.restart(doubtful=how == "restored")


@pytest.mark.parametrize("again", ["warm", "cold", "restored"])
@pytest.mark.parametrize("reloads", [False, True])
@pytest.mark.parametrize("has_failed", [False, True])
@pytest.mark.parametrize("drained", [False, True])
def test_a_board_that_was_off_when_it_left_the_configuration_is_off_at_any_later_start(
    *, again: str, reloads: bool, has_failed: bool, drained: bool
) -> None:
    world = World(machine(1, 1))
    without = machine(1, 1, dead_boards=frozenset([KEY.board]))
    if has_failed:
        fail(world)
    if drained:
        drain(world)
    if reloads:
        world.reconfigure(without)
    world.notices.clear()
    world.machines = (without,)
    for _ in range(2):
        restart(world, again)
        world.answer_all()
        assert not world.warnings, "there is nothing to be feared of it"
        assert world.board_records == ({KEY: RECORD} if drained else {})
        assert [one.key for one in notable_boards(world.site, world.at)] == [KEY] * drained
    put_back(world)
    assert not notable_boards(world.site, world.at)
    assert not world.board_records


def test_a_drained_board_that_is_no_longer_configured_and_perhaps_on_is_put_back_in_one_go() -> None:
    world = World(machine(1, 1))
    world.create(THIS_BOARD)
    world.answer_all()
    drain(world)
    world.restart(machine(1, 1, name="other"))
    assert world.board_records == {KEY: replace(RECORD, owed_off=True)}
    put_back(world)
    assert not notable_boards(world.site, world.at)
    assert not world.board_records


@pytest.mark.parametrize("while_off", [False, True])
@pytest.mark.parametrize("reported", [False, True])
def test_a_restart_does_not_take_a_failed_board_for_a_reported_one_nor_the_other_way(
    *, reported: bool, while_off: bool
) -> None:
    world = World(replace(machine(1, 1), reports_to_set_aside=1))
    job = world.create(THIS_BOARD, host="a")
    if reported:
        world.answer_all()
        report(world, "a")
    else:
        world.answer(world.orders[0], {KEY.board: "it is dark"})
    world.destroy(job)
    if while_off:
        world.answer_all()
    put_back(world)
    for _ in range(3):
        drain(world)
        before = world.site.boards.objections(KEY).keys()
        assert (Objection.REPORTED in before, Objection.FAILED in before) == (reported, not reported)
        world.restart()
        assert world.site.boards.objections(KEY).keys() == before
        world.answer_all()


def test_a_failed_board_that_is_drained_is_not_switched_on_before_it_is_put_back_and_then_tested_first() -> (
    None
):
    world = World(machine(1, 1))
    fail(world)
    drain(world)
    world.restart()
    world.wait(100_000.0)
    assert not world.orders, "somebody may have it in their hands"
    assert count_boards(world.site)["m"][Condition.DRAINED] == 1
    assert world.board_records == {KEY: replace(RECORD, aside="it is dark", aside_since=1_000_000.0)}
    job = world.create(THIS_BOARD)
    put_back(world)
    (test,) = world.orders
    assert test.on
    assert doing(world) is board_life.Testing
    assert state(world, job) is JobState.queued
    world.answer_all()
    assert state(world, job) is JobState.ready
    assert world.board_records == {}
    assert told(world)[-1] == "m (0, 0, 0) is put back, and tested first, by jane"


def test_a_board_that_is_drained_while_it_is_tested_is_drained_however_the_test_ends() -> None:
    for failed in ({}, {KEY.board: "dark still"}):
        world = World(machine(1, 1))
        fail(world)
        world.wait(60.0)
        assert doing(world) is board_life.Testing
        drain(world)
        assert world.board_records[KEY].owed_off
        world.answer(world.orders[0], failed)
        world.answer_all()
        world.wait(100_000.0)
        assert doing(world) is (Resting if failed else Free)
        assert world.board_records[KEY].drained == replace(WORD, since=1_000_060.0)
        assert world.site.free_boards("m") == 2
        assert not any("back in use" in notice.text for notice in world.notices)
        put_back(world)
        world.answer_all()
        assert world.site.free_boards("m") == 3


def test_a_board_that_was_set_aside_is_tested_at_once_when_it_is_put_back() -> None:
    world = World(machine(1, 1))
    fail(world)
    put_back(world)
    assert [order.on for order in world.orders] == [True]
    world.answer_all()
    assert world.site.free_boards("m") == 3
    put_back(world)
    assert not world.orders, "nothing speaks against it"
    assert len(told(world)) == 1


def test_a_board_that_stays_on_is_switched_off_again_when_it_is_put_back() -> None:
    world = World(machine(1, 1))
    world.destroy(world.create(THIS_BOARD))
    world.answer_all()
    world.destroy(world.create(THIS_BOARD))
    world.answer(world.orders[0])
    world.answer(world.orders[0], {KEY.board: "it stays on"})
    drain(world)
    assert world.board_records == {KEY: BoardRecord(True, "it stays on", None, WORD, 1_000_000.0)}
    put_back(world)
    assert [order.on for order in world.orders] == [False]
    world.answer_all()
    assert world.site.free_boards("m") == 3


def report(world: World, *hosts: str) -> None:
    for host in hosts:
        world.do(Report(KEY, "smoke"), host)


def test_cleared_reports_of_a_board_count_no_more() -> None:
    world = World(replace(machine(1, 1), reports_to_set_aside=2))
    world.lend(KEY, "a", "b")
    report(world, "a")
    assert world.site.reported() == {KEY: 1}
    world.do(ClearReports([KEY], "jane"))
    assert world.site.reported() == {}
    assert told(world) == ["m (0, 0, 0) has its reports cleared by jane"]
    report(world, "b")
    assert world.site.boards.set_aside("m") == {}
    report(world, "a")
    world.answer_all()
    assert world.site.boards.set_aside("m") == {KEY.board: "2 hosts reported it: smoke"}


@pytest.mark.parametrize("word", [ClearReports, PutBack])
def test_a_board_that_is_set_aside_for_reports_is_tested_at_once_and_back_in_use(
    word: type[ClearReports | PutBack],
) -> None:
    for answered in (False, True):
        world = World(replace(machine(1, 1), reports_to_set_aside=1))
        world.lend(KEY, "a")
        report(world, "a")
        if answered:
            world.answer_all()
            assert doing(world) is Resting
        world.do(word([KEY], "jane"))
        world.answer_all()
        world.wait(0.0)
        world.answer_all()
        assert world.site.free_boards("m") == 3
        assert world.board_records == {}


def test_a_job_s_board_whose_reports_are_cleared_is_not_set_aside_when_it_gives_it_back() -> None:
    world = World(replace(machine(1, 1), reports_to_set_aside=1))
    job = world.create(THIS_BOARD, host="a")
    world.answer_all()
    report(world, "a")
    world.do(ClearReports([KEY], "jane"))
    world.destroy(job)
    world.answer_all()
    assert world.site.free_boards("m") == 3


def test_a_reported_board_is_drained_until_it_is_put_back_also_if_its_reports_are_cleared() -> None:
    world = World(replace(machine(1, 1), reports_to_set_aside=1))
    world.lend(KEY, "a")
    drain(world)
    report(world, "a")
    world.answer_all()
    world.do(ClearReports([KEY], "jane"))
    world.wait(1_000_000.0)
    assert world.site.boards.set_aside("m") == {KEY.board: "drained: the fan is broken"}
    put_back(world)
    world.answer_all()
    assert world.site.free_boards("m") == 3


def test_a_drained_board_in_a_silent_frame_is_drained_when_the_frame_answers_again() -> None:
    world = World(machine(1, 1))
    (frame,) = world.machines[0].bmps
    drain(world)
    world.site.frame_silent("m", frame, "it is silent", world.at)
    world.site.frame_silent("m", frame, None, world.at)
    world.settle()
    assert world.site.free_boards("m") == 2
    world.site.frame_silent("m", frame, "it is silent", world.at)
    put_back(world)
    assert world.site.free_boards("m") == 0
    world.site.frame_silent("m", frame, None, world.at)
    assert world.site.free_boards("m") == 3


def test_a_second_drain_replaces_the_first() -> None:
    world = World(machine(1, 1))
    drain(world)
    world.wait(60.0)
    world.do(Drain([KEY], "x" * 2000, "joe"))
    assert world.board_records == {KEY: BoardRecord(drained=Drained("x" * 1000, "joe", 1_000_060.0))}


def test_the_details_of_a_board_say_since_when_and_until_when() -> None:
    world = World(machine(1, 1))
    world.wait(5.0)
    (frame,) = world.machines[0].bmps
    fail(world)
    for _ in range(2):
        (one,) = notable_boards(world.site, world.at)
        assert (one.key, one.doing, one.fault, one.job) == (KEY, "resting", "it is dark", None)
        assert one.fault_since == 1_000_005.0
        assert one.until is not None
        world.restart()
    world.wait(5.0)
    world.site.frame_silent("m", frame, "it is silent", world.at)
    job = world.create(JobRequest(BoardAt(Board(0, 0, 1))), keepalive=None)
    drain(world)
    (first, second, _) = notable_boards(world.site, world.at)
    assert first.drained == replace(WORD, since=1_000_010.0)
    assert first.until is None, "it rests until it is put back"
    assert (second.silent, second.silent_since) == ("it is silent", 1_000_010.0)
    world.destroy(job)

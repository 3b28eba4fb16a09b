"""Whose reports of sick boards count, and how much they can do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.states import JobState
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest
from spinnaker.geometry import Board, boards_of
from tests.spalloc_server.core.driver import World, machine

KEY = BoardKey("m", Board(0, 0, 0))
DAY = 86_400.0


def out(world: World) -> set[Board]:
    """The boards that something is wrong with."""
    return {key.board for key, why in world.site.boards.in_care().items() if why is not None}


def report(world: World, key: BoardKey, *hosts: str, text: str = "smoke") -> None:
    for host in hosts:
        world.site.report_problem(key, host, text, world.at)
        world.settle()


def said(world: World, words: str) -> list[str]:
    return [notice.text for notice in world.notices if words in notice.text]


def test_one_host_can_set_no_board_aside_whatever_owners_its_jobs_have() -> None:
    world = World(machine(4, 4))
    for number in range(200):
        job = world.create(JobRequest(AnyBoard()), owner=f"invented {number}")
        world.answer_all()
        for board in boards_of(world.machines[0].size):
            report(world, BoardKey("m", board), "198.51.100.7")
        world.destroy(job)
        world.answer_all()
    assert not out(world)


def test_all_addresses_of_an_ipv6_network_are_one_host() -> None:
    world = World(machine(1, 1))
    hosts = [f"2001:db8:0:1::{number:x}" for number in range(1, 9)]
    world.lend(KEY, *hosts)
    report(world, KEY, *hosts)
    assert not out(world)
    others = ["2001:db8:0:2::1", "::ffff:192.0.2.1"]
    world.lend(KEY, *others)
    report(world, KEY, *others)
    assert out(world) == {KEY.board}


def test_the_configured_prefix_holds_for_reports_also_for_those_that_there_are_when_it_changes() -> None:
    world = World(machine(1, 1))
    hosts = [f"2001:db8:0:{number}::1" for number in range(1, 4)]
    world.lend(KEY, *hosts)
    report(world, KEY, *hosts[:2])
    world.site.set_neighbours(48)
    report(world, KEY, hosts[2], "2001:db8:0:4::1")
    assert not out(world), "all of them are one host"
    world.lend(KEY, "192.0.2.1", "192.0.2.2")
    report(world, KEY, "192.0.2.1", "192.0.2.2")
    assert out(world) == {KEY.board}


def test_reports_of_hosts_that_never_had_a_board_are_logged_and_do_nothing() -> None:
    world = World(machine(1, 1))
    report(world, KEY, "a", "b", "c")
    assert not out(world)
    assert said(world, "by a, which does not count, since no job of that host had it within a day: smoke")


def test_a_host_that_had_a_board_may_report_it_for_a_day() -> None:
    world = World(machine(1, 1))
    world.lend(KEY, "a", "b", "c")
    world.wait(DAY)
    report(world, KEY, "a", "b")
    world.wait(1.0)
    report(world, KEY, "c")
    assert not out(world)
    world.lend(KEY, "c")
    report(world, KEY, "c")
    assert out(world) == {KEY.board}


def test_a_host_that_has_a_board_now_may_report_it_and_keeps_it() -> None:
    world = World(machine(1, 1))
    world.machines = (replace(world.machines[0], reports_to_set_aside=1),)
    world.reconfigure(*world.machines)
    job = world.create(JobRequest(BoardAt(KEY.board)), host="a")
    report(world, KEY, "a")
    assert world.record(job).state is not JobState.destroyed
    world.destroy(job)
    assert out(world) == {KEY.board}


def test_a_reported_board_is_set_aside_when_its_job_gives_it_back_and_not_before_whatever_its_bmp_does() -> (
    None
):
    world = World(replace(machine(1, 1), reports_to_set_aside=1))
    frame = next(iter(world.machines[0].bmps))
    job = world.create(JobRequest(BoardAt(KEY.board)), host="a")
    world.answer_all()
    report(world, KEY, "a")
    assert world.site.boards.set_aside("m") == {}
    world.site.frame_silent("m", frame, "its BMP is silent", world.at)
    assert world.site.boards.set_aside("m") == dict.fromkeys(world.machines[0].places, "its BMP is silent")
    world.site.frame_silent("m", frame, None, world.at)
    assert world.site.boards.set_aside("m") == {}
    world.destroy(job)
    assert world.site.boards.set_aside("m") == {KEY.board: "1 host reported it: smoke"}


@pytest.mark.parametrize("cold", [False, True])
def test_which_hosts_had_a_board_is_known_after_a_restart(cold: bool) -> None:
    world = World(machine(1, 1))
    world.lend(KEY, "a", "b")
    world.create(JobRequest(BoardAt(KEY.board)), host="c", keepalive=None)
    world.wait(DAY / 2)
    if cold:
        world.start_cold()
        world.answer_all()
    else:
        world.restart()
    report(world, KEY, "a", "b", "c")
    for number in list(world.site.jobs):
        world.destroy(number)
    assert out(world) == {KEY.board}


def test_the_day_goes_on_while_the_server_is_stopped() -> None:
    world = World(machine(1, 1))
    world.lend(KEY, "a", "b", "c")
    world.wait(DAY + 1.0)
    world.restart()
    report(world, KEY, "a", "b", "c")
    assert not out(world)


@pytest.mark.parametrize(("share", "most"), [(0.1, 4), (0.5, 24), (0.001, 1), (0.0, 0), (1.0, 48)])
def test_reports_take_out_a_share_of_the_boards_at_most(share: float, most: int) -> None:
    world = World(replace(machine(4, 4), reports_share=share))
    boards = [BoardKey("m", board) for board in boards_of(world.machines[0].size)]
    for key in boards:
        world.lend(key, "a", "b", "c")
    world.notices.clear()
    for key in boards:
        report(world, key, "a", "b", "c")
        report(world, key, "c")
    assert len(out(world)) == most
    told = said(world, "stays in use, though 3 hosts reported it")
    assert len(told) == len(boards) - most, "each is told once"
    world.restart()
    for key in boards:
        report(world, key, "a", "b", "c")
    assert len(out(world)) == most, "those that are out count after a restart, too"


def test_a_board_over_the_share_is_set_aside_when_another_is_back() -> None:
    world = World(replace(machine(1, 1), reports_share=0.1))
    other = BoardKey("m", Board(0, 0, 1))
    for key in (KEY, other):
        world.lend(key, "a", "b", "c")
        report(world, key, "a", "b", "c")
    assert out(world) == {KEY.board}
    world.wait(DAY)
    world.answer_all()
    assert not out(world)
    world.lend(other, "d")
    report(world, other, "d")
    assert out(world) == {other.board}


def test_reports_that_do_not_count_fill_neither_log_nor_records() -> None:
    world = World(machine(1, 1))
    for number in range(1000):
        report(world, KEY, f"10.0.{number // 250}.{number % 250}", text="x" * 1000)
    assert len(world.notices) == 20
    assert not world.board_records
    world.wait(61.0)
    report(world, KEY, "10.9.9.9")
    assert said(world, "980 other reports were not logged")


def test_a_reason_that_many_reports_make_is_kept_short() -> None:
    world = World(machine(1, 1))
    world.lend(KEY, "a", "b", "c")
    for host in ("a", "b", "c"):
        report(world, KEY, host, text=host * 1000)
    assert len(world.board_records[KEY].aside or "") < 1100


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.booleans()), max_size=30))
def test_no_history_of_jobs_and_reports_takes_out_more_than_its_share(
    history: list[tuple[int, int, bool]],
) -> None:
    world = World(replace(machine(1, 1), reports_to_set_aside=2, reports_share=0.4))
    for host, board, reports in history:
        key = BoardKey("m", Board(0, 0, board))
        if reports:
            report(world, key, f"10.0.0.{host}")
            world.answer_all()
        elif key not in world.site.boards.in_care() and key not in world.site.boards.holders():
            world.lend(key, f"10.0.0.{host}")
    assert len(out(world)) <= 1


def test_how_many_hosts_are_remembered_for_a_board_is_bounded() -> None:
    world = World(machine(1, 1))
    for number in range(300):
        world.lend(KEY, f"10.0.{number // 200}.{number % 200}")
    assert len(world.site.reports._had[KEY]) == 64
    report(world, KEY, "10.0.0.0", "10.0.0.1", "10.0.0.2")
    assert not out(world)
    report(world, KEY, "10.0.1.99", "10.0.1.98", "10.0.1.97")
    assert out(world) == {KEY.board}


def test_boards_that_left_the_configuration_are_forgotten() -> None:
    world = World(machine(1, 1))
    world.lend(KEY, "a", "b", "c")
    report(world, KEY, "a")
    world.create(JobRequest(Boards(1)))
    world.reconfigure(machine(1, 1, name="other"))
    assert not world.site.reports._had
    assert not world.site.reports._reports

"""What the log says of each job: that it started, that it ended, and who ended it; and no more than a log can take."""

import logging
from dataclasses import replace

import pytest

from spalloc_server.core.askers import Asker
from spalloc_server.core.effects import STARTED_COLD, TIMED_OUT, Notice
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.engine import JOB_LINES
from tests.spalloc_server.core.driver import HOST, World, machine
from tests.spalloc_server.test_engine import Bench


def lines(world: World, what: str) -> list[Notice]:
    return [notice for notice in world.notices if notice.text.endswith(what)]


def ending(world: World) -> dict[str, str | int]:
    (line,) = lines(world, "ends")
    assert not line.serious
    return dict(line.about)


def test_a_job_that_starts_is_told_with_its_owner_its_client_and_its_boards() -> None:
    world = World()
    job = world.create(JobRequest(Boards(3)), owner="ada")
    (line,) = lines(world, "starts")
    assert (line.text, line.serious) == (f"job {job} starts", False)
    assert line.about == {"job": job, "owner": "ada", "client": HOST, "machine": "m", "boards": 3}


def test_a_job_that_is_moved_starts_again() -> None:
    world = World()
    job = world.create(JobRequest(AnyBoard()), keepalive=None)
    (order,) = world.orders
    world.answer(order, dict.fromkeys(order.boards, "dead"))
    assert [line.text for line in lines(world, "starts")] == [f"job {job} starts"] * 2
    assert any(f"job {job} is moved" in notice.text for notice in world.notices)


def test_a_job_that_somebody_ended_is_told_with_who_and_why() -> None:
    world = World()
    job = world.create(JobRequest(AnyBoard()), owner="ada")
    world.site.destroy_job(job, "enough", world.at, by=Asker("10.0.0.9"))
    world.settle()
    assert ending(world) == {"job": job, "owner": "ada", "by": "10.0.0.9", "reason": "enough"}


def test_a_job_that_nobody_kept_alive_is_told_to_have_timed_out() -> None:
    world = World()
    job = world.create(JobRequest(AnyBoard()), owner="ada", keepalive=5.0)
    world.wait(6.0)
    assert ending(world) == {"job": job, "owner": "ada", "by": "time-out", "reason": TIMED_OUT}


def test_each_job_that_a_reload_ends_has_a_line_however_many_there_are() -> None:
    world = World(machine(4, 4))
    boards = len(world.machines[0].places)
    for _ in range(boards):
        world.create(JobRequest(AnyBoard()), keepalive=None)
    world.answer_all()
    world.reconfigure(replace(world.machines[0], name="another"))
    ends = lines(world, "ends")
    assert len(ends) == boards
    assert {line.about["by"] for line in ends} == {"server"}
    assert all(line.about["reason"] for line in ends)
    assert {line.of for line in ends} == {None}, "they are not rationed"


def test_jobs_that_a_cold_start_ends_have_a_line_each() -> None:
    world = World()
    job = world.create(JobRequest(AnyBoard()), keepalive=None)
    world.notices.clear()
    world.start_cold()
    assert ending(world) == {"job": job, "owner": "me", "by": "server", "reason": STARTED_COLD}


def test_a_client_that_makes_jobs_without_end_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level(logging.INFO, "spalloc_server.engine"):
        for _ in range(10 * JOB_LINES):
            bench.create(boards=1000)
        bench.pass_time(1.0)
        assert len(caplog.messages) == JOB_LINES
        bench.pass_time(120.0)
        assert caplog.messages[JOB_LINES:] == [
            f"{9 * JOB_LINES} more lines about jobs of here were kept back"
        ]
        bench.create()
        bench.pass_time(1.0)
    assert caplog.messages[-1].endswith("starts"), "the next minute has lines of its own"


def test_few_jobs_have_their_lines_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level(logging.INFO, "spalloc_server.engine"):
        for _ in range(2 * JOB_LINES):
            bench.create(boards=1000)
            bench.pass_time(2.0)
    assert len(caplog.messages) == 2 * JOB_LINES


def test_what_is_kept_back_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level(logging.INFO, "spalloc_server.engine"):
        for _ in range(JOB_LINES + 1):
            bench.create(boards=1000)
        bench.pass_time(1.0)
        bench.run(bench.engine.stop())
    assert caplog.messages[-1] == "1 more line about jobs of here were kept back"

"""What a job's boards cost: it is charged when it has them no more, from when it got them, whatever came in between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from spalloc_server.core.askers import Asker, Login, Role
from spalloc_server.core.charges import Charge, charge_of
from spalloc_server.core.commands import DestroyJob
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spinnaker.geometry import Board
from tests.examples import examples
from tests.spalloc_server.core.driver import World, machine
from tests.spalloc_server.store.test_database import running

BEGIN = 1_000_000.0
TRIAD = JobRequest(Boards(3))


@pytest.fixture
def world() -> World:
    return World(machine(1, 1))


def test_a_job_is_charged_for_its_boards_from_allocation_to_release(world: World) -> None:
    job = world.create(TRIAD, owner="jane", keepalive=None)
    world.wait(100.0)
    assert world.charges == []
    world.do(DestroyJob(job, "done"))
    (charge,) = world.charges
    assert charge == Charge(job, "jane", None, None, "m", 3, BEGIN, BEGIN + 100.0)
    assert charge.board_seconds == 300.0
    assert (world.record(job).allocated, world.record(job).ended) == (charge.begun, charge.ended)


def test_waiting_costs_nothing(world: World) -> None:
    first, second, third = [world.create(TRIAD, keepalive=None) for _ in range(3)]
    world.wait(50.0)
    world.destroy(second)
    assert world.charges == []
    world.destroy(first)
    world.answer_all()
    world.wait(7.0)
    world.destroy(third)
    assert [(charge.job, charge.begun - BEGIN, charge.ended - BEGIN) for charge in world.charges] == [
        (first, 0.0, 50.0),
        (third, 50.0, 57.0),
    ]


def test_a_job_that_is_moved_is_charged_for_each_of_its_allocations() -> None:
    world = World(machine(2, 1))
    job = world.create(TRIAD, keepalive=None)
    world.wait(10.0)
    (order,) = world.orders
    world.answer(order, {Board(0, 0, 1): "it does not come up"})
    assert [(charge.boards, charge.begun - BEGIN, charge.ended - BEGIN) for charge in world.charges] == [
        (3, 0.0, 10.0)
    ]
    world.answer_all()
    world.wait(5.0)
    world.destroy(job)
    assert [(charge.job, charge.begun - BEGIN, charge.ended - BEGIN) for charge in world.charges] == [
        (job, 0.0, 10.0),
        (job, 10.0, 15.0),
    ]


def test_a_restart_in_between_changes_nothing(world: World) -> None:
    job = world.create(TRIAD, keepalive=None)
    world.answer_all()
    world.wait(20.0)
    world.restart()
    world.wait(30.0)
    world.restart()
    assert world.charges == []
    world.destroy(job)
    assert [(charge.begun - BEGIN, charge.ended - BEGIN) for charge in world.charges] == [(0.0, 50.0)]


def test_a_cold_start_charges_for_what_it_ends(world: World) -> None:
    job = world.create(TRIAD, keepalive=None)
    queued = world.create(TRIAD, keepalive=None)
    world.wait(20.0)
    world.start_cold()
    assert [(charge.job, charge.board_seconds) for charge in world.charges] == [(job, 60.0)]
    assert world.record(queued).ended is not None


def test_a_job_that_a_changed_configuration_ends_is_charged(world: World) -> None:
    world.create(TRIAD, keepalive=None)
    world.wait(20.0)
    world.reconfigure(machine(1, 1, name="another"))
    assert [(charge.machine, charge.board_seconds) for charge in world.charges] == [("m", 60.0)]


def test_a_job_that_was_not_kept_alive_is_charged_until_it_ends(world: World) -> None:
    world.create(JobRequest(AnyBoard()), keepalive=60.0)
    world.wait(100.0)
    assert [charge.board_seconds for charge in world.charges] == [60.0]


def test_a_clock_that_was_set_back_gives_no_negative_charge(world: World) -> None:
    job = world.create(TRIAD, keepalive=None)
    world.wait(10.0)
    world.skew = -3600.0
    world.destroy(job)
    (charge,) = world.charges
    assert (charge.begun, charge.ended, charge.board_seconds) == (BEGIN, BEGIN, 0.0)


def test_who_is_charged_is_the_account_that_created_the_job_and_the_jobs_group(world: World) -> None:
    job = world.create(TRIAD, keepalive=None)
    world.site.jobs[job].amend(account="jane", group="neuro")
    world.do(DestroyJob(job), Asker("10.0.0.9", Login("mary", Role.ADMINISTRATOR)))
    assert [(charge.account, charge.group) for charge in world.charges] == [("jane", "neuro")]


@examples(100)
@given(at=st.floats(0.0, 4e9), until=st.floats(0.0, 4e9))
def test_what_a_job_has_cost_is_never_negative_and_begins_when_its_boards_were_allocated(
    at: float, until: float
) -> None:
    charge = charge_of(replace(running(1), allocated=at), until)
    assert charge is not None
    assert charge.begun == at
    assert charge.board_seconds == 3 * max(0.0, until - at)

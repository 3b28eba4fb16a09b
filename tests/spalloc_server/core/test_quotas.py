"""How many jobs there may be."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.admission import Headcount, JobLimits
from spalloc_server.core.askers import Asker
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spinnaker.geometry import Board
from tests.spalloc_server.core.driver import HOST, World, machine

ONE, WHOLE, TOO_LARGE = JobRequest(AnyBoard()), JobRequest(Boards(3)), JobRequest(Boards(999))


def world_with(limits: JobLimits) -> World:
    world = World(machine(1, 1))
    world.site.limits = limits
    return world


def test_whoever_wants_more_jobs_than_an_owner_may_have_is_told_the_limit() -> None:
    world = world_with(JobLimits(of_one_owner=2))
    for _ in range(2):
        assert world.site.refusal("me", Asker(HOST)) is None
        job = world.create(ONE, keepalive=None)
    refusal = world.site.refusal("me", Asker(HOST))
    assert refusal is not None
    assert (
        "there are 2 jobs of the owner 'me', and this server allows 2 (its setting jobs.of_one_owner)"
        in refusal
    )
    assert world.site.refusal("you", Asker(HOST)) is None
    world.destroy(job)
    assert world.site.refusal("me", Asker(HOST)) is None


def test_a_host_that_has_many_jobs_keeps_no_other_from_having_some() -> None:
    world = world_with(JobLimits(from_one_host=1))
    world.create(ONE, keepalive=None)
    assert "jobs.from_one_host" in (world.site.refusal("another", Asker(HOST)) or "")
    assert world.site.refusal("me", Asker("198.51.100.8")) is None


def test_only_jobs_that_wait_count_as_queued() -> None:
    world = world_with(JobLimits(queued=1))
    for _ in range(3):
        assert world.site.refusal("me", Asker(HOST)) is None
        world.create(ONE, keepalive=None)
    last = world.create(ONE, keepalive=None)
    assert "jobs.queued" in (world.site.refusal("me", Asker(HOST)) or "")
    world.destroy(last)
    assert world.site.refusal("me", Asker(HOST)) is None


def test_a_host_whose_jobs_fill_the_queue_is_told_the_limit_and_others_are_not() -> None:
    world = world_with(JobLimits(queued_from_one_host=2))
    for _ in range(3):
        world.create(ONE, keepalive=None)
    assert world.site.refusal("me", Asker(HOST)) is None, "boards are no place in the queue"
    waiting = [world.create(ONE, keepalive=None) for _ in range(2)]
    refusal = world.site.refusal("me", Asker(HOST))
    assert refusal is not None
    assert (
        f"there are 2 jobs created from {HOST} waiting for boards, and this server allows 2 (its setting "
        "jobs.queued_from_one_host)" in refusal
    )
    assert world.site.refusal("me", Asker("198.51.100.8")) is None
    world.destroy(waiting[0])
    assert world.site.refusal("me", Asker(HOST)) is None


def test_all_addresses_of_one_ipv6_network_count_as_one() -> None:
    count = Headcount(Neighbours())
    record = JobRecord(1, "me", 0.0, None, ONE, Asked((), {}), "2001:db8::1", owner_host="2001:db8::1")
    count.note(record)
    limits = JobLimits(queued_from_one_host=1)
    assert "from 2001:db8::/64 waiting" in (count.refusal(limits, "you", "2001:db8::abcd") or "")
    assert count.refusal(limits, "you", "2001:db8:0:1::1") is None


@pytest.mark.parametrize("restart", ["restart", "start_cold"])
def test_what_was_counted_is_counted_again_after_a_restart(restart: str) -> None:
    world = world_with(JobLimits())
    for _ in range(5):
        world.create(ONE, keepalive=None)
    getattr(world, restart)()
    left = 5 if restart == "restart" else 0
    world.site.limits = JobLimits(live=left + 1)
    assert world.site.refusal("me", Asker(HOST)) is None
    world.create(ONE, keepalive=None)
    assert "jobs.live" in (world.site.refusal("me", Asker(HOST)) or "")


@given(st.lists(st.tuples(st.sampled_from("cdfmrx"), st.integers(0, 9)), max_size=60))
def test_counts_are_right_whatever_happens(events: list[tuple[str, int]]) -> None:
    world = world_with(JobLimits())
    for event, number in events:
        live = sorted(world.site.jobs)
        match event:
            case "c":
                world.create((ONE, WHOLE, TOO_LARGE)[number % 3], keepalive=None, owner=str(number % 2))
            case "d" if live:
                world.destroy(live[number % len(live)])
            case "f" if world.orders:
                order = world.orders[number % len(world.orders)]
                world.answer(order, dict.fromkeys(sorted(order.boards)[:1], "dead"))
            case "m":
                world.answer_all()
            case "r":
                world.restart()
            case "x":
                dead = frozenset({Board(0, 0, number)}) if number < 3 else frozenset()
                world.reconfigure(machine(1, 1, dead_boards=dead))
        jobs = world.site.jobs.values()
        count = world.site.headcount
        assert count._counted.keys() == world.site.jobs.keys()
        assert count._of_owner == Counter(job.record.owner for job in jobs)
        assert count._from_host == Counter(job.record.owner_host for job in jobs)
        waiting = [job for job in jobs if job.record.allocation is None]
        assert count._queued == len(waiting)
        assert count._queued_from_host == Counter(job.record.owner_host for job in waiting)


def test_limits_below_one_make_no_sense() -> None:
    with pytest.raises(ValueError, match="live is 0; it must be 1 or more"):
        JobLimits(live=0)


def test_the_configured_prefix_holds_for_jobs_also_for_those_that_there_are_when_it_changes() -> None:
    world = world_with(JobLimits(from_one_host=2, queued_from_one_host=2))
    hosts = ["2001:db8:0:1::1", "2001:db8:0:2::1"]
    jobs = [world.create(ONE, host=host, keepalive=None) for host in hosts]
    newcomer = "2001:db8:0:3::1"
    assert world.site.refusal("me", Asker(newcomer)) is None
    assert world.site.set_neighbours(48)
    assert "there are 2 jobs created from 2001:db8::/48" in (world.site.refusal("me", Asker(newcomer)) or "")
    world.destroy(jobs[0])
    assert world.site.refusal("me", Asker(newcomer)) is None
    assert world.site.set_neighbours(128)
    assert not world.site.set_neighbours(128)
    world.destroy(jobs[1])
    assert world.site.refusal("me", Asker(hosts[1])) is None

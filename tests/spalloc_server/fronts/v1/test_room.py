"""Connections and bytes: what there is of them is shared, and a flood takes nothing from others."""

import logging
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.fronts.v1 import server
from spalloc_server.fronts.v1.crowd import SMALL_BYTES, Crowd, Group
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.watchers import MOST_UNKNOWN_MACHINES
from tests.examples import examples
from tests.spalloc_server.fronts.v1.simulated import Peer, SimulatedFront, request, simulated_front

FLOOD = [f"2001:db8::{number:x}" for number in range(1, 61)]
"""Addresses of one network."""


def _connected(front: SimulatedFront, hosts: list[str]) -> list[Peer]:
    peers = [front.connect(host) for host in hosts]
    front.pass_time()
    return peers


# Connections


def test_all_addresses_of_an_ipv6_network_have_the_connections_of_one() -> None:
    with simulated_front(connections_from_one_address=20) as front:
        flood = _connected(front, FLOOD)
        assert sum(peer.gone for peer in flood) == 40
        assert flood[-1].lines[0]["exception"].startswith("there are 20 connections from 2001:db8::/64")
        assert front.call(front.connect("2001:db8:0:1::1"), "version") == "1.0.0"
        for host in ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"):
            assert front.call(front.connect(host), "version") == "1.0.0"
        assert len(front.front._crowd.groups) == 4


def test_the_prefix_is_configured() -> None:
    with simulated_front(connections_from_one_address=1, ipv6_prefix=128) as front:
        assert not any(peer.gone for peer in _connected(front, FLOOD))


def test_a_prefix_that_changes_holds_for_connections_that_there_are() -> None:
    with simulated_front(connections_from_one_address=3) as front:
        peers = _connected(front, [f"2001:db8:0:{number}::1" for number in range(1, 5)])
        crowd = front.front._crowd
        # More than an address may have on its way to the disk: some wait for their turn to change something.
        for peer in peers:
            for _ in range(100):
                peer.ask("create_job", owner="me", keepalive=None)
        front.world.run(until=lambda: any(group.postponed for group in crowd.groups.values()), limit=60.0)
        assert any(group.postponed for group in crowd.groups.values())
        front.server.enter(
            lambda: setattr(front.front, "limits", replace(front.front.limits, ipv6_prefix=48))
        )
        assert [len(group.members) for group in crowd.groups.values() if group.members] == [4]
        front.pass_time(60.0)
        assert [len(peer.lines) for peer in peers] == [100] * 4, "everybody is served to the end"
        assert {name: group.changes for name, group in crowd.groups.items()} == {"2001:db8::/48": 0}
        newcomer = front.connect("2001:db8:0:9::1")
        front.pass_time()
        assert "connections from 2001:db8::/48" in newcomer.lines[0]["exception"]


def test_a_newcomer_is_let_in_when_somebody_else_has_taken_all_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with simulated_front(connections=50) as front:
        holder, quiet = front.connect("10.0.0.1"), front.connect("10.0.0.2")
        front.call(holder, "create_job", owner="me", keepalive=None)
        front.call(quiet, "version")
        flood = _connected(front, FLOOD)
        assert sum(peer.gone for peer in flood) == 12
        caplog.clear()
        newcomers = [front.connect(f"10.0.1.{number}") for number in range(10)]
        for newcomer in newcomers:
            assert front.call(newcomer, "version") == "1.0.0"
        assert not holder.gone
        assert not quiet.gone
        assert not any(newcomer.gone for newcomer in newcomers)
        assert front.front.connections == 50
        # Told once, and then how many more there were.
        assert len([record for record in caplog.records if "is cut off" in record.getMessage()]) <= 10
        # A flood that tries again gets nothing of what others have.
        _connected(front, FLOOD)
        assert not any(peer.gone for peer in (holder, quiet, *newcomers))


def test_who_holds_a_job_and_reads_keeps_the_connection_even_in_the_largest_group() -> None:
    with simulated_front(connections=20) as front:
        holders = _connected(front, ["10.0.0.1"] * 8)
        idle = _connected(front, ["10.0.0.1"] * 8)
        for holder in holders:
            front.call(holder, "create_job", owner="me", keepalive=None)
        for peer in idle:
            # A job that somebody else's connection holds twice already protects nobody.
            for _ in range(2):
                front.call(peer, "get_job_state", 1)
        many_networks = [front.connect(f"2001:db8:{number:x}::1") for number in range(1, 40)]
        front.pass_time()
        assert not any(holder.gone for holder in holders)
        assert sum(peer.gone for peer in idle) >= 7
        assert front.front.connections == 20
        assert any(peer.gone for peer in many_networks)


def test_of_the_largest_group_the_connection_goes_that_was_used_least() -> None:
    with simulated_front(connections=4) as front:
        used = front.connect("10.0.0.1")
        front.call(used, "version")
        never = front.connect("10.0.0.1")
        front.pass_time(1.0)
        lately = front.connect("10.0.0.1")
        front.call(lately, "version")
        others = [front.connect("10.0.0.2"), front.connect("10.0.0.3")]
        front.pass_time()
        assert (used.gone, never.gone, lately.gone) == (False, True, False)
        assert not any(peer.gone for peer in others)


# Bytes


def _filled(front: SimulatedFront, jobs: int) -> None:
    """Make live jobs, each of the whole machine, from as many addresses as the limit on waiting jobs needs."""
    for number, first in enumerate(range(0, jobs, 900)):
        peer = front.connect(f"10.0.9.{number}")
        count = min(900, jobs - first)
        peer.send(request("create_job", 2, 2, owner="o" * 200, keepalive=None) * count)
        front.pass_time(60.0)
        assert [list(line) for line in peer.lines] == [["return"]] * count


def _buffered(peer: Peer) -> int:
    """How many bytes of what a peer is to be sent the server's transport holds."""
    return peer.transport.peer.get_write_buffer_size()


def test_no_more_of_a_listing_is_put_together_than_its_client_reads() -> None:
    with simulated_front(slow_reader_seconds=1000.0) as front:
        _filled(front, 2000)
        slow = [front.connect(f"10.0.0.{number}") for number in range(1, 5)]
        front.pass_time()
        for peer in slow:
            peer.transport.pause_reading()
            peer.send(request("list_jobs") * 3 + request("version"))
        front.pass_time(20.0)
        for peer in slow:
            assert 0 < _buffered(peer) < 300_000
        assert front.front.bytes_kept < 4 * 300_000
        for peer in slow:
            peer.transport.resume_reading()
        front.pass_time(20.0)
        for peer in slow:
            assert [len(line["return"]) for line in peer.lines] == [2000, 2000, 2000, 5]
        assert front.front.bytes_kept == 0


def test_a_long_listing_says_how_things_were_when_it_was_asked_for() -> None:
    with simulated_front(slow_reader_seconds=1000.0) as front:
        _filled(front, 1000)
        slow, other = front.connect("10.0.0.1"), front.connect("10.0.0.2")
        front.pass_time()
        slow.transport.pause_reading()
        slow.send(request("list_jobs"))
        front.pass_time()
        ids = [job["job_id"] for job in front.call(other, "list_jobs")]
        for number in ids[::2]:
            front.call(other, "destroy_job", number)
        assert front.front.bytes_kept > 0
        slow.send(request("list_jobs"))
        slow.transport.resume_reading()
        front.pass_time()
        before, after = slow.lines
        assert [job["job_id"] for job in before["return"]] == ids
        assert [job["job_id"] for job in after["return"]] == ids[1::2]


def test_changes_are_told_after_a_long_listing_and_never_within_it() -> None:
    with simulated_front(slow_reader_seconds=1000.0) as front:
        _filled(front, 1000)
        slow, other = front.connect("10.0.0.1"), front.connect("10.0.0.2")
        front.call(slow, "notify_job")
        slow.transport.pause_reading()
        slow.send(request("list_jobs"))
        front.pass_time()
        job = front.call(other, "create_job", 2, 2, owner="me", keepalive=None)
        front.pass_time()
        slow.transport.resume_reading()
        front.pass_time()
        _, listing, *told = slow.lines
        assert len(listing["return"]) == 1000
        assert any(job in line["jobs_changed"] for line in told)


def test_a_client_that_reads_a_little_now_and_then_has_so_much_time_for_a_listing_and_no_more() -> None:
    with simulated_front(slow_reader_seconds=10.0) as front:
        _filled(front, 5000)
        slow = front.connect("10.0.0.1")
        front.pass_time()
        slow.transport.pause_reading()
        slow.send(request("list_jobs"))
        began = front.world.now
        while not slow.gone and front.world.now < began + 200.0:
            front.pass_time(5.0)
            if slow.transport._unread:
                # A piece, which makes room for another.
                for _ in range(3):
                    if slow.transport._unread:
                        piece = slow.transport._unread.pop(0)
                        slow.transport.peer._note_read(len(piece))
        assert front.world.now - began <= 10.0 * (1 + 5000 // 2000) + 5.0 + 5.0


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(request("list_jobs") * 20, id="listings that are not read"),
        pytest.param(request("list_machines") * 2000, id="requests that wait"),
        pytest.param(b'{"command": "' + b"x" * 60_000, id="requests that are not ended"),
        pytest.param(
            b"".join(request("notify_machine", "m" * 200 + str(number)) for number in range(16)),
            id="machines that there are not",
        ),
        pytest.param(
            b"".join(request("notify_job", number) for number in range(1, 401)), id="jobs that are watched"
        ),
    ],
)
def test_what_is_kept_for_clients_has_a_bound_and_who_takes_most_of_it_goes(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    most = 1_000_000
    with simulated_front(
        memory_bytes=most, slow_reader_seconds=1000.0, first_request_seconds=1000.0
    ) as front:
        _filled(front, 400)
        modest = [front.connect(f"10.0.2.{number}") for number in range(4)]
        for peer in modest:
            front.call(peer, "notify_job")
        flood = _connected(front, FLOOD * 2)
        for peer in flood:
            peer.transport.pause_reading()
            peer.send(said)
        for _ in range(50):
            front.pass_time(0.1)
            assert front.front.bytes_kept <= most
        gone = sum(peer.gone for peer in flood)
        assert 0 < gone < len(flood)
        for peer in modest:
            assert front.call(peer, "version") == "1.0.0"
        (line,) = [record for record in caplog.records if "bytes for its clients" in record.getMessage()]
        assert "most of them for 2001:db8::/64" in line.getMessage()
        for peer in flood:
            peer.transport.abort()
        front.pass_time(10.0)
        assert front.front.bytes_kept == 0


def test_memory_is_given_back_once_much_less_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[None] = []
    monkeypatch.setattr(server, "WORTH_GIVING_BACK_BYTES", 1_000_000)
    monkeypatch.setattr(server, "give_back_memory", lambda: given_back.append(None))
    with simulated_front() as front:
        flood = _connected(front, FLOOD)
        for peer in flood:
            peer.send(b"x" * 50_000)
        front.pass_time(10.0)
        assert not given_back
        for peer in flood:
            peer.transport.abort()
        front.pass_time(20.0)
        assert len(given_back) == 1


def test_replies_that_wait_for_the_disk_are_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated_front() as front:
        _filled(front, 1000)
        run_in_executor = front.server.run_in_executor
        stalled: list[tuple[Any, ...]] = []

        def stall(*what: Any) -> Any:
            future = front.server.create_future()
            stalled.append((future, what))
            return future

        monkeypatch.setattr(front.server, "run_in_executor", stall)
        peer = front.connect("10.0.0.1")
        front.pass_time()
        peer.send((request("create_job", owner="me", keepalive=None) + request("list_jobs")) * 300)
        front.pass_time()
        assert not peer.lines
        assert front.front.bytes_kept < 150_000
        monkeypatch.setattr(front.server, "run_in_executor", run_in_executor)
        front.server.enter(lambda: [future.set_result(run_in_executor(*what)) for future, what in stalled])


def test_a_machine_that_is_not_there_may_be_watched_and_so_may_few_more() -> None:
    with simulated_front() as front:
        peer = front.connect()
        for number in range(MOST_UNKNOWN_MACHINES):
            assert front.call(peer, "notify_machine", f"to come {number}") is None
        assert front.call(peer, "notify_machine", "m") is None
        assert front.call(peer, "notify_machine", "to come 3") is None
        peer.ask("notify_machine", "one more")
        front.pass_time()
        assert peer.lines[-1]["exception"].startswith("there is no machine 'one more', and 16")
        assert front.call(peer, "no_notify_machine", "to come 3") is None
        assert front.call(peer, "notify_machine", "one more") is None


# What is told


def _too_many(front: SimulatedFront, hosts: list[str]) -> None:
    _connected(front, hosts)


def _slowly(front: SimulatedFront) -> None:
    peer = front.connect()
    front.pass_time()
    peer.transport.pause_reading()
    peer.send(request("list_machines") * 2000)
    front.pass_time(30.0)


def _too_long(front: SimulatedFront) -> None:
    peer = front.connect()
    peer.send(b"x" * 2000)
    front.pass_time(30.0)
    if peer.lines:
        logging.getLogger("told to the client").warning("%s", peer.lines[0]["exception"])


def _too_much(front: SimulatedFront) -> None:
    _filled(front, 400)
    for peer in _connected(front, FLOOD):
        peer.transport.pause_reading()
        peer.send(request("list_jobs"))
    front.pass_time()


def _idly(front: SimulatedFront) -> None:
    front.call(front.connect(), "version")
    front.pass_time(30.0)


MET = {
    "connections": (
        5,
        lambda front: _too_many(front, ["10.0.0.1"] * 9),
        "has 5 connections and takes no more",
    ),
    "connections_from_one_address": (5, lambda front: _too_many(front, FLOOD), "no more from one address"),
    "ipv6_prefix": (
        16,
        lambda front: _too_many(front, ["2001::1"] * 4200),
        "4096 connections from 2001::/16",
    ),
    "memory_bytes": (1_000_000, _too_much, "keeps 1000000 bytes for its clients"),
    "request_bytes": (1024, _too_long, "longer than the 1024 bytes"),
    "first_request_seconds": (5.0, _too_long, "did not end a request within 5 s"),
    "idle_seconds": (5.0, _idly, "asked nothing for 5 s"),
    "slow_reader_seconds": (5.0, _slowly, "did not read what was sent to it for 5 s"),
}
"""How each limit is met, and what is said then."""


@pytest.mark.parametrize("limit", [field.name for field in fields(Limits)])
def test_each_limit_that_is_met_is_told(limit: str, caplog: pytest.LogCaptureFixture) -> None:
    value, meet, said = MET[limit]
    with simulated_front(**{limit: value}) as front:
        meet(front)  # type: ignore[no-untyped-call]
    assert said in caplog.text


# The crowd by itself


class _Member:
    def __init__(self, heard: float, job: int | None) -> None:
        self.group: Group
        self.asked = bool(heard)
        self.heard = heard
        self.job = job


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["enter", "leave", "weigh"]), st.integers(0, 5), st.integers(0, 9)), max_size=60
)


def _lived(crowd: Crowd, actions: list[tuple[str, int, int]]) -> Iterator[list[_Member]]:
    """Have members come and go; gives all that are there after each step."""
    members: list[_Member] = []
    for action, which, value in actions:
        if action == "enter":
            member = _Member(float(value), value % 3 or None)
            member.group = crowd.enter(member, f"group {which}")
            members.append(member)
        elif members and action == "leave":
            crowd.leave(members.pop(which % len(members)))
        elif members:
            crowd.weigh(members[which % len(members)], value * 1000)
        yield members


@examples(200)
@given(actions=ACTIONS)
def test_the_books_are_right_whoever_comes_and_goes(actions: list[tuple[str, int, int]]) -> None:
    crowd = Crowd()
    for members in _lived(crowd, actions):
        assert crowd.size == len(members) == sum(len(group.members) for group in crowd.groups.values())
        assert crowd.bytes == sum(group.bytes for group in crowd.groups.values())
        assert all(
            weight > SMALL_BYTES for group in crowd.groups.values() for weight in group.weights.values()
        )
        heaviest = crowd.heaviest()
        assert (heaviest is None) == (crowd.bytes == 0)
        if heaviest is not None:
            assert heaviest.group.bytes == max(group.bytes for group in crowd.groups.values())
            assert heaviest.group.weights[heaviest] == max(heaviest.group.weights.values())


@examples(200)
@given(actions=ACTIONS)
def test_who_gives_way_has_more_than_the_newcomer_and_holds_no_job(
    actions: list[tuple[str, int, int]],
) -> None:
    crowd = Crowd()
    for members in _lived(crowd, actions):
        for newcomer in crowd.groups.values():
            victim = crowd.least_used(newcomer, lambda member: member.job)  # type: ignore[attr-defined]
            if victim is None:
                continue
            assert isinstance(victim, _Member)
            assert len(victim.group.members) > len(newcomer.members)
            if victim.job is not None:
                assert sum(other.job == victim.job for other in victim.group.members) > 2  # type: ignore[attr-defined]
            assert victim in members

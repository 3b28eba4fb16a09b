"""Nobody pays for time that the server lost: paused, with a stalled disk, or busy with what was asked before."""

from collections.abc import Callable

import pytest

from tests.spalloc_server.fronts.v1.simulated import Peer, SimulatedFront, request, simulated_front

KEEPALIVE = 4.0
SEEDS = range(6)
"""Whether timers ring before or after sockets are read is chance."""


def _job(front: SimulatedFront, peer: Peer) -> int:
    job = front.call(peer, "create_job", owner="me", keepalive=KEEPALIVE)
    assert isinstance(job, int)
    return job


def _keep_alive(front: SimulatedFront, peer: Peer, job: int, seconds: float) -> None:
    for _ in range(int(seconds)):
        peer.ask("job_keepalive", job)
        front.pass_time(1.0)


def _pause(front: SimulatedFront, begin: Callable[[], object], seconds: float) -> None:
    """Pause the server, and have something begin in the middle of that."""
    front.server.pause(seconds)
    front.pass_time(seconds / 2)
    begin()
    front.pass_time(seconds / 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_request_that_ended_while_the_server_was_paused_is_answered(seed: int) -> None:
    with simulated_front(seed=seed, first_request_seconds=3.0) as front:
        peer = front.connect()
        whole = request("version")
        peer.send(whole[:5])
        front.pass_time(2.9)
        _pause(front, lambda: peer.send(whole[5:]), 60.0)
        front.pass_time(1.0)
        assert peer.lines
        assert not peer.gone


@pytest.mark.parametrize("seed", SEEDS)
def test_a_client_that_connected_while_the_server_was_paused_has_its_whole_time(seed: int) -> None:
    with simulated_front(seed=seed, first_request_seconds=3.0) as front:
        peers: list[Peer] = []
        _pause(front, lambda: peers.append(front.connect()), 60.0)
        front.pass_time(2.0)
        assert front.call(peers[0], "version")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_client_that_owes_a_request_is_still_cut_off_after_a_pause(seed: int) -> None:
    with simulated_front(seed=seed, first_request_seconds=3.0) as front:
        peer = front.connect()
        peer.send(b"{")
        _pause(front, lambda: None, 60.0)
        front.pass_time(6.0)
        assert peer.gone


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_whose_keepalives_wait_behind_a_stalled_disk_lives(seed: int) -> None:
    with simulated_front(seed=seed) as front:
        peer = front.connect()
        job = _job(front, peer)
        front.server.slowness = 30.0
        peer.send(request("create_job", owner="me", keepalive=None, tags=["none"]) * 600)
        _keep_alive(front, peer, job, 29.0)
        front.server.slowness = 0.0
        _keep_alive(front, peer, job, 20.0)
        assert job in front.engine.site.jobs
        front.pass_time(3 * KEEPALIVE + 30.0)
        assert job not in front.engine.site.jobs


@pytest.mark.parametrize("seed", SEEDS)
def test_a_job_whose_keepalives_wait_behind_a_long_answer_lives_for_one_keepalive_more(seed: int) -> None:
    with simulated_front(seed=seed) as front:
        peer = front.connect()
        job = _job(front, peer)
        front.server.slowness = 1.8 * KEEPALIVE
        peer.ask("list_ended_jobs")
        _keep_alive(front, peer, job, 8.0)
        front.server.slowness = 0.0
        assert job in front.engine.site.jobs
        front.server.slowness = 1000.0
        peer.ask("list_ended_jobs")
        _keep_alive(front, peer, job, 3 * KEEPALIVE)
        assert job not in front.engine.site.jobs


def test_a_job_whose_owner_reads_nothing_has_itself_to_blame() -> None:
    with simulated_front(slow_reader_seconds=60.0) as front:
        peer = front.connect()
        job = _job(front, peer)
        for _ in range(300):
            front.call(peer, "create_job", owner="x" * 200, keepalive=None, tags=["none"])
        peer.transport.pause_reading()
        peer.send(request("list_ended_jobs", limit=1000) * 20)
        _keep_alive(front, peer, job, KEEPALIVE + 1.0)
        assert job not in front.engine.site.jobs


def test_a_job_whose_owner_is_dead_ends_in_time_though_the_disk_is_never_idle() -> None:
    with simulated_front() as front:
        peer, busy = front.connect(), front.connect()
        job = _job(front, peer)
        front.server.slowness = 0.15
        for _ in range(int(20 * KEEPALIVE) + 20):
            busy.send(request("create_job", owner="busy", keepalive=None, tags=["none"]))
            front.pass_time(0.1)
        assert job not in front.engine.site.jobs


@pytest.mark.parametrize("lateness", [0.3, 0.7])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_dead_end_and_the_living_live_while_every_round_of_the_server_is_late(
    seed: int, lateness: float
) -> None:
    with simulated_front(seed=seed, first_request_seconds=3.0) as front:
        owner, deserter, busy, half = (front.connect() for _ in range(4))
        mine, deserted = _job(front, owner), _job(front, deserter)
        half.send(b"{")
        front.server.lateness = lateness
        for _ in range(20):
            owner.ask("job_keepalive", mine)
            for _ in range(20):
                # Something is decided and recorded in each round.
                busy.send(request("create_job", 999, owner="busy"))
                front.pass_time(0.05)
        assert mine in front.engine.site.jobs
        assert deserted not in front.engine.site.jobs
        assert half.gone

"""What a client is told is done is on disk, whoever did it; in simulated time, with a disk that takes a while."""

from tests.spalloc_server.fronts.v1.simulated import simulated_front


def test_a_job_that_somebody_else_has_just_ended_is_over_for_all_only_once_that_is_on_disk() -> None:
    with simulated_front() as front:
        mine, theirs = front.connect(), front.connect()
        job = front.call(mine, "create_job", owner="me", keepalive=None)
        front.server.slowness = 10.0
        theirs.ask("destroy_job", job)
        front.pass_time(1.0)
        assert job not in front.engine.site.jobs
        mine.ask("destroy_job", job)
        front.pass_time(5.0)
        assert [len(theirs.lines), len(mine.lines)] == [0, 1]
        front.pass_time(10.0)
        assert [len(theirs.lines), len(mine.lines)] == [1, 2]


def test_ending_a_job_that_ended_long_ago_is_answered_at_once() -> None:
    with simulated_front() as front:
        peer = front.connect()
        job = front.call(peer, "create_job", owner="me", keepalive=None)
        front.call(peer, "destroy_job", job)
        front.server.slowness = 10.0
        peer.ask("destroy_job", job)
        front.pass_time(1.0)
        assert len(peer.lines) == 3

"""What clients are told before a job ends, what they can ask about its time, and that others are told nothing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from spalloc_client.wire import Json
from spalloc_server.clock import moment
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.endings import Ending
from spalloc_server.core.limits import HOW_TO_GET_MORE, LimitRules
from spalloc_server.core.requests import AnyBoard, JobRequest
from spalloc_server.fronts.v1.endings import LINES_A_TURN, EndingWatchers
from spalloc_server.fronts.v1.watchers import Watchers
from spalloc_server.service import Service
from tests.spalloc_server.core.driver import World, machine
from tests.spalloc_server.fronts.test_front import Front, Peer, run
from tests.spalloc_server.fronts.v1.test_watchers import Client

ONE = JobRequest(AnyBoard())


async def line_with(peer: Peer, key: str) -> Json:
    while key not in (line := await peer.line()):
        assert line is not None
    return line[key]  # type: ignore[no-any-return]


async def said(peer: Peer, command: str, *args: Json, **kwargs: Json) -> str:
    """Return the exception that a command is answered with."""
    peer.send({"command": command, "args": args, "kwargs": kwargs})
    return str(await line_with(peer, "exception"))


def test_a_client_that_asked_for_it_is_told_before_a_job_ends_and_others_are_not() -> None:
    async def test(front: Front) -> None:
        asker, other = await front.connect(), await front.connect()
        other.send({"command": "notify_job"})
        # In one go, or a slow computer might ask when the job has ended.
        asker.send(
            {"command": "create_job", "kwargs": {"owner": "me", "time_limit": 0.4}},
            {"command": "notify_job_ending", "args": [1]},
        )
        told = await line_with(asker, "job_ending")
        assert isinstance(told, dict)
        assert told["job_id"] == 1
        assert 0 <= told["seconds"] <= 0.2
        assert told["reason"] == f"Its time limit is 0.4 seconds; {HOW_TO_GET_MORE}."
        assert await other.line() == {"return": None}
        while front.engine.site.jobs:
            assert "jobs_changed" in await other.line()
        state = await other.call("get_job_state", 1)
        assert (state["state"], state["reason"]) == (4, told["reason"])
        asker.writer.close()
        other.writer.close()

    run(test)


def test_a_client_that_asks_when_the_end_is_near_is_told_at_once_and_when_it_changes() -> None:
    async def test(front: Front) -> None:
        def reserve(ending: Ending | None) -> None:
            front.engine._site.expect_end(job, "reservation", ending, moment(front.engine.clock))
            front.engine.event()

        peer = await front.connect()
        job = await peer.call("create_job", owner="me")
        now = front.engine.clock.now()
        reserve(Ending(now + 600, "The boards are reserved from then on.", near=now))
        await peer.call("notify_job_ending", job)
        first = await line_with(peer, "job_ending")
        assert isinstance(first, dict)
        assert 500 < first["seconds"] <= 600
        assert first["reason"] == "The boards are reserved from then on."
        reserve(None)
        second = await line_with(peer, "job_ending")
        assert second == {"job_id": job, "seconds": None, "reason": None}
        await peer.call("no_notify_job_ending", job)
        assert not front.front.watchers._endings.jobs
        peer.writer.close()

    run(test)


def test_a_client_is_told_when_waiting_jobs_may_get_boards_without_a_question_for_each() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        whole = {"owner": "me", "time_limit": 3600}
        first = await peer.call("create_job", 2, 2, **whole)
        assert await peer.call("job_starts") == {}, "nobody waits"
        second = await peer.call("create_job", 2, 2, **whole)
        # A question never waits for the answer, but it has it worked out.
        while not (starts := await peer.call("job_starts")):
            pass
        assert starts.keys() == {str(second)}
        earliest, latest = starts[str(second)]
        assert 0 <= earliest <= latest <= 3700
        assert len((await peer.call("job_times", second))["expected_start"]) == 2
        assert (await peer.call("job_times", first))["expected_start"] is None, "it has its boards"
        peer.writer.close()

    run(test)


def test_a_job_is_asked_for_its_times() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        job = await peer.call("create_job", 1, 1, owner="me", time_limit=3600)
        times = await peer.call("job_times", job)
        assert 3590 < times.pop("ends_in") <= 3600
        assert times.pop("why") == f"Its time limit is 1 hour; {HOW_TO_GET_MORE}."
        assert times.pop("time_limit") == 3600
        assert times.keys() == {"expected_seconds", "expected_by", "expected_start"}
        assert await peer.call("job_times", 7) is None
        (listed,) = await peer.call("list_jobs")
        assert listed["time_limit"] == 3600
        assert listed["allocated"] >= listed["start_time"]
        assert listed["kwargs"] == {}
        peer.writer.close()

    run(test)


def test_a_job_without_a_limit_is_listed_as_published_servers_list_it() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        await peer.call("create_job", owner="me")
        await peer.call("create_job", owner="me", time_limit=None)
        for listed in await peer.call("list_jobs"):
            assert not {"time_limit", "allocated"} & listed.keys()
        peer.writer.close()

    run(test)


def test_what_can_not_be_is_refused_with_the_reason() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        job = await peer.call("create_job", owner="me")
        assert await said(peer, "create_job", owner="me", time_limit=0) == (
            "the time limit is 0 s; it must be more than 0 seconds, or null for the site's default"
        )
        assert await said(peer, "create_job", owner="me", time_limit="1h") == (
            "time_limit must be a number, not '1h'"
        )
        assert (
            await said(peer, "extend_job", job, -5)
            == "the time limit is -5 s; it must be more than 0 seconds"
        )
        assert (
            await said(peer, "extend_job", 99, 5) == "job 99 is not live, so its time limit can't be changed"
        )
        assert (await said(peer, "extend_job", job, 1e-9)).startswith(f"job {job} has had its boards for ")
        peer.writer.close()

    run(test)


def test_a_new_configuration_has_new_limits_for_new_jobs() -> None:
    async def main() -> None:
        service = Service(Configuration(None, v1=Listening(0), time_limits=LimitRules(60.0, 120.0)))
        peer = Peer(*await asyncio.open_connection(*await service.start()))
        assert await said(peer, "create_job", owner="me", time_limit=3600) == (
            "the time limit is 1 hour; the longest that this server allows is 2 minutes"
        )
        service.reconfigure(replace(service.configuration, time_limits=LimitRules()))
        await peer.call("create_job", owner="me", time_limit=3600)
        peer.writer.close()
        await service.stop()

    asyncio.run(main())


class Clock:
    def now(self) -> float:
        return 0.0

    def suspended(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0


class Reader(Client):
    """One that reads only when it wants to."""

    reads = True

    def tell(self, line: bytes) -> bool:
        return self.reads and super().tell(line)


def told_by(world: World, *events: Callable[[Watchers], None]) -> list[int]:
    """Return how many lines were sent after each turn of the event loop."""
    clients: list[Client] = []

    async def turns() -> list[int]:
        site = world.site
        endings = EndingWatchers(site, Clock())
        watchers = Watchers(site.jobs.__contains__, site.machines.__contains__, endings)
        told = [0]
        for event in events:
            event(watchers)
            clients[:] = [client for client in endings._jobs_of if isinstance(client, Client)]
            while True:
                await asyncio.sleep(0)
                told.append(sum(len(client.lines) for client in clients))
                if endings._next is None:
                    break
        return told

    return asyncio.run(turns())


def test_thousands_who_wait_for_one_end_are_all_told_but_others_have_their_turn_in_between() -> None:
    world = World()
    job = world.create(ONE, time_limit=100.0)
    many = [Client() for _ in range(20 * LINES_A_TURN)]

    def ask(watchers: Watchers) -> None:
        for client in many:
            watchers.watch_ending(client, job)
        watchers.jobs_ending({job})

    told = told_by(world, ask)
    assert max(after - before for before, after in pairwise(told)) == LINES_A_TURN
    assert told[-1] == len(many)


def test_a_client_that_does_not_read_is_told_once_when_it_reads_again() -> None:
    world = World()
    job = world.create(ONE, time_limit=100.0)
    client = Reader()
    client.reads = False

    def ask(watchers: Watchers) -> None:
        watchers.watch_ending(client, job)
        watchers.jobs_ending({job})

    def read_again(watchers: Watchers) -> None:
        client.reads = True
        watchers.catch_up(client)

    assert told_by(world, ask, lambda watchers: watchers.jobs_ending({job}), read_again)[-1] == 1


def test_nothing_is_kept_of_jobs_that_have_ended_nor_of_clients_that_have_gone() -> None:
    world = World(machine(4, 4))
    first, second = (world.create(ONE, time_limit=100.0) for _ in range(2))
    client = Client()

    def ask(watchers: Watchers) -> None:
        watchers.watch_ending(client, first)
        watchers.watch_ending(client, second)
        watchers.watch_ending(client, 99)
        both = client.kept
        world.destroy(first)
        watchers.jobs_changed({first})
        assert client.kept == both / 2
        assert client in watchers
        watchers.jobs_ending({second})
        watchers.forget(client)
        assert client not in watchers

    assert told_by(world, ask)[-1] == 0

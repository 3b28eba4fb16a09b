"""What only the asyncio client promises: cancellation everywhere, on any event loop."""

import asyncio
import contextlib
import random
import socket
import threading
import unittest.mock
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from spalloc_client import JobState, ProtocolError, ProtocolTimeoutError
from spalloc_client import ProtocolClient as BlockingClient
from spalloc_client.aio import Job, ProtocolClient, dialling
from spalloc_client.wire import JobsChanged, Return, encode
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer

QUEUED = {"state": 1, "power": None, "keepalive": 60.0, "reason": None}
Scenario = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Run a scenario on each event loop in turn; nothing may be left over in it."""

    def run(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(checked(scenario))

    return run


async def checked(scenario: Scenario) -> None:
    await asyncio.wait_for(scenario(), PATIENCE)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def in_thread(action: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.to_thread(action, *args)


async def cancelled(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_tasks_share_a_connection_and_get_their_own_replies(run: Any) -> None:
    def echo(request: Any) -> bytes:
        return encode(JobsChanged([request.args[0]])) + encode(Return(request.args[0]))

    async def scenario() -> None:
        with ScriptedServer({"echo": echo}) as server:
            async with ProtocolClient(server.hostname, server.port) as client:
                numbers = range(1000)
                assert await asyncio.gather(*(client.call("echo", number) for number in numbers)) == list(
                    numbers
                )
                told = [await client.wait_for_notification(PATIENCE) for _ in numbers]
                assert told == [{"jobs_changed": [number]} for number in numbers]

    run(scenario)


def test_a_call_that_is_cancelled_leaves_the_connection_in_order(run: Any) -> None:
    async def scenario() -> None:
        with ScriptedServer({"x": b"", "y": encode(Return("late")) + encode(Return("y"))}) as server:
            async with ProtocolClient(server.hostname, server.port) as client:
                task = asyncio.create_task(client.call("x"))
                await in_thread(server.wait_for_command, "x")
                await cancelled(task)
                assert await client.call("y", timeout=PATIENCE) == "y"

    run(scenario)


def test_connecting_can_be_cancelled(run: Any) -> None:
    async def scenario() -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            fillers = [socket.socket() for _ in range(8)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            client = ProtocolClient(*listener.getsockname())
            task = asyncio.create_task(client.connect())
            with pytest.raises(ProtocolError, match="not connected"):
                await client.wait_for_notification()
            await asyncio.sleep(0)
            await cancelled(task)
            for filler in fillers:
                filler.close()

    run(scenario)


def test_waiting_for_a_notification_can_be_cancelled_without_losing_one(run: Any) -> None:
    async def scenario() -> None:
        with ScriptedServer() as server:
            async with ProtocolClient(server.hostname, server.port) as client:
                await client.version()
                first, second = (asyncio.create_task(client.wait_for_notification()) for _ in range(2))
                await asyncio.sleep(0)
                await cancelled(first)
                await in_thread(server.send, encode(JobsChanged([3])))
                assert await second == {"jobs_changed": [3]}

    run(scenario)


def test_a_task_may_bound_a_call_itself(run: Any) -> None:
    async def scenario() -> None:
        with ScriptedServer({"x": b""}) as server:
            async with ProtocolClient(server.hostname, server.port) as client:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await client.call("x")
                with pytest.raises(ProtocolTimeoutError):
                    await client.call("x", timeout=0.05)

    run(scenario)


def test_a_job_whose_creation_is_cancelled_is_not_left_behind(run: Any) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        answer = threading.Event()

        def create(request: Any) -> int:
            loop.call_soon_threadsafe(asked.set)
            answer.wait(PATIENCE)
            return 7

        async def request(server: ScriptedServer) -> Job:
            return await Job(**arguments(server))

        with ScriptedServer({"create_job": create}) as server:
            task = asyncio.create_task(request(server))
            await asked.wait()
            task.cancel()
            answer.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            await in_thread(server.wait_for_command, "destroy_job")
            assert server.requests[-1].args[0] == 7

    run(scenario)


def test_a_block_that_is_cancelled_while_it_waits_frees_its_job(run: Any) -> None:
    async def enter(server: ScriptedServer) -> None:
        async with Job(**arguments(server)):
            pytest.fail("it was never ready")

    async def scenario() -> None:
        with ScriptedServer({"create_job": 7, "get_job_state": QUEUED}) as server:
            task = asyncio.create_task(enter(server))
            await in_thread(server.wait_for_command, "get_job_state")
            await cancelled(task)
            await in_thread(server.wait_for_command, "destroy_job")

    run(scenario)


def test_a_block_that_is_cancelled_inside_frees_its_boards(run: Any, site: EmbeddedSite) -> None:
    async def scenario() -> None:
        inside = asyncio.Event()
        number = 0

        async def enter() -> None:
            nonlocal number
            async with Job(3, **arguments(site)) as job:
                assert await job.state is JobState.ready
                number = job.id or 0
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(enter())
        await inside.wait()
        await cancelled(task)
        async with ProtocolClient(site.hostname, site.port) as client:
            assert (await client.get_job_state(number))["state"] == JobState.destroyed

    run(scenario)


@pytest.mark.slow  # it waits ten seconds for the answer
def test_a_destruction_that_is_cancelled_has_been_asked_for_all_the_same(run: Any) -> None:
    async def scenario() -> None:
        with ScriptedServer({"create_job": 7, "destroy_job": b""}) as server:
            job = await Job(**arguments(server))
            task = asyncio.create_task(job.destroy())
            await in_thread(server.wait_for_command, "destroy_job")
            await cancelled(task)
            await in_thread(server.wait_for_connections, 0)

    run(scenario)


def test_a_job_says_that_it_must_be_awaited_first(run: Any) -> None:
    async def scenario() -> None:
        job = Job(hostname="h", owner="me", config_filenames=[])
        assert job.id is None
        with pytest.raises(
            ProtocolError, match="has not been requested yet: await it, or enter it with async with"
        ):
            await job.state

    run(scenario)


def test_many_jobs_live_side_by_side(run: Any, site: EmbeddedSite) -> None:
    async def use() -> str | None:
        async with Job(3, **arguments(site)) as job:
            return await job.hostname

    async def scenario() -> None:
        names = await asyncio.gather(*(use() for _ in range(12)))
        assert None not in names
        with BlockingClient(site.hostname, site.port) as client:
            assert client.list_jobs() == []

    run(scenario)


async def moments(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def cancelled_twice(site: EmbeddedSite, draw: random.Random, number: int) -> None:
    """Tasks with a job each are cancelled at any moment, and a moment later again."""

    async def work() -> None:
        async with Job(**arguments(site, keepalive=None)):
            await moments(draw.randrange(20))

    async def cancel(task: asyncio.Task[None]) -> None:
        await moments(draw.randrange(600))
        for _ in range(draw.randint(1, 3)):
            task.cancel()
            await moments(draw.randrange(60))
        await asyncio.wait([task])

    for _ in range(0, number, 10):
        await asyncio.gather(*(cancel(asyncio.create_task(work())) for _ in range(10)))


@pytest.mark.slow
def test_no_job_is_left_however_often_and_whenever_its_task_is_cancelled(site: EmbeddedSite) -> None:
    asyncio.run(cancelled_twice(site, random.Random(), 500))
    with BlockingClient(site.hostname, site.port) as client:
        assert client.list_jobs() == []


def test_a_connection_that_was_made_in_the_moment_of_a_cancellation_is_closed(run: Any) -> None:
    async def scenario() -> None:
        ours, other = socket.socketpair()

        async def attempt(address: object) -> socket.socket:
            # It has succeeded by the time that it is cancelled.
            asyncio.get_running_loop().call_soon(trying.cancel)
            return ours

        with other, unittest.mock.patch("spalloc_client.aio.dialling._attempt", attempt):
            trying = asyncio.create_task(
                dialling.connect_to([(0, 0, 0, "", "a"), (0, 0, 0, "", "b")], "x", None)
            )
            with contextlib.suppress(asyncio.CancelledError):
                (await trying).close()
            await asyncio.sleep(0)
            assert ours.fileno() == -1

    run(scenario)

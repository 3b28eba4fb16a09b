"""What all streams carry together is bounded, and each gets its share."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from spalloc_server.fronts.http.boards.streams import (
    BURST_SECONDS,
    MOST_LENT,
    QUANTUM,
    Stream,
    Streams,
)
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.world import World

RATE = 4000.0

T = TypeVar("T")


def simulated(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in simulated time, in which carrying takes none."""
    world = World(1)
    task = Process(world, Network(world), "server").start(main)
    assert world.run(until=task.done, limit=1000.0)
    result: T = task.result()
    return result


async def carry(stream: Stream, name: str, carried: Counter[str], most: int) -> None:
    """Carry messages as fast as the stream may, until all together have carried `most`."""
    loop = asyncio.get_running_loop()
    while carried.total() < most:
        if not stream.take():
            turn = loop.create_future()
            stream.when_ready(lambda turn=turn: turn.set_result(None))
            await turn
            continue
        carried[name] += 1


def test_streams_at_full_speed_carry_no_more_than_the_rate_and_the_same_each() -> None:
    async def task() -> tuple[Counter[str], float]:
        streams, carried = Streams(RATE), Counter[str]()
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for name in "abcde":
                group.create_task(carry(streams.stream(name), name, carried, 1000))
        return carried, asyncio.get_running_loop().time() - began

    carried, seconds = simulated(task())
    assert carried.total() <= RATE * (seconds + BURST_SECONDS) + QUANTUM * len(carried)
    assert max(carried.values()) - min(carried.values()) <= RATE * BURST_SECONDS + 2 * QUANTUM


def test_an_account_carries_no_more_for_having_more_streams() -> None:
    async def task() -> Counter[str]:
        streams, carried = Streams(RATE), Counter[str]()
        async with asyncio.TaskGroup() as group:
            for name in ["many"] * 40 + ["one"]:
                group.create_task(carry(streams.stream(name), name, carried, 4000))
        return carried

    carried = simulated(task())
    # Of each quantum, all but what was begun when the last ones ended.
    assert carried["one"] >= 0.9 * carried["many"]


def test_streams_carry_less_while_others_ask_something_of_the_server() -> None:
    async def seconds(*, others: bool) -> float:
        streams, carried = Streams(RATE), Counter[str]()
        began = asyncio.get_running_loop().time()
        if others:
            streams.make_way()
        await carry(streams.stream("a"), "a", carried, 400)
        return asyncio.get_running_loop().time() - began

    assert simulated(seconds(others=True)) > 1.5 * simulated(seconds(others=False))


def test_what_boards_send_is_carried_before_its_turn_but_not_without_end() -> None:
    async def task() -> tuple[int, bool]:
        stream = Streams(1.0).stream("a")
        while stream.take():
            pass
        lent = 0
        while stream.borrow():
            lent += 1
        return lent, stream.take()

    lent, may_carry = simulated(task())
    assert MOST_LENT <= lent <= MOST_LENT + QUANTUM
    assert not may_carry


def test_a_stream_that_comes_late_waits_for_no_more_than_a_turn_of_each_other() -> None:
    async def task() -> Counter[str]:
        streams, carried = Streams(RATE), Counter[str]()
        async with asyncio.TaskGroup() as group:
            for name in "abcde":
                group.create_task(carry(streams.stream(name), name, carried, 1000))
            await carry(streams.stream("late"), "late", carried, 400)
        return carried

    carried = simulated(task())
    # It comes when the burst of the others is spent.
    fair = (400 - RATE * BURST_SECONDS) / 6
    assert carried["late"] >= fair - 2 * QUANTUM


def test_a_stream_that_is_alone_waits_for_nobody() -> None:
    async def task() -> bool:
        stream = Streams(RATE).stream("a")
        return all(stream.take() for _ in range(int(RATE * BURST_SECONDS)))

    assert simulated(task())


def test_a_stream_that_is_forgotten_takes_no_turn() -> None:
    async def task() -> list[str]:
        streams, called = Streams(QUANTUM / BURST_SECONDS), list[str]()
        first, second = streams.stream("a"), streams.stream("a")
        while first.take():
            pass
        first.when_ready(lambda: called.append("first"))
        over = asyncio.get_running_loop().create_future()
        second.when_ready(lambda: over.set_result(None))
        first.forget()
        await over
        return called

    assert simulated(task()) == []


def test_a_stream_that_ends_as_its_turn_comes_does_not_hold_up_the_others() -> None:
    async def task() -> None:
        streams = Streams(RATE)
        first, second = streams.stream("a"), streams.stream("a")
        while first.take():
            pass
        ending, other = asyncio.create_task(first.turn()), asyncio.create_task(second.turn())
        await asyncio.sleep(0)
        # Its turn comes after it is cancelled, and before it has noticed.
        ending.cancel()
        first.begin()
        await other
        assert ending.cancelled()

    simulated(task())

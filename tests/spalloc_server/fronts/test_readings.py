"""Questions about the history take turns: nobody waits longer since somebody else asks much of it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from spalloc_server.core.jobs import JobRecord
from spalloc_server.fronts.readings import LOOKS_IN_A_ROW, Readings
from spalloc_server.fronts.v1.listing import EncodedReply
from spalloc_server.store.database import Store
from tests.spalloc_server.fronts.test_front import Front, run
from tests.spalloc_server.fronts.v1.simulated import request
from tests.spalloc_server.fronts.v1.test_turns import Wire

FLOOD, MODEST = "10.0.0.1", "10.0.0.2"


class Slow:
    """Reads that go on one by one, when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.under_way = 0
        self.asked: dict[str, asyncio.Task[EncodedReply]] = {}
        self.readings = Readings(lambda: False)
        self._may_end = asyncio.Semaphore(0)

    def ask(self, name: str, *, group: str = FLOOD, owner: str = "", listing: bool = True) -> None:
        async def read() -> EncodedReply:
            assert not self.under_way
            self.under_way += 1
            self.begun.append(name)
            await self._may_end.acquire()
            self.under_way -= 1
            if "fault" in name:
                raise OSError(name)
            return EncodedReply(name.encode())

        asked = self.readings.read(read, group=group, owner=owner, listing=listing)
        self.asked[name] = asyncio.ensure_future(asked)

    async def one_ends(self) -> None:
        self._may_end.release()
        await self.settle()

    async def all_end(self) -> None:
        while self.under_way:
            await self.one_ends()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def slowly(test: Callable[[Slow], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await test(Slow())

    asyncio.run(main())


@pytest.mark.parametrize("listing", [False, True])
def test_another_address_waits_for_the_one_read_under_way(listing: bool) -> None:
    async def test(slow: Slow) -> None:
        for number in range(256):
            slow.ask(f"{number}", listing=listing)
        await slow.settle()
        for asked in range(1, 6):
            slow.ask(f"modest {asked}", group=MODEST, listing=listing)
            await slow.one_ends()
            assert slow.begun[-1] == f"modest {asked}"
            await slow.one_ends()
            assert slow.asked[f"modest {asked}"].done()
        await slow.all_end()
        assert len(slow.begun) == 256 + 5
        assert [(await task).reply.decode() for task in slow.asked.values()] == list(slow.asked)

    slowly(test)


def test_another_owner_at_the_same_address_waits_for_one_read_too() -> None:
    async def test(slow: Slow) -> None:
        for number in range(64):
            slow.ask(f"{number}", owner="flood")
        await slow.settle()
        slow.ask("modest", owner="modest")
        await slow.one_ends()
        assert slow.begun == ["0", "modest"]
        await slow.all_end()

    slowly(test)


def test_inventing_owners_gains_an_address_nothing() -> None:
    async def test(slow: Slow) -> None:
        for number in range(64):
            slow.ask(f"{number}", owner=f"owner {number}")
        for number in range(3):
            slow.ask(f"modest {number}", group=MODEST)
        await slow.settle()
        for _ in range(6):
            await slow.one_ends()
        assert [name for name in slow.begun if "modest" in name] == ["modest 0", "modest 1", "modest 2"]
        await slow.all_end()

    slowly(test)


def test_a_look_at_one_job_goes_before_listings_and_does_not_keep_them_out() -> None:
    async def test(slow: Slow) -> None:
        for number in range(3):
            slow.ask(f"listing {number}")
        await slow.settle()
        for number in range(3 * LOOKS_IN_A_ROW):
            slow.ask(f"look {number}", listing=False)
        await slow.one_ends()
        assert slow.begun == ["listing 0", "look 0"]
        await slow.all_end()
        assert slow.begun.index("listing 1") == 1 + LOOKS_IN_A_ROW
        assert slow.begun.index("listing 2") == 2 + 2 * LOOKS_IN_A_ROW

    slowly(test)


def test_nothing_is_read_for_those_who_have_gone_and_what_has_begun_is_waited_for() -> None:
    async def test(slow: Slow) -> None:
        for number in range(64):
            slow.ask(f"{number}", group=f"10.0.{number % 3}.1", owner=f"{number % 5}")
        await slow.settle()
        for task in slow.asked.values():
            task.cancel()
        slow.ask("modest", group=MODEST)
        await slow.settle()
        assert slow.begun == ["0"]
        await slow.one_ends()
        assert slow.begun == ["0", "modest"]
        # Nothing is kept of them.
        assert not slow.readings._listings
        await slow.all_end()

    slowly(test)


def test_a_read_that_fails_is_told_to_whoever_asked_and_the_next_goes_on() -> None:
    async def test(slow: Slow) -> None:
        for name in ("fault 1", "fault 2", "well"):
            slow.ask(name)
        await slow.settle()
        slow.asked["fault 1"].cancel()
        await slow.all_end()
        with pytest.raises(OSError, match="fault 2"):
            await slow.asked["fault 2"]
        assert (await slow.asked["well"]).reply == b"well"

    slowly(test)


def test_clients_at_another_address_do_not_wait_for_a_flood_of_listings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[int] = []
    wanted, may_go_on = threading.Event(), threading.Event()

    def slow_listing(self: Store, owner: str | None, machine: str | None, limit: int) -> list[JobRecord]:
        reads.append(limit)
        wanted.set()
        assert may_go_on.wait(60.0)
        return []

    def look(self: Store, number: int) -> None:
        reads.append(-number)

    monkeypatch.setattr(Store, "ended_jobs", slow_listing)
    monkeypatch.setattr(Store, "ended_job", look)
    monkeypatch.setattr("spalloc_server.core.site.REMEMBERED_JOBS", 1)

    async def test(front: Front) -> None:
        reads.clear()
        wanted.clear()
        may_go_on.clear()
        modest, holder = Wire(front, MODEST), Wire(front, MODEST)
        for job in (1, 2):
            modest.says(request("create_job", 999, owner="modest"))
            await modest.answers(job)
        flood = [Wire(front, FLOOD) for _ in range(64)]
        for wire in flood:
            wire.says(request("list_ended_jobs", limit=1000))
        await asyncio.to_thread(wanted.wait, 60.0)
        modest.says(request("list_ended_jobs", limit=7))
        holder.says(request("get_job_state", 1))
        for wire in flood[32:]:
            await wire.ends()
        # Until the answers of both are on their way.
        await asyncio.sleep(0)
        may_go_on.set()
        await modest.answers(3)
        await holder.answers(1)
        for wire in flood[:32]:
            await wire.answers(1)
        assert reads[:3] == [1000, -1, 7]
        assert len(reads) == 2 + 32
        for wire in (*flood[:32], modest, holder):
            await wire.ends()

    run(test)

"""Requests have their turns: nobody waits long since somebody else has sent many at once."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from spalloc_server.fronts.http.api.lists import Lists
from spalloc_server.fronts.http.api.request_turns import CHANGE, EFFORT_A_TURN, Turns
from tests.spalloc_server.fronts.http.service import Service, job, run

JOBS = "srv/spalloc/jobs"
FLOOD = 300


@pytest.mark.parametrize("target", ["POST", "GET"])
def test_of_a_flood_a_few_requests_are_done_in_each_turn_and_others_come_between(target: str) -> None:
    async def test(service: Service) -> None:
        alice, bob = await service.log_in(), await service.log_in("bob")
        done: list[int] = []
        if target == "POST":
            calls = [alice.begin("POST", JOBS, document=job()) for _ in range(FLOOD)]
        else:
            for _ in range(30):
                await alice.create()
            calls = [alice.begin("GET", f"{JOBS}?details=true") for _ in range(FLOOD)]

        def look() -> None:
            done.append(service.engine.site.jobs_created)
            if not all(call.is_answered for call in calls):
                asyncio.get_running_loop().call_soon(look)

        look()
        # The flood has begun when this request comes.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answer = await bob.get("srv/spalloc/machines")
        assert answer.status == 200
        assert sum(call.is_answered for call in calls) < FLOOD / 2
        for call in calls:
            assert (await call.answer()).status in (200, 201)
        if target == "POST":
            most = max(after - before for before, after in pairwise(done))
            assert most <= 2 * EFFORT_A_TURN // CHANGE

    run(test)


def test_accounts_take_turns_in_turn() -> None:
    async def main() -> None:
        turns = Turns()
        order: list[str] = []
        while (turn := turns.take("alice", CHANGE)) is None:
            pass
        begun = [("alice", turn)]
        for whom in ["alice"] * 5 + ["bob"] * 2:
            turn = turns.take(whom, CHANGE)
            assert turn is not None
            begun.append((whom, turn))
        for whom, turn in begun:
            turn.add_done_callback(lambda _, whom=whom: order.append(whom))
        await asyncio.wait([turn for _, turn in begun])
        assert order == ["alice", "bob", "alice", "bob", "alice", "alice", "alice", "alice"]

    asyncio.run(main())


def test_a_network_of_ipv6_has_one_turn_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    take = Turns.take

    def noted(self: Turns, whom: str, effort: int) -> "asyncio.Future[None] | None":
        asked.append(whom)
        return take(self, whom, effort)

    monkeypatch.setattr(Turns, "take", noted)

    async def test(service: Service) -> None:
        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
            assert (await service.client(address).get("system/style.css")).status == 200

    run(test)
    assert len(asked) == 3
    assert asked[0] == asked[1] != asked[2]


def test_who_leaves_before_their_turn_does_not_cost_others_theirs() -> None:
    async def main() -> None:
        turns = Turns()
        gone = []
        for _ in range(EFFORT_A_TURN // CHANGE + 100):
            turn = turns.take("alice", CHANGE)
            if turn is not None:
                turn.cancel()
                gone.append(turn)
        assert len(gone) == 100
        turn = turns.take("bob", 1)
        assert turn is not None
        await asyncio.wait_for(turn, 1.0)

    asyncio.run(main())


def test_one_page_with_details_is_written_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0
    describe = Lists._describe

    async def counted(*arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await describe(*arguments)
        finally:
            running -= 1

    monkeypatch.setattr(Lists, "_describe", counted)

    async def test(service: Service) -> None:
        alice, bob = await service.log_in(), await service.log_in("bob")
        for _ in range(30):
            await alice.create()
        path = f"{JOBS}?details=true"
        calls = [
            client.begin("GET", f"{path}{more}") for more in ("", "&deleted=true") for client in (alice, bob)
        ]
        for call in calls:
            assert len((await call.answer()).json["details"]) == 30

    run(test)
    assert most == 1

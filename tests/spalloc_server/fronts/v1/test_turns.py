"""Whose turn it is: nobody waits longer since somebody else has many connections, or many commands on their way."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.fronts.v1 import turns
from spalloc_server.fronts.v1.codec import Request
from spalloc_server.fronts.v1.commands import Commands
from spalloc_server.fronts.v1.connection import EFFORT_A_TURN, ClientConnection
from spalloc_server.fronts.v1.turns import EFFORT_AT_ONCE, MOST_CHANGES, MOST_CHANGES_AMONG_OTHERS, Rotation
from spalloc_server.store.database import Store
from tests.examples import examples
from tests.spalloc_server.fronts.fuzz import Line
from tests.spalloc_server.fronts.test_front import Front, run
from tests.spalloc_server.fronts.v1.simulated import request

VERSION = request("version")


@pytest.fixture(autouse=True)
def _one_turn_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many turns there are in a slice depends on how fast the computer is; it is always one at least."""
    monkeypatch.setattr(turns, "SLICE_SECONDS", 0.0)


class Wire(Line):
    """A connection without a socket, from an address of one's choice."""

    def __init__(self, front: Front, host: str) -> None:
        self._host = host
        self._wrote = asyncio.Event()
        super().__init__(ClientConnection(front.front, front.front.limits.request_bytes))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._host, 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        super().write(data)
        self._wrote.set()

    def says(self, data: bytes) -> None:
        self.connection.data_received(data)

    async def answers(self, count: int) -> None:
        """Wait for this number of lines."""
        while self.written.count(b"\n") < count:
            self._wrote.clear()
            await self._wrote.wait()

    async def ends(self) -> None:
        self.abort()
        await self.lost


def _done(front: Front) -> int:
    return front.front.commands.counts["version"]


@pytest.mark.parametrize("connections", [16, 256])
def test_another_address_waits_for_one_turn_however_many_connections_a_flood_has(connections: int) -> None:
    async def test(front: Front) -> None:
        flood = [Wire(front, "10.0.0.1") for _ in range(connections)]
        modest = Wire(front, "10.0.0.2")
        for wire in flood:
            wire.says(VERSION * 500)
        before = _done(front)
        assert before <= EFFORT_AT_ONCE + EFFORT_A_TURN
        for asked in range(1, 6):
            modest.says(request("list_machines"))
            await modest.answers(asked)
        assert _done(front) - before <= 5 * 3 * EFFORT_A_TURN
        for wire in flood:
            await wire.answers(500)
        for wire in (*flood, modest):
            await wire.ends()

    run(test)


@pytest.mark.parametrize(
    "flood",
    [
        b"\n" * 65_536,
        b" \r\n" * 20_000,
        request("create_job", owner="me", tags=[""] * 15_000),
        request("version", "x" * 60_000),
    ],
    ids=["empty lines", "blank lines", "long create_job", "long nonsense"],
)
def test_bytes_count_for_a_turn_as_commands_do(monkeypatch: pytest.MonkeyPatch, flood: bytes) -> None:
    async def test(front: Front) -> None:
        wire = Wire(front, "10.0.0.1")
        with monkeypatch.context() as nobody_has_a_turn:
            nobody_has_a_turn.setattr(turns.Turns, "heard", lambda *_: None)
            wire.says(flood)
        assert wire.connection.take_turn() >= len(flood) // 1024 - 1
        await wire.ends()

    run(test)


def test_bytes_of_replies_count_for_a_turn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(front: Front) -> None:
        wire = Wire(front, "10.0.0.1")
        monkeypatch.setattr(Commands, "run", lambda *_: "x" * 30_000)
        with monkeypatch.context() as nobody_has_a_turn:
            nobody_has_a_turn.setattr(turns.Turns, "heard", lambda *_: None)
            wire.says(VERSION * 32)
        assert EFFORT_A_TURN <= wire.connection.take_turn() < EFFORT_A_TURN + 32
        assert wire.written.count(b"\n") <= 2
        await wire.ends()

    run(test)


def test_the_owner_of_a_job_that_was_refused_is_not_kept() -> None:
    async def test(front: Front) -> None:
        wire = Wire(front, "10.0.0.1")
        wire.says(request("create_job", owner="x" * 60_000))
        wire.says(request("create_job", owner={"a": ["b"]}))
        await wire.answers(2)
        assert wire.connection.owner == ""
        wire.says(request("create_job", owner="me"))
        await wire.answers(3)
        assert wire.connection.owner == "me"
        await wire.ends()

    run(test)


def test_a_fault_in_one_clients_turn_ends_its_connection_and_nobody_elses_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(front: Front) -> None:
        wires = [Wire(front, f"10.0.0.{number}") for number in range(1, 6)]
        next_request = ClientConnection._next_request

        def fail(connection: ClientConnection) -> Request | None:
            if connection is wires[2].connection and _done(front) > EFFORT_AT_ONCE:
                raise KeyError("nobody foresaw this")
            return next_request(connection)

        monkeypatch.setattr(ClientConnection, "_next_request", fail)
        for wire in wires:
            wire.says(VERSION * 500)
        await wires[2].lost
        for wire in wires[:2] + wires[3:]:
            await wire.answers(500)
            await wire.ends()
        assert front.engine.failure is None

    run(test)
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert {record.message for record in told} == {
        "a turn of a client at 10.0.0.3 failed, and its connection is ended"
    }
    assert all(record.exc_info for record in told)


def test_nothing_is_changed_while_nothing_may_be_and_all_of_it_afterwards() -> None:
    async def test(front: Front) -> None:
        creator, asker = Wire(front, "10.0.0.1"), Wire(front, "10.0.0.2")
        with front.front.no_changes():
            creator.says(request("create_job", 999, owner="me") * 100)
            asker.says(VERSION * 100)
            await asker.answers(100)
            assert not creator.written
            assert not front.engine.site.jobs
        await creator.answers(100)
        await creator.ends()
        await asker.ends()

    run(test)


def test_ipv6_addresses_of_one_network_are_no_more_than_one() -> None:
    async def test(front: Front) -> None:
        flood = [Wire(front, f"2001:db8::{number:x}") for number in range(100)]
        modest = Wire(front, "2001:db8:0:1::1")
        for wire in flood:
            wire.says(VERSION * 100)
        before = _done(front)
        modest.says(request("list_machines"))
        await modest.answers(1)
        assert _done(front) - before <= 3 * EFFORT_A_TURN
        for wire in (*flood, modest):
            await wire.ends()

    run(test)


def test_another_owner_at_the_same_address_waits_for_one_turn_too() -> None:
    async def test(front: Front) -> None:
        flood, modest = [Wire(front, "10.0.0.1") for _ in range(100)], Wire(front, "10.0.0.1")
        for wire, owner in ((modest, "modest"), *((wire, "flood") for wire in flood)):
            wire.says(request("create_job", 999, owner=owner))
            await wire.answers(1)
        for wire in flood:
            wire.says(VERSION * 200)
        before = _done(front)
        modest.says(request("list_machines"))
        await modest.answers(2)
        assert _done(front) - before <= 3 * EFFORT_A_TURN
        for wire in (*flood, modest):
            await wire.ends()

    run(test)


def _commits(
    monkeypatch: pytest.MonkeyPatch, test: Callable[[Front], Coroutine[Any, Any, None]]
) -> list[int]:
    """How many jobs each commit of a test records."""
    sizes: list[int] = []
    write = Store.write

    def count(self: Store, jobs: Any, *others: Any) -> None:
        sizes.append(len(jobs))
        write(self, jobs, *others)

    monkeypatch.setattr(Store, "write", count)
    run(test)
    return sizes


def test_a_commit_that_others_wait_for_has_few_changes_of_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(front: Front) -> None:
        flood, modest = [Wire(front, "10.0.0.1") for _ in range(50)], Wire(front, "10.0.0.2")
        modest.says(VERSION)
        for wire in flood:
            wire.says(request("create_job", owner="flood") * 10)
        for asked in range(2, 12):
            modest.says(request("create_job", owner="modest"))
            await modest.answers(asked)
        # All of the flood are answered in the end.
        for wire in flood:
            await wire.answers(10)
        for wire in (*flood, modest):
            await wire.ends()

    # Jobs that get boards are ready soon, each with a change more.
    assert max(_commits(monkeypatch, test)) <= 2 * (MOST_CHANGES_AMONG_OTHERS + 1) + 12


@pytest.mark.parametrize("came_back", [False, True], ids=["first", "came back"])
def test_who_is_alone_may_change_more_at_once(monkeypatch: pytest.MonkeyPatch, came_back: bool) -> None:
    async def test(front: Front) -> None:
        if came_back:
            # Its connections ended, one by one, before it made new ones; nobody else was there meanwhile.
            for _ in range(3):
                wire = Wire(front, "10.0.0.1")
                wire.says(VERSION)
                await wire.answers(1)
                await wire.ends()
        crowd = [Wire(front, "10.0.0.1") for _ in range(200)]
        for wire in crowd:
            wire.says(request("create_job", 999, owner="me") * 2)
        for wire in crowd:
            await wire.answers(2)
            await wire.ends()

    sizes = _commits(monkeypatch, test)
    assert MOST_CHANGES_AMONG_OTHERS < max(sizes) <= MOST_CHANGES


def test_changes_that_wait_go_on_when_those_before_them_are_refused_or_gone() -> None:
    async def test(front: Front) -> None:
        others = Wire(front, "10.0.0.2")
        others.says(VERSION)
        crowd = [Wire(front, "10.0.0.1") for _ in range(100)]
        for number, wire in enumerate(crowd):
            wire.says(request("create_job", 999, owner="me" if number < 20 else "x" * 300) * 3)
        for wire in crowd[20:50]:
            await wire.ends()
        for wire in (*crowd[:20], *crowd[50:]):
            await wire.answers(3)
            await wire.ends()
        await others.ends()
        # A group of which nobody is left is forgotten.
        assert not front.front._crowd.groups

    run(test)


def test_questions_are_answered_while_changes_wait_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(front: Front) -> None:
        written = asyncio.Event()
        hold = asyncio.Event()

        async def stall(*_: Any) -> bool:
            written.set()
            await hold.wait()
            return True

        with monkeypatch.context() as patch:
            patch.setattr(front.engine, "_write", stall)
            crowd = [Wire(front, "10.0.0.1") for _ in range(100)]
            for wire in crowd:
                wire.says(request("create_job", 999, owner="me") * 3)
            await written.wait()
            asks = Wire(front, "10.0.0.1")
            asks.says(VERSION * 50)
            await asks.answers(50)
            # No listing is put together for those who could not be sent it.
            crowd[0].says(request("list_jobs"))
            hold.set()
            for wire in crowd:
                await wire.answers(3)
            await crowd[0].answers(4)
        for wire in (*crowd, asks):
            await wire.ends()

    run(test)


@examples(100)
@given(items=st.lists(st.tuples(st.integers(0, 3), st.integers())))
def test_queues_take_turns_and_each_keeps_its_order(items: list[tuple[int, int]]) -> None:
    rotation: Rotation[int, tuple[int, int]] = Rotation()
    for queue, item in items:
        rotation.add(queue, (queue, item))
    taken = []
    while rotation:
        taken.append(rotation.take())
    for queue in range(4):
        assert [item for item in taken if item[0] == queue] == [item for item in items if item[0] == queue]
    # Of those who wait, nobody has a second turn before another's first.
    left = Counter(queue for queue, _ in items)
    had: Counter[int] = Counter()
    for queue, _ in taken:
        assert all(had[queue] <= had[other] for other, count in left.items() if count)
        had[queue] += 1
        left[queue] -= 1

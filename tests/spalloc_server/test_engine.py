"""The engine's promise: on disk first, then replies, hardware and watchers; in simulated time, with slow disks."""

import asyncio
import gc
import re
import sqlite3
import tracemalloc
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from itertools import cycle, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server import engine
from spalloc_server.core.admission import JobLimits, Trust
from spalloc_server.core.askers import SERVER, Asker
from spalloc_server.core.commands import CreateJob, DestroyJob, KeepAlive, RefusedError, SetRules
from spalloc_server.core.effects import BoardKey, BoardRecord, PowerOrder
from spalloc_server.core.emergency import EMERGENCY, StopAll
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.core.site import JOBS_A_TICK, Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.engine import (
    GATHER_SECONDS,
    LOOK_SECONDS,
    RECORD_RETRY_SECONDS,
    RECORDS_BEFORE_EXPIRING,
    TROUBLE_REPEAT_SECONDS,
    Engine,
    EngineFailedError,
)
from spalloc_server.store.errors import MisplacedError
from spalloc_server.store.recalling import Recalled
from spinnaker.geometry import Board
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.world import World
from tests.spalloc_server.core.driver import machine

LONGEST_RETRY_SECONDS = 600.0
"""Within this time, a board that stayed on is switched off again."""
MANY_ROUNDS = 8
"""Rounds of the event loop: more than a change goes through that waits for nobody."""
BYTES_OF_A_TRACE = 50
"""Whatever is kept of an event takes more than this."""


class History:
    """Never too long."""

    has_excess = False


class Charges:
    """As many as a test says, which are dropped one at a time."""

    def __init__(self) -> None:
        self.excess = 0
        self.failing = False

    @property
    def may_have_excess(self) -> bool:
        return self.excess > 0

    def drop(self, before: float | None, most: int) -> int:
        if self.failing:
            raise sqlite3.OperationalError("the disk is full")
        self.excess -= 1
        return 1


class Records:
    """A store that keeps everything in dictionaries, and fails when told to."""

    outlasts_process = True

    def __init__(self) -> None:
        self.jobs: dict[int, JobRecord] = {}
        self.boards: dict[BoardKey, BoardRecord] = {}
        self.writes: list[set[int]] = []
        self.failing = False
        self.misplaced = False
        self.fault: Exception | None = None
        self.history = History()
        self.charges = Charges()
        self.audit = Charges()

    def recall(self, *, ended_limit: int, set_aside_unreadable: bool) -> Recalled:
        return Recalled(list(self.jobs.values()), dict(self.boards), max(self.jobs, default=0) + 1)

    def look(self) -> None:
        if self.misplaced:
            raise MisplacedError("another file is in its place")

    def write(
        self,
        jobs: Mapping[int, JobRecord],
        boards: Mapping[BoardKey, BoardRecord | None],
        *_: object,
    ) -> None:
        if self.failing:
            raise sqlite3.OperationalError("disk I/O error")
        if self.fault is not None:
            raise self.fault
        self.writes.append(set(jobs))
        self.jobs.update(jobs)


class Hardware:
    """Hardware that notes what it was told, and what was on disk then."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.orders: list[PowerOrder] = []
        self.fault: Exception | None = None

    def start(self, listener: object) -> None:
        pass

    def watch(self, order: PowerOrder) -> None:
        pass

    def carry_out(self, order: PowerOrder, done: Callable[[int, Mapping[Board, str]], None]) -> None:
        recorded = {
            board
            for job in self._records.jobs.values()
            if job.allocation is not None
            for board in job.allocation.boards
        }
        if order.on:
            assert order.boards <= recorded, "boards were powered before anything was on disk about them"
        self.orders.append(order)
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault

    async def stop(self) -> None:
        pass


class Bench:
    def __init__(self, seed: int = 0) -> None:
        self.world = World(seed)
        self.process = Process(self.world, Network(self.world), "engine")
        self.records = Records()
        self.hardware = Hardware(self.records)
        self.acknowledged: list[int] = []
        self.refused: list[int] = []
        self.asked = 0
        self.process.enter(self._start)

    def _start(self) -> None:
        self.engine = Engine(Site([machine()]), self.records, self.hardware, self)  # type: ignore[arg-type]
        many = dict.fromkeys(
            ("live", "queued", "of_one_owner", "from_one_host", "queued_from_one_host"), 10_000
        )
        self.engine.do(SetRules(JobLimits(**many), Trust()), SERVER)
        self.engine.start()

    def now(self) -> float:
        return self.world.now

    def suspended(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1e9 + self.world.now

    def create(self, boards: int = 1, keepalive: float | None = None) -> None:
        """Create a job as a front does, and note when it may be acknowledged."""

        def create() -> None:
            request = JobRequest(AnyBoard() if boards == 1 else Boards(boards))
            self.asked += 1
            try:
                job = self.engine.do(
                    CreateJob(request, Asked((boards,), {}), "me", keepalive), Asker("here")
                ).value
            except RefusedError:
                self.refused.append(self.asked)
                return
            self.engine.when_recorded(lambda recorded: self._answer(job, recorded=recorded))

        self.process.enter(create)

    def _answer(self, job: int, *, recorded: bool) -> None:
        if not recorded:
            self.refused.append(job)
            return
        assert job in self.records.jobs, f"job {job} was acknowledged before it was on disk"
        self.acknowledged.append(job)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        tasks: list[Any] = []
        self.process.enter(lambda: tasks.append(self.process.start(main)))
        assert self.world.run(until=tasks[0].done, limit=100.0), "it never ended"
        tasks[0].result()

    def pass_time(self, seconds: float) -> None:
        self.world.run(until=lambda: False, limit=seconds)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@given(st.lists(st.tuples(st.floats(0, 0.004), st.sampled_from([1, 3, 99])), max_size=30), st.integers(0, 99))
def test_nothing_is_acknowledged_or_powered_before_it_is_on_disk(
    commands: list[tuple[float, int]], seed: int
) -> None:
    bench = Bench(seed)
    for pause, boards in commands:
        bench.pass_time(pause)
        bench.create(boards)
    bench.pass_time(60.0)
    assert bench.acknowledged == list(range(1, len(commands) + 1))
    assert not bench.process.faults


@given(st.lists(st.floats(0, 0.002), max_size=20), st.floats(0, 0.01), st.booleans(), st.integers(0, 99))
def test_a_stop_acknowledges_only_what_is_on_disk_and_always_ends(
    pauses: list[float], when: float, failing: bool, seed: int
) -> None:
    bench = Bench(seed)
    bench.world.after(when, lambda: setattr(bench.records, "failing", failing))
    for pause in pauses:
        bench.world.after(pause, bench.create)
    bench.pass_time(when)
    bench.run(bench.engine.stop())
    assert set(bench.acknowledged) <= bench.records.jobs.keys()
    assert not bench.process.faults


def test_a_command_that_comes_while_a_write_ends_is_acknowledged_with_its_own_write(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way: list[tuple[Callable[[], object], asyncio.Future[object]]] = []

    def begin(_: object, write: Callable[..., object], *arguments: object) -> "asyncio.Future[object]":
        under_way.append((partial(write, *arguments), bench.process.create_future()))
        return under_way[-1][1]

    def end() -> None:
        write, done = under_way.pop()
        done.set_result(write())

    monkeypatch.setattr(bench.process, "run_in_executor", begin)
    bench.pass_time(1.0)
    while under_way:
        bench.process.enter(end)
        bench.pass_time(1.0)
    bench.create()
    bench.pass_time(1.0)
    # The end of the write is heard of before what the command has come to is looked at.
    bench.process.enter(end)
    bench.create()
    bench.pass_time(1.0)
    assert bench.acknowledged == [1]
    bench.process.enter(end)
    bench.pass_time(1.0)
    assert bench.acknowledged == [1, 2]
    assert not under_way, "the boards that it got are recorded in the same write"


def test_what_arrives_together_shares_one_commit(bench: Bench) -> None:
    bench.pass_time(1.0)
    bench.records.writes.clear()
    for _ in range(20):
        bench.create()
    bench.pass_time(1.0)
    assert bench.records.writes == [set(range(1, 21))]


def test_a_write_that_fails_is_tried_again_until_it_works(bench: Bench) -> None:
    bench.records.failing = True
    bench.create()
    bench.create()
    bench.pass_time(10 * RECORD_RETRY_SECONDS)
    assert bench.acknowledged == []
    assert bench.hardware.orders == []
    with pytest.raises(RefusedError, match=r"no changes for now, try again later: .*disk I/O error"):
        bench.engine.do(DestroyJob(1), Asker("here"))
    assert bench.engine.do(KeepAlive(1), Asker("here")).value is not None, "a keepalive counts all the same"
    bench.records.failing = False
    bench.pass_time(3 * RECORD_RETRY_SECONDS)
    assert bench.acknowledged == [1, 2]
    assert len(bench.hardware.orders) == 2


def test_an_emergency_stop_switches_boards_off_though_nothing_can_be_recorded(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.create()
    bench.pass_time(1.0)
    (on,) = bench.hardware.orders
    bench.records.failing = True
    bench.create()
    bench.pass_time(RECORD_RETRY_SECONDS)
    assert bench.engine.trouble is not None
    assert bench.hardware.orders == [on], "the boards of the second job wait for the disk"
    bench.process.enter(lambda: bench.engine.do(StopAll("fire", "mary"), SERVER))
    first, second = bench.hardware.orders[1:]
    assert not any(order.on for order in (first, second))
    assert on.boards <= first.boards | second.boards
    assert "mary has ended all jobs, 2" in caplog.text
    bench.records.failing = False
    bench.pass_time(3 * RECORD_RETRY_SECONDS)
    assert bench.hardware.orders == [on, first, second], "none is switched on again, and none off twice"
    assert {record.reason for record in bench.records.jobs.values()} == {f"{EMERGENCY}: fire"}
    assert caplog.text.count("mary has ended all jobs") == 1
    assert not bench.process.faults


def test_boards_that_could_not_be_switched_off_are_tried_again_during_a_stop_without_a_disk(
    bench: Bench,
) -> None:
    bench.create()
    bench.pass_time(1.0)
    bench.records.failing = True
    bench.process.enter(lambda: bench.engine.do(StopAll("fire", "mary"), SERVER))
    off = bench.hardware.orders[-1]
    failed = dict.fromkeys(off.boards, "no answer")
    bench.process.enter(lambda: bench.engine._power_done(off.number, failed))
    bench.pass_time(LONGEST_RETRY_SECONDS)
    again = bench.hardware.orders[-1]
    assert (again.on, again.boards) == (False, off.boards)
    assert again.number > off.number


def test_the_log_tells_of_a_full_disk_once_a_minute_and_when_it_has_room_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.records.failing = True
    bench.create()
    bench.pass_time(TROUBLE_REPEAT_SECONDS + 10 * RECORD_RETRY_SECONDS)
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "CRITICAL"]
    bench.records.failing = False
    bench.pass_time(3 * RECORD_RETRY_SECONDS)
    again, waited = caplog.messages[-2:]
    assert re.fullmatch(r"records are written again, after 7\d s", again)
    assert re.match(r"the server waited 7\d.\d s for records", waited)


def test_changes_are_refused_while_the_records_are_not_in_their_place_and_taken_once_they_are(
    bench: Bench,
) -> None:
    bench.process.enter(lambda: bench.process.start(bench.engine.watch_records()))
    for misplaced in (True, False):
        bench.records.misplaced = misplaced
        bench.pass_time(2 * LOOK_SECONDS)
        bench.create()
        bench.pass_time(1.0)
    assert (bench.refused, bench.acknowledged) == ([1], [1])
    assert bench.engine.failure is None


def test_that_records_are_in_their_place_does_not_mean_that_they_can_be_written(bench: Bench) -> None:
    bench.process.enter(lambda: bench.process.start(bench.engine.watch_records()))
    bench.records.failing = True
    bench.create()
    bench.pass_time(RECORD_RETRY_SECONDS + 2 * LOOK_SECONDS)
    assert bench.engine.trouble is not None


@pytest.mark.parametrize("hosts", [["here"], ["here", "there"]], ids=["one host", "two hosts in turn"])
def test_a_thousand_keepalives_a_second_take_no_memory_while_the_disk_fails(
    bench: Bench, hosts: list[str]
) -> None:
    bench.create()
    bench.pass_time(1.0)
    bench.records.failing = True
    bench.create()
    bench.pass_time(1.0)
    host = cycle(hosts)

    def keep_alive() -> None:
        bench.engine.do(KeepAlive(1), Asker(next(host)))

    def pass_keepalives(count: int) -> None:
        for _ in range(count):
            bench.process.enter(keep_alive)
            bench.pass_time(0.001)
        gc.collect()

    pass_keepalives(1000)
    tracemalloc.start()
    try:
        pass_keepalives(500)
        before, _ = tracemalloc.get_traced_memory()
        pass_keepalives(2000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2000 * BYTES_OF_A_TRACE
    bench.records.failing = False
    bench.pass_time(3 * RECORD_RETRY_SECONDS)
    assert bench.acknowledged == [1, 2]
    assert bench.records.jobs[1].keepalive_host == hosts[-1]


def test_an_end_that_is_not_on_disk_yet_is_known_however_many_came_after_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spalloc_server.core.site.REMEMBERED_JOBS", 2)
    bench.records.failing = True
    for _ in range(12):
        bench.create(boards=999)
    for _ in range(3):
        bench.pass_time(0.5)
        for job in range(1, 13):
            record = bench.engine.ended_record(job)
            assert record is not None, f"job {job} is forgotten before its end is on disk"
            assert record.reason is not None
    bench.records.failing = False
    bench.pass_time(3 * RECORD_RETRY_SECONDS)
    assert bench.engine.ended_record(1) is None
    assert bench.records.jobs.keys() == set(range(1, 13))


def test_others_have_their_turn_between_two_slices_of_a_decision(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[str] = []
    site = bench.engine.site
    whole = site.decide

    def decide(at: Moment) -> bool:
        turns.append("slice")
        return whole(at) and turns.count("slice") >= 5

    def other() -> None:
        turns.append("other")
        if turns.count("slice") < 5:
            asyncio.get_running_loop().call_soon(other)

    monkeypatch.setattr(site, "decide", decide)
    bench.create()
    bench.process.enter(other)
    bench.pass_time(1.0)
    assert turns.count("slice") == 5, "the decision is finished, without another event"
    assert ("slice", "slice") not in pairwise(turns)
    assert bench.acknowledged == [1]
    assert sum(bench.engine.measures.decisions.counts) >= 5


def test_jobs_whose_time_is_up_at_once_do_not_pile_up_while_the_disk_works(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = 3000
    for _ in range(jobs):
        bench.create(keepalive=10.0)
    bench.pass_time(5.0)
    bench.records.writes.clear()
    begin = bench.process.run_in_executor

    def begin_late(*arguments: Any) -> "asyncio.Future[Any]":
        done = bench.process.create_future()
        bench.world.after(
            0.2, lambda: begin(*arguments).add_done_callback(lambda end: done.set_result(end.result()))
        )
        return done

    monkeypatch.setattr(bench.process, "run_in_executor", begin_late)
    bench.pass_time(120.0)
    assert not bench.engine.site.jobs
    assert sum(map(len, bench.records.writes)) >= jobs
    assert max(map(len, bench.records.writes)) <= RECORDS_BEFORE_EXPIRING + JOBS_A_TICK + 10


@pytest.mark.parametrize("what", ["decide", "tick", "reconfigure"])
def test_whatever_the_core_takes_long_over_is_measured(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    where = engine if what == "reconfigure" else bench.engine.site
    whole = getattr(where, what)
    times: list[float] = []

    def slow(*args: Any, **kwargs: Any) -> object:
        times.append(0.2)
        bench.world.now += 0.2
        return whole(*args, **kwargs)

    monkeypatch.setattr(where, what, slow)
    bench.create(keepalive=10.0)
    bench.process.enter(bench.engine.reconfigure, list(bench.engine.site.machines.values()))
    bench.pass_time(100.0)
    assert times
    assert bench.engine.measures.decisions.total_seconds == pytest.approx(sum(times))


def test_an_event_without_anything_to_record_is_acknowledged_without_a_commit(bench: Bench) -> None:
    bench.pass_time(1.0)
    bench.records.writes.clear()
    called = []
    bench.process.enter(lambda: bench.engine.when_recorded(called.append))
    bench.pass_time(1.0)
    assert called == [True]
    assert bench.records.writes == []


FORESEEN_BY_NOBODY = ValueError("nobody foresaw this")


def test_a_fault_that_nobody_foresaw_is_told_to_all_who_wait_and_nothing_more_is_done(bench: Bench) -> None:
    ended = []
    bench.engine.on_failure = lambda: ended.append(True)
    bench.create()
    bench.pass_time(1.0)
    bench.records.fault = FORESEEN_BY_NOBODY
    bench.create()
    bench.create()
    bench.world.after(0.0001, bench.create)
    bench.pass_time(1.0)
    bench.create()
    bench.pass_time(1.0)
    assert bench.acknowledged == [1]
    assert sorted(bench.refused) == [2, 3, 4, 5]
    assert len(bench.hardware.orders) == 1
    assert ended == [True]
    assert bench.engine.failure is FORESEEN_BY_NOBODY
    bench.records.fault = None
    bench.run(bench.engine.stop())
    assert set(bench.records.jobs) == {1}, "what is in doubt must not be recorded"
    assert not bench.process.faults


def test_what_was_being_recorded_when_a_fault_came_is_acknowledged_and_not_powered(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.pass_time(1.0)
    write = bench.records.write

    def write_and_fail(
        jobs: Mapping[int, JobRecord], boards: Mapping[BoardKey, BoardRecord | None], *_: object
    ) -> None:
        write(jobs, boards)
        bench.process.enter(lambda: bench.engine.fail(FORESEEN_BY_NOBODY))

    monkeypatch.setattr(bench.records, "write", write_and_fail)
    bench.create()
    bench.pass_time(1.0)
    assert bench.acknowledged == [1]
    assert bench.hardware.orders == []
    assert "the server failed" in str(bench.engine.trouble), "it is not ready again"


def test_a_fault_in_deciding_is_told_to_all_who_wait(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.pass_time(1.0)

    def decide(now: float) -> None:
        raise FORESEEN_BY_NOBODY

    monkeypatch.setattr(bench.engine.site, "decide", decide)
    bench.create()
    bench.pass_time(1.0)
    assert bench.refused == [1]
    with pytest.raises(EngineFailedError, match="start it again"):
        bench.engine.check()


def test_a_client_that_can_not_be_answered_keeps_nobody_else_from_an_answer(bench: Bench) -> None:
    def unanswerable(recorded: bool) -> None:
        raise FORESEEN_BY_NOBODY

    bench.process.enter(lambda: bench.engine.when_recorded(unanswerable))
    bench.create()
    bench.pass_time(1.0)
    assert bench.acknowledged == [1]
    assert len(bench.hardware.orders) == 1
    assert bench.engine.failure is None


def test_a_watcher_that_can_not_be_told_keeps_nobody_else_from_being_told(bench: Bench) -> None:
    told: list[set[int]] = []

    class Watcher:
        def __init__(self, *, well: bool) -> None:
            self._well = well

        def jobs_changed(self, jobs: set[int]) -> None:
            if not self._well:
                raise FORESEEN_BY_NOBODY
            told.append(jobs)

        def machines_changed(self, machines: set[str]) -> None:
            pass

        def jobs_ending(self, jobs: set[int]) -> None:
            pass

    bench.engine.listeners |= {Watcher(well=False), Watcher(well=True), Watcher(well=False)}
    bench.create()
    bench.pass_time(1.0)
    assert told == [{1}]


def test_boards_whose_power_order_can_not_be_begun_are_set_aside_and_the_job_gets_others(
    bench: Bench,
) -> None:
    bench.pass_time(1.0)
    bench.hardware.fault = FORESEEN_BY_NOBODY
    bench.create()
    bench.pass_time(1.0)
    first, *others = bench.hardware.orders
    assert first.on
    again = [order for order in others if order.on]
    assert again
    assert not again[0].boards & first.boards
    assert bench.engine.failure is None


def test_clients_of_a_server_that_stops_on_a_full_disk_are_told_that_nothing_was_done(bench: Bench) -> None:
    bench.pass_time(1.0)
    bench.records.failing = True
    bench.create()
    bench.pass_time(1.0)
    bench.run(bench.engine.stop())
    assert bench.refused == [1]


@pytest.mark.parametrize("looks", [3, 10, 20, 21, 50])
@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_decisions_one_after_the_other_do_not_keep_a_commit_waiting(looks: int, every: int) -> None:
    class Ticking:
        """A clock that advances by a moment at each reading: `looks` readings make up the wait for clients."""

        def __init__(self) -> None:
            self.time = 0.0

        def now(self) -> float:
            self.time += GATHER_SECONDS / looks
            return self.time

        def wall(self) -> float:
            return 1.7e9 + self.time

        def suspended(self) -> float:
            return 0.0

    async def written_after() -> float:
        clock, records, loop = Ticking(), Records(), asyncio.get_running_loop()
        engine = Engine(Site([machine()]), records, Hardware(records), clock)  # type: ignore[arg-type]
        engine.busy = lambda: True
        engine.start()
        begun, write = asyncio.Event(), records.write

        def note(
            jobs: Mapping[int, JobRecord], boards: Mapping[BoardKey, BoardRecord | None], *_: object
        ) -> None:
            loop.call_soon_threadsafe(begun.set)
            write(jobs, boards)

        records.write = note  # type: ignore[method-assign]
        turns = cycle(range(every))

        def serve() -> None:
            # A front that never runs out of clients, many of whom tell the site something.
            if not begun.is_set():
                loop.call_soon(serve)
            if not next(turns):
                engine.when_recorded(lambda recorded: None)

        asked = clock.time
        engine.do(CreateJob(JobRequest(AnyBoard()), Asked((), {}), "me", None), SERVER)
        serve()
        await begun.wait()
        took = clock.time - asked
        engine.busy = lambda: False
        await engine.stop()
        return took

    assert asyncio.run(written_after()) < 10 * GATHER_SECONDS


@pytest.mark.parametrize("others", [True, False])
def test_a_change_waits_for_others_that_change_something_but_not_for_those_who_only_ask(
    others: bool,
) -> None:
    bench = Bench()
    rounds, rounds_until_commit = 0, []
    begin = bench.engine._write

    def note(*work: Any) -> Any:
        rounds_until_commit.append(rounds)
        return begin(*work)

    def serve() -> None:
        nonlocal rounds
        rounds += 1
        if others and rounds < MANY_ROUNDS:
            bench.engine.when_recorded(lambda recorded: None)
        if rounds < 2 * MANY_ROUNDS:
            asyncio.get_running_loop().call_soon(serve)

    bench.engine._write = note  # type: ignore[method-assign]
    bench.engine.busy = lambda: True
    bench.create()
    bench.process.enter(serve)
    bench.pass_time(1.0)
    assert bench.acknowledged == [1]
    assert (rounds_until_commit[0] >= MANY_ROUNDS) == others


def test_charges_that_are_too_many_are_dropped_as_commits_come_and_a_full_disk_only_delays_that(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    charges = bench.records.charges
    bench.world.pass_time(1.0)
    charges.excess, charges.failing = 2, True
    bench.create()
    bench.world.pass_time(1.0)
    assert charges.excess == 2
    assert "charges can't be dropped from the records, will try again: the disk is full" in caplog.text
    charges.failing = False
    for left in (1, 0):
        bench.create()
        bench.world.pass_time(1.0)
        assert charges.excess == left
    assert len(bench.acknowledged) == 3

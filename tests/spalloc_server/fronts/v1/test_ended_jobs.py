"""The history of ended jobs, as clients can ask for it, and who may end a job or switch its boards."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import TypeVar

import pytest

from spalloc_client.wire import Json
from spalloc_server.clock import moment
from spalloc_server.config.settings import Configuration, History, Listening
from spalloc_server.core.admission import Control, Trust
from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.networks import Networks
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.engine import Engine, Outcome
from spalloc_server.fronts.v1.arguments import CommandError
from spalloc_server.fronts.v1.commands import Caller, Commands
from spalloc_server.fronts.v1.endings import EndingWatchers
from spalloc_server.fronts.v1.listing import EncodedReply, LaterReply
from spalloc_server.fronts.v1.watchers import Watchers
from spalloc_server.hardware.bmps import Bmps
from spalloc_server.service import Service
from spalloc_server.store.database import Store
from spalloc_server.store.keeping import HistoryLimits
from tests.spalloc_server.core.driver import machine
from tests.spalloc_server.fronts import test_front

T = TypeVar("T")


class _Clock:
    def now(self) -> float:
        return 0.0

    def suspended(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 1_000_000.0


class _Watcher:
    def tell(self, _line: bytes) -> bool:
        return True

    def keep(self, size: int) -> None: ...


@dataclass
class Front:
    """Commands in front of a site whose records are kept in memory."""

    site: Site = field(default_factory=lambda: Site([machine(name="a"), machine(name="b")]))
    store: Store = field(default_factory=lambda: Store(None))

    def __post_init__(self) -> None:
        self.clock = _Clock()
        endings = EndingWatchers(self.site, self.clock)
        watchers = Watchers(self.site.jobs.__contains__, self.site.machines.__contains__, endings)
        self.commands = Commands(self, watchers)

    def do(self, command: Command[T], by: Asker) -> Outcome[T]:
        refusal = command.refusal(self.site, by)
        if refusal is not None:
            raise RefusedError(refusal)
        return Outcome(command.apply(self.site, by, moment(_Clock())), waits=True)

    def ended_record(self, number: int) -> JobRecord | None:
        return self.site.ended_record(number)

    async def ended_job(self, number: int) -> JobRecord | None:
        return self.store.ended_job(number)

    async def ended_jobs(
        self,
        owner: str | None,
        machine: str | None,
        limit: int,
        write: Callable[[Sequence[JobRecord]], bytes],
    ) -> bytes:
        self.site.decide(Moment(0.0, 0.0))
        self.store.write(self.site.take_effects().jobs, {})
        return write(self.store.ended_jobs(owner, machine, limit))

    def run(self, name: str, *args: Json, host: str = "10.0.0.1", **kwargs: Json) -> Json:
        caller = Caller(Asker(host), _Watcher())
        reply = self.commands.run(caller, name, args, kwargs)
        return self.do(reply, Asker(host)).value if isinstance(reply, Command) else reply  # type: ignore[return-value]

    def ended(self, **how: Json) -> list[Mapping[str, Json]]:
        reply = self.run("list_ended_jobs", **how)
        assert isinstance(reply, LaterReply)
        return json.loads(asyncio.run(_awaited(reply.reply())).reply)["return"]  # type: ignore[no-any-return]

    def fate(self, number: int) -> Mapping[str, Json]:
        reply = self.run("get_job_state", number)
        if isinstance(reply, LaterReply):
            reply = json.loads(asyncio.run(_awaited(reply.reply())).reply)["return"]
        return reply  # type: ignore[return-value]


async def _awaited(reply: Awaitable[EncodedReply]) -> EncodedReply:
    return await reply


def _ids(entries: Sequence[Mapping[str, Json]]) -> list[Json]:
    return [entry["job_id"] for entry in entries]


def test_ended_jobs_are_listed_latest_first_with_why_and_when() -> None:
    front = Front()
    for _ in range(3):
        front.run("create_job", 3, owner="jane", keepalive=None)
    front.site.decide(Moment(0.0, 0.0))
    for job in (2, 1):
        front.run("destroy_job", job, f"enough of {job}")
    assert _ids(front.ended()) == [2, 1]
    entry = front.ended()[1]
    assert entry["reason"] == "enough of 1"
    assert entry["ended"] == entry["start_time"] == 1_000_000.0
    assert entry["allocated"] == 0.0
    assert entry["time_limit"] is None
    assert entry["owner"] == "jane"
    assert entry["state"] == 4
    assert entry["allocated_machine_name"] == "a"
    assert len(entry["boards"]) == 3  # type: ignore[arg-type]
    assert entry["args"] == [3]


def test_ended_jobs_can_be_asked_for_by_owner_and_machine() -> None:
    front = Front()
    for owner, name in (("jane", "a"), ("joe", "a"), ("jane", "b"), ("joe", "b")):
        front.run("create_job", 3, owner=owner, machine=name)
    front.site.decide(Moment(0.0, 0.0))
    for job in (1, 2, 3, 4):
        front.run("destroy_job", job)
    assert _ids(front.ended(owner="jane")) == [3, 1]
    assert _ids(front.ended(machine="b")) == [4, 3]
    assert _ids(front.ended(owner="joe", machine="a")) == [2]
    assert _ids(front.ended(limit=2)) == [4, 3]
    assert front.ended(owner="nobody") == []


def test_nobody_can_push_the_fate_of_others_jobs_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spalloc_server.core.site.REMEMBERED_JOBS", 5)
    front = Front()
    front.run("create_job", owner="jane")
    front.run("destroy_job", 1, "done with it")
    for _ in range(20):
        front.run("create_job", 999, owner="joe")
    front.ended()
    fate = front.fate(1)
    assert (fate["state"], fate["reason"]) == (4, "done with it")
    assert set(fate) == set(front.fate(21)), "told from the records as from memory"
    assert front.fate(22)["state"] == front.fate(-3)["state"] == 0


def test_ids_that_were_never_given_are_answered_without_a_look_at_the_records() -> None:
    front = Front()
    front.run("create_job", owner="jane")
    for number in (-1, 0, 2, 2**53):
        assert not isinstance(front.run("get_job_state", number), LaterReply)


@pytest.mark.parametrize("limit", [0, -1, 1001, None, "3", True])
def test_a_limit_out_of_range_is_refused(limit: Json) -> None:
    with pytest.raises(CommandError, match="limit"):
        Front().ended(limit=limit)


def test_old_jobs_are_forgotten_and_live_ones_never() -> None:
    front = Front()
    for _ in range(4):
        front.run("create_job", owner="jane")
    for job in (1, 2, 3):
        front.run("destroy_job", job)
    assert len(front.ended()) == 3
    assert front.store.history.drop_ended_before(999_999.0, 10) == 0
    assert front.store.history.drop_ended_before(2_000_000.0, 2) == 2
    assert front.store.history.drop_ended_before(2_000_000.0, 10) == 1
    assert front.ended() == []
    assert [record.id for record in front.store.recall(ended_limit=10).jobs] == [4]


def test_of_more_ended_jobs_than_are_kept_those_that_ended_first_are_dropped() -> None:
    front = Front()
    for _ in range(7):
        front.run("create_job", owner="jane")
    for job in (3, 1, 2, 4, 5, 6):
        front.run("destroy_job", job)
    assert len(front.ended()) == 6

    async def forget(most: int) -> int:
        front.store.history.limits = HistoryLimits(jobs=most)
        engine = Engine(front.site, front.store, Bmps([]), _Clock())
        return await engine.tidy(0.0)

    assert asyncio.run(forget(6)) == 0
    assert asyncio.run(forget(4)) == 2
    assert _ids(front.ended()) == [6, 5, 4, 3]
    assert asyncio.run(forget(1)) == 3
    assert _ids(front.ended()) == [6]
    assert 7 in [record.id for record in front.store.recall(ended_limit=10).jobs]


def test_the_history_never_grows_beyond_its_bounds_however_fast_jobs_end() -> None:
    async def main() -> None:
        service = Service(Configuration(state=None, v1=Listening(0), history=History(jobs=5)))
        address = await service.start()
        peer = test_front.Peer(*await asyncio.open_connection(*address))
        for _ in range(20):
            await peer.call("destroy_job", await peer.call("create_job", owner="loop"))
        # What is too much goes after the commit that brought it was answered, and before the next.
        assert await peer.call("create_job", owner="loop") == 21
        assert _ids(await peer.call("list_ended_jobs")) == [21, 20, 19, 18, 17]
        peer.writer.close()
        await service.stop()

    asyncio.run(main())


def test_only_the_host_that_created_a_job_may_end_it_where_the_site_says_so() -> None:
    front = Front()
    front.site.trust = Trust(Control.OWNER, Networks((ip_network("10.9.0.0/16"),)))
    front.run("create_job", owner="jane")
    front.site.decide(Moment(0.0, 0.0))
    # Looking at a job makes nobody its owner.
    front.run("get_job_state", 1, host="10.0.0.2")
    for command in ("destroy_job", "power_off_job_boards", "power_on_job_boards"):
        with pytest.raises(
            RefusedError, match=r"job 1 was created from 10\.0\.0\.1, and this server lets only"
        ):
            front.run(command, 1, host="10.0.0.2")
    front.run("power_off_job_boards", 1, host="10.9.1.1")
    front.run("power_on_job_boards", 1)
    front.run("destroy_job", 1, host="10.9.1.1")
    assert front.ended()[0]["job_id"] == 1
    # A job that is gone is nobody's.
    front.run("destroy_job", 1, host="10.0.0.2")


def test_commands_are_counted_by_name_and_unknown_ones_are_not() -> None:
    front = Front()
    front.run("version")
    front.run("version")
    with pytest.raises(CommandError):
        front.run("version2")
    with pytest.raises(CommandError):
        front.run("create_job")
    assert front.commands.counts == {"version": 2, "create_job": 1}


def test_a_listing_that_takes_its_time_is_waited_for_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, may_go_on = threading.Event(), threading.Event()
    read = Store.ended_jobs

    def slowly(self: Store, owner: str | None, machine: str | None, limit: int) -> list[JobRecord]:
        wanted.set()
        assert may_go_on.wait(60.0)
        return read(self, owner, machine, limit)

    monkeypatch.setattr(Store, "ended_jobs", slowly)

    async def test(front: test_front.Front) -> None:
        may_go_on.clear()
        curious, leaving, other = [await front.connect() for _ in range(3)]
        curious.send({"command": "list_ended_jobs"}, test_front.VERSION, {"command": "list_ended_jobs"})
        leaving.send({"command": "list_ended_jobs"})
        await asyncio.to_thread(wanted.wait, 60.0)
        leaving.writer.close()
        for _ in range(100):
            assert await other.call("version") == "1.0.0"
        may_go_on.set()
        assert [await curious.line() for _ in range(3)] == [
            {"return": []},
            {"return": "1.0.0"},
            {"return": []},
        ]
        curious.writer.close()
        other.writer.close()

    test_front.run(test)


def test_a_server_that_is_stopped_goes_on_telling_clients_and_reads_no_history_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted, may_go_on = threading.Event(), threading.Event()
    reads = []

    def slowly(self: Store, owner: str | None, machine: str | None, limit: int) -> list[JobRecord]:
        reads.append(limit)
        wanted.set()
        assert may_go_on.wait(5.0), "the loop stood still"
        return []

    monkeypatch.setattr(Store, "ended_jobs", slowly)

    async def test(front: test_front.Front) -> None:
        reads.clear()
        wanted.clear()
        may_go_on.clear()
        curious = [await front.connect() for _ in range(20)]
        for peer in curious:
            peer.send({"command": "list_ended_jobs"})
        await asyncio.to_thread(wanted.wait, 60.0)
        late = await front.connect()
        stopping = asyncio.ensure_future(front.engine.stop())
        late.send({"command": "list_ended_jobs"})
        why = {"exception": "the server stops before it could answer this; ask again when it is back"}
        assert await late.line() == why
        may_go_on.set()
        await stopping
        answers = [await peer.line() for peer in curious]
        assert answers.count(why) == len(curious) - 1
        assert {"return": []} in answers
        assert len(reads) == 1
        for peer in (*curious, late):
            peer.writer.close()

    test_front.run(test)


def test_a_history_that_can_not_be_read_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Store, owner: str | None, machine: str | None, limit: int) -> list[JobRecord]:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "ended_jobs", fail)

    async def test(front: test_front.Front) -> None:
        peer = await front.connect()
        peer.send({"command": "list_ended_jobs"})
        said = await peer.line()
        assert said == {"exception": "the history can't be read just now, try again later: disk I/O error"}
        peer.writer.close()

    test_front.run(test)

"""What the v1 front promises to clients, and bears from them, over real sockets."""

import asyncio
import contextlib
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from spalloc_client.wire import Lines
from spalloc_server import engine
from spalloc_server.clock import SystemClock
from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.fronts.listening import listen
from spalloc_server.fronts.v1 import connection
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.server import V1Server, anyone
from spalloc_server.store.database import Store
from spinnaker.geometry import Size
from spinnaker.places import sequential_places
from tests.spalloc_server.fronts.fuzz import InstantHardware

PATIENCE = 20.0


class NoFailures:
    def random(self) -> float:
        return 1.0


class Front:
    """A front on a port of its own, and what is behind it."""

    def __init__(self, limits: Limits, admission: Callable[[str], str | None]) -> None:
        size = Size(2, 2)
        places = sequential_places(size)
        self.machine = Machine(
            name="m",
            size=size,
            places=places,
            addresses={board: f"board-{index}" for index, board in enumerate(places)},
            settle_seconds=0.0,
        )
        self.store = Store(None)
        hardware = InstantHardware(NoFailures())  # type: ignore[arg-type]
        self.engine = Engine(Site([self.machine]), self.store, hardware, SystemClock())
        self.front = V1Server(self.engine, limits, admission)
        self.port = 0

    def another_front(self) -> V1Server:
        """A second front for the same engine, as a server that has just been started has."""
        return V1Server(self.engine, Limits())

    async def connect(self, host: str = "127.0.0.1") -> "Peer":
        """Connect from an address of this computer."""
        return Peer(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=(host, 0)))


class Peer:
    """A client that shows every line it gets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._lines = Lines()
        self._got: list[Any] = []

    def send(self, *requests: Any) -> None:
        lines = (
            request if isinstance(request, bytes) else json.dumps(request).encode() for request in requests
        )
        self.writer.write(b"".join(line + b"\n" for line in lines))

    async def line(self) -> Any:
        """Return the next line, or None at the end."""
        while not self._got:
            data = await self.reader.read(1 << 16)
            if not data:
                return None
            self._got += map(json.loads, self._lines.feed(data))
        return self._got.pop(0)

    async def lines(self) -> list[Any]:
        """Return all lines until the server ends the connection."""
        got = []
        while (line := await self.line()) is not None:
            got.append(line)
        return got

    async def call(self, command: str, *args: object, **kwargs: object) -> Any:
        self.send({"command": command, "args": args, "kwargs": kwargs})
        while "return" not in (line := await self.line()):
            assert "exception" not in line, line
        return line["return"]


@asynccontextmanager
async def _running(limits: Limits, admission: Callable[[str], str | None]) -> AsyncIterator[Front]:
    front = Front(limits, admission)
    front.engine.start()
    _, front.port = await front.front.start("127.0.0.1", 0)
    try:
        yield front
    finally:
        front.front.stop_listening()
        await front.engine.stop()
        await front.front.stop()
        front.store.close()


def run(
    test: Callable[[Front], Coroutine[Any, Any, None]],
    *,
    admission: Callable[[str], str | None] = anyone,
    **limits: Any,
) -> None:
    async def main() -> None:
        async with _running(Limits(**limits), admission) as front:
            await asyncio.wait_for(test(front), PATIENCE)
        # What a test left open must not warn.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    # Servers run in uvloop's event loop where there is one, and in Python's where there is none.
    asyncio.run(main())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


VERSION = {"command": "version"}


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        count = 200
        requests = [{"command": "create_job", "args": [999], "kwargs": {"owner": "me"}}, VERSION]
        peer.send(*requests * count)
        for number in range(1, count + 1):
            assert await peer.line() == {"return": number}
            assert await peer.line() == {"return": "1.0.0"}
        peer.writer.close()

    run(test)


def test_a_request_may_come_in_pieces_and_blank_lines_mean_nothing() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"\n \r\n", b'{"comm', b'and": "ver', b'sion"}', b"\r\n\n"):
            peer.writer.write(piece)
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert await peer.line() == {"return": "1.0.0"}
        peer.writer.close()

    run(test)


@pytest.mark.parametrize(
    ("command", "args", "kwargs", "said"),
    [
        ("fly", [], {}, "there is no command 'fly'; there are "),
        ("create_job", [3], {}, "create_job needs owner"),
        ("create_job", ["3"], {"owner": "me"}, "create_job takes whole numbers"),
        ("create_job", [10**30], {"owner": "me"}, "what to allocate is out of range"),
        ("create_job", [1, 2, 3, 4], {"owner": "me"}, "create_job was given 4 numbers"),
        ("create_job", [], {"owner": "me", "keepalive": 10**400}, "keepalive is out of range"),
        (
            "create_job",
            [],
            {"owner": "me", "tags": "default"},
            "tags must be a list of strings, not 'default'",
        ),
        ("create_job", [], {"owner": 7}, "owner must be a string, not 7"),
        ("create_job", [], {"owner": "\ud800"}, "owner must be Unicode text, not '\\ud800'"),
        (
            "create_job",
            [],
            {"owner": "me", "colour": 1},
            "create_job has no argument 'colour'; it takes owner",
        ),
        ("get_job_state", [], {}, "get_job_state needs job_id"),
        ("get_job_state", ["1"], {}, "job_id must be a whole number, not '1'"),
        ("get_job_state", [1, 2], {}, "get_job_state was given 2 arguments; it takes at most 1"),
        ("get_job_state", [True], {}, "job_id must be a whole number, not True"),
        ("where_is", [], {"x": 1}, "where_is can't be asked by x; it takes "),
    ],
)
def test_a_command_that_can_not_be_done_is_told_why_and_the_connection_goes_on(
    command: str, args: list[object], kwargs: dict[str, object], said: str
) -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.send({"command": command, "args": args, "kwargs": kwargs}, VERSION)
        reply = await peer.line()
        assert reply["exception"].startswith(said), reply
        assert await peer.line() == {"return": "1.0.0"}
        peer.writer.close()

    run(test)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"hello", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (b"{}", "a request needs a command, a string"),
        (b"\xff{}", "it is not UTF-8"),
        (b'{"command": "version", "args": 1}', "a request's args must be an array"),
        (b"[" * 60_000, "it is nested too deeply"),
        (b"x" * 70_000, "a line is longer than the 65536 bytes that are allowed"),
    ],
)
def test_input_that_can_not_be_read_is_answered_with_the_reason_and_the_end(line: bytes, said: str) -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.send(VERSION, line, VERSION)
        first, second, *rest = await peer.lines()
        assert first == {"return": "1.0.0"}
        assert said in second["exception"]
        assert not rest
        peer.writer.close()

    run(test)


def test_a_line_much_too_long_is_answered_with_the_reason_although_it_is_not_read_to_its_end() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.writer.write(b"x" * 8_000_000)
        said = await peer.line()
        assert "longer than the 65536 bytes" in said["exception"]
        assert await peer.line() is None
        peer.writer.close()

    run(test)


def test_a_client_that_is_refused_and_goes_on_sending_is_cut_off() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.send({"command": "notify_job"}, b"nonsense", b"more")
        assert await peer.line() == {"return": None}
        assert "can't be read" in (await peer.line())["exception"]
        assert await peer.line() is None
        with pytest.raises(ConnectionError):
            while True:
                peer.send(b"more")
                await peer.writer.drain()
                # The server runs in this very loop.
                await asyncio.sleep(0)
        peer.writer.close()

    run(test, slow_reader_seconds=0.1)


def test_null_where_the_newest_client_says_nothing_is_taken_for_nothing() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        nothing = dict.fromkeys(("machine", "tags", "min_ratio", "max_dead_links", "require_torus"))
        job = await peer.call("create_job", 3, owner="me", max_dead_boards=0, **nothing)
        while (await peer.call("get_job_state", job))["state"] != 3:
            pass
        peer.writer.close()

    run(test)


def test_a_client_that_stops_talking_gets_its_replies_and_then_the_end() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.send({"command": "create_job", "kwargs": {"owner": "me"}}, VERSION)
        peer.writer.write_eof()
        assert await peer.lines() == [{"return": 1}, {"return": "1.0.0"}]
        peer.writer.close()

    run(test)


def test_many_watchers_are_told_of_every_job_and_only_of_their_own() -> None:
    async def test(front: Front) -> None:
        watchers = [await front.connect() for _ in range(20)]
        for watcher in watchers:
            await watcher.call("notify_job")
        user = await front.connect()
        first = await user.call("create_job", owner="me")
        single = await front.connect()
        await single.call("notify_job", first)
        second = await user.call("create_job", owner="me")
        for watcher in watchers:
            told: set[int] = set()
            while not {first, second} <= told:
                told |= set((await watcher.line())["jobs_changed"])
        await user.call("destroy_job", first)
        while (line := await single.line())["jobs_changed"] == [first]:
            if (await single_state(single, first)) == 4:
                break
        assert line == {"jobs_changed": [first]}
        await single.call("notify_machine", "m")
        await user.call("destroy_job", second)
        assert await single.line() == {"machines_changed": ["m"]}
        for peer in (*watchers, user, single):
            peer.writer.close()

    async def single_state(peer: Peer, job: int) -> int:
        return int((await peer.call("get_job_state", job))["state"])

    run(test)


def test_a_watcher_that_asked_to_be_left_alone_is() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        await peer.call("notify_job")
        await peer.call("notify_machine")
        await peer.call("no_notify_job")
        await peer.call("no_notify_machine")
        assert peer not in front.front.watchers
        peer.send({"command": "create_job", "kwargs": {"owner": "me"}}, VERSION)
        assert [await peer.line(), await peer.line()] == [{"return": 1}, {"return": "1.0.0"}]
        peer.writer.close()

    run(test)


def test_a_client_that_does_not_read_is_cut_off_and_others_are_served() -> None:
    async def test(front: Front) -> None:
        slow = socket.socket()
        # Little room with the system, so that the server notices soon.
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", front.port))
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        user = await front.connect()
        asked = b'{"command": "list_machines"}\n' * 200_000
        sending = asyncio.ensure_future(loop.sock_sendall(slow, asked))
        while front.front.connections > 1:
            assert await user.call("version") == "1.0.0"
        # Whether all of it got into the system's buffers or not.
        await asyncio.gather(sending, return_exceptions=True)
        slow.close()
        user.writer.close()

    run(test, slow_reader_seconds=0.2)


def test_a_client_that_does_not_read_the_rest_of_its_last_replies_is_cut_off() -> None:
    async def test(front: Front) -> None:
        user = await front.connect()
        assert await user.call("version") == "1.0.0"
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", front.port))
        slow.setblocking(False)
        while front.front.connections < 2:
            await user.call("version")
        ending = next(reversed(front.front._connections))
        ending._send(b"x" * 400_000, hold=False)
        ending.close()
        while ending._clogged and front.front.connections > 1:
            with contextlib.suppress(OSError):
                slow.recv(512)
            await user.call("version")
        while front.front.connections > 1:
            await user.call("version")
        slow.close()
        user.writer.close()

    run(test, slow_reader_seconds=0.5)


def test_one_client_with_much_to_ask_does_not_keep_others_waiting() -> None:
    async def test(front: Front) -> None:
        greedy, modest = await front.connect(), await front.connect()
        greedy.send(*[VERSION] * 2000)
        modest.send(VERSION)
        assert await modest.line() == {"return": "1.0.0"}
        # The greedy one's replies are still on their way.
        assert len(greedy.reader._buffer) < 2000 * len(b'{"return":"1.0.0"}\n')  # type: ignore[attr-defined]
        for _ in range(2000):
            assert await greedy.line() == {"return": "1.0.0"}
        for peer in (greedy, modest):
            peer.writer.close()

    run(test)


def test_requests_wait_unread_while_the_disk_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_HELD_BYTES", 500)

    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.send(*[{"command": "create_job", "args": [999], "kwargs": {"owner": "me"}}] * 100)
        assert [await peer.line() for _ in range(100)] == [{"return": number} for number in range(1, 101)]
        peer.writer.close()

    run(test)


def test_connections_in_all_and_from_one_address_are_limited() -> None:
    async def test(front: Front) -> None:
        first, second = await front.connect(), await front.connect()
        assert await first.call("version") == await second.call("version")
        third = await front.connect()
        assert await third.lines() == [
            {
                "exception": "there are 2 connections from 127.0.0.1, and the server takes no more from one address; "
                "close some"
            }
        ]
        front.front.limits = Limits(connections=2)
        fourth = await front.connect()
        (refusal,) = await fourth.lines()
        assert refusal["exception"] == "the server has 2 connections and takes no more; try again later"
        first.writer.close()
        await first.writer.wait_closed()
        while front.front.connections > 1:
            await second.call("version")
        fifth = await front.connect()
        assert await fifth.call("version") == "1.0.0"
        for peer in (second, third, fourth, fifth):
            peer.writer.close()

    run(test, connections_from_one_address=2)


def test_an_address_that_is_not_admitted_is_told_so() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        assert await peer.lines() == [{"exception": "127.0.0.1 is not welcome"}]
        peer.writer.close()

    run(test, admission=lambda address: f"{address} is not welcome")


def test_a_client_that_never_ends_its_request_is_cut_off() -> None:
    async def test(front: Front) -> None:
        silent, unfinished = await front.connect(), await front.connect()
        unfinished.writer.write(b'{"command": "vers')
        assert await silent.lines() == []
        assert await unfinished.lines() == []
        for peer in (silent, unfinished):
            peer.writer.close()

    run(test, first_request_seconds=0.2)


def test_an_idle_client_is_cut_off_unless_it_watches_something() -> None:
    async def test(front: Front) -> None:
        idle, watcher = await front.connect(), await front.connect()
        await watcher.call("notify_machine", "m")
        await idle.call("version")
        assert await idle.lines() == []
        assert front.front.connections == 1
        assert await watcher.call("version") == "1.0.0"
        for peer in (idle, watcher):
            peer.writer.close()

    run(test, idle_seconds=0.2)


def test_a_fault_of_the_server_is_logged_answered_and_does_not_end_the_connection(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(front: Front) -> None:
        monkeypatch.setattr(front.engine.site, "machines", None)
        peer = await front.connect()
        peer.send({"command": "list_machines"}, VERSION)
        assert await peer.line() == {"exception": "the server failed to do this; its log says why"}
        assert await peer.line() == {"return": "1.0.0"}
        peer.writer.close()

    run(test)
    assert "the command 'list_machines' of a client at 127.0.0.1 failed" in caplog.text


def test_a_fault_in_the_middle_of_a_change_is_told_to_all_and_nothing_more_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(front: Front) -> None:
        peer, other = await front.connect(), await front.connect()
        job = await peer.call("create_job", owner="me", keepalive=None)
        with monkeypatch.context() as patch:
            # The job has given its boards back by then, and does not know that it has ended.
            patch.setattr(front.engine.site, "retire", None)
            peer.send({"command": "destroy_job", "args": [job]}, VERSION)
            for _ in range(2):
                assert "so it is not done" in (await peer.line())["exception"]
        other.send({"command": "create_job", "kwargs": {"owner": "me"}})
        assert "so it is not done" in (await other.line())["exception"]
        assert [record.id for record in front.store.recall(ended_limit=9).jobs if record.ended is None] == [
            job
        ]
        assert isinstance(front.engine.failure, TypeError)
        peer.writer.close()
        other.writer.close()

    run(test)


def test_a_report_may_be_as_long_as_can_be_read() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        assert await peer.call("report_problem", "board-0", description="x" * 1000) is None
        peer.send({"command": "report_problem", "args": ["board-0"], "kwargs": {"description": "x" * 1001}})
        assert await peer.line() == {"exception": "description has 1001 characters; it may have 1000"}
        peer.writer.close()

    run(test)


@pytest.mark.parametrize(
    ("too_long", "refusal"),
    [
        ({"owner": "x" * 257}, "owner has 257 characters; it may have 256"),
        ({"owner": "me", "machine": "x" * 257}, "machine has 257 characters; it may have 256"),
        ({"owner": "me", "tags": ["x" * 128] * 2}, "tags have 257 characters in all; they may have 256"),
        ({"owner": "me", "tags": [""] * 258}, "tags have 257 characters in all; they may have 256"),
    ],
)
def test_what_each_job_keeps_is_bounded_and_a_refusal_says_by_what(
    too_long: dict[str, Any], refusal: str
) -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        peer.send({"command": "create_job", "kwargs": too_long})
        assert await peer.line() == {"exception": refusal}
        assert await peer.call("create_job", owner="x" * 256, tags=["y" * 128, "z" * 127]) == 1
        assert await peer.call("create_job", owner="x" * 256, machine="y" * 256) == 2
        peer.writer.close()

    run(test)


def test_a_reason_of_any_length_destroys_the_job_and_its_beginning_is_kept() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        for reason, kept in (("r" * 1000, "r" * 1000), ("r" * 60_000, "r" * 999 + "…")):
            job = await peer.call("create_job", owner="me")
            await peer.call("destroy_job", job, reason=reason)
            assert (await peer.call("get_job_state", job))["reason"] == kept
        peer.writer.close()

    run(test)


def test_listings_follow_every_change_and_are_ascii() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        jobs = [await peer.call("create_job", 999, owner=owner, keepalive=None) for owner in ("jäne", "joe")]
        assert await peer.call("list_jobs") == []
        jobs = [await peer.call("create_job", owner=owner, keepalive=None) for owner in ("jäne", "joe")]
        for _ in range(2):
            peer.writer.write(b'{"command": "list_jobs"}\n')
            data = await peer.reader.readuntil(b"\n")
            assert data.isascii()
            assert [(job["job_id"], job["owner"]) for job in json.loads(data)["return"]] == list(
                zip(jobs, ("jäne", "joe"), strict=True)
            )
        await peer.call("power_off_job_boards", jobs[1])
        assert [job["power"] for job in await peer.call("list_jobs")] == [True, False]
        await peer.call("destroy_job", jobs[0])
        (left,) = await peer.call("list_jobs")
        assert left["job_id"] == jobs[1]
        peer.writer.close()

    run(test)


def test_a_job_is_kept_alive_from_anywhere_while_the_disk_fails_and_no_report_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = Store.write
    full = asyncio.Event()

    def fail(self: Store, jobs: Any, *others: Any) -> None:
        if full.is_set():
            raise sqlite3.OperationalError("disk I/O error")
        write(self, jobs, *others)

    monkeypatch.setattr(Store, "write", fail)
    monkeypatch.setattr(engine, "RECORD_RETRY_SECONDS", 0.05)

    async def test(front: Front) -> None:
        full.clear()
        peer, elsewhere = await front.connect(), await front.connect("127.0.0.2")
        job = await peer.call("create_job", owner="me")
        full.set()
        peer.send({"command": "create_job", "kwargs": {"owner": "me"}})
        while front.engine.trouble is None:
            await elsewhere.call("version")
        assert await elsewhere.call("job_keepalive", job) is None
        assert (await elsewhere.call("get_job_state", job))["keepalivehost"] == "127.0.0.2"
        elsewhere.send({"command": "report_problem", "args": ["board-0"]})
        assert "takes no changes for now" in (await elsewhere.line())["exception"]
        full.clear()
        assert await peer.line() == {"return": job + 1}
        await _recorded(front.engine)
        (record,) = [record for record in front.store.recall(ended_limit=0).jobs if record.id == job]
        assert record.keepalive_host == "127.0.0.2"
        peer.writer.close()
        elsewhere.writer.close()

    run(test)


def test_who_asked_for_a_job_s_end_is_told_and_recorded() -> None:
    async def test(front: Front) -> None:
        peer, elsewhere = await front.connect(), await front.connect("127.0.0.2")
        job = await peer.call("create_job", owner="me")
        await elsewhere.call("destroy_job", job, "Enough.")
        assert (await peer.call("get_job_state", job))["ended_here"] is False
        assert (await elsewhere.call("get_job_state", job))["ended_here"] is True
        assert (await peer.call("get_job_state", job))["ended_by"] == "127.0.0.2"
        await _recorded(front.engine)
        (record,) = [record for record in front.store.recall(ended_limit=9).jobs if record.id == job]
        assert record.ended_by == "127.0.0.2"
        peer.writer.close()
        elsewhere.writer.close()

    run(test)


async def _recorded(engine: Engine) -> None:
    """Wait until all that the site was told is on disk."""
    done = asyncio.get_running_loop().create_future()
    engine.when_recorded(done.set_result)
    assert await done


def test_a_request_may_be_longer_than_what_is_read_ahead() -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        for _ in range(2):
            peer.writer.write(b" " * 1_500_000 + json.dumps(VERSION).encode() + b"\n")
            assert await peer.line() == {"return": "1.0.0"}
        peer.writer.close()

    run(test, request_bytes=2_000_000)


@pytest.mark.parametrize(
    "hosts", [["127.0.0.1", "::1"], ["localhost"], ["127.0.0.1", "127.0.0.2", "127.0.0.3"]]
)
def test_all_addresses_get_the_same_free_port(hosts: list[str]) -> None:
    async def main() -> None:
        server, addresses = await listen(asyncio.Protocol, hosts, 0, "v1")
        try:
            assert {host for host, _ in addresses} <= {*hosts, "127.0.0.1", "::1"}
            assert len(addresses) >= len(hosts)
            (port,) = {port for _, port in addresses}
            for host, _ in addresses:
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
        finally:
            server.close()

    asyncio.run(main())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_port_that_one_of_the_addresses_can_not_have_is_not_taken_on_the_others() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.2", 0)) as taken:
            with pytest.raises(OSError, match="another program listens there already"):
                await listen(asyncio.Protocol, ["127.0.0.1", "127.0.0.2"], taken.getsockname()[1], "v1")

    asyncio.run(main())

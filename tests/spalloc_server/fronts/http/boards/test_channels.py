"""Channels reach the UDP ports of the job's boards, and nobody else's."""

import asyncio
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count

import pytest

from spalloc_server.fronts.http.boards.channels import Channels, Room
from spalloc_server.fronts.http.boards.messages import (
    Close,
    CloseCode,
    Closed,
    Failed,
    Listen,
    Listening,
    Message,
    MessageError,
    MessageTo,
    Open,
    Opened,
    decode_answer,
)
from spalloc_server.fronts.http.boards.streams import Streams
from spinnaker.geometry import Chip

HERE, THERE, FOREIGN = "127.77.0.1", "127.77.0.2", "127.77.0.3"


@contextmanager
def board(host: str, port: int = 0) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as opened:
        opened.bind((host, port))
        opened.setblocking(False)
        yield opened


class Bench:
    """Channels to two boards; what they say to the client is in `heard`."""

    def __init__(self, of_one: int = 10, in_all: int = 10) -> None:
        self.held = True
        self.heard: asyncio.Queue[Message] = asyncio.Queue()
        self.takes_more = True
        self.room = Room(of_one, in_all)
        self.channels = self.another("alice")

    def another(self, account: str = "bob", here: str = HERE) -> Channels:
        addresses = {Chip(0, 0): here, Chip(8, 4): THERE}
        stream = Streams().stream("alice")
        return Channels(addresses, lambda: self.held, self._hear, stream, count(1), self.room, account)

    def _hear(self, message: bytes) -> bool:
        answer = decode_answer(message)
        assert isinstance(answer, Message)
        self.heard.put_nowait(answer)
        return self.takes_more

    async def open(self, port: int, x: int = 0, y: int = 0) -> int:
        answer = await self.channels.answer(Open(7, x, y, port))
        assert isinstance(answer, Opened), answer
        return answer.channel

    async def listen(self) -> Listening:
        answer = await self.channels.answer(Listen(7))
        assert isinstance(answer, Listening), answer
        return answer


def run(task: Callable[[Bench], Awaitable[None]], **room: int) -> None:
    async def on_a_bench() -> None:
        bench = Bench(**room)
        try:
            await task(bench)
        finally:
            bench.channels.close()
            assert bench.room.taken == 0

    asyncio.run(on_a_bench())


async def received(opened: socket.socket) -> tuple[bytes, tuple[str, int]]:
    data, source = await asyncio.get_running_loop().sock_recvfrom(opened, 10_000)
    return data, source


def nothing_came(opened: socket.socket) -> bool:
    try:
        opened.recv(1)
    except BlockingIOError:
        return True
    return False


def test_a_channel_takes_payloads_to_a_board_as_they_are_and_its_answers_back() -> None:
    async def task(bench: Bench) -> None:
        with board(HERE) as here:
            channel = await bench.open(here.getsockname()[1])
            for payload in (b"", b"\0\0hello", bytes(8184)):
                bench.channels.send(Message(channel, payload))
                data, source = await received(here)
                assert data == payload
                here.sendto(payload[::-1], source)
                assert await bench.heard.get() == Message(channel, payload[::-1])

    run(task)


def test_a_channel_hears_nobody_but_its_board() -> None:
    async def task(bench: Bench) -> None:
        with board(HERE) as here, board(FOREIGN) as foreign:
            channel = await bench.open(here.getsockname()[1])
            bench.channels.send(Message(channel, b"where am I"))
            _, source = await received(here)
            foreign.sendto(b"trespass", source)
            here.sendto(b"here", source)
            assert await bench.heard.get() == Message(channel, b"here")

    run(task)


def test_a_listener_hears_all_boards_of_the_job_and_sends_to_each_but_hears_no_others() -> None:
    async def task(bench: Bench) -> None:
        with board(HERE) as here, board(THERE) as there, board(FOREIGN) as foreign:
            listener = await bench.listen()
            to = str(listener.address), listener.port
            foreign.sendto(b"trespass", to)
            for opened, said in ((here, b"here"), (there, b"there")):
                opened.sendto(said, to)
                assert await bench.heard.get() == Message(listener.channel, said)
            for opened, chip in ((here, (0, 0)), (there, (8, 4))):
                await bench.channels.send_to(
                    MessageTo(listener.channel, *chip, opened.getsockname()[1], b"hi")
                )
                assert await received(opened) == (b"hi", to)

    run(task)


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (Open(7, 0, 0, 0), "no UDP port 0"),
        (Open(7, 0, 0, 65_536), "no UDP port 65536"),
        (Open(7, 1, 0, 17893), r"\(1, 0\)"),
        (Open(7, 500, 0xFFFFFFFF, 17893), r"\(500, 4294967295\)"),
    ],
)
def test_only_boards_of_the_job_and_ports_that_exist_can_be_reached(request_: Open, what: str) -> None:
    async def task(bench: Bench) -> None:
        answer = await bench.channels.answer(request_)
        assert isinstance(answer, Failed)
        assert answer.correlation == 7
        with pytest.raises(AssertionError, match=what):
            raise AssertionError(answer.why)
        listener = await bench.listen()
        with pytest.raises(MessageError, match=what) as caught:
            await bench.channels.send_to(MessageTo(listener.channel, *request_[1:], b""))
        assert caught.value.code == CloseCode.MALFORMED

    run(task)


def test_messages_on_channels_that_are_not_open_or_of_the_other_kind_are_lost_or_refused() -> None:
    async def task(bench: Bench) -> None:
        with board(HERE) as here:
            port = here.getsockname()[1]
            channel, listener = await bench.open(port), (await bench.listen()).channel
            with pytest.raises(MessageError) as caught:
                await bench.channels.send_to(MessageTo(channel, 0, 0, port, b"no"))
            assert caught.value.code == CloseCode.MALFORMED
            await bench.channels.send_to(MessageTo(99, 0, 0, port, b"no"))
            for lost in (99, listener):
                bench.channels.send(Message(lost, b"no"))
            assert await bench.channels.answer(Close(8, channel)) == Closed(8, channel)
            assert await bench.channels.answer(Close(9, channel)) == Closed(9, 0)
            bench.channels.send(Message(channel, b"no"))
            assert nothing_came(here)

    run(task)


def test_nothing_is_sent_heard_or_opened_once_the_job_has_lost_its_boards() -> None:
    async def task(bench: Bench) -> None:
        with board(HERE) as here:
            port = here.getsockname()[1]
            channel, listener = await bench.open(port), await bench.listen()
            bench.channels.send(Message(channel, b"where am I"))
            _, source = await received(here)
            bench.held = False
            bench.channels.send(Message(channel, b"no"))
            await bench.channels.send_to(MessageTo(listener.channel, 0, 0, port, b"no"))
            assert nothing_came(here)
            for request in (Open(7, 0, 0, port), Listen(7)):
                assert isinstance(await bench.channels.answer(request), Failed)
            here.sendto(b"of the next owner", source)
            here.sendto(b"of the next owner", (str(listener.address), listener.port))
            for _ in range(5):
                await asyncio.sleep(0)
            bench.held = True
            here.sendto(b"again", source)
            assert (await bench.heard.get()).data == b"again"
            bench.channels.close()
            bench.channels.send(Message(channel, b"no"))
            assert nothing_came(here)
            assert isinstance(await bench.channels.answer(Listen(7)), Failed)

    run(task)


def test_there_are_only_as_many_channels_as_allowed_of_one_websocket_and_of_all() -> None:
    async def task(bench: Bench) -> None:
        first = await bench.open(1)
        await bench.open(2)
        refused = await bench.channels.answer(Open(7, 0, 0, 3))
        assert refused == Failed(7, "this websocket has 2 channels, and may have 2; close some first")
        other = bench.another()
        assert isinstance(await other.answer(Open(7, 0, 0, 3)), Opened)
        refused = await other.answer(Listen(8))
        assert refused == Failed(
            8, "all 3 channels that this server has room for are in use; try again later"
        )
        await bench.channels.answer(Close(9, first))
        assert isinstance(await other.answer(Listen(8)), Listening)
        other.close()

    run(task, of_one=2, in_all=3)


def test_websockets_that_look_up_their_boards_names_together_get_no_more_channels() -> None:
    async def task(bench: Bench) -> None:
        websockets = [bench.another(name, "localhost") for name in ("alice", "bob", "carol", "dan")]
        requests = [Open(7, 0, 0, 3), Listen(7)] * 2
        answers = await asyncio.gather(
            *(one.answer(request) for one, request in zip(websockets, requests, strict=True))
        )
        assert sum(isinstance(one, Opened | Listening) for one in answers) == 2
        refused = {one.why for one in answers if isinstance(one, Failed)}
        assert refused == {"all 2 channels that this server has room for are in use; try again later"}
        assert bench.room.taken == 2
        for one in websockets:
            one.close()

    run(task, of_one=2, in_all=2)


def test_one_account_leaves_channels_to_others_however_many_websockets_it_has() -> None:
    async def task(bench: Bench) -> None:
        own, more, others = bench.channels, bench.another("alice"), bench.another("bob")
        for port in (1, 2):
            assert isinstance(await own.answer(Open(7, 0, 0, port)), Opened)
            assert isinstance(await more.answer(Open(7, 0, 0, port)), Opened)
        refused = await bench.another("alice").answer(Open(7, 0, 0, 3))
        assert refused == Failed(7, "alice has 4 channels, and may have 4; close some first")
        assert isinstance(await others.answer(Open(7, 0, 0, 3)), Opened)
        more.close()
        assert isinstance(await own.answer(Listen(8)), Listening)
        others.close()

    run(task, of_one=3, in_all=8)


def test_channels_leave_the_last_descriptors_to_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def task(bench: Bench) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        try:
            answers = [await bench.channels.answer(Open(7, 0, 0, 3)) for _ in range(200)]
            with closing(socket.socket()) as another:
                assert another.fileno() < 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert isinstance(answers[0], Opened)
        assert answers[-1] == Failed(7, "no channel could be opened: Too many open files")

    run(task, of_one=300, in_all=300)


def test_what_boards_send_waits_in_the_socket_while_the_client_takes_nothing() -> None:
    async def task(bench: Bench) -> None:
        with board(HERE) as here:
            channel = await bench.open(here.getsockname()[1])
            bench.channels.send(Message(channel, b"where am I"))
            _, source = await received(here)
            bench.takes_more = False
            for number in range(3):
                here.sendto(bytes([number]), source)
            assert (await bench.heard.get()).data == b"\0"
            for _ in range(5):
                await asyncio.sleep(0)
            assert bench.heard.empty()
            bench.takes_more = True
            bench.channels.resume()
            assert [(await bench.heard.get()).data for _ in range(2)] == [b"\1", b"\2"]

    run(task)

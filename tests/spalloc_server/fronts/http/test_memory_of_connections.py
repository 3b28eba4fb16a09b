"""What connections take is bounded, and free when they end: the collector never visits what has lived for long."""

import asyncio
import contextlib
import gc
import socket
import ssl
import weakref
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from spalloc_server.fronts.http.connections import strict
from spalloc_server.fronts.http.connections.authority import Made, make_certificate
from spalloc_server.fronts.http.connections.gate import Receive, Scope, Send
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.settings import CUT, Limits
from spalloc_server.runtime import run
from tests.spalloc_server.fronts.http.wire import SECONDS, UPGRADE, App, Client, connected, get, served, until

pytest.importorskip("uvloop")  # connections of Python's own loop end in cycles, and are collected

POST = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_certificate(tmp_path_factory.mktemp("authority"), ["localhost"])


async def nothing(client: Client) -> None:
    pass


async def ask(client: Client) -> None:
    await client.ask()


async def ask_and_send(client: Client) -> None:
    await client.send(POST + b"hello")
    await client.answer()


async def send_nonsense(client: Client) -> None:
    await client.send(b"nonsense\r\n\r\n")
    await client.rest()


async def send_too_much(client: Client) -> None:
    await client.send(get("/", f"A: {'a' * 20_000}"))
    await client.rest()


async def leave_half_a_body(client: Client) -> None:
    await client.send(POST + b"hel")
    await client.send(b"l")
    client.writer.transport.abort()


async def be_slow(client: Client) -> None:
    await client.send(b"GET / HT")
    await client.rest()


async def leave_a_poll(client: Client) -> None:
    await client.send(get("/wait"))


async def open_a_websocket(client: Client) -> None:
    assert (await client.ask("/spalloc/proxy/1", *UPGRADE))[0] == 101


KINDS = [
    nothing,
    ask,
    ask_and_send,
    send_nonsense,
    send_too_much,
    leave_half_a_body,
    be_slow,
    leave_a_poll,
    open_a_websocket,
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_a_connection_is_freed_when_it_ends(
    kind: Callable[[Client], Awaitable[None]],
    encrypted: bool,
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_here = watched(monkeypatch)

    async def main() -> None:
        files = {"certificate": made.certificate, "key": made.key} if encrypted else {}
        context = ssl.create_default_context(cafile=str(made.bundle)) if encrypted else None
        app = App()
        async with served(app, **files, limits=Limits(request_seconds=0.5)) as server:
            async with connected(server, context) as client:
                await kind(client)
            await until(lambda: server.connections == 0 and app.waiting == 0)
            await until(lambda: not made_here)

    without_collector(main)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_a_client_that_is_refused_or_shakes_no_hands_leaves_nothing_behind(
    encrypted: bool, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hello(server: HttpServer) -> None:
        _, writer = await asyncio.open_connection(*server.addresses[0])
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        await until(lambda: server.connections > 1)
        writer.close()

    made_here = watched(monkeypatch)

    async def main() -> None:
        files = {"certificate": made.certificate, "key": made.key} if encrypted else {}
        context = ssl.create_default_context(cafile=str(made.bundle)) if encrypted else None
        async with (
            served(App(), **files, limits=Limits(connections_from_one_address=1)) as server,
            connected(server, context) as first,
        ):
            await first.ask()
            async with connected(server, context) as client:
                assert (await client.ask())[0] == 429
            await until(lambda: server.connections == 1)
            await hello(server)
            await until(lambda: server.connections == 1)
            await until(lambda: len(made_here) == 1)

    without_collector(main)


def watched(monkeypatch: pytest.MonkeyPatch) -> "weakref.WeakSet[strict.Strict]":
    """Return what has all connections that are made from now on, until they are freed."""
    found: weakref.WeakSet[strict.Strict] = weakref.WeakSet()
    begin = strict.Strict.__init__

    def noted(self: strict.Strict, *arguments: object) -> None:
        begin(self, *arguments)  # type: ignore[arg-type]
        found.add(self)

    monkeypatch.setattr(strict.Strict, "__init__", noted)
    return found


def without_collector(main: Callable[[], Coroutine[object, object, None]]) -> None:
    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_an_answer_that_can_not_go_on_may_be_cut_short_when_its_client_has_left_already() -> None:
    cut = asyncio.Event()

    async def cut_late(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await until(lambda: server.connections == 0)
        scope[CUT]()
        cut.set()

    async def main() -> None:
        nonlocal server
        async with served(cut_late) as server:  # type: ignore[arg-type]
            async with connected(server) as client:
                await client.send(get())
                await until(lambda: server.connections == 1)
            await asyncio.wait_for(cut.wait(), SECONDS)

    server: HttpServer
    run(main())


class Deaf:
    """Accepts websockets, and takes nothing of what they bring."""

    def __init__(self) -> None:
        self.accepted = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.accepted.set()
        await asyncio.Event().wait()


def test_what_a_websocket_over_tls_sends_ahead_of_its_turn_is_bounded(made: Made) -> None:
    async def main() -> None:
        files = {"certificate": made.certificate, "key": made.key}
        context = ssl.create_default_context(cafile=str(made.bundle))
        app = Deaf()
        async with served(app, **files) as server, connected(server, context) as client:  # type: ignore[arg-type]
            await client.send(get("/spalloc/proxy/1", *UPGRADE))
            assert b" 101 " in await client.reader.readuntil(b"\r\n\r\n")
            own = client.writer.transport
            own.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
            sent, message = 0, b"\x82\xfe\x20\x00" + bytes(4 + 8192)
            with contextlib.suppress(TimeoutError):
                while sent < 4_000_000:
                    own.write(message)
                    sent += len(message)
                    async with asyncio.timeout(0.5):
                        while own.get_write_buffer_size():  # noqa: ASYNC110
                            await asyncio.sleep(0)
            assert sent < 700_000

    run(main())

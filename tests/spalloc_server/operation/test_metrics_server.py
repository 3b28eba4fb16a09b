"""The monitoring pages' HTTP server, on a real socket."""

import asyncio
import contextlib

import pytest

from spalloc_server.clock import SystemClock
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.timekeeping import Delays
from spalloc_server.measures import Durations
from spalloc_server.operation import metrics_server
from spalloc_server.operation.metrics_server import (
    LONGEST_REQUEST_BYTES,
    MOST_CONNECTIONS,
    Answer,
    MetricsServer,
)
from spalloc_server.presence import Presence


def _broken() -> Answer:
    raise RuntimeError("no")


PAGES = {"/a": lambda: Answer(200, b"hello\n"), "/broken": _broken}


def served(refusal: str | None = None) -> MetricsServer:
    return MetricsServer(
        PAGES, lambda _address: refusal, Presence(SystemClock(), Delays(), Durations()), Neighbours()
    )


async def _asked(*requests: bytes, refusal: str | None = None) -> list[bytes]:
    server = served(refusal)
    host, port = await server.start(["127.0.0.1"], 0)
    answers = []
    try:
        for request in requests:
            reader, writer = await asyncio.open_connection(host, port)
            for part in (request[:5], request[5:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            answers.append(await asyncio.wait_for(reader.read(), 10))
            writer.close()
        return answers
    finally:
        await server.stop()


def _one(request: bytes, refusal: str | None = None) -> bytes:
    return asyncio.run(_asked(request, refusal=refusal))[0]


def test_a_page_is_answered_and_the_connection_closed() -> None:
    assert _one(b"GET /a?x=1 HTTP/1.1\r\nHost: x\r\n\r\n") == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n"
        b"Connection: close\r\n\r\nhello\n"
    )


def test_head_is_answered_without_a_body() -> None:
    answer = _one(b"HEAD /a HTTP/1.0\r\n\r\n")
    assert b"Content-Length: 6" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /b HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST /a HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b'{"command": "version"}\r\n\r\n', b"400 Bad Request"),
        (b"\x00\xff\r\n\r\n", b"400 Bad Request"),
        (b"GET /" + b"a" * LONGEST_REQUEST_BYTES, b"400 Bad Request"),
        (b"GET /broken HTTP/1.1\r\n\r\n", b"500 Internal Server Error"),
        (b"GET /\xff\xfe HTTP/1.1\r\n\r\n", b"404 Not Found"),
    ],
)
def test_what_cannot_be_answered_is_told_so(request_bytes: bytes, status: bytes) -> None:
    assert _one(request_bytes).startswith(b"HTTP/1.1 " + status)


def test_who_may_not_connect_is_told_so() -> None:
    assert _one(b"GET /a HTTP/1.1\r\n\r\n", refusal="not you").endswith(b"\r\n\r\nnot you\n")


def test_the_server_goes_on_after_bad_requests() -> None:
    good = b"GET /a HTTP/1.1\r\n\r\n"
    assert asyncio.run(_asked(b"\r\n\r\n", good))[1].endswith(b"hello\n")


async def _page(host: str, port: int, local: str) -> bytes:
    """What a client at an address of this computer is answered; nothing if it is cut off."""
    reader, writer = await asyncio.open_connection(host, port, local_addr=(local, 0))
    try:
        writer.write(b"GET /a HTTP/1.1\r\n\r\n")
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_silent_connections_keep_nobody_from_the_metrics_and_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        server = served()
        host, port = await server.start(["127.0.0.1"], 0)
        held = [await asyncio.open_connection(host, port) for _ in range(MOST_CONNECTIONS * 2)]
        other = await asyncio.open_connection(host, port, local_addr=("127.0.0.3", 0))
        for local in ("127.0.0.1", "127.0.0.2"):
            assert (await _page(host, port, local)).endswith(b"hello\n")
        # Only those of the address that has most were cut off.
        other[1].write(b"GET /a HTTP/1.1\r\n\r\n")
        assert (await asyncio.wait_for(other[0].read(), 10)).endswith(b"hello\n")
        for _, writer in [*held, other]:
            writer.close()
        await server.stop()

    asyncio.run(main())
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("a client at 127.0.0.1 is cut off from the metrics: there are 64 connections")
    assert said[1].endswith("more clients at 127.0.0.1 were cut off from the metrics")
    assert len(said) == 2


def test_a_client_that_takes_too_long_is_cut_off_and_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server, "REQUEST_SECONDS", 0.05)

    async def main() -> None:
        server = served()
        host, port = await server.start(["127.0.0.1"], 0)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await server.stop()

    asyncio.run(main())
    assert "cut off from the metrics: it did not end its request within 0.05 s" in caplog.text


def test_who_may_not_connect_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    _one(b"GET /a HTTP/1.1\r\n\r\n", refusal="not you")
    assert "a client at 127.0.0.1 is refused the metrics: not you" in caplog.text


def test_the_configured_prefix_says_who_is_one_client(caplog: pytest.LogCaptureFixture) -> None:
    neighbours = Neighbours()
    server = MetricsServer(
        PAGES, lambda _address: "not you", Presence(SystemClock(), Delays(), Durations()), neighbours
    )

    async def ask() -> None:
        for number in range(1, 4):
            server.answer(b"GET /a HTTP/1.1\r\n\r\n", f"2001:db8:0:{number}::1")

    asyncio.run(ask())
    assert len(caplog.messages) == 3
    caplog.clear()
    neighbours.ipv6_prefix = 32
    asyncio.run(ask())
    assert len(caplog.messages) == 1

"""What the HTTP server refuses before its application hears of it, on real sockets: malformed, large, slow."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from spalloc_server.fronts.http.connections import strict
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.settings import LONGEST_HEAD_BYTES, MOST_HEADERS, Limits
from spalloc_server.runtime import run
from tests.spalloc_server.fronts.http.test_origin import named
from tests.spalloc_server.fronts.http.wire import UPGRADE, App, Client, connected, get, served, until


@pytest.fixture(autouse=True)
def few_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict, "LAST_WORDS_SECONDS", 0.2)


QUICK = Limits(request_seconds=0.3, slow_reader_seconds=0.3)


def with_client(act: Callable[[HttpServer, App, Client], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        app = App()
        async with served(app, **settings) as server, connected(server) as client:
            await act(server, app, client)

    run(main())


def refused(request: bytes) -> tuple[int, App]:
    """Return the status of the only answer to a request; the connection must be closed after it."""
    found: list[tuple[int, App]] = []

    async def act(_server: HttpServer, app: App, client: Client) -> None:
        await client.send(request)
        status, headers, _ = await client.answer()
        assert headers["connection"] == "close"
        assert await client.rest() == b""
        found.append((status, app))

    with_client(act)
    return found[0]


CHUNKED = "Transfer-Encoding: chunked"


def post(*headers: str, body: str = "", version: str = "1.1", path: str = "/echo") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/{version}", "Host: here", *headers, "", body]).encode("latin-1")


MALFORMED = {
    "both lengths": post("Content-Length: 5", CHUNKED, body="0\r\n\r\n"),
    "both lengths, the other way round": post(CHUNKED, "Content-Length: 5", body="0\r\n\r\n"),
    "two lengths that differ": post("Content-Length: 5", "Content-Length: 6", body="12345"),
    "two lengths that are the same": post("Content-Length: 5", "Content-Length: 5", body="12345"),
    "a length with a sign": post("Content-Length: +5", body="12345"),
    "a negative length": post("Content-Length: -5", body="12345"),
    "a list of lengths": post("Content-Length: 5, 5", body="12345"),
    "a hexadecimal length": post("Content-Length: 0x5", body="12345"),
    "a length that is too large for 64 bits": post("Content-Length: 18446744073709551621", body="12345"),
    "another coding": post("Transfer-Encoding: xchunked", body="5\r\n12345\r\n0\r\n\r\n"),
    "two codings": post("Transfer-Encoding: chunked, identity", body="5\r\n12345\r\n0\r\n\r\n"),
    "two codings in two headers": post(CHUNKED, "Transfer-Encoding: identity", body="0\r\n\r\n"),
    "no coding": post("Transfer-Encoding: ", body="0\r\n\r\n"),
    "a coding in quotation marks": post('Transfer-Encoding: "chunked"', body="0\r\n\r\n"),
    "a length with something after it": post("Content-Length: 5;", body="12345"),
    "no length": post("Content-Length: ", body=""),
    "chunked twice": post(CHUNKED, CHUNKED, body="5\r\n12345\r\n0\r\n\r\n"),
    "a coding after a tab and a control character": post("Transfer-Encoding: \x0bchunked", body="0\r\n\r\n"),
    "a space before the colon": post("Transfer-Encoding : chunked", body="0\r\n\r\n"),
    "a chunk's size with 0x": post(CHUNKED, body="0x5\r\n12345\r\n0\r\n\r\n"),
    "a chunk's size with a sign": post(CHUNKED, body="+5\r\n12345\r\n0\r\n\r\n"),
    "a chunk's size with an underscore": post(CHUNKED, body="0_5\r\n12345\r\n0\r\n\r\n"),
    "a chunk that is too long": post(CHUNKED, body="5\r\n123456\r\n0\r\n\r\n"),
    "chunks ended by LF alone": post(CHUNKED, body="5\n12345\n0\n\n"),
    "a chunk's size of 17 digits": post(CHUNKED, body="10000000000000005\r\n12345\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": post(CHUNKED, body="5\r\n12345\r\n0\r\n\r\n", version="1.0"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host in HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
    "two hosts": get("/", "Host: there"),
    "the same host twice": get("/", "Host: here"),
    "an empty host": get(host=""),
    "a host with more in it": get(host="a b@c/d"),
    "a host with a user": get(host="me@here"),
    "a list of hosts": get(host="here, there"),
    "a host with a port that is none": get(host="here:http"),
    "a host in brackets that is no address": get(host="[here]"),
    "a folded header": b"GET / HTTP/1.1\r\nHost: here\r\nX: a\r\n b\r\n\r\n",
    "lines ended by LF alone": b"GET / HTTP/1.1\nHost: here\n\n",
    "a CR in a header": b"GET / HTTP/1.1\r\nHost: here\r\nX: a\rb\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: here\r\nX: a\0b\r\n\r\n",
    "a space in a header's name": b"GET / HTTP/1.1\r\nHost: here\r\nX Y: a\r\n\r\n",
    "a space before the first header": b"GET / HTTP/1.1\r\n Host: here\r\nHost: here\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: here\r\n: a\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: here\r\nX\r\n\r\n",
    "another version": b"GET / HTTP/1.9\r\nHost: here\r\n\r\n",
    "a version to come": b"GET / HTTP/2.0\r\nHost: here\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "a version in lower case": b"GET / http/1.1\r\nHost: here\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\nHost: here\r\n\r\n",
    "a method that nobody knows": b"SPALLOC / HTTP/1.1\r\nHost: here\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\nHost: here\r\n\r\n",
    "v1": b'{"command": "version"}\n',
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "the address of another host": get("http://there/"),
    "the address of another port": get("http://here:81/"),
    "a user in the address": get("http://me@here/"),
    "an address with a fragment": get("/#x"),
    "an address that is no path": get("x"),
    "an address that isn't ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: here\r\n\r\n",
    "a tunnel": b"CONNECT here:443 HTTP/1.1\r\nHost: here\r\n\r\n",
    "a websocket with a body": get("/", *UPGRADE, "Content-Length: 5") + b"12345",
    "a websocket by POST": get("/", *UPGRADE).replace(b"GET", b"POST", 1),
    "a websocket with data ahead": get("/", *UPGRADE) + b"\x82\x80\0\0\0\0",
    # What h11's own tests refuse, and is not above.
    "a tab before the colon": post("Transfer-Encoding\t: chunked", body="0\r\n\r\n"),
    "more after the version": b"GET / HTTP/1.1 xxxxxx\r\nHost: here\r\n\r\n",
    "a NUL in the host": get(host="he\0re"),
    "a NUL in the path": b"GET /a\0b HTTP/1.1\r\nHost: here\r\n\r\n",
    "a space in the path": b"GET /a b HTTP/1.1\r\nHost: here\r\n\r\n",
    "a DEL in the path": b"GET /a\x7fb HTTP/1.1\r\nHost: here\r\n\r\n",
    "a byte above ASCII in the path": b"GET /a\xeeb HTTP/1.1\r\nHost: here\r\n\r\n",
    "a chunk's size of a hundred digits": post(CHUNKED, body="9" * 100 + "\r\n12345\r\n0\r\n\r\n"),
    "a chunk's size with a NUL": post(CHUNKED, body="5\0\r\n12345\r\n0\r\n\r\n"),
    "a chunk without an end": post(CHUNKED, body="3\r\n123__1a\r\n"),
    "a chunk with half an end": post(CHUNKED, body="3\r\n123\r_1a\r\n"),
    "a chunk with the other half": post(CHUNKED, body="3\r\n123_\n1a\r\n"),
    "lengths that differ in one header": post("Content-Length: 1, 2", body="12345"),
    "a length that is a word": post("Content-Length: asdf", body="12345"),
    "a length with a space in it": post("Content-Length: 1 2", body="12345"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_refused_and_its_connection_closed(what: str) -> None:
    status, app = refused(MALFORMED[what])
    assert status == 400
    # A fault in a body shows when its head has been taken.
    assert app.asked in ([], ["/echo"] if b"POST" in MALFORMED[what] else [])


HEADERS = [f"X-{number}: {'x' * 100}" for number in range(1000)]
TOO_LARGE = {
    "an address": get("/" + "x" * LONGEST_HEAD_BYTES),
    "a header": get("/", "X: " + "x" * 70_000),
    "a header of a megabyte": get("/", "X: " + "x" * 1_000_000),
    "headers": get("/", *HEADERS[: LONGEST_HEAD_BYTES // 100]),
    "the number of headers": get("/", *[f"X: {number}" for number in range(MOST_HEADERS)]),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_a_head_that_is_too_large_is_refused(what: str) -> None:
    status, app = refused(TOO_LARGE[what])
    assert (status, app.asked) == (431, [])


VALID = {
    "a path and a query": (get("/a%20b?c=d"), b"127.0.0.1 http here /a b?c=d"),
    "a host with a port": (get(host="here:8080"), b"127.0.0.1 http here:8080 /?"),
    "an IPv6 host": (get(host="[::1]:80"), b"127.0.0.1 http [::1]:80 /?"),
    "its own address in full": (get("http://HERE/a?b"), b"127.0.0.1 http here /a?b"),
    "its own address without a path": (get("http://here"), b"127.0.0.1 http here /?"),
    "a body": (post("Content-Length: 5", body="12345"), b"12345"),
    "a body of 50 KB": (post("Content-Length: 50000", body="x" * 50_000), b"x" * 50_000),
    "chunks": (post(CHUNKED, body="5;x=y\r\n12345\r\n1\r\n6\r\n0\r\nX: y\r\n\r\n"), b"123456"),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: here\r\n\r\n", b"127.0.0.1 http here /?"),
    "a wish for HTTP/2": (get("/", "Connection: Upgrade", "Upgrade: h2c"), b"127.0.0.1 http here /?"),
    "a head that is just short enough": (
        get("/", "X: " + "x" * (LONGEST_HEAD_BYTES - 60)),
        b"127.0.0.1 http here /?",
    ),
    "all the headers that there may be": (
        get("/", *[f"X: {number}" for number in range(MOST_HEADERS - 1)]),
        b"127.0.0.1 http here /?",
    ),
}


@pytest.mark.parametrize("what", VALID)
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_a_valid_request_is_served_however_it_is_cut(what: str, pieces: int) -> None:
    request, body = VALID[what]

    async def act(_server: HttpServer, _app: App, client: Client) -> None:
        size = len(request) // pieces + 1
        for at in range(0, len(request), size):
            await client.send(request[at : at + size])
            await asyncio.sleep(0)
        assert (await client.answer())[::2] == (200, body)

    with_client(act)


def test_a_connection_is_kept_and_its_answers_are_dated() -> None:
    async def act(server: HttpServer, _app: App, client: Client) -> None:
        for number in range(5):
            status, headers, body = await client.ask(f"/{number}")
            assert (status, body) == (200, f"127.0.0.1 http here /{number}?".encode())
            assert headers["date"].endswith("gmt")
            assert "server" not in headers
        assert (server.connections, server.requests) == (1, {("GET", 200): 5})

    with_client(act)


def test_headers_after_a_body_are_not_taken_for_headers_of_the_request() -> None:
    async def act(_server: HttpServer, _app: App, client: Client) -> None:
        body = "0\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Host: evil\r\nHost: evil\r\n\r\n"
        await client.send(post("X-Forwarded-For: 1.2.3.4", CHUNKED, body=body, path="/"))
        assert (await client.answer())[::2] == (200, b"1.2.3.4 http here /?")
        assert (await client.ask())[0] == 200

    with_client(act, proxies=named("127.0.0.1"))


@pytest.mark.parametrize("endless", ["0\r\nX: ", "5;"])
def test_what_stands_between_chunks_and_after_them_has_an_end(endless: str) -> None:
    async def act(_server: HttpServer, app: App, client: Client) -> None:
        await client.send(post(CHUNKED, body=f"1\r\nx\r\n{endless}"))
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await client.send(b"x" * 10_000)
        await asyncio.wait_for(app.left.wait(), 10)

    with_client(act)


def test_an_answer_goes_out_in_one_piece_also_as_the_connection_ends() -> None:
    async def main() -> None:
        servers: list[HttpServer] = []

        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            await send({"type": "http.response.body", "body": b"done"})
            for connection in list(servers[0]._connections):
                connection.shutdown()

        async with served(app) as server:  # type: ignore[arg-type]
            servers.append(server)
            loop = asyncio.get_running_loop()
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, server.addresses[0])
                await loop.sock_sendall(client, get())
                assert (await loop.sock_recv(client, 10_000)).endswith(b"\r\n\r\ndone")
                assert await loop.sock_recv(client, 10_000) == b""

    run(main())


def test_a_websocket_may_follow_requests_on_the_same_connection() -> None:
    async def act(_server: HttpServer, _app: App, client: Client) -> None:
        assert (await client.ask())[0] == 200
        assert (await client.ask("/proxy", *UPGRADE))[0] == 101
        await client.send(b"\x82\x81\0\0\0\0a")
        assert await client.reader.readexactly(3) == b"\x82\x01a"

    with_client(act)


def test_a_request_ahead_of_its_turn_is_not_answered_in_place_of_the_one_before() -> None:
    async def act(_server: HttpServer, app: App, client: Client) -> None:
        await client.send(get("/wait"))
        await app.began.wait()
        await client.send(get("/smuggled") + b"nonsense\r\n\r\n")
        # The client leaves: nothing was answered, and the application has heard of it.
        client.writer.write_eof()
        assert await client.rest() == b""
        await app.left.wait()
        assert app.asked == ["/wait"]

    with_client(act)


def test_of_two_requests_at_once_the_first_is_answered_and_the_second_is_to_be_sent_again() -> None:
    async def act(_server: HttpServer, app: App, client: Client) -> None:
        await client.send(get("/first") + get("/second"))
        status, headers, body = await client.answer()
        assert (status, headers["connection"], body) == (200, "close", b"127.0.0.1 http here /first?")
        assert await client.rest() == b""
        assert app.asked == ["/first"]

    with_client(act)


def test_a_silent_connection_is_closed_without_a_word() -> None:
    async def act(_server: HttpServer, _app: App, client: Client) -> None:
        assert await client.rest() == b""

    with_client(act, limits=QUICK)


@pytest.mark.parametrize(
    "part",
    [b"GET / HTTP/1.1\r\nHost: he", post("Content-Length: 10", body="12345"), post(CHUNKED, body="5\r\n12")],
)
def test_half_a_request_is_cut_off_in_time(part: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def act(server: HttpServer, _app: App, client: Client) -> None:
        await client.send(part)
        assert (await client.answer())[0] == 408
        assert await client.rest() == b""
        assert server.cut_off == 1

    with caplog.at_level(logging.WARNING):
        with_client(act, limits=QUICK)
    assert "is cut off from HTTP: it did not send the" in caplog.text
    assert "Exception" not in caplog.text


async def time_for_a_request(server: HttpServer) -> None:
    """Wait for as long as a request may take, and a little longer."""
    async with connected(server) as silent:
        await silent.rest()


async def twice(wait: Callable[[HttpServer], Awaitable[None]], server: HttpServer) -> None:
    await wait(server)
    await wait(server)


def test_the_time_for_a_request_begins_with_its_first_byte() -> None:
    async def act(server: HttpServer, _app: App, client: Client) -> None:
        await client.ask()
        await time_for_a_request(server)
        assert (await client.ask())[0] == 200

    with_client(act, limits=QUICK)


def test_a_body_may_take_long_if_it_comes_fast_enough() -> None:
    async def act(server: HttpServer, _app: App, client: Client) -> None:
        await client.send(post(CHUNKED))
        long = asyncio.create_task(twice(time_for_a_request, server))
        sent = 0
        async with connected(server) as other:
            while not long.done() or sent < 3:
                await client.send(b"64\r\n" + b"x" * 100 + b"\r\n")
                sent += 1
                # Not all at once.
                await other.ask()
        await client.send(b"0\r\n\r\n")
        assert (await client.answer())[::2] == (200, b"x" * 100 * sent)

    with_client(act, limits=QUICK)


def test_whoever_does_not_read_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    async def act(server: HttpServer, _app: App, client: Client) -> None:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(get("/large"))
        await until(lambda: not server.connections)
        assert server.cut_off == 1

    with caplog.at_level(logging.WARNING):
        with_client(act, limits=QUICK)
    assert "did not read what was sent to it" in caplog.text


def test_a_body_that_is_refused_may_end_and_the_connection_goes_on() -> None:
    async def act(_server: HttpServer, _app: App, client: Client) -> None:
        await client.send(post("Content-Length: 300000", body="x" * 100_000, path="/refuse"))
        assert (await client.answer())[0] == 413
        await client.send(b"x" * 200_000)
        assert (await client.ask())[0] == 200

    with_client(act)


def test_a_body_that_is_refused_and_does_not_end_is_cut_off() -> None:
    async def act(_server: HttpServer, _app: App, client: Client) -> None:
        await client.send(post("Content-Length: 300000", body="x" * 100_000, path="/refuse"))
        assert (await client.answer())[0] == 413
        assert await client.rest() == b""

    with_client(act)


def test_the_application_is_told_when_a_client_leaves() -> None:
    async def act(server: HttpServer, app: App, client: Client) -> None:
        await client.send(get("/wait"))
        await app.began.wait()
        client.close()
        await app.left.wait()
        assert app.waiting == 0

    with_client(act)


def test_a_websocket_is_opened_and_echoes() -> None:
    async def act(server: HttpServer, app: App, client: Client) -> None:
        status, headers, _ = await client.ask("/proxy?a=b", *UPGRADE)
        assert (status, headers["upgrade"]) == (101, "websocket")
        await client.send(b"\x82\x83\0\0\0\0abc")
        assert await client.reader.readexactly(5) == b"\x82\x03abc"
        assert server.connections == 1
        client.close()
        await until(lambda: not server.connections)

    with_client(act)


def test_nonsense_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def act(server: HttpServer, _app: App, client: Client) -> None:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.answer())[0] == 400
        assert server.requests == {("", 400): 1}

    with caplog.at_level(logging.INFO):
        with_client(act)
    assert caplog.text == ""

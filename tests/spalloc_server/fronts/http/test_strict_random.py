"""Requests made at random, fed to the protocol class as the network may cut them; without a network."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.clock import SystemClock
from spalloc_server.core.networks import Neighbours
from spalloc_server.core.timekeeping import Delays
from spalloc_server.fronts.http.connections.server import HttpServer
from spalloc_server.fronts.http.connections.strict import Strict
from spalloc_server.fronts.http.origin import is_host
from spalloc_server.fronts.http.settings import HttpSettings
from spalloc_server.measures import Durations
from spalloc_server.presence import Presence
from tests.examples import examples
from tests.spalloc_server.fronts.http.test_strict import MALFORMED, VALID
from tests.spalloc_server.fronts.http.wire import get

Outcome = tuple[bytes, tuple[tuple[str, bytes], ...], bool]
"""What was answered, the paths and bodies that the application was asked for, and whether the connection is closed."""


class Transport(asyncio.Transport):
    """What a client would see."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


def outcome(pieces: Sequence[bytes]) -> Outcome:
    """What comes of a connection over which these bytes come, all else being done between them."""
    asked: list[tuple[str, bytes]] = []

    async def app(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        if scope["type"] == "websocket":
            return
        (host,) = [value for name, value in scope["headers"] if name == b"host"]
        assert is_host(host.decode())
        assert scope["path"].startswith("/")
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        asked.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def main() -> Outcome:
        presence = Presence(SystemClock(), Delays(), Durations())
        server = HttpServer(app, HttpSettings(), presence, Neighbours())
        server._config.load()
        server._state.default_headers[:] = []
        protocol = Strict(server, server._config, server._state, "127.0.0.1")
        protocol.group = server._crowd.enter(protocol, "127.0.0.1")
        transport = Transport()
        protocol.connection_made(transport)
        for piece in pieces:
            if not transport.closed:
                protocol.data_received(piece)
            for _ in range(12):
                await asyncio.sleep(0)
        found = (transport.written, tuple(asked), transport.closed)
        transport.close()
        protocol.connection_lost(None)
        await asyncio.gather(*server._state.tasks)
        return found

    return asyncio.run(main())


def cut(request: bytes, places: Sequence[int]) -> list[bytes]:
    bounds = sorted({place % (len(request) + 1) for place in places} | {0, len(request)})
    return [request[begin:end] for begin, end in pairwise(bounds)]


PLACES = st.lists(st.integers(0, 100_000), max_size=6)
# What the parser has not asked for when it stops is left unread, and what is cut may be that.
CUT_DIFFERENTLY = {"a websocket with data ahead", "a websocket with a body", "a wish for HTTP/2"}
REQUESTS = {
    **{name: request for name, request in MALFORMED.items() if name not in CUT_DIFFERENTLY},
    **{name: request for name, (request, _) in VALID.items() if name not in CUT_DIFFERENTLY},
}


def shape(found: Outcome) -> tuple[list[bytes], tuple[tuple[str, bytes], ...], bool]:
    """The statuses, and the rest of an outcome."""
    answers, asked, closed = found
    return re.findall(rb"HTTP/1\.1 (\d+)", answers), asked, closed


@given(st.sampled_from(sorted(REQUESTS)), PLACES)
@examples(150)
def test_what_comes_of_a_request_does_not_depend_on_how_it_is_cut(name: str, places: list[int]) -> None:
    request = REQUESTS[name]
    assert shape(outcome(cut(request, places))) == shape(outcome([request]))


BYTES = st.sampled_from([b"", b"\r\n", b"\n", b" ", b"\0", b":", b"0", b"\xff", b","])
CHANGES = st.lists(st.tuples(st.integers(0, 100_000), BYTES), min_size=1, max_size=4)


@given(st.sampled_from(sorted(REQUESTS)), CHANGES, PLACES)
@examples(150)
def test_whatever_is_changed_in_a_request_it_is_answered_once_refused_or_waited_for(
    name: str, changes: list[tuple[int, bytes]], places: list[int]
) -> None:
    request = bytearray(REQUESTS[name])
    for place, new in changes:
        at = place % (len(request) + 1)
        request[at : at + 1] = new
    answers, asked, closed = outcome(cut(bytes(request), places))
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert len(statuses) <= len(asked) + 1
    assert statuses.count(b"200") <= len(asked)
    assert closed or not statuses or statuses[-1] == b"200" or b"connection: close" in answers


@given(st.binary(max_size=300), PLACES)
@examples(150)
def test_nonsense_is_never_asked_of_the_application(nonsense: bytes, places: list[int]) -> None:
    answers, asked, _ = outcome(cut(b"\x16" + nonsense, places))
    assert not asked
    assert not answers or answers.startswith(b"HTTP/1.1 4")


def test_nothing_of_this_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for request in REQUESTS.values():
            outcome([request])
    assert caplog.text == ""


def test_of_requests_one_after_the_other_each_is_answered() -> None:
    answers, asked, closed = outcome([get("/1"), get("/2"), get("/3")])
    assert (answers.count(b"HTTP/1.1 200"), [path for path, _ in asked], closed) == (
        3,
        ["/1", "/2", "/3"],
        False,
    )

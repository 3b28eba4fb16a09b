"""What a client may send over a websocket, however it is cut into frames, and what that costs others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from spalloc_server.fronts.http.connections.frames import MOST_FRAGMENTS, MOST_PINGS, PARSED_A_TURN, WebSocket
from tests.spalloc_server.fronts.http.wire import UPGRADE, App, Client, connected, served, until

PING, PONG = b"\x89\x80\0\0\0\0", b"\x8a\x80\0\0\0\0"
MESSAGE = b"\x82\x84\0\0\0\0"
BEGUN, PART = b"\x02\x80\0\0\0\0", b"\x00\x80\0\0\0\0"
BROKE_THE_RULES = b"\x03\xf0"
"""The code of a close frame, 1008."""


def over_a_websocket(act: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        app = App()
        async with asyncio.timeout(60), served(app) as server, connected(server) as client:
            status, _, _ = await client.ask("/proxy", *UPGRADE)
            assert status == 101
            await act(client)
            client.close()
            await until(lambda: not server.connections and not app.websockets)

    asyncio.run(main())


def test_thousands_of_messages_in_one_read_are_parsed_as_they_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = []
    receive = WebSocket.receive

    async def noted(self: WebSocket) -> object:
        waiting.append(self.queue.qsize())
        return await receive(self)

    monkeypatch.setattr(WebSocket, "receive", noted)
    count = 20_000

    async def act(client: Client) -> None:
        sent = [index.to_bytes(4, "big") for index in range(count)]
        sending = asyncio.create_task(client.send(b"".join(MESSAGE + data for data in sent)))
        got = await client.reader.readexactly(6 * count)
        await sending
        assert [got[at + 2 : at + 6] for at in range(0, 6 * count, 6)] == sent

    over_a_websocket(act)
    assert max(waiting) <= PARSED_A_TURN // len(MESSAGE + b"data") + 1


def test_a_client_that_only_pings_is_answered_and_then_cut_off() -> None:
    async def act(client: Client) -> None:
        await client.send(PING * (MOST_PINGS + 1))
        rest = await client.rest()
        assert rest[: 2 * MOST_PINGS] == b"\x8a\x00" * MOST_PINGS
        assert BROKE_THE_RULES in rest[2 * MOST_PINGS :]

    over_a_websocket(act)


def test_a_client_that_goes_on_all_the_same_is_read_no_more() -> None:
    async def act(client: Client) -> None:
        sending = asyncio.create_task(client.send(PING * 1_000_000))
        await client.rest()
        sending.cancel()

    over_a_websocket(act)


@pytest.mark.parametrize("what", [PONG * (MOST_PINGS + 1), BEGUN + PART * MOST_FRAGMENTS])
def test_frames_that_bring_no_message_nearer_have_an_end(what: bytes) -> None:
    async def act(client: Client) -> None:
        await client.send(what)
        assert (await client.rest())[2:].startswith(BROKE_THE_RULES)

    over_a_websocket(act)


def test_a_message_may_come_in_parts() -> None:
    async def act(client: Client) -> None:
        await client.send(b"\x02\x81\0\0\0\0a" + PING + b"\x00\x81\0\0\0\0b" + b"\x80\x81\0\0\0\0c")
        assert await client.reader.readexactly(7) == b"\x8a\x00\x82\x03abc"

    over_a_websocket(act)

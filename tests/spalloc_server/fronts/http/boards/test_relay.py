"""A websocket reaches the boards that its job holds now, and ends when the job loses them or the login ends."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus

from spalloc_server.core.administration import Drain
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.core.effects import BoardKey
from spalloc_server.fronts.http.boards import websocket
from spalloc_server.fronts.http.boards.messages import (
    Answer,
    Close,
    Closed,
    Failed,
    Listen,
    Listening,
    Message,
    MessageTo,
    Open,
    Opened,
    decode_answer,
)
from spalloc_server.fronts.http.boards.relay import SESSION_ENDED
from spalloc_server.fronts.http.connections.frames import PARSED_A_TURN
from spalloc_server.fronts.http.settings import Limits
from spinnaker.geometry import Size
from spinnaker.memory_map import SDRAM
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest, SoftwareVersion
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from tests.spalloc_server.fronts.http.site import (
    HOST,
    PATIENCE,
    VERSION,
    ClientConnection,
    ServedSite,
    served_site,
)
from tests.spinnaker_virtual.images import scamp_image


def run(task: Callable[[ServedSite], Awaitable[None]], **options: Any) -> None:
    async def on_a_site() -> None:
        async with served_site(**options) as site:
            await task(site)

    asyncio.run(on_a_site())


async def ask(client: ClientConnection, request: Any) -> Answer:
    await client.send(request.encode())
    return await hear(client)


async def hear(client: ClientConnection) -> Answer:
    answer = await asyncio.wait_for(client.recv(), PATIENCE)
    assert isinstance(answer, bytes)
    return decode_answer(answer)


async def opened(client: ClientConnection, x: int, y: int, port: int = SDP_PORT) -> int:
    answer = await ask(client, Open(5, x, y, port))
    assert isinstance(answer, Opened), answer
    return answer.channel


async def closing(client: ClientConnection) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed) as caught:
        await asyncio.wait_for(client.recv(), PATIENCE)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


async def status_of(handshake: Any) -> tuple[int, str, Any]:
    with pytest.raises(InvalidStatus) as caught:
        async with handshake:
            pass
    response = caught.value.response
    return response.status_code, (response.body or b"").decode(), response.headers


def test_a_machine_is_booted_and_asked_for_its_version_through_the_proxy() -> None:
    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 3)
        async with site.connect(job, "alice") as client:
            boot = await opened(client, 0, 0, 54321)
            for packet in scamp_image().packets():
                await client.send(Message(boot, packet.encode()).encode())
            assert await ask(client, Close(6, boot)) == Closed(6, boot)
            for x, y in site.boards(job).addresses:
                channel = await opened(client, x, y)
                answer = await ask(client, Message(channel, VERSION))
                assert isinstance(answer, Message)
                assert answer.channel == channel
                version = SoftwareVersion.decode(ScpReply.decode(answer.data).data)
                assert version.place >> 16 == x << 8 | y
            listener = await ask(client, Listen(7))
            assert isinstance(listener, Listening)
            answer = await ask(client, MessageTo(listener.channel, 8, 4, SDP_PORT, VERSION))
            assert isinstance(answer, Message)
            assert answer.channel == listener.channel
            assert (site.proxy.websockets, site.proxy.channels) == (1, 4)

    run(task)


def test_who_has_not_logged_in_or_may_not_use_the_job_gets_no_websocket() -> None:
    async def task(site: ServedSite) -> None:
        site.sessions.roles |= {"root": Role.ADMINISTRATOR, "looks": Role.READER}
        job = await site.create("alice", 1)
        status, why, _ = await status_of(site.connect(job, None))
        assert status == 401
        assert why.startswith("log in required: on the page")
        for name, number in (("bob", job), ("alice", job + 1), ("alice", 10**30)):
            status, why, _ = await status_of(site.connect(number, name))
            assert (status, why) == (404, "no such job")
        async with site.connect(job, "root") as client:
            await opened(client, 0, 0)
        site.sessions.log_out("alice")
        status, _, _ = await status_of(site.connect(job, "alice"))
        assert status == 401

    run(task)


def test_nothing_is_compressed_though_a_client_offers_it() -> None:
    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 1)
        async with site.connect(job, "alice", compression="deflate") as client:
            assert client.request is not None
            assert client.response is not None
            assert "permessage-deflate" in client.request.headers["Sec-WebSocket-Extensions"]
            assert "Sec-WebSocket-Extensions" not in client.response.headers

    run(task)


def test_a_job_without_boards_gets_a_websocket_that_is_closed_at_once() -> None:
    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 3)
        queued = await site.create("alice", 3, ready=False)
        async with site.connect(queued, "alice") as client:
            assert await closing(client) == (1011, f"job {queued} has no boards now")
        site.destroy(queued, "alice")
        site.power(job, "alice", on=False)
        async with site.connect(job, "alice") as client:
            assert await closing(client) == (1011, f"the boards of job {job} are switched off")
        site.destroy(job, "alice", "enough")
        async with site.connect(job, "alice") as client:
            assert await closing(client) == (1011, f"job {job} was destroyed: enough")

    run(task)


@pytest.mark.parametrize("how", ["destroyed", "switched off", "moved"])
def test_a_websocket_ends_when_its_job_loses_its_boards_and_not_one_packet_reaches_them_after(
    how: str,
) -> None:
    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 1)
        await site.boot(job)
        (board,) = site.boards(job).boards
        async with site.connect(job, "alice") as client:
            channel = await opened(client, 0, 0)
            assert isinstance(await ask(client, Message(channel, VERSION)), Message)
            heard = requests(site)
            if how == "destroyed":
                site.destroy(job, "alice", "enough")
                why = f"job {job} was destroyed: enough"
            elif how == "switched off":
                site.power(job, "alice", on=False)
                why = f"the boards of job {job} are switched off"
            else:
                site.engine.do(Drain([BoardKey("virtual", board)], "smoke", "root", moves_jobs=True), SERVER)
                why = f"job {job} has other boards than before"
            # The decision is not even on disk yet.
            await client.send(Message(channel, VERSION).encode())
            assert await closing(client) == (1011, why)
        assert requests(site) == heard
        assert site.proxy.channels == 0

    run(task, size=Size(2, 2))


def requests(site: ServedSite) -> int:
    return sum(" > " in line for line in site.packets)


def test_a_websocket_ends_with_the_login_that_it_was_opened_by_and_no_other_does() -> None:
    async def task(site: ServedSite) -> None:
        site.sessions.roles["root"] = Role.ADMINISTRATOR
        job = await site.create("alice", 1)
        await site.boot(job)
        async with site.connect(job, "alice") as mine, site.connect(job, "root") as others:
            await opened(mine, 0, 0)
            channel = await opened(others, 0, 0)
            site.sessions.log_out("alice")
            assert await closing(mine) == (1008, SESSION_ENDED)
            assert isinstance(await ask(others, Message(channel, VERSION)), Message)

    run(task)


def test_a_login_that_has_ended_reaches_no_board_even_before_anybody_is_told_of_its_end() -> None:
    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 1)
        await site.boot(job)
        async with site.connect(job, "alice") as client:
            channel = await opened(client, 0, 0)
            heard = requests(site)
            # As while the disk fails: the end is not told before it is recorded.
            site.sessions.ended.clear()
            site.sessions.log_out("alice")
            await client.send(Message(channel, VERSION).encode())
            assert isinstance(await ask(client, Close(7, channel)), Closed)
            assert requests(site) == heard

    run(task)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("text", 1003),
        (b"", 1007),
        (Open(1, 2, 3, 4).encode()[:-1], 1007),
        (Close(1, 2).encode() + b"x", 1007),
        (Failed(1, "no").encode(), 1007),
        (b"\x06\0\0\0\0\0\0\0", 1011),
        (Message(1, bytes(8185)).encode(), 1009),
    ],
)
def test_a_websocket_whose_client_breaks_the_protocol_is_closed_with_its_channels(
    sent: bytes | str, code: int
) -> None:
    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 1)
        async with site.connect(job, "alice") as client:
            await opened(client, 0, 0)
            await client.send(sent)
            assert (await closing(client))[0] == code
            assert site.proxy.channels == 0

    run(task)


def test_too_many_websockets_are_refused_with_a_sentence_and_when_to_try_again() -> None:
    async def task(site: ServedSite) -> None:
        site.sessions.roles |= {"root": Role.ADMINISTRATOR, "other": Role.ADMINISTRATOR}
        job = await site.create("alice", 1)
        async with site.connect(job, "alice"):
            async with site.connect(job, "alice"):
                status, why, headers = await status_of(site.connect(job, "alice"))
                assert (status, headers["Retry-After"]) == (503, "10")
                assert why == "alice has 2 websockets open, and may have 2; close some first"
                async with site.connect(job, "root"):
                    status, why, _ = await status_of(site.connect(job, "other"))
                    assert status == 503
                    assert why == "all 3 websockets that this server has room for are in use"
                await gone(site, 2)
            await gone(site, 1)
            async with site.connect(job, "alice") as client:
                # A reload changes limits for what comes after it.
                site.proxy.limit(Limits(websockets_of_one_account=1, channels_of_one_websocket=1))
                status, why, _ = await status_of(site.connect(job, "alice"))
                assert (status, why.partition(",")[0]) == (503, "alice has 2 websockets open")
                await opened(client, 0, 0)
                refused = await ask(client, Listen(7))
                assert refused == Failed(7, "this websocket has 1 channel, and may have 1; close some first")

    run(task, limits=Limits(websockets=3, websockets_of_one_account=2))


async def gone(site: ServedSite, left: int) -> None:
    """Wait until the server has noticed that clients left."""
    async with asyncio.timeout(PATIENCE):
        while site.proxy.websockets > left:  # noqa: ASYNC110
            await asyncio.sleep(0)


def test_a_websocket_ends_when_the_server_stops() -> None:
    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 1)
        async with site.connect(job, "alice") as client:
            await opened(client, 0, 0)
            site.proxy.stop()
            assert await closing(client) == (1001, "the server stops")
        status, why, _ = await status_of(site.connect(job, "alice"))
        assert (status, why) == (503, "the server stops")

    run(task)


def test_thousands_of_the_smallest_messages_at_once_are_read_in_several_turns_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces: list[int] = []
    read = WebSocketsSansIOProtocol.data_received

    def noted(protocol: WebSocketsSansIOProtocol, data: bytes) -> None:
        pieces.append(len(data))
        read(protocol, data)

    monkeypatch.setattr(WebSocketsSansIOProtocol, "data_received", noted)

    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 1)
        async with site.connect(job, "alice") as client:
            smallest = b"\x82\x88" + bytes(4) + Message(99, b"").encode()
            client.transport.write(smallest * 10_000)
            assert await ask(client, Close(7, 99)) == Closed(7, 0)
            client.transport.write((b"\x89\x80" + bytes(4)) * 500)  # pings, which nobody has to take
            assert await ask(client, Close(8, 99)) == Closed(8, 0)
        assert sum(pieces) > 10_000 * len(smallest)
        assert max(pieces) <= PARSED_A_TURN

    run(task)


@pytest.mark.slow
def test_a_client_that_takes_nothing_loses_answers_not_the_server_memory_and_in_the_end_its_websocket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(websocket, "PATIENCE_SECONDS", 0.5)

    async def task(site: ServedSite) -> None:
        job = await site.create("alice", 1)
        await site.boot(job)
        read = ScpRequest(SdpHeader(Endpoint(255, 255, 0)), ScampCommand.READ, 1, SDRAM, 256, 0).encode()
        with socket.socket() as small:
            small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            small.connect((HOST, site.port))
            async with site.connect(job, "alice", sock=small) as client:
                channel = await opened(client, 0, 0)
                client.transport.pause_reading()
                with contextlib.suppress(ConnectionClosed):
                    async with asyncio.timeout(PATIENCE):
                        while True:
                            await client.send(Message(channel, read).encode())
                            await asyncio.sleep(0)
                await gone(site, 0)
                assert site.proxy.channels == 0

    run(task)

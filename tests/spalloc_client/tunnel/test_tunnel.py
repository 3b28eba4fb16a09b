"""Tunnels to virtual boards, through the double of the Java service: what programs see, and what is left behind."""

import asyncio
import errno
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import pytest

from spalloc_client.errors import ProtocolError
from spalloc_client.tunnel import loopback
from spinnaker.geometry import Size
from spinnaker.scamp import IpTag, ScampCommand, TagOperation
from spinnaker.scp import ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from tests.spalloc_client.tunnel.reach import Reached, boot, reached
from tests.spalloc_server.fronts.http.site import VERSION
from tests.spinnaker_virtual.conversation import PATIENCE, Conversation

SDRAM = 0x60000000


def run(task: Callable[[Reached], Awaitable[None]], **options: Any) -> None:
    with reached(**options) as job:
        asyncio.run(task(job))


def scp(command: int, *arguments: int, data: bytes = b"", chip: tuple[int, int] = (255, 255)) -> bytes:
    return ScpRequest(SdpHeader(Endpoint(*chip, 0)), command, 1, *arguments, data=data).encode()


async def answers(host: str, port: int = SDP_PORT) -> bool:
    """Whether boards answer at an address; what is lost on the way is asked for again."""
    with Conversation(host, port) as talk:
        for _ in range(20):
            with suppress(TimeoutError):
                return (await talk.ask(VERSION, 1.0)).ok
    return False


def test_boards_are_booted_written_and_read_at_addresses_of_this_computer() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            assert tunnel.connections.keys() == job.boards.keys()
            assert len(set(tunnel.connections.values())) == 3
            assert not set(tunnel.connections.values()) & set(job.boards.values())
            assert tunnel.hostname == tunnel.connections[0, 0]
            await boot(tunnel.hostname)
            for host in tunnel.connections.values():
                with Conversation(host) as talk:
                    assert (await talk.ask(scp(ScampCommand.WRITE, SDRAM, 4, 2, data=b"abcd"))).ok
                    assert (await talk.ask(scp(ScampCommand.READ, SDRAM, 4, 2))).data == b"abcd"
                    assert (await talk.ask(VERSION)).ok

    run(task)


def test_a_blocking_program_does_the_same() -> None:
    with reached() as job:
        threads = set(threading.enumerate())
        with job.blocking_tunnel() as tunnel:
            asyncio.run(boot(tunnel.hostname or ""))
            with tunnel.connect(8, 4) as channel:
                channel.send(VERSION)
                assert b"SC&MP" in channel.receive(PATIENCE)
                with pytest.raises(TimeoutError):
                    channel.receive(0.01)
            assert tunnel.is_connected
        assert set(threading.enumerate()) == threads
        with pytest.raises(RuntimeError, match="not open"):
            tunnel.connect(0, 0).receive()


def test_a_chip_tells_where_its_board_is_on_this_computer() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            await boot(tunnel.connections[0, 0])
            with Conversation(tunnel.connections[8, 4]) as talk:
                said = (await talk.ask(scp(ScampCommand.INFORMATION, chip=(8, 4)))).data
            assert str(IPv4Address(said[32:36])) == tunnel.connections[8, 4]

    run(task)


async def tag_of(job: Reached, chip: tuple[int, int], number: int) -> tuple[str, int]:
    """Where a board itself sends the packets of a tag."""
    with Conversation(job.boards[chip]) as direct:
        said = await direct.ask(scp(ScampCommand.IP_TAG, TagOperation.GET << 16 | number, 1))
        tag = IpTag.decode(said.data)
        return str(IPv4Address(tag.address)), tag.port


async def set_tag(host: str, number: int, port: int) -> None:
    address = int.from_bytes(IPv4Address("127.0.0.1").packed, "little")
    with Conversation(host) as talk:
        assert (await talk.ask(scp(ScampCommand.IP_TAG, TagOperation.SET << 16 | number, port, address))).ok


def test_what_a_board_sends_of_itself_reaches_the_listener_also_after_a_broken_connection() -> None:
    async def task(job: Reached) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
            listener.bind(("127.0.0.1", 0))
            listener.setblocking(False)
            async with job.tunnel() as tunnel:
                await boot(tunnel.connections[0, 0])
                await set_tag(tunnel.connections[4, 8], 1, listener.getsockname()[1])
                before = await tag_of(job, (4, 8), 1)
                assert before != listener.getsockname()
                # An EIEIO packet of two keys of 16 bits.
                spikes = bytes((2, 0x00, 0x34, 0x12, 0x35, 0x12))
                job.sends((4, 8), before, spikes)
                data, sender = await asyncio.wait_for(loop.sock_recvfrom(listener, 100), PATIENCE)
                assert (data, sender) == (spikes, (tunnel.connections[4, 8], SDP_PORT))
                job.break_connections()
                after = before
                async with asyncio.timeout(PATIENCE):
                    while after == before:
                        after = await tag_of(job, (4, 8), 1)
                job.sends((4, 8), after, spikes)
                assert (await asyncio.wait_for(loop.sock_recv(listener, 100), PATIENCE)) == spikes

    run(task)


def test_broken_connections_come_back_also_when_the_session_has_ended() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            await boot(tunnel.connections[0, 0])
            for _ in range(3):
                job.break_connections()
                assert await answers(tunnel.connections[0, 0])
            assert job.knocks == [False] * 4
            job.service.end_sessions()
            while True not in job.knocks:
                assert await answers(tunnel.connections[8, 4])
            assert await answers(tunnel.connections[8, 4])
            assert job.knocks == [*[False] * 5, True]

    run(task)


@pytest.mark.uncounted
def test_a_thousand_broken_connections_lose_neither_the_tunnel_nor_the_job() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            await boot(tunnel.connections[0, 0])
            for number in range(1000):
                job.break_connections()
                assert number % 100 or await answers(tunnel.connections[0, 0])
                await tunnel.until_connected()
            assert await answers(tunnel.connections[0, 0])
        assert job.user.ask("GET", f"srv/spalloc/jobs/{job.number}").json()["state"] == "READY"

    run(task)


def test_27_boards_answer_at_once_over_one_connection() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            await boot(tunnel.connections[0, 0])
            assert all(await asyncio.gather(*map(answers, tunnel.connections.values())))
            assert (len(tunnel.connections), len(job.service.websockets.live)) == (27, 1)

    run(task, boards=24, size=Size(3, 3))


def test_nothing_is_left_behind() -> None:
    async def task(job: Reached) -> None:
        tunnel = job.tunnel(ports=[20000])
        async with tunnel:
            hosts = list(tunnel.connections.values())
        for host in hosts:
            for port in (SDP_PORT, 54321, 20000):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                    again.bind((host, port))
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(task)


def test_two_tunnels_have_addresses_of_their_own() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as one, job.tunnel() as other:
            assert not set(one.connections.values()) & set(other.connections.values())
            await boot(one.connections[0, 0])
            assert await answers(other.connections[8, 4])

    run(task)


def test_where_there_is_one_address_each_board_has_ports_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = loopback._bind

    def as_on_macos(wanted: Any) -> Any:
        if any(host != loopback.ONE_HOST for host, _ in wanted.values()):
            return {}, OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
        return bind(wanted)

    monkeypatch.setattr(loopback, "_bind", as_on_macos)

    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            assert set(tunnel.connections.values()) == {"127.0.0.1"}
            root, other = tunnel.addresses[0, 0], tunnel.addresses[8, 4]
            await boot(*root[SDP_PORT][:1], port=root[SDP_PORT][1], boot_port=root[54321][1])
            assert await answers(*other[SDP_PORT])

    run(task)


def test_a_port_that_a_program_opens_on_a_board_is_opened_here_too() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            await boot(tunnel.connections[0, 0])
            with Conversation(tunnel.connections[8, 4]) as talk:
                reverse = TagOperation.SET << 16 | 1 << 29 | 1 << 28 | 2
                assert (await talk.ask(scp(ScampCommand.IP_TAG, reverse, 12345))).ok
            assert tunnel.addresses[8, 4][12345] == (tunnel.connections[8, 4], 12345)

    run(task)


def test_a_program_can_have_a_channel_without_a_port_of_this_computer() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel() as tunnel:
            await boot(tunnel.connections[0, 0])
            with tunnel.connect(8, 4) as channel:
                channel.send(VERSION)
                assert b"SC&MP" in await channel.receive(PATIENCE)
            for chip, port, trouble in (((1, 1), 17893, "no board"), ((0, 0), 0, "1 to 65535")):
                with pytest.raises(ValueError, match=trouble):
                    tunnel.connect(*chip, port)

    run(task)


def test_without_addresses_a_channel_is_the_only_way() -> None:
    async def task(job: Reached) -> None:
        async with job.tunnel(listens=False) as tunnel:
            assert (tunnel.connections, tunnel.hostname) == ({}, None)
            await boot(job.boards[0, 0])
            with tunnel.connect(8, 4) as channel:
                channel.send(VERSION)
                assert b"SC&MP" in await channel.receive(PATIENCE)

    run(task)


def test_wrong_ports_and_a_job_of_somebody_else_are_refused_in_words() -> None:
    async def task(job: Reached) -> None:
        with pytest.raises(ValueError, match="ports has 70000; a UDP port is 1 to 65535"):
            job.tunnel(ports=[70000])
        job.number += 1
        with pytest.raises(
            ProtocolError, match="gives no way to the boards: the job is none, or somebody else's"
        ):
            async with job.tunnel():
                pass

    run(task)

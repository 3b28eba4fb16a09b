"""A whole site over real sockets: it starts, answers on its addresses, keeps clear of other sites and stops."""

import asyncio
import errno
import socket
import subprocess
import sys
from ipaddress import IPv4Address

import pytest

from spinnaker import bmp
from spinnaker.boot import BootImage
from spinnaker.geometry import Board, Link, Size
from spinnaker.places import Frame
from spinnaker_virtual import AddressError, Timings, VirtualMachine, VirtualSite, loopback
from spinnaker_virtual.network import Socket
from tests.spinnaker_virtual.conversation import Conversation

QUICK = Timings.instant()


def test_a_site_answers_on_the_addresses_that_it_names() -> None:
    async def scenario() -> None:
        async with VirtualSite(VirtualMachine(size=Size(1, 1), timings=QUICK)) as site:
            with Conversation(site.bmps[Frame(0, 0)]) as frame:
                assert (await frame.ask(bmp.power_request([0, 1], True))).ok
                assert site.is_on(Board(0, 0, 1))
                assert not site.is_on(Board(0, 0, 2))
                assert site.link_works(Board(0, 0, 0), Link.NORTH_EAST)
                reply = await frame.ask(bmp.write_fpga_request(0, 2, 0x1005C, 1, sequence=9))
                assert (reply.ok, reply.sequence) == (True, 9)
                assert site.stopped_links(Board(0, 0, 0)) == {Link.NORTH_EAST}
                assert not site.link_works(Board(0, 0, 0), Link.NORTH_EAST)

    asyncio.run(scenario())


def test_replies_that_take_time_come_when_it_has_passed() -> None:
    async def scenario() -> None:
        slow = Timings(power_on=0.05, power_off=0, boot_ready=0, boot=0)
        async with VirtualSite(VirtualMachine(size=Size(1, 1), timings=slow)) as site:
            with Conversation(site.bmps[Frame(0, 0)]) as frame:
                began = asyncio.get_running_loop().time()
                assert (await frame.ask(bmp.power_request([2], True))).ok
                assert asyncio.get_running_loop().time() - began >= 0.05
                assert site.is_on(Board(0, 0, 2))

    asyncio.run(scenario())


def test_what_was_due_before_a_request_has_happened_when_it_is_answered() -> None:
    async def scenario() -> None:
        slow = Timings(power_on=0.05, power_off=0, boot_ready=0, boot=0)
        async with VirtualSite(VirtualMachine(size=Size(1, 1), timings=slow)) as site:
            with Conversation(site.bmps[Frame(0, 0)]) as frame:
                loop = asyncio.get_running_loop()
                receive = site.hardware.receivers[site.network.bmps[Frame(0, 0)]]
                receive(bmp.power_request([0], True, sequence=1), frame.address, loop.time())
                on_from = loop.time() + slow.power_on
                await frame.tell(bmp.read_fpga_request(0, 2, 0x40004, sequence=2))
                # While this program does something else, power comes on and the request arrives.
                while loop.time() < on_from:
                    pass
                assert [(await frame.hear()).sequence for _ in range(2)] == [1, 2]
                assert site.is_on(Board(0, 0, 0))

    asyncio.run(scenario())


def test_the_largest_machine_has_a_bmp_for_each_frame_and_an_address_for_each_board() -> None:
    async def scenario() -> None:
        async with VirtualSite(VirtualMachine(size=Size(20, 20), timings=QUICK)) as site:
            assert len(site.bmps) == 50
            assert len(set(site.addresses.values())) == 1200
            for frame, host in site.bmps.items():
                with Conversation(host) as talk:
                    assert (
                        bmp.version_of(await talk.ask(bmp.version_request(23))).place >> 16
                    ) == frame.frame

    asyncio.run(scenario())


MANY_SOCKETS = """
import asyncio, resource
from spinnaker.geometry import Size
from spinnaker_virtual import VirtualMachine, VirtualSite
async def main():
    machine = VirtualMachine(size=Size(6, 6))
    async with VirtualSite(machine) as one, VirtualSite(machine) as two:
        print(len(one.addresses) + len(two.addresses))
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
asyncio.run(main())
"""


def test_sites_take_more_sockets_than_a_process_usually_may_have() -> None:
    done = subprocess.run([sys.executable, "-c", MANY_SOCKETS], capture_output=True, text=True, timeout=60)
    assert done.stdout == "216\n", done.stderr


def test_sites_side_by_side_have_addresses_of_their_own() -> None:
    async def scenario() -> None:
        machine = VirtualMachine(size=Size(3, 3), timings=QUICK)
        async with VirtualSite(machine) as one, VirtualSite(machine) as two:
            assert not set(one.bmps.values()) & set(two.bmps.values())
            assert not set(one.addresses.values()) & set(two.addresses.values())

    asyncio.run(scenario())


def test_a_base_address_that_is_asked_for_is_used_or_refused() -> None:
    async def scenario() -> None:
        base = IPv4Address("127.200.7.0")
        machine = VirtualMachine(size=Size(1, 1), timings=QUICK)
        async with VirtualSite(machine, base) as site:
            assert site.bmps[Frame(0, 0)] == "127.200.7.0"
            assert site.addresses[Board(0, 0, 2)] == "127.200.7.17"
            with pytest.raises(AddressError, match=r"127\.200\.7\.0:17893.*another base address"):
                await VirtualSite(machine, base).start()

    asyncio.run(scenario())


def test_a_stopped_site_gives_its_addresses_back_and_can_be_started_again() -> None:
    async def scenario() -> None:
        base = IPv4Address("127.201.7.0")
        site = VirtualSite(VirtualMachine(size=Size(1, 1), timings=QUICK), base)
        for _ in range(2):
            await site.start()
            assert not site.is_on(Board(0, 0, 0))
            await site.stop()
        await site.stop()
        with pytest.raises(RuntimeError, match="started"):
            _ = site.bmps

    asyncio.run(scenario())


def test_a_site_shows_what_happens_and_makes_things_go_wrong() -> None:
    async def scenario() -> None:
        lines: list[str] = []
        board, frame = Board(0, 0, 1), Frame(0, 0)
        async with VirtualSite(VirtualMachine(size=Size(1, 1), timings=QUICK), log=lines.append) as site:
            with Conversation(site.bmps[frame]) as talk:
                site.fail_power(board)
                site.fail_fpgas(board, [2])
                on, identities = [], []
                for _ in range(3):
                    assert (await talk.ask(bmp.power_request([1], True))).ok
                    on.append(site.is_on(board))
                    reply = await talk.ask(bmp.read_fpga_request(1, 2, 0x40004))
                    identities.append(bmp.word_of(reply) & 3)
                assert on == [False, True, True]
                assert identities == [3, 3, 2]
                site.crash(board)
                assert site.is_on(board)
                site.power_on_all()
                assert all(map(site.is_on, site.machine.places))
                site.hang_bmp(frame, 3600.0)
                with pytest.raises(TimeoutError):
                    await talk.ask(bmp.version_request(0), patience=0.05)
        assert len(lines) == 13
        assert "version board 0" in lines[-1]

    asyncio.run(scenario())


def test_an_image_that_does_not_start_is_told_of_though_the_board_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        board = Board(0, 0, 0)
        async with VirtualSite(VirtualMachine(size=Size(1, 1), timings=QUICK)) as site:
            site.power_on_all()
            begin = site.hardware.receivers[site.network.boards[board].boot]
            for packet in BootImage(b"\xff" * 4096).packets():
                begin(packet.encode(), Socket("127.0.0.1", 1), asyncio.get_running_loop().time())

    asyncio.run(scenario())
    assert caplog.messages == [
        (
            "board (0, 0, 0) was sent an image that does not start: the boot image does not hold SCAMP; "
            "until it is powered on again it answers nothing"
        )
    ]


def test_datagrams_that_come_in_a_crowd_are_all_answered() -> None:
    async def scenario() -> None:
        async with VirtualSite(VirtualMachine(size=Size(1, 1), timings=QUICK)) as site:
            with Conversation(site.bmps[Frame(0, 0)]) as talk:
                for start in range(0, 400, 40):
                    for sequence in range(start, start + 40):
                        await talk.tell(bmp.version_request(0, sequence))
                    heard = [(await talk.hear()).sequence for _ in range(40)]
                    assert heard == list(range(start, start + 40))

    asyncio.run(scenario())


def test_a_system_with_one_loopback_address_gets_ports_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = loopback._bind

    def only_127_0_0_1(address: Socket) -> socket.socket:
        if address.host != "127.0.0.1":
            raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
        return bind(address)

    monkeypatch.setattr(loopback, "_bind", only_127_0_0_1)

    async def scenario() -> None:
        machine = VirtualMachine(size=Size(1, 1), timings=QUICK)
        async with VirtualSite(machine) as one, VirtualSite(machine) as two:
            hosts = {*one.bmps.values(), *two.bmps.values(), *one.addresses.values(), *two.addresses.values()}
            assert len(hosts) == 8
            assert {host.partition(":")[0] for host in hosts} == {"127.0.0.1"}
            with Conversation("127.0.0.1", one.network.bmps[Frame(0, 0)].port) as talk:
                assert (await talk.ask(bmp.power_request([0], True))).ok
            assert one.is_on(Board(0, 0, 0))
            assert not two.is_on(Board(0, 0, 0))

    asyncio.run(scenario())

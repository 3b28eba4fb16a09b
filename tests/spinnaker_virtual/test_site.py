# A whole site over real sockets: it starts, answers on its addresses, keeps clear of other sites and stops.
import asyncio
from ipaddress import IPv4Address

import pytest

from spinnaker import bmp
from spinnaker.geometry import Board, Link, Size
from spinnaker.places import Frame
from spinnaker_virtual import AddressError, Timings, VirtualMachine, VirtualSite
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

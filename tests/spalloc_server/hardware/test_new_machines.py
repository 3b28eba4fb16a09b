"""Machines that change while their BMPs are at work."""

import asyncio
from dataclasses import replace

import pytest

from spalloc_server.core.effects import PowerOrder
from spalloc_server.core.machine import Machine
from spalloc_server.hardware.bmps import Bmps
from spalloc_server.hardware.conversation import Patience
from spinnaker.geometry import Board, Size
from spinnaker.places import Frame, Place
from spinnaker_virtual import Timings, VirtualSite
from tests.spalloc_server.hardware.test_bmps import BOARDS, PATIENCE, Told, carry_out, on, run


def test_an_order_given_before_a_machine_is_gone_is_finished() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        await carry_out(bmps, on(1, machine, *BOARDS))
        off = asyncio.ensure_future(carry_out(bmps, PowerOrder(2, machine.name, frozenset(BOARDS), False)))
        await asyncio.sleep(0)
        bmps.reconfigure([])
        assert await off == [{}]
        assert not any(site.is_on(board) for board in BOARDS)

    run(test)


def test_frames_that_stay_as_they_are_go_on_with_their_conversations() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        await carry_out(bmps, on(1, machine, *BOARDS))
        before = bmps.retries
        bmps.reconfigure([replace(machine, settle_seconds=9.0), replace(machine, name="other", bmps={})])
        assert await carry_out(bmps, PowerOrder(2, machine.name, frozenset(BOARDS), False)) == [{}]
        assert bmps.retries >= before

    run(test)


def test_a_frame_with_another_bmp_is_driven_through_that_one() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        bmps.reconfigure([replace(machine, bmps=dict.fromkeys(machine.bmps, "127.255.255.1:9"))])
        bmps.reconfigure([machine])
        assert await carry_out(bmps, on(1, machine, *BOARDS)) == [{}]
        assert all(site.is_on(board) for board in BOARDS)

    run(test)


def test_boards_are_as_wanted_last_though_their_frame_changes_while_it_switches_them() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        first, *others = BOARDS
        being_switched_on = asyncio.ensure_future(carry_out(bmps, on(1, machine, *others)))
        await asyncio.sleep(0)
        places = {board: place for board, place in machine.places.items() if board != first}
        bmps.reconfigure([replace(machine, places=places, dead_boards=frozenset({first}))])
        assert await carry_out(bmps, PowerOrder(2, machine.name, frozenset(others), False)) == [{}]
        assert await being_switched_on == [{}]
        assert not any(site.is_on(board) for board in others)

    run(test, Timings(power_on=0.05))


def test_what_was_last_said_of_a_frame_before_it_changed_is_taken_back() -> None:
    async def test(_site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        told: list[tuple[str, Frame, str | None]] = []
        bmps.start(Told(lambda *report: told.append(report)))
        changed, _ = sorted(machine.bmps)
        first = next(board for board, place in machine.places.items() if place.in_frame == changed)
        places = {board: place for board, place in machine.places.items() if board != first}
        bmps.reconfigure([replace(machine, places=places, dead_boards=frozenset({first}))])
        assert told == [(machine.name, changed, None)]

    run(test)


def test_a_bmp_that_is_gone_is_spoken_of_no_more() -> None:
    async def test(_site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        told: list[tuple[str, Frame, str | None]] = []
        bmps.start(Told(lambda *report: told.append(report)))
        bmps.reconfigure([])
        await bmps.stop()
        assert told == []

    run(test)


class _SilentBmp(asyncio.DatagramProtocol):
    """A BMP that takes questions and never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.asked.set()


def test_a_frame_whose_bmp_is_replaced_twice_is_driven_through_the_last_when_the_first_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Long enough for the last to overtake the first, if anything lets it.
    monkeypatch.setattr("spalloc_server.hardware.commands.REGISTER_PATIENCE", Patience(0.2, 0.2, 1))

    async def test() -> None:
        loop = asyncio.get_running_loop()
        ends = [
            await loop.create_datagram_endpoint(_SilentBmp, local_addr=("127.0.0.1", 0)) for _ in range(3)
        ]
        first, second, third = [bmp for _, bmp in ends]
        board, frame = Board(0, 0, 0), Frame(0, 0)

        def through(transport: asyncio.BaseTransport) -> Machine:
            host, port = transport.get_extra_info("sockname")
            return Machine(
                name="m",
                size=Size(1, 1),
                places={board: Place(0, 0, 0)},
                addresses={board: "127.0.0.1"},
                bmps={frame: f"{host}:{port}"},
            )

        machines = [through(transport) for transport, _ in ends]
        bmps = Bmps(machines[:1])
        first_done = asyncio.Event()
        bmps.carry_out(
            PowerOrder(1, "m", frozenset({board}), True), lambda _number, _failed: first_done.set()
        )
        await asyncio.wait_for(first.asked.wait(), PATIENCE)
        bmps.reconfigure(machines[1:2])
        bmps.reconfigure(machines[2:])
        asked = asyncio.ensure_future(third.asked.wait())
        done = asyncio.ensure_future(first_done.wait())
        await asyncio.wait({asked, done}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert first_done.is_set()
        assert not third.asked.is_set()
        await asyncio.wait_for(asked, PATIENCE)
        assert not second.asked.is_set(), "nothing was ever wanted of it"
        await bmps.stop()
        for transport, _ in ends:
            transport.close()

    asyncio.run(test())

# Machines that change while their BMPs are at work.

import asyncio
from dataclasses import replace

from spalloc_server.core.machine import Machine
from spalloc_server.core.power import PowerOrder
from spalloc_server.hardware.bmps import Bmps
from spinnaker.places import Frame
from spinnaker_virtual import Timings, VirtualSite
from tests.spalloc_server.hardware.test_bmps import BOARDS, carry_out, on, run


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
        bmps.start(lambda *report: told.append(report))
        changed, _ = sorted(machine.bmps)
        first = next(board for board, place in machine.places.items() if place.in_frame == changed)
        places = {board: place for board, place in machine.places.items() if board != first}
        bmps.reconfigure([replace(machine, places=places, dead_boards=frozenset({first}))])
        assert told == [(machine.name, changed, None)]

    run(test)


def test_a_bmp_that_is_gone_is_spoken_of_no_more() -> None:
    async def test(_site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        told: list[tuple[str, Frame, str | None]] = []
        bmps.start(lambda *report: told.append(report))
        bmps.reconfigure([])
        await bmps.stop()
        assert told == []

    run(test)

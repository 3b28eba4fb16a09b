"""Power orders over real sockets, carried out by virtual boards."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from spalloc_server.core.allocation import Allocation, border
from spalloc_server.core.effects import BoardKey, PowerOrder
from spalloc_server.core.machine import Machine
from spalloc_server.embedded import machine_of
from spalloc_server.hardware import commands
from spalloc_server.hardware.bmps import Bmps
from spalloc_server.hardware.conversation import Patience, SilenceError
from spalloc_server.hardware.frame import FrameDriver
from spinnaker.geometry import Board, Link, Size, neighbour
from spinnaker.places import Frame, Place
from spinnaker.scp import SoftwareNumber
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
from spinnaker_virtual.faults import Faults, PowerOutcome

PATIENCE = 120.0
SIZE = Size(2, 2)
BOARDS = tuple(Board(x, y, z) for x in range(2) for y in range(2) for z in range(3))

Test = Callable[[VirtualSite, Bmps, Machine], Coroutine[Any, Any, None]]


def run(test: Test, timings: Timings = Timings.instant(), **options: Any) -> None:  # noqa: B008
    # Two frames, so that orders have to be split.
    places = {board: Place(0, index // 6, index % 6) for index, board in enumerate(BOARDS)}

    async def main() -> None:
        machine = VirtualMachine(size=SIZE, places=places, timings=timings, **options)
        async with VirtualSite(machine) as site:
            described = machine_of(site)
            bmps = Bmps([described])
            try:
                await asyncio.wait_for(test(site, bmps, described), PATIENCE)
            finally:
                await bmps.stop()

    asyncio.run(main())


class Told:
    """Passes on what is told of frames, and keeps what is told of boards."""

    def __init__(self, silence: Callable[..., None] = lambda *_: None) -> None:
        self.frame_silent = silence
        self.strayed: list[tuple[int, Mapping[Board, str]]] = []

    def boards_strayed(self, machine: str, order: int, boards: Mapping[Board, str]) -> None:
        self.strayed.append((order, boards))


async def carry_out(bmps: Bmps, *orders: PowerOrder) -> list[Mapping[Board, str]]:
    loop = asyncio.get_running_loop()
    answers = {order.number: loop.create_future() for order in orders}
    for order in orders:
        bmps.carry_out(order, lambda number, failed: answers[number].set_result(failed))
    return list(await asyncio.gather(*answers.values()))


def on(number: int, machine: Machine, *boards: Board) -> PowerOrder:
    held = Allocation(machine.name, boards[0], None, frozenset(boards))
    return PowerOrder(number, machine.name, held.boards, True, border(machine, held))


def test_an_order_that_spans_frames_is_answered_when_all_its_boards_are_as_wanted() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        boards = BOARDS[4:8]
        assert await carry_out(bmps, on(1, machine, *boards)) == [{}]
        assert [board for board in BOARDS if site.is_on(board)] == list(boards)
        for board in boards:
            outside = {link for link in Link if neighbour(SIZE, board, link) not in boards}
            assert site.stopped_links(board) == outside
        assert await carry_out(bmps, PowerOrder(2, machine.name, frozenset(boards), False)) == [{}]
        assert not any(site.is_on(board) for board in BOARDS)

    run(test)


def test_many_orders_at_once_are_all_answered() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        orders = [on(number, machine, board) for number, board in enumerate(BOARDS)]
        assert await carry_out(bmps, *orders) == [{}] * len(orders)
        assert all(site.is_on(board) for board in BOARDS)
        assert all(site.stopped_links(board) == frozenset(Link) for board in BOARDS)

    run(test)


def test_an_order_is_answered_once_though_its_bmps_fall_silent_right_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fall_silent(*_: object) -> None:
        raise SilenceError("nobody there")

    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        monkeypatch.setattr(FrameDriver, "_check", fall_silent)
        answers: list[tuple[int, Mapping[Board, str]]] = []
        bmps.carry_out(on(1, machine, *BOARDS[4:8]), lambda *answer: answers.append(answer))
        assert await carry_out(bmps, on(2, machine, BOARDS[0]), on(3, machine, BOARDS[8])) == [{}, {}]
        assert answers == [(1, {})]

    run(test)


def test_boards_that_are_on_are_reset_by_another_order() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        await carry_out(bmps, on(1, machine, *BOARDS[:3]))
        before = site.hardware.board(BOARDS[0]).power_ons
        await carry_out(bmps, on(2, machine, BOARDS[0]))
        assert site.hardware.board(BOARDS[0]).power_ons == before + 1
        assert site.stopped_links(BOARDS[0]) == frozenset(Link)

    run(test)


def test_a_board_that_comes_up_at_the_second_try_is_counted() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        sick, healthy = BOARDS[0], BOARDS[1]
        site.hardware.faults.plan_power(sick, PowerOutcome(loaded=(True, False, True)))
        assert await carry_out(bmps, on(1, machine, sick, healthy)) == [{}]
        assert bmps.board_retries == {BoardKey(machine.name, sick): 1}
        bmps.reconfigure([])
        assert bmps.board_retries == {}, "it says nothing of boards that there are no more"

    run(test)


@pytest.mark.parametrize("seed", range(3))
def test_boards_that_do_not_fail_are_as_ordered_though_bmps_only_acknowledge_and_packets_come_twice(
    seed: int,
) -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        came_up = 0
        for number in range(1, 5):
            order = on(number, machine, *BOARDS[:5])
            (failed,) = await carry_out(bmps, order)
            for board in order.boards - failed.keys():
                came_up += 1
                assert site.is_on(board)
                assert site.stopped_links(board) == {end.link for end in order.cut if end.board == board}
            (failed,) = await carry_out(bmps, PowerOrder(10 + number, machine.name, order.boards, False))
            assert {board for board in order.boards if site.is_on(board)} <= failed.keys()
        assert came_up

    run(test, faults=Faults(idle=0.2, duplicated=0.2, late_by=0.0), seed=seed)


def test_boards_behind_old_bmps_are_powered_without_a_look_at_their_fpgas() -> None:
    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        assert await carry_out(bmps, on(1, machine, *BOARDS[:3])) == [{}]
        assert site.is_on(BOARDS[0])

    run(test, bmp_version=SoftwareNumber(1, 3, 6))


@pytest.mark.slow
def test_a_bmp_that_is_not_there_is_reported_with_its_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    # How long one is waited for is shown in simulated time.
    monkeypatch.setattr(commands, "REGISTER_PATIENCE", Patience(0.01, 0.02, 3))

    async def test(site: VirtualSite, bmps: Bmps, machine: Machine) -> None:
        told: asyncio.Future[tuple[str, Frame, str | None]] = asyncio.get_running_loop().create_future()
        await site.stop()
        bmps.start(Told(lambda *report: None if told.done() else told.set_result(report)))
        name, place, why = await told
        assert name == machine.name
        assert place in machine.bmps
        assert why == f"its BMP at {machine.bmps[place]} does not answer"

    run(test)

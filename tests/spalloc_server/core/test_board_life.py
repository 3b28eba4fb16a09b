"""A board's life as the table says it, and the turns of it that no other story takes."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from spalloc_server.core import board_life
from spalloc_server.core.administration import PutBack
from spalloc_server.core.board_life import (
    BOARD_LIFE,
    FREE,
    LOST,
    BoardHappening,
    BoardState,
    Condition,
    Cooling,
    Free,
    Held,
    Objection,
    Resting,
    StayingOn,
    SwitchingOff,
    check_change,
    condition,
)
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.notable import notable_boards
from spalloc_server.core.requests import BoardAt, Boards, JobRequest
from spinnaker.geometry import Board
from tests.spalloc_server.core.driver import World, machine

KEY = BoardKey("m", Board(0, 0, 0))


def reached(first: type[BoardState], *, backwards: bool) -> set[type[BoardState]]:
    found = {first}
    while True:
        steps = [(end, start) if backwards else (start, end) for (start, _), end in BOARD_LIFE.items()]
        more = {end for start, end in steps if start in found} - found
        if not more:
            return found
        found |= more


def test_a_board_can_come_into_every_state_and_be_free_again_from_each() -> None:
    kinds = {start for start, _ in BOARD_LIFE}
    assert reached(Free, backwards=False) == reached(Free, backwards=True) == kinds


def test_whatever_can_happen_to_a_board_happens_in_some_state() -> None:
    assert {happening for _, happening in BOARD_LIFE} == set(BoardHappening)


@pytest.mark.parametrize("start", [Held, Free])
def test_a_happening_that_can_not_happen_to_a_board_is_refused(start: type[BoardState]) -> None:
    with pytest.raises(
        ValueError, match=r"is (held|free) can't become cooling because it is off, and needs no test"
    ):
        check_change({SwitchingOff, start}, BoardHappening.OFF, Cooling)


@pytest.mark.parametrize(
    ("state", "objections", "counted"),
    [
        (FREE, [], Condition.FREE),
        (FREE, [Objection.SILENT], Condition.SILENT),
        (FREE, [Objection.DEAD], Condition.DEAD),
        (FREE, [Objection.SILENT, Objection.DRAINED], Condition.DRAINED),
        (Held(1), [Objection.DRAINED], Condition.HELD),
        (SwitchingOff(1), [Objection.DRAINED], Condition.SWITCHING_OFF),
        (Resting(1.0), [Objection.FAILED, Objection.DRAINED], Condition.DRAINED),
        (StayingOn(1.0), [Objection.FAILED, Objection.DRAINED], Condition.ASIDE),
        (Held(1), [], Condition.HELD),
        (Held(1), [Objection.SILENT, Objection.REPORTED], Condition.HELD),
        (SwitchingOff(1), [Objection.SILENT], Condition.SWITCHING_OFF),
        (Cooling(1.0), [], Condition.SWITCHING_OFF),
        (Cooling(1.0), [Objection.SILENT, Objection.FAILED], Condition.ASIDE),
        (Resting(1.0), [Objection.REPORTED], Condition.ASIDE),
    ],
)
def test_a_board_is_counted_by_its_state_and_the_objections_to_it(
    state: BoardState, objections: Collection[Objection], counted: Condition
) -> None:
    assert condition(state, objections) is counted


def state(world: World) -> type[BoardState]:
    return type(world.site.boards.state(KEY))


def test_a_board_that_strays_and_then_can_not_be_switched_off_is_tried_again_once() -> None:
    world = World(machine(1, 1))
    job = world.create(JobRequest(Boards(3)))
    world.answer_all()
    world.destroy(job)
    (order,) = world.orders
    world.site.boards_strayed("m", order.number, {KEY.board: "it is on"}, world.at)
    world.answer(order, {KEY.board: "it stays on"})
    assert state(world) is StayingOn
    assert not world.orders
    world.wait(60.0)
    world.answer_all()
    world.wait(10_000.0)
    assert not world.orders
    assert not world.site.boards.states


def test_a_board_that_cools_down_while_it_is_taken_out_of_the_configuration_is_forgotten() -> None:
    world = World(machine(1, 1, cool_down_seconds=100.0))
    world.destroy(world.create(JobRequest(BoardAt(KEY.board))))
    world.answer_all()
    assert state(world) is Cooling
    world.reconfigure(replace(world.machines[0], name="other"))
    assert state(world) is Free
    world.wait(1000.0)
    assert not world.orders
    assert not world.board_records


def test_a_board_that_is_tested_while_it_is_taken_out_of_the_configuration_may_be_on() -> None:
    world = World(machine(1, 1))
    world.create(JobRequest(BoardAt(KEY.board)))
    world.answer(world.orders[0], {KEY.board: "dark"})
    world.answer(next(order for order in world.orders if not order.on))
    world.wait(60.0)
    assert state(world) is board_life.Testing
    (test,) = [order for order in world.orders if KEY.board in order.boards]
    before = world.machines[0]
    world.reconfigure(replace(before, name="other"))
    world.answer(test)
    assert world.site.boards.state(KEY) is LOST
    assert world.board_records[KEY].owed_off
    world.reconfigure(before)
    assert state(world) is SwitchingOff
    world.answer_all()
    assert state(world) is Free


def test_a_board_that_is_lost_is_forgotten_when_an_administrator_puts_it_back() -> None:
    world = World(machine(1, 1))
    world.create(JobRequest(BoardAt(KEY.board)))
    world.answer_all()
    before = world.machines[0]
    world.restart(replace(before, name="other"))
    assert world.site.boards.state(KEY) is LOST
    world.do(PutBack([KEY], "jane"))
    assert state(world) is Free
    assert world.notices[-1].text == "m (0, 0, 0) is no longer configured, and is forgotten by jane"
    assert not world.board_records
    world.restart()
    assert not notable_boards(world.site, world.at)
    world.reconfigure(before)
    assert not world.orders, "she said that it is off"
    assert world.site.free_boards("m") == 3

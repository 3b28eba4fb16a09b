"""How an administrator names boards, and what is said of names that mean none."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.operation.naming import Names, NoBoardError, boards_named
from spinnaker.geometry import Board
from spinnaker.places import Place
from tests.spalloc_server.core.driver import machine

DEAD = Board(1, 1, 2)
ROOM = replace(
    machine(2, 2, name="room", dead_boards=frozenset({DEAD})),
    places={
        board: Place(0, index // 6, index % 6)
        for index, board in enumerate(sorted(machine(2, 2).places))
        if board != DEAD
    },
)
DESK = machine(1, 1, name="desk")


def found(
    *words: str, of: tuple[Machine, ...] = (ROOM, DESK), others: Collection[BoardKey] = (), **names: object
) -> list[str]:
    site = Site(of)
    whole = bool(names.pop("whole_machines", False))
    keys = boards_named(site, Names(words, **names), whole_machines=whole, others=others)  # type: ignore[arg-type]
    return [f"{key.machine} {key.board}" for key in keys]


def test_boards_are_named_by_coordinate_address_place_or_frame() -> None:
    assert found("room", "0,0,1", "(1, 0, 2)", "desk", "0, 0, 0") == [
        "room (0, 0, 1)",
        "room (1, 0, 2)",
        "desk (0, 0, 0)",
    ]
    assert found("room-0-0-2", "desk-0-0-1") == ["room (0, 0, 2)", "desk (0, 0, 1)"]
    assert found(physical=[("room", 0, 1, 0)]) == ["room (1, 0, 0)"]
    assert len(found(frames=[("room", 0, 0)])) == 6
    assert len(found(frames=[("room", 0, 1)])) == 5, "all that are live"


def test_a_board_that_is_named_twice_is_meant_once() -> None:
    assert found("desk", "0,0,0", "desk-0-0-0", "desk", "0,0,0") == ["desk (0, 0, 0)"]


def test_the_only_machine_of_a_site_needs_no_name() -> None:
    assert found("0,0,1", of=(DESK,)) == ["desk (0, 0, 1)"]


def test_boards_that_no_machine_has_any_more_are_named_by_coordinate_where_they_can_be_meant() -> None:
    others = [BoardKey("attic", Board(0, 0, 1)), BoardKey("room", DEAD), BoardKey("desk", Board(0, 0, 0))]
    assert found("attic", "(0, 0, 1)", "room", "1,1,2", "0,0,0", others=others) == [
        "attic (0, 0, 1)",
        "room (1, 1, 2)",
        "room (0, 0, 0)",
    ]
    assert found("attic", others=others, whole_machines=True) == ["attic (0, 0, 1)"]
    assert found("desk", others=others, whole_machines=True) == [f"desk (0, 0, {z})" for z in range(3)]
    with pytest.raises(NoBoardError, match="there is no machine 'attic'; the site has room, desk"):
        found("attic", "0,0,2", others=others)


def test_a_machine_alone_means_all_its_boards_only_where_that_can_be_meant() -> None:
    assert len(found("room", "desk", "0,0,0", whole_machines=True)) == 11 + 1
    with pytest.raises(
        NoBoardError, match="machine room is named without a board: write room X,Y,Z, or --frame room"
    ):
        found("room", "desk", "0,0,0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no board is named; name boards as MACHINE X,Y,Z, by their address, with --physical"),
        (["0,0,0"], "write the machine before 0,0,0; the site has room, desk"),
        (["room", "7,0,0"], r"machine room has no board \(7, 0, 0\): it has 2x2 triads"),
        (
            ["room", "1,1,2"],
            "configured as dead: to have it in service, take it out of dead_boards and reload",
        ),
        (
            ["attic", "0,0,0"],
            "'attic' is no machine, coordinate or board's address; the site has room, desk; name boards as",
        ),
        (["room", "0,0"], "'0,0' is no machine, coordinate or board's address"),
    ],
)
def test_what_means_no_board_is_told_with_what_would(words: list[str], said: str) -> None:
    with pytest.raises(NoBoardError, match=said):
        found(*words)


def test_places_where_no_board_stands_are_told() -> None:
    with pytest.raises(
        NoBoardError, match="no live board of machine room stands at cabinet 0, frame 0, board 23"
    ):
        found(physical=[("room", 0, 0, 23)])
    with pytest.raises(NoBoardError, match="no live boards in cabinet 4, frame 4; it has cabinet 0, frame 0"):
        found(frames=[("room", 4, 4)])
    with pytest.raises(NoBoardError, match="there is no machine 'attic'; the site has room, desk"):
        found(frames=[("attic", 0, 0)])
    with pytest.raises(NoBoardError, match="there are no machines"):
        found(physical=[("attic", 0, 0, 0)], of=())

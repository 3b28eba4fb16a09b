"""Maps of machines as text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from spalloc_client.drawing.layout import folded, in_one_piece, unfolded
from spalloc_client.drawing.scene import keys, scene, tenant
from spalloc_client.drawing.text_map import job_map, machine_map, shows_links
from spinnaker.geometry import Board, Size, boards_of, hexagon, neighbour
from tests.spalloc_client.drawing.machines import full, manual, rectangle


def drawn(lines: list) -> str:
    return "\n".join(line.plain for line in lines)


def test_the_manuals_machine_is_drawn_as_hexagons() -> None:
    assert drawn(machine_map(manual())) == "\n".join(
        [
            " ___     ___     ___     ___",
            r"/ . \___/ B \___/ B \___/ . \___",
            r"\___/ . \___/ B \___/ B \___/ . \ ".rstrip(),
            r"/ C \___/ B \___/ B \___/ . \___/",
            r"\___/ A \___/ B \___/ B \___/ . \___",
            r"    \___/ A \___/ B \___/ B \___/ . \ ".rstrip(),
            r"    / A \___/ B \___/ B \___/ . \___/",
            r"    \___/   \___/   \___/   \___/",
        ]
    )


def test_dead_boards_are_blank_and_dead_links_are_crossed_out() -> None:
    assert drawn(
        machine_map(scene("m", (1, 1), [(0, 0, 1)], [(0, 0, 0, 2), (0, 0, 2, 5), (0, 0, 2, 4)]))
    ) == "\n".join(
        [
            " ___",
            r"/ . \ ".rstrip(),
            "X___/".replace("___", "XXX"),
            r"/ . \ ".rstrip(),
            r"\___/",
        ]
    )


def test_free_boards_that_are_set_aside_are_hatched_on_either_map() -> None:
    jobs = [tenant(5, "me", [(0, 0, 2)])]
    machine = scene("m", (1, 1), tenants=jobs, set_aside=[(0, 0, 1, "hot"), (0, 0, 2, "in use all the same")])
    hexagons = drawn(machine_map(machine))
    assert (hexagons.count("%%%"), hexagons.count(" A "), hexagons.count(" . ")) == (1, 1, 1)
    cells = drawn(machine_map(machine, 4, 2))
    assert sorted(cells.split()) == ["%", ".", "A"]


@pytest.mark.parametrize("columns", [None, 240, 200, 100, 80])
def test_a_full_machine_has_a_map_for_every_width(columns: int | None, snapshot: SnapshotAssertion) -> None:
    lines = machine_map(full(), columns)
    assert drawn(lines) == snapshot
    assert columns is None or max(line.width for line in lines) <= columns


def test_a_window_too_low_for_hexagons_gets_cells() -> None:
    assert shows_links(machine_map(full(), 200, 70))
    cells = machine_map(full(), 200, 40)
    assert not shows_links(cells)
    assert len(cells) == 30


sizes = st.builds(Size, st.integers(1, 7), st.integers(1, 7))


@given(sizes)
def test_every_board_has_a_place_of_its_own_in_either_layout(size: Size) -> None:
    boards = boards_of(size)
    for layout in (unfolded(boards), folded(size, boards)):
        assert len(set(layout.values())) == len(boards)


@given(sizes, st.integers(1, 3), st.data())
def test_each_jobs_letters_are_as_many_as_its_boards(size: Size, columns: int, data: st.DataObject) -> None:
    boards = boards_of(size)
    mine = data.draw(st.sets(st.sampled_from(boards), min_size=1))
    other = data.draw(st.sets(st.sampled_from(boards))) - mine
    from spalloc_client.drawing.scene import tenant

    jobs = [tenant(1, "a", mine)] + ([tenant(2, "b", other)] if other else [])
    shown = drawn(
        machine_map(scene("m", size, tenants=jobs), {1: None, 2: 8 * size.width + 2, 3: 1}[columns])
    )
    assert shown.count("A") == len(mine)
    assert shown.count("B") == len(other)
    assert shown.count(".") == len(boards) - len(mine) - len(other)


@given(sizes, st.data())
def test_a_job_across_the_edges_is_drawn_in_one_piece(size: Size, data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, size.width)), data.draw(st.integers(1, size.height))
    x, y = data.draw(st.integers(0, size.width - 1)), data.draw(st.integers(0, size.height - 1))
    boards = rectangle(1, x, y, width, height, size).boards
    places = set(in_one_piece(size, boards).values())
    assert len(places) == len(boards)
    reached, edge = set(), {min(places)}
    while edge:
        reached |= edge
        steps = ((1, -1), (1, 1), (0, 2), (-1, 1), (-1, -1), (0, -2))
        near = {type(place)(place.column + dx, place.row + dy) for place in edge for dx, dy in steps}
        edge = (near & places) - reached
    assert reached == places
    assert drawn(job_map(boards, size)).count(".") == len(boards)


def test_keys_are_those_of_spreadsheets() -> None:
    letters = keys()
    first = [next(letters) for _ in range(26 * 27 + 1)]
    assert first[:2] == ["A", "B"]
    assert first[25:28] == ["Z", "AA", "AB"]
    assert first[-2:] == ["ZZ", "AAA"]


def test_neighbours_stand_beside_each_other() -> None:
    # The layout's steps and the geometry's links are two descriptions of the same thing.
    from spalloc_client.drawing.layout import STEPS

    size = Size(9, 9)
    for z in range(3):
        board = Board(4, 4, z)
        for link, by in STEPS.items():
            place, other = hexagon(board), hexagon(neighbour(size, board, link))
            assert (other.column - place.column, other.row - place.row) == by


def test_a_map_needs_no_letters_beyond_ascii() -> None:
    for columns in (None, 200, 80):
        assert drawn(machine_map(full(), columns)).isascii()
    assert not re.search(r"\s$", drawn(machine_map(full())), re.MULTILINE)

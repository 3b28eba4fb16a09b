"""Which mutants are tried. cosmic-ray itself is trusted to make them as it says."""

import ast
from pathlib import Path

from tests.mutants.places import Mutant, sample, unnoticed
from tests.mutants.rooms import ROOMS, Room

ROOT = Path(__file__).parents[2]
ROOM = Room("room", (), ())


def a_mutant(line: int, operator: str) -> Mutant:
    return Mutant(ROOM, "file.py", operator, 0, (line, 4), (line, 9))


def test_a_place_is_as_likely_as_any_other_however_many_mutants_it_has() -> None:
    many = [a_mutant(1, f"operator-{number}") for number in range(99)]
    drawn = [sample([*many, a_mutant(2, "operator")], 1, seed)[0].start[0] for seed in range(200)]
    assert 60 < drawn.count(2) < 140


def test_a_sample_has_one_mutant_of_a_place_and_is_the_same_for_a_seed() -> None:
    mutants = [a_mutant(line, operator) for line in range(20) for operator in "abc"]
    drawn = sample(mutants, 100, 1)
    assert sorted(mutant.start[0] for mutant in drawn) == list(range(20))
    assert sample(mutants, 5, 1) == sample(mutants, 5, 1)
    assert sample(mutants, 5, 1) != sample(mutants, 5, 2)


def test_types_and_what_decorators_are_told_are_left_alone() -> None:
    source = (
        "@dataclass(frozen=True)\nclass A:\n    b: int | str = 1 | 2\n\n"
        "@cache(8)\ndef f(a: int | None = 1 | 2) -> str | None:\n    return a | 3\n"
    )
    lines = source.splitlines()
    found = [lines[row - 1][column:end] for (row, column), (_, end) in unnoticed(ast.parse(source))]
    assert sorted(found) == ["8", "True", "int | None", "int | str", "str | None"]


def test_every_room_has_sources_and_tests() -> None:
    for room in ROOMS:
        assert room.files(ROOT), room.name
        assert all((ROOT / path).exists() for path in room.tests), room.name
    files = [file for room in ROOMS for file in room.files(ROOT)]
    assert len(files) == len(set(files)), "a file belongs to one room"

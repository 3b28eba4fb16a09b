"""The mutants there are, and a sample of them: places are drawn, and one mutant of each.

cosmic-ray finds them; this file leaves out those that say nothing about tests.
"""

import ast
import random
import sqlite3
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.mutants.rooms import Room

COSMIC_RAY = Path(".mutants") / "bin" / "cosmic-ray"
SAME = frozenset({"Eq_Is", "Is_Eq", "NotEq_IsNot", "IsNot_NotEq"})
"""Pairs of comparisons that are equivalent for None, members of enums and small numbers, with which they are used."""
_SPECIFICATIONS = """
SELECT module_path, operator_name, occurrence, start_pos_row, start_pos_col, end_pos_row, end_pos_col
FROM mutation_specs ORDER BY module_path, start_pos_row, start_pos_col, operator_name, occurrence
"""

Position = tuple[int, int]
"""A line, from 1, and a column, from 0."""


class Mutant(NamedTuple):
    """One change of one file."""

    room: Room
    file: str
    operator: str
    occurrence: int
    start: Position
    end: Position


def mutants(room: Room, root: Path, tool: Path) -> list[Mutant]:
    """Return all mutants of a room's sources below `root` that can be noticed."""
    files = room.files(root)
    configuration, session = root / f"{room.name}.toml", root / f"{room.name}.sqlite"
    paths = ", ".join(f'"{file}"' for file in files)
    configuration.write_text(
        f'[cosmic-ray]\nmodule-path = [{paths}]\ntest-command = "true"\ntimeout = 1.0\nexcluded-modules = []\n'
        '[cosmic-ray.distributor]\nname = "local"\n'
    )
    subprocess.run([tool, "init", configuration.name, session.name], cwd=root, check=True)
    database = sqlite3.connect(session)
    rows = database.execute(_SPECIFICATIONS).fetchall()
    database.close()
    no_use = {str(file): list(unnoticed(ast.parse((root / file).read_text()))) for file in files}
    return [
        Mutant(room, file, operator, occurrence, (row, column), (last_row, last_column))
        for file, operator, occurrence, row, column, last_row, last_column in rows
        if operator.rpartition("ComparisonOperator_")[2] not in SAME
        if not any(start <= (row, column) < end for start, end in no_use[file])
    ]


def unnoticed(tree: ast.AST) -> Iterator[tuple[Position, Position]]:
    """Yield where what tests can't notice begins and ends: types, which are mypy's, and arguments of decorators.

    A wrong type often can't even be imported. What decorators are told here is what a class must not do, and how much
    is kept in memory.
    """
    for node in ast.walk(tree):
        found = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for decorator in getattr(node, "decorator_list", ()):
            if isinstance(decorator, ast.Call):
                found += [*decorator.args, *(keyword.value for keyword in decorator.keywords)]
        for part in found:
            if isinstance(part, ast.expr) and part.end_lineno is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset or 0)


def sample(all_mutants: Iterable[Mutant], size: int, seed: int) -> list[Mutant]:
    """Return a mutant of each of `size` places. All places are equally likely, however many mutants they have."""
    places: dict[tuple[str, Position, Position], list[Mutant]] = defaultdict(list)
    for mutant in all_mutants:
        places[mutant.file, mutant.start, mutant.end].append(mutant)
    random_ = random.Random(seed)
    drawn = random_.sample(sorted(places), min(size, len(places)))
    return [random_.choice(places[place]) for place in drawn]

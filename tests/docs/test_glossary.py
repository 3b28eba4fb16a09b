"""That the glossary names every state that users see, and that its drawing is true to the hardware."""

import importlib.util
import re
from itertools import combinations
from math import dist
from pathlib import Path

from spalloc_client.states import JobState
from spalloc_server.core.board_life import Condition

DOCS = Path(__file__).parents[2] / "docs"
ENTRY = re.compile(r"^(\w[\w -]*)\n  (.*)$", re.MULTILINE)


def _entries() -> list[tuple[str, str]]:
    blocks = re.findall(r"```{glossary}\n(.*?)```", (DOCS / "glossary.md").read_text(), re.DOTALL)
    return [entry for block in blocks for entry in ENTRY.findall(block)]


def _drawing() -> str:
    path = DOCS / "_extensions" / "drawing_of_a_machine.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.drawing())


def test_a_word_is_explained_once_and_in_one_sentence() -> None:
    words = [word for word, _ in _entries()]
    assert sorted(words) == sorted(set(words))
    assert [word for word, text in _entries() if not re.fullmatch(r"[^.]+\.", text)] == []


def test_every_state_of_a_job_and_every_condition_of_a_board_is_explained() -> None:
    called = {"aside": "set aside", "switching_off": "switching off"}
    shown = {state.name for state in JobState} | {called.get(each.value, each.value) for each in Condition}
    assert shown - {word for word, _ in _entries()} == set()


def test_the_drawing_has_48_chips_on_each_of_three_boards_and_no_two_in_one_place() -> None:
    chips = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="(.*?)" cy="(.*?)"', _drawing())]
    assert len(chips) == 3 * 48
    apart = [dist(*pair) for pair in combinations(chips, 2)]
    # Chips of different boards are as far from each other as those of one board: the boards fit together.
    assert min(apart) > 9
    assert _drawing().count("<polygon") == 3 * 2 * 3

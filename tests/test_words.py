"""Words that the project does not use, since others are plainer; those that it uses are in the docs' glossary."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

INSTEAD = {
    r"whence": "from which, or name the address",
    r"in vain": "without success, or name what failed",
    r"anew": "again",
    r"round about": "indirectly",
    r"(?:be|been) had": "allocated, or available",
    r"a text(?! (?:editor|field|file))|texts": "a string",
    r"(?:toml|file|configuration) (?:is|was) right": "valid",
    r"so many(?! (?:\w+ )?that)": "the number, or up to a number",
    r"kept places?|places? (?:is|are) kept|keep(?:s|ing)? a place": "a reservation",
}
"""For each expression, what to write."""


def unwanted(source: str) -> list[tuple[int, str, str]]:
    """Return the line, the words and what to write instead, for each place where `source` has such words."""
    plain = source.replace("_", " ")
    return sorted(
        (plain.count("\n", 0, match.start()) + 1, match.group(), instead)
        for words, instead in INSTEAD.items()
        for match in re.finditer(rf"\b(?:{words})\b".replace(" ", r"\s+(?:#\s*)?"), plain, re.IGNORECASE)
    )


def test_pages_and_sources_use_the_plain_word() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone: there is no list of the repository's files")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name.endswith((".md", ".py", ".toml"))]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {words!r}; write {instead}"
        for path in paths
        if path.is_file() and path != Path(__file__)
        for line, words, instead in unwanted(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("a\nboards that can't be\nhad", 2),
        ("# looked\n# for in\n# vain", 2),
        ("def numbered_anew() -> None:", 1),
    ],
)
def test_such_words_are_found_across_lines_and_in_names(source: str, line: int) -> None:
    assert [number for number, _, _ in unwanted(source)] == [line]


def test_fair_english_is_none_of_them() -> None:
    assert not unwanted("# There may be so many jobs that it takes a while to write a text file.")

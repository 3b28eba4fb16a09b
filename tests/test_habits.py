"""Habits of the whole repository that no tool checks for us; what a tool can check stands in pyproject.toml."""

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from spalloc_client._version import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = sorted(path.name for path in (ROOT / "src").iterdir() if (path / "__init__.py").exists())

# Folders of one person's machine, and the places that packages come from: neither is part of the project.
FOREIGN = re.compile(r"(?<![\w.])/(?:work|root)/\w|pypi[.]org|python[h]osted|-[-](?:extra-)?index-url[ =]")

NAMED = re.compile(r"(?<![\w./-])[a-z_][\w/]*[.]py\b")
"""A file's name in words."""


def _files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone: there is no list of the repository's files")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def test_no_file_names_a_folder_of_somebodys_machine_or_a_place_that_packages_come_from() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in _files()
        for number, line in enumerate(_text(path).splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert not found, "\n".join(found)


def _sources() -> list[Path]:
    return [path for path in _files() if path.suffix == ".py" and _text(path).strip()]


def test_every_source_file_opens_with_a_docstring_that_says_what_lives_there() -> None:
    silent = [
        str(path.relative_to(ROOT)) for path in _sources() if not re.match(r'(#!.*\n)?"""', _text(path))
    ]
    assert not silent


def test_files_that_a_docstring_or_a_comment_names_exist() -> None:
    present = {
        "/".join(parts[first:])
        for parts in (path.relative_to(ROOT).parts for path in _files())
        for first in range(len(parts))
    }
    missing = [
        f"{path.relative_to(ROOT)}:{number}: {name}"
        for path in _sources()
        if NAMED.search(_text(path))
        for number, line in _words(_text(path))
        for name in NAMED.findall(line)
        if name not in present
    ]
    assert not missing, "\n".join(missing)


def _words(source: str) -> Iterator[tuple[int, str]]:
    """The lines of a source file's comments and of its docstrings, with their numbers."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and ast.get_docstring(node, clean=False) is not None:
                yield from enumerate((ast.get_docstring(node, clean=False) or "").splitlines(), first.lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_tests_wait_for_events_and_do_not_sleep() -> None:
    asleep = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in _files()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "tests") and "sleep(" in _text(path)
        for node in ast.walk(ast.parse(_text(path)))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}
        if [ast.unparse(argument) for argument in node.args] != ["0"]
    ]
    assert not asleep, f"wait for what is to happen, not for time to pass: {', '.join(asleep)}"


def test_every_package_is_built_covered_and_held_to_the_direction_of_imports() -> None:
    tools = PROJECT["tool"]
    assert sorted(tools["coverage"]["run"]["source_pkgs"]) == PACKAGES
    assert sorted(tools["importlinter"]["root_packages"]) == PACKAGES
    built = tools["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(Path(path).name for path in built) == PACKAGES


def test_the_client_needs_one_other_package() -> None:
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in PROJECT["project"]["dependencies"]}
    assert names == {"platformdirs"}


def test_the_changelog_opens_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", _text(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == __version__


def test_the_commands_that_are_installed_are_those_there_are() -> None:
    present = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts) + ":main"
        for path in (ROOT / "src").glob("*/scripts/*.py")
        if re.search(r"^def main\(", _text(path), re.MULTILINE)
    }
    # `spalloc-server check` and the like: commands of a command.
    within = {
        f"spalloc_server.scripts.{name}:main"
        for name in (
            "account",
            "audit",
            "backup",
            "boards",
            "check",
            "convert",
            "export",
            "group",
            "reload",
            "reservations",
            "restore",
            "stop_all",
            "usage",
        )
    }
    assert set(PROJECT["project"]["scripts"].values()) == present - within


def test_decisions_are_named_by_their_date() -> None:
    pages = {path.name for path in (ROOT / "docs" / "decisions").glob("*.md")} - {"index.md"}
    assert [name for name in pages if not re.fullmatch(r"20\d\d-\d\d-\d\d-[a-z0-9-]+\.md", name)] == []


def test_contributing_draws_the_house_as_it_is() -> None:
    drawing = _text(ROOT / "CONTRIBUTING.md").partition("```text\n")[2].partition("```")[0]
    drawn = set(re.findall(r"[\w.]+(?=/[\s,)])", drawing))
    folders = {folder for path in _files() for folder in path.relative_to(ROOT).parts[:-1]}
    assert drawn <= folders
    rooms = {path.parent.name for path in ROOT.glob("src/spalloc_server/*/__init__.py")}
    top = {path.relative_to(ROOT).parts[0] for path in _files() if path.parent != ROOT}
    assert rooms | top | set(PACKAGES) <= drawn


def test_hooks_before_a_commit_have_the_version_of_ruff_that_make_installs() -> None:
    hooks = _text(ROOT / ".pre-commit-config.yaml")
    locked = re.findall(r"^ruff==\S+", _text(ROOT / "constraints.txt"), re.MULTILINE)
    assert set(re.findall(r"ruff(?:==[\w.]+)?(?=\])", hooks)) == set(locked)

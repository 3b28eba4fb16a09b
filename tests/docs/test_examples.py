"""Every example of README.md, CONTRIBUTING.md, docs/ and the docstrings does what it shows."""

import doctest
import importlib
import pkgutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.sessions import Session, variables

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts),
]
PACKAGES = ["spinnaker", "spinnaker_virtual", "spalloc_client", "spalloc_server"]
NEEDS_A_PROCESS = pages.Site | pages.Console | pages.Background


NOT_RUN = {"spalloc_client.job": "uses the reader's own functions; the guides have the same and are run"}
"""Modules with `>>>` examples in docstrings that are only shown, and why."""


def _pages_with_examples() -> list[object]:
    found = []
    for page in PAGES:
        try:
            steps = pages.read(page)
        except pages.PageError:
            steps = ()  # test_every_block_says_what_it_is reports it
        marks = [pytest.mark.slow] if any(isinstance(step, NEEDS_A_PROCESS) for step in steps) else []
        if steps:
            found.append(pytest.param(page, steps, id=str(page.relative_to(ROOT)), marks=marks))
    return found


@pytest.mark.parametrize(("page", "steps"), _pages_with_examples())
def test_the_examples_of_a_page_do_what_it_shows(
    page: Path, steps: tuple[pages.Step, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    home.mkdir()
    folder.mkdir()
    for name, value in variables(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    with ExitStack() as stack:
        session = Session(page.relative_to(ROOT), folder, stack)
        for step in steps:
            session.run(step)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_is_run_or_says_why_not(page: Path) -> None:
    pages.read(page)


def _modules() -> list[str]:
    return [
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
        if not module.name.endswith("__main__")
    ]


@pytest.mark.parametrize("name", sorted({*PACKAGES, *_modules()} - NOT_RUN.keys()))
def test_the_examples_of_a_modules_docstrings_do_what_they_show(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert not failed

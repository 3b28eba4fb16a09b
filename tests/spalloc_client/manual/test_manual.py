"""The manual pages and the reference of the commands, against the parsers they are written from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from spalloc_client.manual.__main__ import files, main
from spalloc_client.manual.pages import Page, pages, sections

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", list(files()))
def test_the_repositorys_files_are_as_they_would_be_written(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == files()[name], (
        "run: .venv/bin/python -m spalloc_client.manual ."
    )


def test_files_are_written_where_asked(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "share/man/man1/spalloc-ps.1").exists()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.command)
def test_every_option_of_the_help_is_in_the_manual(page: Page) -> None:
    shown = files()[f"share/man/man1/{page.command}.1"]
    for section in sections(page.parser):
        for argument in section.arguments:
            assert argument.help
            for name in argument.names:
                assert name.replace("-", "\\-") in shown


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.command)
def test_man_shows_every_page_without_a_warning(page: Page) -> None:
    path = ROOT / f"share/man/man1/{page.command}.1"
    shown = subprocess.run(["man", "--warnings", "-l", str(path)], capture_output=True, text=True, timeout=30)
    assert shown.stderr == ""
    assert f"{page.command} - " in " ".join(shown.stdout.split())

"""What programs of docs/_tools/ write: the manual pages, the reference of the commands and README's picture."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from docs._tools import machine_in_use
from docs._tools.manual.__main__ import files, main
from docs._tools.manual.pages import Page, pages, sections

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", list(files()))
def test_the_repositorys_files_are_as_they_would_be_written(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == files()[name], (
        "run: .venv/bin/python -m docs._tools.manual ."
    )


def test_files_are_written_where_asked(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "share/man/man1/spalloc-ps.1").exists()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.command)
def test_every_option_of_the_help_is_in_the_manual(page: Page) -> None:
    shown = files()[f"share/man/man1/{page.command}.1"]
    helped = page.parser.for_argparse().format_help()
    in_help = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", helped.partition("\n\n")[2]))
    assert "--help" in in_help
    assert not [name for name in in_help if name.replace("-", "\\-") not in shown]
    assert all(argument.help for section in sections(page.parser) for argument in section.arguments)


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("page", pages(), ids=lambda page: page.command)
def test_man_shows_every_page_without_a_warning(page: Page) -> None:
    path = ROOT / f"share/man/man1/{page.command}.1"
    shown = subprocess.run(["man", "--warnings", "-l", str(path)], capture_output=True, text=True, timeout=30)
    assert shown.stderr == ""
    assert f"{page.command} - " in " ".join(shown.stdout.split())


def test_readmes_picture_is_what_a_server_and_a_client_make_of_its_jobs() -> None:
    drawn = machine_in_use.picture()
    assert machine_in_use.FILE.read_text(encoding="utf-8") == drawn, (
        "run: .venv/bin/python -m docs._tools.machine_in_use"
    )

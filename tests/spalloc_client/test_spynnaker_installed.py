"""The page "With sPyNNaker": what it says of installing is tried with pip and uv, in environments of its own."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_client._version import __version__
from tests.docs.pages import File, read
from tests.peers.environments import PeerEnvironment

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guides/with-spynnaker.md"
LINES = re.findall(r"^\$ (.*install.*)$", PAGE.read_text(), re.MULTILINE)
FILES = {step.name: step.text for step in read(PAGE) if isinstance(step, File)}
PUBLISHED = "1!7.4.1"

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

Type = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def uv(peer: Callable[[str], PeerEnvironment]) -> Path:
    return peer("uv==0.13.9").command("uv")


@pytest.fixture(scope="module")
def wheel(uv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has this client as it would be on a package index."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    return folder


@pytest.fixture
def type_(uv: Path, wheel: Path, tmp_path: Path) -> Type:
    """Types lines in an environment of their own, in a folder with the page's overrides."""
    home = tmp_path / ".venv"
    subprocess.run([uv, "venv", "--quiet", "--seed", "--python", sys.executable, home], check=True)
    (tmp_path / "overrides.txt").write_text(FILES["overrides.txt"])
    variables = {
        **os.environ,
        "PATH": f"{home / 'bin'}{os.pathsep}{uv.parent}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(home),
        "PIP_FIND_LINKS": str(wheel),
        "UV_FIND_LINKS": str(wheel),
    }
    variables.pop("PYTHONPATH", None)

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            line, shell=True, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )

    return run


def line(start: str, end: str = "") -> str:
    """The page's line that begins and ends like this."""
    (found,) = (line for line in LINES if line.startswith(start) and line.endswith(end))
    return found


def installed(type_: Type) -> str:
    """The version of the client that a program of this environment gets, which is as good as whole."""
    shown = type_("python -c 'import spalloc_client.job as j, spalloc_client as c; print(c.__version__)'")
    return shown.stdout.strip() or shown.stderr


def test_pip_installs_ours_last_and_loses_it_to_spynnaker_until_it_is_put_back(type_: Type) -> None:
    for typed in (line("pip install sPyNNaker"), line("pip install 'spalloc[server]")):
        done = type_(typed)
        assert done.returncode == 0, done.stderr
    assert "requires spalloc==1!7.4.1, but you have spalloc" in done.stderr
    assert installed(type_) == __version__
    assert type_("python -c 'import spynnaker.pyNN'").returncode == 0
    assert type_("spalloc --virtual 1x1 1 --owner me -c true").returncode == 0

    assert type_(line("pip install sPyNNaker")).returncode == 0
    assert installed(type_) == PUBLISHED
    assert type_(line("pip install --no-deps")).returncode == 0
    assert installed(type_) == __version__


def test_uv_installs_both_by_the_file_of_overrides_and_loses_ours_without_it(type_: Type) -> None:
    done = type_(line("uv pip install sPyNNaker"))
    assert done.returncode == 0, done.stderr
    assert installed(type_) == __version__
    assert type_("spalloc --virtual 1x1 1 --owner me -c true").returncode == 0

    assert type_("uv pip install sPyNNaker").returncode == 0
    assert installed(type_) == PUBLISHED
    assert type_(line("uv pip install --no-deps")).returncode == 0
    assert installed(type_) == __version__


def test_uv_installs_both_for_a_project_whose_pyproject_says_so(type_: Type, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(FILES["pyproject.toml"])
    assert tomllib.loads(FILES["pyproject.toml"])["tool"]["uv"]["override-dependencies"] == [
        "spalloc[server]>=1!8"
    ]
    done = type_("uv sync")
    assert done.returncode == 0, done.stderr
    assert installed(type_) == __version__
    assert type_("python -c 'import spynnaker.pyNN'").returncode == 0


@pytest.mark.parametrize("tool", ["pip install", "uv pip install"])
def test_asked_for_both_at_once_pip_and_uv_find_no_answer(type_: Type, tool: str) -> None:
    done = type_(f"{tool} 'sPyNNaker==1!7.4.1' 'spalloc>=1!8'")
    assert done.returncode != 0, done.stdout


def test_what_the_published_server_overwrote_is_put_back_by_what_the_warning_says(type_: Type) -> None:
    assert type_("uv pip install 'spalloc[server]>=1!8'").returncode == 0
    assert type_("pip install 'spalloc-server==1!7.0.0'").returncode == 0
    assert "1!7.0.0" in type_("spalloc-server --version").stdout
    warned = type_("spalloc --virtual 1x1 1 --owner me -c true")
    assert warned.returncode == 0, warned.stderr
    remedy = re.search(r"type (pip .*), then (pip .*)", warned.stderr)
    assert remedy is not None, warned.stderr
    for typed in remedy.groups():
        done = type_(typed.replace("uninstall", "uninstall --yes"))
        assert done.returncode == 0, done.stderr
    shown = type_("spalloc-server --version")
    assert (shown.stdout, shown.stderr) == (f"spalloc-server {__version__}\n", "")

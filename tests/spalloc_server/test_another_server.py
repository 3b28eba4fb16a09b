"""The published server beside ours, in one environment: it is told, and what runs goes on."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.environments import PeerEnvironment

SOURCE = Path(__file__).parents[2] / "src"
SENTENCE = (
    "spalloc-server 1!7.0.0, another server with the same folder and command, is installed here as well: type "
    "pip uninstall spalloc-server, then install this one again, with pip's --force-reinstall --no-deps"
)


@pytest.fixture
def beside(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python with arguments, where the published server is installed as well."""
    (packages,) = (peer("spalloc-server==1!7.0.0").root / "lib").glob("python*/site-packages")
    variables = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{packages}"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.slow
def test_the_server_says_that_another_one_owns_the_same_folder_and_command(
    beside: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = beside("-c", "from spalloc_server.scripts.server import main; main()", "check", "nothing.toml")
    assert done.stderr.startswith(f"spalloc-server: {SENTENCE}\nnothing.toml has 1 mistake:\n"), done


@pytest.mark.slow
def test_a_command_with_virtual_boards_says_so_once_and_goes_on(
    beside: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    command = ["--virtual", "1x1", "1", "--owner", "me", "--quiet", "--command", "echo here"]
    done = beside("-c", "from spalloc_client.scripts.alloc import main; raise SystemExit(main())", *command)
    assert (done.returncode, done.stdout, done.stderr.count(SENTENCE)) == (0, "here\n", 1), done
    assert f"spalloc: {SENTENCE}\n" in done.stderr


@pytest.mark.slow
def test_the_fixture_says_so_in_the_summary_of_a_run_that_passes(
    beside: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "test_mine.py").write_text("def test_boards(spalloc_site): assert spalloc_site.port\n")
    done = beside("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py")
    assert "1 passed, 1 warning" in done.stdout, done
    assert SENTENCE in done.stdout

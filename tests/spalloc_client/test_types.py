"""The types of what users import, as a type checker sees them from a program of theirs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.environments import PeerEnvironment

SOURCE = Path(__file__).parents[2] / "src"
ALLOCATOR = "spinn_front_end_common/interface/interface_functions/spalloc_allocator_old.py"

PROGRAM = """
from spalloc_client import Job

job = Job(3)
size: tuple[int, int] = (job.width, job.height)
place: tuple[str, bool, str, int] = (job.machine_name, job.power, job.reason, job.id)
names: list[str] = sorted(job.connections.values())
if job.connections is None or job.hostname is None or job.boards is None:
    raise SystemExit("no boards yet")
boards: list[list[int]] = job.boards
"""


CONFIGURATION = """
from typing import assert_type

from spalloc_client.config import read_config
from spalloc_client.spalloc_config import SpallocConfig

assert_type(read_config()["tags"], list[str] | None)
assert_type(SpallocConfig().tags, list[str] | None)
assert_type(SpallocConfig().port, int)
"""


def strictly(program: Path, *options: str) -> str:
    """What `mypy --strict` says of a program that imports our client."""
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--warn-unreachable",
        *options,
    ]
    done = subprocess.run(
        [*command, "--cache-dir", program.with_suffix(".cache"), program],
        cwd=program.parent,
        env={"MYPYPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_the_published_allocator_of_spinnfrontendcommon_has_no_error_under_mypy_strict(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    environment = peer("sPyNNaker==1!7.4.1")
    (published,) = environment.root.glob(f"lib/python3*/site-packages/{ALLOCATOR}")
    program = tmp_path / "allocator.py"
    program.write_bytes(published.read_bytes())
    said = strictly(program, "--python-executable", str(environment.python))
    assert said == "Success: no issues found in 1 source file\n"


@pytest.mark.slow
def test_what_may_be_none_can_be_used_as_before_and_asked_about_and_nothing_else(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert strictly(program) == "Success: no issues found in 1 source file\n"
    program.write_text(PROGRAM + "job.connections.nothing\njob.width.nothing\n")
    assert strictly(program).count('has no attribute "nothing"') == 2


@pytest.mark.slow
def test_the_configuration_s_attributes_have_the_types_of_its_entries(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CONFIGURATION)
    assert strictly(program) == "Success: no issues found in 1 source file\n"

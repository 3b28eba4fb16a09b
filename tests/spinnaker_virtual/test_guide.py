"""The guide's script, run as the guide says, with SpiNNMan from its own environment."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.pages import File, read
from tests.peers.environments import PeerEnvironment

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "spinnaker-without-hardware.md"
SPALLOC = (sys.executable, "-c", "from spalloc_client.scripts.alloc import main; raise SystemExit(main())")


@pytest.mark.slow
def test_the_guides_script_boots_a_machine_and_reads_its_memory(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    python = peer("SpiNNMan==1!7.4.1").python
    (script,) = (step for step in read(GUIDE) if isinstance(step, File) and step.name == "hello_chips.py")
    (tmp_path / script.name).write_text(script.text)
    command = f"{python} {script.name} {{hostname}}"
    done = subprocess.run(
        [*SPALLOC, "--virtual", "1x1", "1", "--owner", "test", "--command", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "48 chips, 864 cores\nhello from chip (7, 7)\n" in done.stdout

"""`make demo`, without make: it shows what it promises, and leaves nothing behind however it ends."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = [sys.executable, str(Path(__file__).parents[1] / "demo" / "three_boards.py")]

pytestmark = pytest.mark.slow


def test_the_demo_allocates_shows_uses_and_frees_three_boards(tmp_path: Path) -> None:
    done = subprocess.run(DEMO, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert re.findall(r"Job 1: (.*)", done.stderr)[-1] == "Ready!"
    during, after = done.stdout.split("$ spalloc-machine")
    assert re.search(r"^ *State: ready$", during, re.MULTILINE)
    assert re.search(r"^ *Num boards: 3$", during, re.MULTILINE)
    assert "16 x 16 chips" in during
    assert len(re.findall(r"^ *\d+, +\d+ +127\.", during, re.MULTILINE)) == 3
    assert re.search(r"^virtual +12 +0 +0 ", after, re.MULTILINE)
    assert "spalloc --virtual" in after
    program = re.search(r"python (\S+\.py)", during)
    assert program is not None, "the program that uses the boards can be typed again, in the clone"
    assert (Path(__file__).parents[1] / program[1]).exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_demo_with_nothing_left_behind(tmp_path: Path, number: signal.Signals) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        DEMO,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        assert any("Waiting" in line for line in demo.stderr)
        # Ctrl-C is sent to all of a terminal's processes, SIGTERM to one.
        os.killpg(demo.pid, number) if number == signal.SIGINT else demo.terminate()
        assert demo.wait(timeout=30) == 128 + number
        assert "Traceback" not in demo.stderr.read()
    assert list(tmp_path.iterdir()) == []

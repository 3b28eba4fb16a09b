"""A packet log that can't be written any further."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spinnaker_virtual.log_file import opened_log

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")
def test_a_log_on_a_full_disk_ends_with_one_line_and_disturbs_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with opened_log(str(FULL)) as write:
        assert write is not None
        for number in range(3):
            write(f"packet {number}")
    said = capsys.readouterr().err
    assert said == "the packet log ends here: /dev/full can't be written: No space left on device\n"


def test_a_log_gets_every_line_at_once(tmp_path: Path) -> None:
    with opened_log(str(tmp_path / "log")) as write:
        assert write is not None
        write("packet 1")
        write("packet 2")
        assert (tmp_path / "log").read_text() == "packet 1\npacket 2\n"


def test_a_log_whose_reader_has_gone_ends_and_the_program_ends_well() -> None:
    program = (
        "from spinnaker_virtual.log_file import opened_log\n"
        "with opened_log('-') as write:\n"
        "    for number in range(3):\n"
        "        write(f'packet {number}')\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writer)
    assert ended.stderr == "the packet log ends here: the standard output can't be written: Broken pipe\n"
    assert ended.returncode == 0

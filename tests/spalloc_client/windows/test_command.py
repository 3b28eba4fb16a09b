"""Wrapped commands as on Windows: the part of it that other systems can try as well."""

import signal
import sys
from pathlib import Path

import pytest

from spalloc_client.windows import command


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_the_status_is_the_command_s() -> None:
    assert command.run_on_console(python("raise SystemExit(7)"), {}) == 7


def test_one_argument_is_a_line_for_the_shell() -> None:
    assert command.run_on_console(["exit 3"], {}) == 3


def test_several_arguments_are_kept_from_the_shell(tmp_path: Path) -> None:
    words = [
        *python(f"import sys; open({str(tmp_path / 'said')!r}, 'w').write(sys.argv[1])"),
        "$HOME && a  b",
    ]
    assert command.run_on_console(words, {}) == 0
    assert (tmp_path / "said").read_text() == "$HOME && a  b"


def test_variables_come_beside_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "1")
    program = "import os; raise SystemExit(int(os.environ['THERE'] + os.environ['MORE']))"
    assert command.run_on_console(python(program), {"MORE": "2"}) == 12


def test_ctrl_c_is_the_command_s_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    program = "import os, signal; os.kill(os.getppid(), signal.SIGINT); raise SystemExit(5)"
    assert command.run_on_console(python(program), {}) == 5
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_came_before_keeps_the_command_from_starting(tmp_path: Path) -> None:
    def told_to_stop() -> None:
        raise KeyboardInterrupt

    words = python(f"open({str(tmp_path / 'started')!r}, 'w')")
    with pytest.raises(KeyboardInterrupt):
        command.run_on_console(words, {}, told_to_stop)
    assert not (tmp_path / "started").exists()


def test_a_program_that_is_not_there_is_an_error_of_its_own() -> None:
    with pytest.raises(FileNotFoundError):
        command.run_on_console(["no-such-program", "x"], {})


@pytest.mark.parametrize(("code", "status"), [(0, 0), (1, 1), (0xC000013A, 130), (0xC0000005, -0x3FFFFFFB)])
def test_statuses_are_such_as_a_process_may_end_with(code: int, status: int) -> None:
    assert command._status(code) == status

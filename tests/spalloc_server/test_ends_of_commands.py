"""How `spalloc-server` and its other commands end where something is missing: readers, room, packages, ports."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import SERVER
from tests.spalloc_server.config.examples import ONE_BOARD

pytestmark = pytest.mark.slow

OLD = """
desk = Machine.single_board("desk", tags=set(["default"]), bmp_ip="192.168.240.0", spinnaker_ip="192.168.240.1")
configuration = Configuration(machines=[desk])
"""
COMMANDS = {
    "check": ["check", "site.toml"],
    "convert": ["convert", "old.cfg"],
    "simulate": ["simulate", "trace.csv", "--machine", "2x2"],
    "simulate --json": ["simulate", "trace.csv", "--machine", "2x2", "--json"],
    "reload --help": ["reload", "--help"],
    "backup --help": ["backup", "--help"],
    "export --help": ["export", "--help"],
    "boards --help": ["boards", "--help"],
    "boards drain --help": ["boards", "drain", "--help"],
    "restore --help": ["restore", "--help"],
    "check --help": ["check", "--help"],
    "--help": ["--help"],
    "--version": ["--version"],
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site.toml").write_text(ONE_BOARD)
    (tmp_path / "old.cfg").write_text(OLD)
    (tmp_path / "trace.csv").write_text("submit,duration,boards\n1,2,3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_output_that_can_not_be_written_is_one_line_and_a_status(
    command: str, unbuffered: str, files: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*SERVER, *COMMANDS[command]],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    name = " ".join(word for word in ["spalloc-server", COMMANDS[command][0]] if not word.startswith("--"))
    notes = [line for line in ended.stderr.splitlines() if not line.startswith("note: ")]
    assert notes == [f"{name}: can't write the output: No space left on device"]
    assert ended.returncode == 74


@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_nobody_reads_is_no_traceback(command: str, files: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*SERVER, *COMMANDS[command]], stdout=writing, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writing)
    assert [line for line in ended.stderr.splitlines() if not line.startswith("note: ")] == []
    assert ended.returncode == 141


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_output_is_one_line_and_a_status(command: str, files: Path) -> None:
    line = subprocess.list2cmdline([*SERVER[:2]]) + f" '{SERVER[2]}' " + " ".join(COMMANDS[command])
    ended = subprocess.run(["bash", "-c", f"{line} >&-"], stderr=subprocess.PIPE, text=True)
    name = " ".join(word for word in ["spalloc-server", COMMANDS[command][0]] if not word.startswith("--"))
    notes = [line for line in ended.stderr.splitlines() if not line.startswith("note: ")]
    assert notes == [f"{name}: can't write the output: Bad file descriptor"]
    assert ended.returncode == 74


def test_a_server_needs_no_output(files: Path) -> None:
    line = subprocess.list2cmdline([*SERVER[:2]]) + f" '{SERVER[2]}' site.toml --host no.such.host.invalid"
    ended = subprocess.run(["bash", "-c", f"{line} >&-"], stderr=subprocess.PIPE, text=True)
    assert "no.such.host.invalid" in ended.stderr.splitlines()[-1], "it came as far as to listen"
    assert ended.returncode == 1


WITHOUT = "import sys; sys.modules['{package}'] = None; "


@pytest.mark.parametrize(
    "arguments",
    [
        ["site.toml"],
        ["--virtual", "1x1"],
        ["check", "site.toml"],
        ["convert", "old.cfg"],
        ["reload", "site.toml"],
        ["simulate", "trace.csv", "--machine", "2x2"],
    ],
    ids=" ".join,
)
def test_without_the_extra_one_line_says_what_to_install(arguments: list[str], files: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(package="msgspec") + SERVER[2], *arguments],
        capture_output=True,
        text=True,
    )
    if arguments[0] in ("check", "simulate"):
        assert ended.returncode == 0, "these need no more than the client does"
        return
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "the package msgspec is missing" in ended.stderr
    assert "pip install 'spalloc[server]'" in ended.stderr


def test_without_the_extra_the_fixture_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_mine(spalloc_site): pass\n")
    script = WITHOUT.format(package="msgspec") + "import pytest; raise SystemExit(pytest.main(['-q']))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert "no site can be run: the package msgspec is missing" in ended.stdout
    assert "pip install 'spalloc[server]'" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_place_that_can_not_be_listened_on_is_said_in_words(files: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        metrics = files / "metrics.toml"
        metrics.write_text(f"[metrics]\nport = {port}\n[v1]\nport = 0\n" + ONE_BOARD)
        for arguments, said in (
            (
                ["site.toml", "--port", str(port)],
                "end it, or give another v1.port, or another --host or --port",
            ),
            (["--virtual", "1x1", "--port", str(port)], "end it, or give another v1.port"),
            (["metrics.toml"], "end it, or give another metrics.port"),
            (
                ["--virtual", "1x1", "--port", "0", "--https", str(port)],
                "end it, or give another http.port, or with --virtual another port after --https",
            ),
        ):
            ended = subprocess.run([*SERVER, "--quiet", *arguments], capture_output=True, text=True)
            line = ended.stderr.splitlines()[-1]
            assert f"can't listen on 127.0.0.1 port {port}: another program listens there already" in line
            assert said in line
            assert ended.returncode == 1
    for host, said in (
        ("203.0.113.1", "has no such address"),
        ("no.such.host.invalid", "knows no such host"),
    ):
        ended = subprocess.run([*SERVER, "site.toml", "--host", host], capture_output=True, text=True)
        assert said in ended.stderr.splitlines()[-1]
        assert "Traceback" not in ended.stderr

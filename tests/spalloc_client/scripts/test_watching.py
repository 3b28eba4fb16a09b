"""--watch in real terminals: through a job's life, a server's restart, a window's changes; and on pipes."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.scripts.conftest import Commands
from tests.spalloc_client.scripts.terminals import Terminal

pytestmark = pytest.mark.slow

PRIVATE_SCREEN, NORMAL_SCREEN = b"\033[?1049h", b"\033[?1049l"
HIDE_CURSOR, SHOW_CURSOR = b"\033[?25l", b"\033[?25h"


def settled(rows: list[str]) -> str:
    """A screen for a snapshot, without what is different each time, or what the server is free to say."""
    text = "\n".join(rows)
    text = re.sub(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", "DD/MM/YYYY hh:mm:ss", text)
    text = re.sub(r"Queue: .*(\n {7,}.*)*", "Queue: ...", text)
    text = re.sub(r"\n *Starts: .*", "", text)
    return re.sub(r"127\.\d+\.\d+\.\d+", "127.x.x.x", text)


def test_ps_follows_a_job_through_its_life(
    commands: Commands, client: ProtocolClient, snapshot: SnapshotAssertion
) -> None:
    blocker = client.create_job(4, 2, owner="first@example.org", keepalive=None)
    with Terminal(commands.line("spalloc-ps", ("--watch",), server=True), 100, 8) as terminal:
        terminal.until("ready  on")
        job = client.create_job(3, owner="second@example.org", keepalive=None)
        screens = [terminal.until("queue")]
        client.destroy_job(blocker)
        screens.append(terminal.until(lambda rows: len(rows) == 2 and "ready" in rows[1]))
        client.power_off_job_boards(job)
        screens.append(terminal.until("ready  off"))
        client.destroy_job(job)
        screens.append(terminal.until(lambda rows: len(rows) == 1))
        assert terminal.end("\x03") == 0
    assert "\n\n".join(map(settled, screens)) == snapshot


def test_job_follows_a_job_through_its_life(
    commands: Commands, client: ProtocolClient, snapshot: SnapshotAssertion
) -> None:
    blocker = client.create_job(4, 2, owner="first@example.org", keepalive=None)
    job = client.create_job(3, owner="second@example.org", keepalive=None)
    with Terminal(commands.line("spalloc-job", (str(job), "--watch"), server=True)) as terminal:
        screens = [terminal.until("queued")]
        client.destroy_job(blocker)
        screens.append(terminal.until("State: ready"))
        client.destroy_job(job, "It has had its time.")
        # This terminal knows no second screen: what was on it is still there above what is left on the first.
        assert terminal.end() == 0
        screens.append(terminal.rows)
    assert "\n\n".join(map(settled, screens)) == snapshot


def test_machine_follows_its_jobs(
    commands: Commands, client: ProtocolClient, snapshot: SnapshotAssertion
) -> None:
    with Terminal(commands.line("spalloc-machine", ("virtual", "--watch"), server=True)) as terminal:
        screens = [terminal.until("In-use: 0 of 24")]
        job = client.create_job(0, 0, 0, owner="first@example.org", machine="virtual", keepalive=None)
        client.create_job(2, 1, 2, owner="second@example.org", machine="virtual", keepalive=None)
        screens.append(terminal.until("In-use: 2 of 24"))
        client.destroy_job(job)
        screens.append(terminal.until("In-use: 1 of 24"))
        assert terminal.end("\x03") == 0
    assert "\n\n".join(map(settled, screens)) == snapshot


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("name", ["spalloc-ps", "spalloc-job", "spalloc-machine"])
def test_a_restarted_server_is_followed_again(
    name: str, port: int, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    commands = Commands("127.0.0.1", port)
    state = tmp_path / "state"
    which = {"spalloc-ps": (), "spalloc-job": ("1",), "spalloc-machine": ("virtual",)}[name]
    screens = []
    with EmbeddedSite(2, 1, port=port, state=state), ProtocolClient("127.0.0.1", port) as client:
        client.create_job(0, 0, 0, owner="first@example.org", keepalive=None)
        terminal = Terminal(commands.line(name, (*which, "--watch"), server=True), 100, 22)
        ready = {"spalloc-ps": "ready", "spalloc-job": "State: ready", "spalloc-machine": "In-use: 1 of 6"}[
            name
        ]
        screens.append(terminal.until(ready))
    with terminal:
        screens.append(terminal.until("Connecting again"))
        with EmbeddedSite(2, 1, port=port, state=state), ProtocolClient("127.0.0.1", port) as client:
            terminal.until(lambda rows: not any("Connecting again" in row for row in rows))
            client.create_job(0, 0, 2, owner="second@example.org", keepalive=None)
            if name == "spalloc-job":
                client.destroy_job(1, "Its server came back.")
            if name == "spalloc-job":
                assert terminal.end() == 0
                screens.append(terminal.rows)
            else:
                screens.append(terminal.until(_AFTER_RESTART[name]))
                assert terminal.end("\x03") == 0
    text = "\n\n".join(map(settled, screens)).replace(str(port), "PORT")
    assert re.sub(r"(Connecting again: ).*", r"\1...", text) == snapshot


_AFTER_RESTART: dict[str, Callable[[list[str]], bool]] = {
    "spalloc-ps": lambda rows: sum("ready" in row for row in rows) == 2,
    "spalloc-machine": lambda rows: any("In-use: 2 of 6" in row for row in rows),
}


@pytest.mark.parametrize("leaving", ["q", "\x03"], ids=["q", "Ctrl-C"])
def test_it_leaves_the_terminal_as_it_was_and_the_last_screen_below(commands: Commands, leaving: str) -> None:
    with Terminal(commands.line("spalloc-ps", ("--watch",), server=True)) as terminal:
        terminal.until("Keepalive")
        assert not terminal.echoes
        assert terminal.end(leaving) == 0
        assert terminal.echoes
        codes = terminal.written
    assert codes.count(PRIVATE_SCREEN) == codes.count(NORMAL_SCREEN) == 1
    assert codes.rindex(SHOW_CURSOR) > codes.rindex(HIDE_CURSOR)
    assert b"Keepalive" in codes[codes.rindex(NORMAL_SCREEN) :]
    assert b"Traceback" not in codes


def test_sigterm_leaves_the_terminal_as_it_was(commands: Commands) -> None:
    with Terminal(commands.line("spalloc-ps", ("--watch",), server=True)) as terminal:
        terminal.until("Keepalive")
        os.kill(terminal.pid, signal.SIGTERM)
        assert terminal.end() == 128 + signal.SIGTERM
        assert terminal.echoes
        assert terminal.written.rstrip().rfind(NORMAL_SCREEN) > 0


def test_it_never_blanks_what_stays(commands: Commands, client: ProtocolClient) -> None:
    client.create_job(1, owner="stays@example.org", keepalive=None)
    with Terminal(commands.line("spalloc-ps", ("--watch",), server=True)) as terminal:
        terminal.until("ready")
        before = len(terminal.written)
        client.create_job(1, owner="comes@example.org", keepalive=None)
        terminal.until("comes")
        written = terminal.written[before:]
    assert b"stays" not in written
    assert b"\033[2J" not in written


def test_it_follows_the_window(
    commands: Commands, client: ProtocolClient, snapshot: SnapshotAssertion
) -> None:
    for number in range(6):
        client.create_job(1, owner=f"owner-{number}@example.org", keepalive=None)
    with Terminal(commands.line("spalloc-ps", ("--watch",), server=True), 100, 20) as terminal:
        terminal.until(lambda rows: sum("ready" in row for row in rows) == 6)
        terminal.resize(60, 5)
        screens = [terminal.until("... 1-3 of 6 lines")]
        terminal.resize(3, 1)
        terminal.until(lambda rows: rows == ["..."])
        terminal.resize(100, 20)
        screens.append(terminal.until(lambda rows: any("None" in row and "owner-5" in row for row in rows)))
        assert terminal.end("\x03") == 0
    assert "\n\n".join(map(settled, screens)) == snapshot


@pytest.mark.parametrize(
    ("name", "more", "found"),
    [
        ("spalloc-ps", (), "owner-4"),
        ("spalloc-machine", ("virtual", "--detailed"), "owner-4"),
        ("spalloc-job", ("1",), "Owner: owner-0"),
    ],
)
def test_keys_move_and_filter_what_is_watched(
    commands: Commands, client: ProtocolClient, name: str, more: tuple[str, ...], found: str
) -> None:
    for number in range(6):
        client.create_job(1, owner=f"owner-{number}@example.org", keepalive=None)
    with Terminal(commands.line(name, (*more, "--watch"), server=True), 100, 5) as terminal:
        first = terminal.until("... 1-")
        terminal.type("\033[B")
        terminal.until("... 2-")
        terminal.type("\033[6~")
        terminal.until(lambda rows: rows[1] not in first)
        terminal.type("\033[H/" + found.upper())
        terminal.until(f"/{found.upper()}_")
        terminal.type("\n\033[F")
        terminal.until(lambda rows: "(Escape: all)" in rows[-1] and any(found in row for row in rows))
        assert name == "spalloc-machine" or "... 1-1 of 1 lines" in terminal.rows[-1]
        assert terminal.end("q") == 0
        assert any(found in row for row in terminal.rows), "what was seen last stays"


def test_without_a_keyboard_it_is_as_before(commands: Commands, client: ProtocolClient) -> None:
    line = " ".join(commands.line("spalloc-ps", ("--watch",), server=True))
    for number in range(6):
        client.create_job(1, owner=f"owner-{number}@example.org", keepalive=None)
    with Terminal(["/bin/sh", "-c", f"exec {line} < /dev/null"], 100, 5) as terminal:
        terminal.until("a taller window shows them")
        assert terminal.echoes
        assert terminal.end("\x03") == 0


def test_ctrl_z_gives_the_terminal_back_and_fg_goes_on(commands: Commands, client: ProtocolClient) -> None:
    shell = ["/bin/bash", "--norc", "-i"]
    with Terminal(shell, 100, 20, {"PS1": "$ "}) as terminal:
        terminal.until("$")
        terminal.type(" ".join(commands.line("spalloc-ps", ("--watch",), server=True)) + "\n")
        terminal.until(lambda rows: rows[:1] != [] and rows[0].startswith("ID"))
        terminal.type("\x1a")
        terminal.until("Stopped")
        assert terminal.echoes or b"\033[?2004h" in terminal.written, "neither the shell's line editor has it"
        client.create_job(1, owner="meanwhile@example.org", keepalive=None)
        terminal.type("fg\n")
        terminal.until("meanwhile")
        terminal.type("/nobody")
        terminal.until("/nobody_")
        terminal.type("\x1b")
        terminal.until("meanwhile")
        terminal.type("q")
        terminal.until(lambda rows: rows[-1:] != [] and rows[-1].startswith("$"))
        terminal.end("exit\n")


def test_in_the_background_the_shell_has_the_keys_and_in_the_foreground_again_it_has(
    commands: Commands, client: ProtocolClient
) -> None:
    with Terminal(["/bin/bash", "--norc", "-i"], 100, 20, {"PS1": "$ "}) as terminal:
        terminal.until("$")
        line = " ".join(commands.line("spalloc-ps", ("--watch",), server=True))
        terminal.type(f"{line} & read -r words; echo shell has $words\n")
        terminal.until("Owner")
        terminal.type("quite all\n")
        terminal.until("shell has quite all")
        terminal.type("fg\n")
        client.create_job(1, owner="later@example.org", keepalive=None)
        terminal.until("later")
        terminal.type("/nobody")
        terminal.until("/nobody_")
        terminal.type("\nq")
        terminal.until(lambda rows: rows[-1:] != [] and rows[-1].startswith("$"))
        terminal.end("exit\n")


def test_on_a_pipe_each_change_is_a_json_object_on_a_line(commands: Commands, client: ProtocolClient) -> None:
    running = commands.start("spalloc-ps", "--watch", "--json")
    running.until('{"jobs": []}\n', "output")
    job = client.create_job(1, owner="first", keepalive=None)
    running.until('"ready"', "output")
    client.destroy_job(job)
    running.until('"ready"', "output")
    lines = running.until("\n" + '{"jobs": []}\n', "output").splitlines()
    states = [[job["state"] for job in json.loads(line)["jobs"]] for line in lines]
    assert states[0] == states[-1] == []
    assert ["ready"] in states
    assert running.end(signal.SIGINT) == 0


def test_on_a_pipe_each_change_is_a_block(commands: Commands, client: ProtocolClient) -> None:
    running = commands.start("spalloc-ps", "--watch")
    running.until("Owner\n\n", "output")
    client.create_job(1, owner="first", keepalive=None)
    said = running.until("ready", "output")
    assert "\033" not in said
    assert running.end(signal.SIGINT) == 0
    assert running.said["error"] == ""


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_watching_a_job_ends_with_the_job(
    more: tuple[str, ...], commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    running = commands.start("spalloc-job", "--watch", str(make_job(1)), *more)
    running.until("ready", "output")
    client.destroy_job(1, "Enough.")
    assert running.end() == 0
    assert "Enough." in running.said["output"].splitlines()[-1 if more else -2]


def test_watching_a_job_that_the_server_does_not_know_ends_at_once(commands: Commands) -> None:
    ended = commands.run("spalloc-job", "99", "--watch")
    assert (ended.returncode, ended.stderr) == (3, "")
    assert "unknown" in ended.stdout


def test_when_the_reader_of_the_pipe_goes_so_does_it(commands: Commands) -> None:
    line = " ".join(commands.line("spalloc-ps", ("--watch",), server=True))
    ended = subprocess.run(
        ["bash", "-c", f"{line} | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.stdout.splitlines()[-1] == "141"
    assert ended.stderr == ""

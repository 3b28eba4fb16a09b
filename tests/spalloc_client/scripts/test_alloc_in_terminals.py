"""`spalloc` in real terminals: what is seen while waiting, and who gets Ctrl-C and Ctrl-Z."""

import os
import signal
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.scripted import Answer, ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands
from tests.spalloc_client.scripts.terminals import Terminal

pytestmark = pytest.mark.slow

OWNER = ("--owner", "jane")


def shell(commands: Commands, tmp_path: Path, script: str) -> list[str]:
    """Bash with a script in which SPALLOC stands for spalloc and its server."""
    path = tmp_path / "script"
    path.write_text(script.replace("SPALLOC", " ".join(commands.line("spalloc", OWNER, server=True))))
    return ["/bin/bash", str(path)]


def test_the_wait_is_told_on_one_line_with_its_time_and_the_place_in_the_queue(
    commands: Commands, client: ProtocolClient
) -> None:
    blockers = [client.create_job(4, 2, owner="first", keepalive=None) for _ in range(2)]
    with Terminal(commands.line("spalloc", (*OWNER, "4", "2"), server=True), 100) as terminal:
        rows = terminal.until("Waiting in queue... 0:00 (2nd of 2)")
        assert len(rows) == 2
        assert rows[1].startswith("Asks for 4x2 triads; it needs 24 boards")
        client.destroy_job(blockers[1])
        terminal.until("(1st of 1)")
        client.destroy_job(blockers[0])
        rows = terminal.until("<Press enter when done>")
        assert rows[0] == "Job 3: Ready!"
        assert [row.split(":")[0].strip() for row in rows[1:-1]] == [
            "Hostname",
            "Width",
            "Height",
            "Num boards",
            "All hostnames",
            "Running on",
        ]
        assert terminal.end("\r") == 0
    assert client.list_jobs() == []


@pytest.mark.parametrize("size", [(10, 2), (1, 1)])
def test_a_tiny_terminal_is_enough(commands: Commands, client: ProtocolClient, size: tuple[int, int]) -> None:
    client.create_job(4, 2, owner="first", keepalive=None)
    with Terminal(commands.line("spalloc", (*OWNER, "4", "2"), server=True), *size) as terminal:
        terminal.until(lambda rows: b"\033[K" in terminal.written)
        assert terminal.end("\x03") == 4
        assert b"Traceback" not in terminal.written
    assert [job["job_id"] for job in client.list_jobs()] == [1]


def test_ctrl_c_goes_to_the_command_alone_and_its_status_is_ours(
    commands: Commands, client: ProtocolClient
) -> None:
    line = "trap 'echo got it; exit 9' INT; echo started; while :; do read -t 1 || true; done"
    with Terminal(commands.line("spalloc", (*OWNER, "-c", "bash", "-c", line), server=True)) as terminal:
        terminal.until("started")
        assert terminal.end("\x03") == 9
        assert terminal.rows.count("got it") + sum(row.endswith("got it") for row in terminal.rows) >= 1
    assert client.list_jobs() == []


def test_ctrl_c_ends_a_script_as_if_the_command_had_been_called_without_us(
    commands: Commands, client: ProtocolClient, tmp_path: Path
) -> None:
    script = "SPALLOC -c cat\necho the script went on\n"
    with Terminal(shell(commands, tmp_path, script)) as terminal:
        terminal.until("Ready!")
        terminal.type("started\r")
        # Once from the terminal, once from the command: it runs.
        terminal.until(lambda rows: sum("started" in row for row in rows) == 2)
        assert terminal.end("\x03") == -signal.SIGINT
        assert not any("went on" in row for row in terminal.rows)
    assert client.list_jobs() == []


def test_a_command_may_use_the_keyboard(commands: Commands) -> None:
    line = 'read -p "Your name? " name; echo "Hello $name"'
    with Terminal(commands.line("spalloc", (*OWNER, "-c", "bash", "-c", line), server=True)) as terminal:
        terminal.until("Your name?")
        terminal.type("Jane\r")
        terminal.until("Hello Jane")
        assert terminal.end() == 0


def test_ctrl_z_stops_command_and_spalloc_and_fg_goes_on(commands: Commands, client: ProtocolClient) -> None:
    with Terminal(["/bin/bash", "--norc", "-i"], 200, 20, {"PS1": "$ "}) as terminal:
        terminal.until("$")
        line = " ".join(commands.line("spalloc", OWNER, server=True))
        terminal.type(f"{line} -c bash -c 'echo started; read answer; echo $answer indeed'\r")
        terminal.until(lambda rows: "started" in rows)
        terminal.type("\x1a")
        terminal.until("Stopped")
        assert len(client.list_jobs()) == 1
        terminal.type("fg\r")
        terminal.until(lambda rows: "fg" in rows[-2])
        terminal.type("yes\r")
        terminal.until("yes indeed")
        terminal.until(lambda rows: rows[-1].startswith("$"))
        terminal.end("exit\r")
    assert client.list_jobs() == []


def test_a_closed_terminal_frees_the_job(commands: Commands, client: ProtocolClient) -> None:
    client.notify_job()
    with Terminal(commands.line("spalloc", (*OWNER, "-c", "sleep", "600"), server=True)) as terminal:
        terminal.until("Ready!")
        os.kill(terminal.pid, signal.SIGHUP)
        assert terminal.end() == 128 + signal.SIGHUP
    assert client.list_jobs() == []


def test_a_server_that_dies_half_way_is_waited_for_and_ctrl_c_still_ends_it(tmp_path: Path) -> None:
    with EmbeddedSite(1, 1) as site, ProtocolClient(site.hostname, site.port) as client:
        client.create_job(1, 1, owner="first", keepalive=None)
        commands = Commands(site.hostname, site.port)
        terminal = Terminal(commands.line("spalloc", (*OWNER, "1", "1"), server=True), 200)
        terminal.until("Waiting in queue")
    with terminal:
        terminal.until("unreachable")
        # Said once, above the line that tells the time: several seconds later, there is still one of each.
        rows = terminal.until("Waiting in queue... 0:04")
        assert [row.split()[0] for row in rows] == ["spalloc:", "Job", "Asks"]
        assert terminal.end("\x03") == 4
        assert b"Traceback" not in terminal.written


def one_board(hostname: str = "board-1") -> dict[str, Answer]:
    """The answers of a server with one job, which is ready."""
    status = {
        "state": 3,
        "power": True,
        "keepalive": 60.0,
        "reason": None,
        "start_time": 0.0,
        "keepalivehost": "",
    }
    boards = {
        "width": 8,
        "height": 8,
        "connections": [[[0, 0], hostname]],
        "machine_name": "m",
        "boards": [[0, 0, 0]],
    }
    return {"create_job": 1, "get_job_state": status, "get_job_machine_info": boards}


def test_a_server_that_goes_away_under_a_command_and_comes_back_is_told_once_each() -> None:
    with ScriptedServer(one_board()) as server:
        commands = Commands(server.hostname, server.port)
        running = commands.start("spalloc", *OWNER, "--reconnect-delay", "0.05", "-c", "read line")
        running.until("Ready!")
        server.wait_for_command("notify_job")
    running.until("Job 1: The server 127.0.0.1")
    with ScriptedServer(one_board(), port=server.port):
        running.until(f"Job 1: Connected to 127.0.0.1:{server.port} again.\n")
        assert running.process.stdin is not None
        running.process.stdin.write("\n")
        running.process.stdin.flush()
        assert running.end() == 0
    assert running.said["error"].count("out of reach") == running.said["error"].count("Connected") == 1


def test_a_command_is_told_of_other_boards_and_finds_them_in_its_file(tmp_path: Path) -> None:
    with ScriptedServer(one_board()) as server:
        commands = Commands(server.hostname, server.port)
        running = commands.start("spalloc", *OWNER, "-c", "read line; cat {ethernet_ips}")
        running.until("Ready!")
        server.wait_for_command("notify_job")
        server.answers |= one_board("board-2")
        server.send(b'{"jobs_changed": [1]}\n')
        running.until("Job 1 was moved to other boards: the hostname is board-2 now.\n")
        assert running.process.stdin is not None
        running.process.stdin.write("\n")
        running.process.stdin.flush()
        assert running.end() == 1
    assert running.said["output"] == "x,y,hostname\n0,0,board-2\n"


def test_who_waits_at_the_prompt_is_told_of_other_boards_and_keeps_the_prompt() -> None:
    with ScriptedServer(one_board()) as server:
        running = Commands(server.hostname, server.port).start("spalloc", *OWNER)
        running.until("<Press enter", "output")
        server.wait_for_command("notify_job")
        server.answers |= one_board("board-2")
        server.send(b'{"jobs_changed": [1]}\n')
        running.until("Job 1 was moved to other boards: the hostname is board-2 now.\n")
        assert running.process.poll() is None
        assert running.process.stdin is not None
        running.process.stdin.write("\n")
        running.process.stdin.flush()
        assert running.end() == 0
    assert running.said["output"].count("<Press enter") == 2


def test_a_server_that_dies_under_a_command_leaves_it_to_end_by_itself(tmp_path: Path) -> None:
    with EmbeddedSite(1, 1) as site:
        commands = Commands(site.hostname, site.port)
        running = commands.start("spalloc", *OWNER, "-c", "read line; exit 5")
        running.until("Ready!")
    assert running.process.stdin is not None
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    assert running.end() == 5
    assert "Traceback" not in running.said["error"]

"""`spalloc`, run as a process against real servers with virtual boards."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.scripts.conftest import Commands, Running

OWNER = ("--owner", "jane")
pytestmark = pytest.mark.slow


def _unused_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_a_wrapped_shell_line_is_told_about_its_boards_and_its_status_is_ours(commands: Commands) -> None:
    ended = commands.run(
        "spalloc",
        *OWNER,
        "3",
        "-c",
        "echo {} {hostname} {w} {width} {h} {height} {id} && cat {ethernet_ips}; exit 7",
    )
    first, *rest = ended.stdout.splitlines()
    hostname, again, *numbers = first.split()
    assert hostname.startswith("127.")
    assert again == hostname
    assert numbers == ["16", "16", "16", "16", "1"]
    assert rest[0] == "x,y,hostname"
    assert rest[1] == f"0,0,{hostname}"
    assert [line.rpartition(",")[0] for line in rest[2:]] == ["4,8", "8,4"]
    assert ended.returncode == 7
    assert "Job 1: Ready!" in ended.stderr


def test_several_words_are_a_program_and_its_arguments_kept_from_the_shell(commands: Commands) -> None:
    ended = commands.run("spalloc", *OWNER, "-c", "printf", "%s|", "a b", "$HOME", "{id}", "*", "a;b")
    assert ended.stdout == "a b|$HOME|1|*|a;b|"


def test_a_wrapped_command_finds_the_facts_in_its_environment(commands: Commands) -> None:
    ended = commands.run(
        "spalloc",
        *OWNER,
        "3",
        "-c",
        "echo $SPALLOC_ID $SPALLOC_WIDTH $SPALLOC_HEIGHT $SPALLOC_BOARDS $SPALLOC_MACHINE; "
        'test "$SPALLOC_HOSTNAME" = {} && test "$SPALLOC_ETHERNET_IPS" = {ethernet_ips} && '
        'test "$SPALLOC_SERVER_HOSTNAME:$SPALLOC_SERVER_PORT" = ' + ":".join(commands.server[1::2]),
    )
    assert ended.stdout == "1 16 16 3 virtual\n"
    assert ended.returncode == 0


def test_the_job_is_gone_and_its_file_too_when_the_command_has_ended(
    commands: Commands, client: ProtocolClient
) -> None:
    ended = commands.run("spalloc", *OWNER, "-c", "echo {ethernet_ips}")
    assert not Path(ended.stdout.strip()).exists()
    assert client.list_jobs() == []


def test_a_file_that_can_not_be_removed_changes_nothing_of_how_the_command_ended(commands: Commands) -> None:
    ended = commands.run(
        "spalloc", *OWNER, "-c", "rm {ethernet_ips}; mkdir {ethernet_ips}; echo {ethernet_ips}; exit 3"
    )
    file = Path(ended.stdout.strip())
    file.rmdir()
    assert ended.returncode == 3
    assert ended.stderr.splitlines()[-1] == f"spalloc: can't remove {file}: Is a directory"


@pytest.mark.parametrize(
    ("style", "boards"), [((), 1), (("5",), 6), (("4", "2"), 24), (("3", "1", "0"), [[3, 1, 0]])]
)
def test_each_style_of_the_command_gives_the_boards_that_the_manual_says(
    style: tuple[str, ...], boards: int | list[list[int]], commands: Commands, client: ProtocolClient
) -> None:
    running = commands.start("spalloc", *OWNER, *style)
    running.until("<Press enter", "output")
    (job,) = client.list_jobs()
    assert (job["boards"] if isinstance(boards, list) else len(job["boards"])) == boards
    assert running.end(signal.SIGINT) == 0


def test_without_a_command_it_shows_the_machine_until_enter(
    commands: Commands, client: ProtocolClient
) -> None:
    running = commands.start("spalloc", *OWNER, "3")
    shown = running.until("<Press enter when done>", "output").splitlines()
    assert [line.split(":")[0].strip() for line in shown[:-1]] == [
        "Hostname",
        "Width",
        "Height",
        "Num boards",
        "All hostnames",
        "Running on",
    ]
    assert len(client.list_jobs()) == 1
    assert running.process.stdin is not None
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    assert running.end() == 0
    assert client.list_jobs() == []


@pytest.mark.parametrize("how", ["Enter", "end of input", "Ctrl-C"])
@pytest.mark.parametrize("keep", [(), ("--no-destroy", "--keepalive", "-1")], ids=["freed", "kept"])
def test_at_the_end_it_says_what_became_of_the_job(
    how: str, keep: tuple[str, ...], commands: Commands, client: ProtocolClient
) -> None:
    running = commands.start("spalloc", *OWNER, *keep)
    running.until("<Press enter", "output")
    assert running.process.stdin is not None
    if how == "Enter":
        running.process.stdin.write("\n")
    running.process.stdin.flush()
    if how == "end of input":
        running.process.stdin.close()
    assert running.end(signal.SIGINT if how == "Ctrl-C" else None) == 0
    freed, kept = "Destroyed, its boards are free.", "Kept; to go on with it: spalloc --resume 1"
    assert running.said["error"].endswith(f"Ready!\nJob 1: {kept if keep else freed}\n")
    assert len(client.list_jobs()) == len(keep[:1])


def test_a_wrapped_command_is_followed_by_no_word_unless_the_job_is_kept(commands: Commands) -> None:
    assert commands.run("spalloc", *OWNER, "-c", "true").stderr.endswith("Job 1: Ready!\n")
    kept = commands.run("spalloc", *OWNER, "--no-destroy", "-c", "true")
    assert kept.stderr.endswith("Job 2: Ready!\nJob 2: Kept; to go on with it: spalloc --resume 2\n")
    assert commands.run("spalloc", *OWNER, "--quiet", "--resume", "2", "-D", "-c", "true").stderr == ""


def test_what_a_configuration_file_is_warned_of_is_said_once_behind_the_command_s_name(
    commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / ".spalloc").write_text("[spalloc]\nownre = me\n")
    for line in (("spalloc", *OWNER, "--quiet", "-c", "true"), ("spalloc-ps",)):
        said = commands.run(*line, cwd=tmp_path).stderr
        assert said == f"{line[0]}: ./.spalloc: there is no option ownre; did you mean owner?\n"


# The loop is there because dash loses a SIGINT that comes in the moment in which it starts a program; it sees it when
# the program has ended.
@pytest.mark.parametrize(
    "line", [("sleep", "600"), ("while sleep 0.1; do :; done && echo never",)], ids=["program", "shell line"]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_and_frees_the_job(
    commands: Commands, client: ProtocolClient, number: int, line: tuple[str, ...]
) -> None:
    running = commands.start("spalloc", *OWNER, "-c", *line)
    running.until("Ready!")
    assert running.end(number) == 128 + number
    assert client.list_jobs() == []


@pytest.mark.parametrize("said", ["Created spalloc job", "Waiting for power", "Ready!"])
@pytest.mark.parametrize("again", range(4))
def test_a_signal_at_any_moment_frees_the_job(
    commands: Commands, client: ProtocolClient, said: str, again: int
) -> None:
    running = commands.start("spalloc", *OWNER, "--debug", "-c", "sleep", "600")
    running.until(said)
    assert running.end(signal.SIGINT) in (4, 128 + signal.SIGINT)
    assert client.list_jobs() == []


def test_at_the_prompt_it_is_told_that_the_job_was_destroyed(
    commands: Commands, client: ProtocolClient
) -> None:
    running = commands.start("spalloc", *OWNER, "3")
    running.until("<Press enter", "output")
    client.destroy_job(1, "The machine room is too hot.")
    assert running.end() == 1
    assert running.said["error"].endswith("Job 1: Destroyed: The machine room is too hot.\n")


WAIT = ("-c", "read line; exit 0")


def let_go(running: Running) -> int:
    """Let a command that waits for a line end, and return spalloc's status."""
    assert running.process.stdin is not None
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    return running.end()


ELSEWHERE = "import json, socket, sys; s = socket.create_connection(sys.argv[1:3], 9, ('127.0.0.2', 0)); \
s.sendall(json.dumps({'command': 'destroy_job', 'args': [1, sys.argv[3] or None]}).encode() + b'\\n'); s.recv(99)"
"""A program that destroys job 1 of a server, from another host than this."""


def revoke(site: EmbeddedSite, reason: str = "") -> None:
    """Destroy job 1 from another host."""
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, site.hostname, str(site.port), reason], check=True, timeout=30
    )


def test_a_command_is_told_when_its_job_is_revoked_and_goes_on(
    commands: Commands, site: EmbeddedSite
) -> None:
    running = commands.start("spalloc", *OWNER, "3", *WAIT)
    running.until("Ready!")
    revoke(site, "The machine room is too hot.")
    running.until("Job 1 was revoked: The machine room is too hot.\n")
    assert running.process.poll() is None
    assert let_go(running) == 1
    assert running.said["error"].count("revoked") == 1


def test_a_command_s_own_failure_is_its_status_though_the_job_was_revoked(
    commands: Commands, site: EmbeddedSite
) -> None:
    running = commands.start("spalloc", *OWNER, "-c", "read line; exit 7")
    running.until("Ready!")
    revoke(site)
    running.until("Job 1 was revoked.\n")
    assert let_go(running) == 7


def test_a_command_whose_own_host_ended_the_job_is_not_to_blame(
    commands: Commands, client: ProtocolClient
) -> None:
    running = commands.start("spalloc", *OWNER, "3", *WAIT)
    running.until("Ready!")
    client.destroy_job(1, "Done.")
    running.until("Job 1: Destroyed: Done.\n")
    assert let_go(running) == 0


def test_a_revocation_that_ends_the_command_is_told_all_the_same(
    commands: Commands, site: EmbeddedSite
) -> None:
    program = [sys.executable, "-c", ELSEWHERE, site.hostname, str(site.port), ""]
    ended = commands.run("spalloc", *OWNER, "-c", *program)
    assert ended.stderr.endswith("Job 1 was revoked.\n")
    assert ended.returncode == 1


def test_ctrl_c_while_waiting_frees_the_job(commands: Commands, client: ProtocolClient) -> None:
    client.create_job(4, 2, owner="first", keepalive=None)
    running = commands.start("spalloc", *OWNER, "4", "2")
    running.until("Waiting in queue")
    assert running.end(signal.SIGINT) == 4
    assert running.said["error"].endswith("Job 2: Keyboard interrupt.\nJob 2: Destroyed.\n")
    assert [job["job_id"] for job in client.list_jobs()] == [1]
    assert client.get_job_state(2)["reason"] == "Keyboard interrupt."


def test_sigterm_while_waiting_frees_the_job(commands: Commands, client: ProtocolClient) -> None:
    client.create_job(4, 2, owner="first", keepalive=None)
    running = commands.start("spalloc", *OWNER, "4", "2")
    running.until("Waiting in queue")
    assert running.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert [job["job_id"] for job in client.list_jobs()] == [1]


def test_sigterm_at_the_prompt_frees_the_job_and_removes_the_file(
    commands: Commands, client: ProtocolClient, tmp_path: Path
) -> None:
    import os

    running = commands.start("spalloc", *OWNER, "3", env={**os.environ, "TMPDIR": str(tmp_path)})
    running.until("<Press enter", "output")
    assert len(list(tmp_path.glob("*.csv"))) == 1
    assert running.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert client.list_jobs() == []
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_no_machine_can_hold_says_why_with_status_1(commands: Commands) -> None:
    ended = commands.run("spalloc", *OWNER, "1000")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Job 1: Destroyed: Cancelled:")


def test_no_destroy_keeps_the_job_and_resume_takes_it_on(commands: Commands, client: ProtocolClient) -> None:
    kept = commands.run("spalloc", *OWNER, "--no-destroy", "--keepalive", "-1", "-c", "echo {id} {hostname}")
    assert [job["job_id"] for job in client.list_jobs()] == [1]
    assert client.get_job_state(1)["keepalive"] is None
    resumed = commands.run("spalloc", "--resume", "1", "-c", "echo {id} {hostname}")
    assert resumed.stdout == kept.stdout
    assert client.list_jobs() == []


def test_a_server_that_is_not_there_is_one_line_and_status_6(commands: Commands) -> None:
    port = _unused_port()
    ended = commands.run("spalloc", *OWNER, "-H", "127.0.0.1", "-P", port, server=False)
    assert ended.returncode == 6
    assert ended.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "check" in ended.stderr


def test_a_virtual_site_needs_no_server_and_no_owner(commands: Commands) -> None:
    ended = commands.run(
        "spalloc", "--virtual", "2x2", "3", "-c", "echo {} {w} {h} {id} {ethernet_ips}", server=False
    )
    hostname, *numbers, file = ended.stdout.split()
    assert hostname.startswith("127.")
    assert numbers == ["16", "16", "1"]
    assert file.endswith(".csv")
    assert ended.returncode == 0


def test_a_program_that_does_not_exist_is_one_line_and_status_127(
    commands: Commands, client: ProtocolClient
) -> None:
    ended = commands.run("spalloc", *OWNER, "--quiet", "-c", "no-such-program", "x")
    assert ended.returncode == 127
    assert ended.stderr == "spalloc: --command: there is no program 'no-such-program'\n"
    assert client.list_jobs() == []


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-c", "echo {} x", "3"], 127, "the last word: spalloc 3 --command 'echo {} x'"),
        (["-c", "echo a b", "--quiet", "4", "2"], 127, "spalloc --quiet 4 2 --command 'echo a b'"),
        (["-c", "no-such-program", "3"], 127, "there is no program 'no-such-program'"),
        (["-c", "", "3"], 127, "there is no program ''"),
        (["-c", "/dev/null", "3"], 126, "'/dev/null' may not be executed"),
        (["--machine", "3"], 2, "spalloc 3 --machine"),
        (["--tags", "big", "24"], 2, "spalloc 24 --tags"),
    ],
)
def test_what_can_t_be_meant_is_refused_before_boards_are_taken(
    commands: Commands, client: ProtocolClient, words: list[str], status: int, said: str
) -> None:
    ended = commands.run("spalloc", *OWNER, *words)
    assert (ended.returncode, ended.stderr.count("\n")) == (status, 1)
    assert said in ended.stderr
    assert client.create_job(1, owner="next", keepalive=None) == 1


@pytest.mark.parametrize("name", ["{hostname}", "no{id}thing"])
def test_a_program_whose_name_is_not_known_yet_is_looked_for_when_it_is(
    commands: Commands, name: str
) -> None:
    ended = commands.run("spalloc", *OWNER, "--quiet", "-c", name, "x")
    assert ended.returncode == 127
    assert "there is no program " in ended.stderr
    assert "{" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1", "2", "3", "4"], "expected either no arguments"),
        (["--virtual", "2"], "write WIDTHxHEIGHT"),
        (
            ["--virtual", "999x999"],
            "--virtual: a machine of 999x999 triads needs more loopback addresses than",
        ),
        (["--virtual", "2x2", "--resume", "3"], "--virtual starts a site with no jobs"),
        (["-c"], "--command needs the command to execute"),
        (["x"], "invalid int value"),
    ],
)
def test_mistaken_arguments_are_one_line_and_status_2(
    commands: Commands, arguments: list[str], said: str
) -> None:
    ended = commands.run("spalloc", *OWNER, *arguments)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr


def test_boot_without_spinnman_says_how_to_get_it_before_boards_are_taken(
    commands: Commands, client: ProtocolClient
) -> None:
    import importlib.util

    if importlib.util.find_spec("spinnman") is not None:
        pytest.skip("SpiNNMan is installed here")
    ended = commands.run("spalloc", *OWNER, "--boot", "3")
    assert ended.returncode == 2
    assert ended.stderr == "spalloc: --boot needs SpiNNMan, which is not installed: pip install SpiNNMan\n"
    assert client.create_job(1, owner="next", keepalive=None) == 1

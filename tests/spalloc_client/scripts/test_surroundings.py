"""The commands in surroundings that are not a terminal with UTF-8 and a server that answers."""

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.scripts import job as job_command
from tests.spalloc_client.scripted import ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands

pytestmark = pytest.mark.slow

QUERIES = [
    ("spalloc-ps",),
    ("spalloc-job", "1"),
    ("spalloc-machine",),
    ("spalloc-machine", "virtual", "--detailed"),
    ("spalloc-where-is", "--board", "virtual", "0", "0", "0"),
]


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C.UTF-8"},
    ],
    ids=["C", "latin-1", "UTF-8"],
)
@pytest.mark.parametrize("query", QUERIES, ids=" ".join)
def test_any_locale_shows_any_owner(
    query: tuple[str, ...], variables: dict[str, str], commands: Commands, make_job: Callable[..., int]
) -> None:
    make_job(1, owner="日本 \x1b[2J ü")
    ended = commands.run(*query, env={**os.environ, **variables})
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize("query", QUERIES, ids=" ".join)
def test_output_that_nobody_reads_is_no_traceback(query: tuple[str, ...], commands: Commands) -> None:
    line = " ".join(commands.line(query[0], query[1:], server=True))
    ended = subprocess.run(["bash", "-c", f"{line} | true; {line} 2>&-"], capture_output=True, timeout=60)
    assert ended.stderr == b""


@pytest.mark.parametrize(
    "query", [*QUERIES, ("spalloc-ps", "--watch"), ("spalloc-ps", "--help")], ids=" ".join
)
def test_output_that_goes_nowhere_is_an_error(query: tuple[str, ...], commands: Commands) -> None:
    line = " ".join(commands.line(query[0], query[1:], server=True))
    ended = subprocess.run(["bash", "-c", f"{line} >&-"], capture_output=True, encoding="utf-8", timeout=60)
    assert ended.stderr == f"{query[0]}: can't write the output: Bad file descriptor\n"
    assert ended.returncode == 74


def test_a_command_runs_also_where_standard_output_is_closed(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "file"
    line = " ".join(
        commands.line("spalloc", ("--owner", "me", "--quiet", "--command", f"touch {file}"), server=True)
    )
    line = line.replace("touch", "'touch") + "'"
    ended = subprocess.run(
        ["bash", "-c", f"{line} >&- <&-"], capture_output=True, encoding="utf-8", timeout=60
    )
    assert (ended.returncode, ended.stderr, file.exists()) == (0, "", True)


@pytest.mark.parametrize("folder", ["a b", "a'b", 'a"b$HOME', "ü", "plain"])
@pytest.mark.parametrize("line", ["cat {ethernet_ips}", "cat '{ethernet_ips}'", 'cat "$(ls {ethernet_ips})"'])
def test_the_file_of_hostnames_can_be_named_in_any_shell_line_whatever_the_temporary_folder_is_called(
    folder: str, line: str, commands: Commands, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / folder)}
    ended = commands.run("spalloc", "--owner", "me", "--quiet", "-c", line, env=environment)
    assert ended.returncode == 0
    assert ended.stdout.startswith("x,y,hostname\n0,0,127.")
    assert list((tmp_path / folder).iterdir()) == []


@pytest.mark.parametrize("package", ["spalloc_client", "spalloc"])
def test_the_package_run_as_a_module_is_spalloc(package: str, commands: Commands) -> None:
    line = [sys.executable, "-m", package, *commands.server, "--owner", "me", "-c", "echo {id}"]
    ended = subprocess.run(line, capture_output=True, encoding="utf-8", timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "1\n")
    assert "Job 1: Ready!" in ended.stderr


@pytest.mark.parametrize("query", QUERIES, ids=" ".join)
def test_output_that_can_t_be_written_is_not_blamed_on_the_server(
    query: tuple[str, ...], commands: Commands
) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            commands.line(query[0], query[1:], server=True),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=60,
        )
    assert ended.stderr == f"{query[0]}: can't write the output: No space left on device\n"
    assert ended.returncode == 74


@pytest.mark.parametrize(
    "question",
    [
        ("spalloc", "--help"),
        ("spalloc-ps", "-V"),
        ("spalloc", "--completion", "zsh"),
        ("spalloc", "--complete", "1", "-"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_help_that_nobody_reads_or_that_can_t_be_written_is_no_traceback(
    question: tuple[str, ...], unbuffered: str
) -> None:
    line = " ".join(Commands("", 0).line(question[0], question[1:], server=False))
    ended = subprocess.run(
        ["bash", "-c", f"{line} | true; echo ${{PIPESTATUS[0]}}; {line} >/dev/full; echo $?"],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    # What is short may all be written before its reader has gone.
    assert ended.stdout in ("141\n74\n", "0\n74\n")
    assert ended.stderr == f"{question[0]}: can't write the output: No space left on device\n"


def test_any_locale_shows_help_with_any_owner(tmp_path: Path) -> None:
    (tmp_path / ".spalloc").write_text("[spalloc]\nowner = J\u00fcrgen\n", encoding="utf-8")
    ended = Commands("", 0).run(
        "spalloc", "--help", server=False, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "J\\xfcrgen" in ended.stdout


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        ("sys.argv = ['spalloc-ps', '-V']; import spalloc_client.scripts", True),
        (
            (
                "sys.argv = ['spalloc-ps', '-V']\n"
                "from spalloc_client.scripts.ps import main\n"
                "try: main()\nexcept SystemExit: pass"
            ),
            True,
        ),
        ("sys.argv = ['my-program']; import spalloc_client.scripts", False),
    ],
    ids=["before a command begins", "after it has ended", "in another program"],
)
def test_ctrl_c_before_and_after_a_command_ends_it_without_a_word(moment: str, quiet: bool) -> None:
    program = f"import os, signal, sys\n{moment}\nos.kill(os.getpid(), signal.SIGINT)\nprint('went on')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60)
    assert ended.returncode == -signal.SIGINT
    assert "went on" not in ended.stdout
    assert ("KeyboardInterrupt" in ended.stderr) is not quiet


@pytest.mark.parametrize(
    "mistake",
    [
        ("--port", "0"),
        ("--port", "65536"),
        ("--hostname", "a b"),
        ("--timeout", "nan"),
        ("--timeout", "inf"),
        ("--timeout", "0"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("query", [*QUERIES, ("spalloc", "--owner", "me")], ids=" ".join)
def test_a_server_that_can_t_be_meant_is_a_mistaken_argument(
    query: tuple[str, ...], mistake: tuple[str, str]
) -> None:
    ended = Commands("127.0.0.1", 1).run(query[0], *mistake, *query[1:], server=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"argument {mistake[0]}" in ended.stderr
    assert mistake[1] in ended.stderr
    assert " must be " in ended.stderr or "expected" in ended.stderr


@pytest.mark.parametrize("query", QUERIES, ids=" ".join)
def test_a_command_connects_once(query: tuple[str, ...]) -> None:
    with ScriptedServer() as server:
        Commands(server.hostname, server.port).run(*query)
        asked = [request.command for request in server.requests]
        assert (server.accepted, asked[0], len(asked) > 1) == (1, "version", True)


@contextmanager
def strange_server(reply: bytes) -> Iterator[int]:
    """A server that takes connections and answers every line with the same bytes; none for silence."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            try:
                while True:
                    connection, _ = listening.accept()
                    with connection, connection.makefile("rb") as lines:
                        for _ in lines:
                            connection.sendall(reply)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "query", [*QUERIES, ("spalloc-ps", "--watch"), ("spalloc", "--owner", "me")], ids=" ".join
)
@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b'{"return": "1.0.0"}\n',
        b'{"exception": "No."}\n',
        b'{"return": {}}\n',
        b"",
    ],
    ids=["http", "always a version", "always no", "always an object", "silence"],
)
def test_a_server_that_makes_no_sense_is_one_line(query: tuple[str, ...], reply: bytes) -> None:
    with strange_server(reply) as port:
        commands = Commands("127.0.0.1", port)
        ended = commands.run(query[0], "--timeout", "0.5", *query[1:])
    assert ended.returncode in (1, 2, 6)
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith(query[0] + ": ")
    assert str(port) in ended.stderr or "version" in ended.stderr


@pytest.mark.parametrize("query", QUERIES, ids=" ".join)
def test_no_server_is_one_line_that_says_what_to_check_and_status_1(query: tuple[str, ...]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        commands = Commands("127.0.0.1", probe.getsockname()[1])
        ended = commands.run(*query)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "check --hostname and --port" in ended.stderr


def test_debug_adds_the_traceback() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        ended = Commands("127.0.0.1", probe.getsockname()[1]).run("spalloc-ps", "--debug")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("spalloc-ps: ")


def test_ctrl_c_while_the_server_is_silent_is_quiet_with_status_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        commands = Commands("127.0.0.1", listening.getsockname()[1])
        running = commands.start("spalloc-ps", "--timeout", "-1")
        connection, _ = listening.accept()
        assert connection.recv(100)
        assert running.end(signal.SIGINT) == 130
        connection.close()
    assert running.said == {"error": "", "output": ""}


def test_json_is_one_object_with_what_the_documentation_says(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    job = make_job(3, owner="jane")
    (listed,) = json.loads(commands.run("spalloc-ps", "--json").stdout)["jobs"]
    shown = json.loads(commands.run("spalloc-job", str(job), "--json").stdout)
    (machine,) = json.loads(commands.run("spalloc-machine", "--json").stdout)["machines"]
    place = json.loads(commands.run("spalloc-where-is", "--json", "-j", str(job), "8", "4").stdout)
    assert listed.items() <= shown.items()
    assert machine["jobs"] == [listed]
    assert (machine["boards"], machine["boards_in_use"]) == (24, 3)
    assert [place["logical"], place["job_chip"]] == [[0, 0, 1], [8, 4]]
    assert shown["connections"][0] == {"x": 0, "y": 0, "hostname": shown["hostname"]}
    assert (shown["width"], shown["height"], shown["queue"], shown["reason"]) == (16, 16, None, None)
    client.destroy_job(job, "Enough.")
    gone = json.loads(commands.run("spalloc-job", str(job), "--json").stdout)
    assert gone.keys() == shown.keys()
    assert (gone["state"], gone["reason"]) == ("destroyed", "Enough.")
    documented = (
        "job_id owner host state power start_time keepalive machine boards args kwargs "
        "time_limit allocated reason hostname width height connections queue times"
    )
    assert sorted(shown) == sorted(documented.split())


def test_a_picture_goes_to_a_file_or_to_standard_output(commands: Commands, tmp_path: Path) -> None:
    file = f"{tmp_path}/machine.svg"
    assert commands.run("spalloc-machine", "virtual", "--svg", file).stdout == ""
    assert commands.run("spalloc-machine", "virtual", "--svg", "-").stdout == Path(file).read_text("utf-8")
    ended = commands.run("spalloc-machine", "virtual", "--svg", f"{tmp_path}/no/such.svg")
    assert ended.returncode == 5
    assert ended.stderr.count("\n") == 1


def test_a_picture_on_standard_output_can_be_read_in_any_locale(
    commands: Commands, make_job: Callable[..., int]
) -> None:
    make_job(1, owner="J\u00fcrgen")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    line = commands.line("spalloc-machine", ("virtual", "--svg", "-"), server=True)
    picture = subprocess.run(line, capture_output=True, timeout=60, env=environment, check=True).stdout
    assert "J\u00fcrgen" in "".join(ET.fromstring(picture).itertext())


def test_a_program_that_is_none_is_not_blamed_on_the_server(commands: Commands, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("no program")
    program.chmod(0o700)
    ended = commands.run("spalloc", "--owner", "me", "--quiet", "--command", str(program), "word")
    assert ended.stderr == f"spalloc: --command: '{program}' can't be executed: Exec format error\n"
    assert ended.returncode == 126


def test_a_temporary_file_that_can_t_be_made_is_not_blamed_on_the_server(commands: Commands) -> None:
    # Files may be made but not written: a folder where that is so can hold no temporary file.
    ended = commands.run(
        "spalloc",
        *("--owner", "me", "--quiet", "--command", "true"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        # Counting coverage writes files too, and would complain.
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
    )
    assert ended.stderr.startswith("spalloc: can't ")
    assert "check --hostname" not in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert ended.returncode == 74


def test_waiting_for_power_notices_without_notifications_that_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_command, "_CHECK_EVERY", 0.05)
    states = iter([2, 2, 3])
    answers = {
        "get_job_state": lambda _: {
            "state": next(states),
            "power": True,
            "keepalive": None,
            "reason": None,
            "start_time": 0.0,
            "keepalivehost": None,
        },
        "get_job_machine_info": {
            "width": 8,
            "height": 8,
            "connections": [[[0, 0], "board"]],
            "machine_name": "m",
            "boards": [[0, 0, 0]],
        },
    }
    with ScriptedServer(answers) as server, ProtocolClient(server.hostname, server.port) as client:
        job_command.set_power(client, 7, 5.0, on=True)
        assert server.count("get_job_state") == 3


@pytest.mark.parametrize("question", ["--help", "-h", "--version", "-V"])
def test_help_is_there_also_when_the_configuration_is_mistaken(question: str, tmp_path: Path) -> None:
    (tmp_path / ".spalloc").write_text("[spalloc]\nport = none\n")
    commands = Commands("127.0.0.1", 1)
    ended = commands.run("spalloc", question, server=False, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    server = ("--hostname", "127.0.0.1")
    refused = commands.run(
        "spalloc", *server, "--owner", "me", "--command", "true", question, server=False, cwd=tmp_path
    )
    assert refused.returncode == 2
    assert "port is 'none'" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_whose_reader_reads_no_more_can_be_ended(commands: Commands, number: int) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    watching = subprocess.Popen(
        commands.line("spalloc-machine", ("virtual", "--watch"), server=True),
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment,
    )
    os.close(writing)
    try:
        # It has its signals once it waits for room.
        wait_until_it_polls(watching.pid)
        watching.send_signal(number)
        assert watching.wait(30.0) == (0 if number == signal.SIGINT else 128 + number)
    finally:
        watching.kill()
        watching.communicate()
        os.close(reading)


def wait_until_it_polls(process: int) -> None:
    while "poll" not in Path(f"/proc/{process}/wchan").read_text(encoding="ascii"):
        threading.Event().wait(0.01)


def test_a_command_s_end_is_noticed_though_whoever_started_us_blocked_the_signal_for_it(
    commands: Commands,
) -> None:
    ended = commands.run(
        "spalloc",
        *("--owner", "me", "--quiet", "--command", "true"),
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD}),
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_standard_input_that_can_t_be_read_is_not_blamed_on_the_server(commands: Commands) -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as unreadable:
        ended = commands.run("spalloc", "--owner", "me", "--quiet", stdin=unreadable)
    assert ended.stderr == "spalloc: can't wait for Enter on standard input: Bad file descriptor\n"
    assert ended.returncode == 2

"""The commands and time limits, with servers that know them and servers that do not."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_client.wire import Failure, JobsChanged, Other, Request, encode
from tests.spalloc_client.scripted import Answer, ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands, Running

pytestmark = pytest.mark.slow

READY = {"state": 3, "power": True, "keepalive": 60.0, "reason": None, "start_time": 0.0, "owner": "me"}
BOARDS = {
    "width": 8, "height": 8, "connections": [[[0, 0], "board"]], "machine_name": "m", "boards": [[0, 0, 0]],
}  # fmt: skip
MACHINE = {
    "name": "m", "tags": ["default"], "width": 1, "height": 1, "dead_boards": [], "dead_links": [],
}  # fmt: skip
TIMES = {"time_limit": 1800.0, "ends_in": 1500.2, "why": "Its time limit of 30 minutes was over."}


def published(**answers: Answer) -> ScriptedServer:
    """A server that knows no extensions."""
    job: dict[str, Answer] = {"create_job": 7, "get_job_state": READY, "get_job_machine_info": BOARDS}
    return ScriptedServer({**job, "list_machines": [MACHINE], **answers})


def limits(**answers: Answer) -> ScriptedServer:
    """A server that knows time limits, as ours does."""
    machines = [{**MACHINE, "set_aside_boards": []}]
    return published(**{"list_machines": machines, "job_times": times(TIMES), **answers})


def times(told: object) -> Callable[[Request], Any]:
    """What a server tells of its one job, which is job 7."""
    return lambda request: told if request.args == (7,) else None


def commands_of(server: ScriptedServer) -> Commands:
    return Commands(server.hostname, server.port)


def created(server: ScriptedServer) -> Any:
    (request,) = (request for request in server.requests if request.command == "create_job")
    return request.kwargs


@pytest.mark.parametrize(
    ("file", "words", "limit"),
    [
        ("", ("--time", "1h30m"), 5400.0),
        ("", ("-T", "2-0"), 172800.0),
        ("time_limit = 30m", (), 1800.0),
        ("time_limit = 30m", ("--time", "90s"), 90.0),
        ("time_limit = 30m", ("--time", "-1"), None),
        ("", (), None),
    ],
)
def test_a_limit_is_asked_for_as_the_line_or_else_the_file_says(
    tmp_path: Path, file: str, words: tuple[str, ...], limit: float | None
) -> None:
    (tmp_path / ".spalloc").write_text(f"[spalloc]\nowner = me\n{file}\n")
    with limits() as server:
        ended = commands_of(server).run("spalloc", *words, "-c", "true", cwd=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "Job 7: Ready!\n")
        assert created(server).get("time_limit") == limit


def test_that_the_server_knows_no_limits_is_said_in_one_line(tmp_path: Path) -> None:
    with published() as server:
        ended = commands_of(server).run(
            "spalloc", "--owner", "me", "--time", "30m", "-c", "true", cwd=tmp_path
        )
        first, *rest = ended.stderr.splitlines()
        assert first == (
            f"spalloc: The server {server.hostname}:{server.port} knows no time limits: the job is created without one."
        )
        assert rest == ["Job 7: Ready!"]
        assert "time_limit" not in created(server)


def test_what_is_no_duration_is_said_before_anything_is_asked_for(tmp_path: Path) -> None:
    with limits() as server:
        ended = commands_of(server).run("spalloc", "--time", "soon", "-c", "true", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "spalloc: argument --time/-T: expected a duration above 0, such as 30m, 2h, 1d, 90s or 1h30m, or as Slurm "
    )
    assert ended.stderr.endswith("; or -1 for what the server says; not 'soon'; see spalloc --help\n")
    assert not server.requests


def test_the_help_and_the_settings_show_a_limit_as_one_types_it(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / ".spalloc").write_text("[spalloc]\ntime_limit = 90\n")
    helped = commands.run("spalloc", "--help", server=False, cwd=tmp_path).stdout
    assert "(default: 1h30m)" in " ".join(helped.split())
    shown = commands.run("spalloc-config", server=False, cwd=tmp_path).stdout
    assert ["time_limit", "1h30m", "./.spalloc"] in [line.split() for line in shown.splitlines()]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (
            {"time_limit": 7200.0, "ends_in": 6600.0, "why": "."},
            "Job 7: It may have its boards for 2 hours, of which 1 hour 50 minutes are left.\n",
        ),
        ({"time_limit": 5400.0, "ends_in": None}, "Job 7: It may have its boards for 1 hour 30 minutes.\n"),
        ({"time_limit": None, "ends_in": None}, "Job 7: It has no time limit.\n"),
    ],
)
def test_a_job_is_extended_and_its_time_told_in_words(told: object, said: str) -> None:
    with limits(job_times=times(told), extend_job=7200.0) as server:
        ended = commands_of(server).run("spalloc-job", "7", "--extend", "2h")
        assert (ended.returncode, ended.stderr) == (0, said)
        assert [request.args for request in server.requests if request.command == "extend_job"] == [
            (7, 7200.0)
        ]


@pytest.mark.parametrize(
    ("before", "added"),
    [
        (20.0, ""),
        (10.0, ""),
        (7200.0, " That is shorter than before: it was 2 hours."),
        (None, " That is shorter than before: it had none."),
    ],
)
def test_a_limit_that_becomes_shorter_is_told_of(before: float | None, added: str) -> None:
    told = [{"time_limit": before, "ends_in": None}, {"time_limit": 20.0, "ends_in": None}]
    with limits(job_times=lambda _: told.pop(0), extend_job=20.0) as server:
        ended = commands_of(server).run("spalloc-job", "7", "--extend", "20s")
    assert (ended.returncode, ended.stderr) == (0, f"Job 7: It may have its boards for 20 seconds.{added}\n")


def test_why_a_job_is_not_extended_is_told_as_the_server_says_it() -> None:
    with limits(extend_job=Failure("Job 7 can have 1 hour at most.")) as server:
        ended = commands_of(server).run("spalloc-job", "7", "--extend", "2:00:00")
        assert ended.returncode == 1
        where = f"{server.hostname}:{server.port}"
        assert ended.stderr == f"spalloc-job: the server {where} refused: Job 7 can have 1 hour at most.\n"


def test_a_server_that_knows_no_limits_is_not_asked_to_extend_one() -> None:
    with published() as server:
        ended = commands_of(server).run("spalloc-job", "7", "--extend", "2h")
        assert ended.returncode == 1
        assert ended.stderr == "spalloc-job: the server knows no time limits, so there is none to extend\n"
        assert server.count("extend_job") == server.count("job_times") == 0


def test_to_extend_by_what_is_no_duration_is_refused(commands: Commands) -> None:
    ended = commands.run("spalloc-job", "7", "--extend", "0")
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "spalloc-job: argument --extend: '0' can't be read; it must be a duration above 0, such as 30m"
    )


OWNER = ("--owner", "me")
WAIT = ("-c", "read line; exit 0")
REASON = "Its time limit of 30 minutes was reached."


def job_ending(seconds: float | None, reason: str | None = REASON, job_id: int = 7) -> bytes:
    """What a server sends to who asked for it."""
    return encode(Other({"job_ending": {"job_id": job_id, "seconds": seconds, "reason": reason}}))


def end_the_job(server: ScriptedServer) -> None:
    server.answers["get_job_state"] = {**READY, "state": 4, "power": None, "reason": REASON}
    server.send(encode(JobsChanged([7])))


def let_go(running: Running) -> int:
    """Let a command, or the prompt, that waits for a line end; return the status."""
    assert running.process.stdin is not None
    running.process.stdin.write("\n")
    running.process.stdin.flush()
    return running.end()


@pytest.mark.parametrize("resumed", [False, True])
def test_a_command_is_told_before_the_end_and_why_the_job_has_ended(resumed: bool) -> None:
    with limits() as server:
        words = ("--resume", "7") if resumed else OWNER
        running = commands_of(server).start("spalloc", *words, *WAIT)
        server.wait_for_command("notify_job_ending")
        server.send(job_ending(300.0) + job_ending(10.0, job_id=8))
        running.until(f"Job 7: The server will end it in 5 minutes: {REASON}\n")
        end_the_job(server)
        running.until(f"Job 7 was revoked: {REASON}\n")
        assert let_go(running) == 1
        assert "10 seconds" not in running.said["error"], "that is another job"


def test_at_the_prompt_it_is_told_too_and_that_the_end_is_put_off() -> None:
    with limits() as server:
        running = commands_of(server).start("spalloc", *OWNER)
        running.until("<Press enter", "output")
        server.wait_for_command("notify_job_ending")
        server.send(job_ending(59.9))
        running.until(f"Job 7: The server will end it in 1 minute: {REASON}\n")
        server.send(job_ending(7200.0, None))
        running.until("Job 7: The server will end it in 2 hours.\n")
        server.send(job_ending(None, None))
        running.until("Job 7: The server will not end it after all.\n")
        end_the_job(server)
        assert running.end() == 1
        assert running.said["error"].endswith(f"Job 7 was revoked: {REASON}\n")


def test_a_server_that_tells_of_no_ends_is_asked_nothing_that_it_does_not_know() -> None:
    with published() as server:
        running = commands_of(server).start("spalloc", *OWNER, "--signal", *WAIT)
        running.until("Job 7: The server does not tell when a job ends: SIGUSR1 will not be sent.\n")
        assert let_go(running) == 0
        assert server.count("notify_job_ending") == server.count("job_times") == 0


WAITER = (
    "import signal, sys; it = signal.Signals[sys.argv[1]]; signal.pthread_sigmask(signal.SIG_BLOCK, {it}); "
    "print('waits', flush=True); signal.sigwait({it}); print('heard', it.name, flush=True)"
)
"""A program that ends when it gets the signal named."""


@pytest.mark.parametrize(("said", "name"), [((), "SIGUSR1"), (("int",), "SIGINT"), (("SIGTERM",), "SIGTERM")])
def test_the_command_gets_the_signal_when_the_server_tells_of_the_end(
    said: tuple[str, ...], name: str
) -> None:
    with limits() as server:
        running = commands_of(server).start(
            "spalloc", *OWNER, "--signal", *said, "-c", sys.executable, "-c", WAITER, name
        )
        running.until("waits", "output")
        server.wait_for_command("notify_job_ending")
        server.send(job_ending(300.0))
        assert running.end() == 0
        assert running.said["output"] == f"waits\nheard {name}\n"


def test_the_command_gets_the_signal_as_long_before_the_end_as_wanted() -> None:
    waits = threading.Event()

    def left(request: Request) -> Any:
        return {**TIMES, "ends_in": 120.0 if waits.is_set() else 3600.0} if request.args == (7,) else None

    with limits(job_times=left) as server:
        running = commands_of(server).start(
            "spalloc", *OWNER, "--signal", "USR2@2m", "-c", sys.executable, "-c", WAITER, "SIGUSR2"
        )
        running.until("waits", "output")
        server.wait_for_command("job_times")
        server.send(job_ending(300.0))
        running.until("in 5 minutes")
        assert running.process.poll() is None
        waits.set()
        server.send(encode(JobsChanged([7])))
        assert running.end() == 0
        assert running.said["output"] == "waits\nheard SIGUSR2\n"


def test_a_shell_line_outlives_the_signal_that_its_programs_get() -> None:
    with limits() as server:
        line = f'{sys.executable} -c "{WAITER}" SIGUSR1; echo status $?; exit 7'
        running = commands_of(server).start("spalloc", *OWNER, "--signal", "-c", line)
        running.until("waits", "output")
        server.wait_for_command("notify_job_ending")
        server.send(job_ending(300.0))
        assert running.end() == 7
        assert running.said["output"] == "waits\nheard SIGUSR1\nstatus 0\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--signal", "USR1@0", *WAIT), "'0s' can't be read; it must be a duration above 0"),
        (
            ("--signal", "10", *WAIT),
            "there is no signal '10'; write a name, such as USR1; boards go before --signal",
        ),
        (
            ("--signal", "USR9@2m", *WAIT),
            "there is no signal 'USR9'; write a name, such as USR1, TERM or INT",
        ),
        (
            ("--signal", "USR1@soon", *WAIT),
            "'soon' can't be read; it must be a duration above 0, such as 30m",
        ),
        (("--signal",), "--signal is for the command that --command names, and there is none"),
    ],
)
def test_a_signal_that_can_not_be_is_refused_in_one_line(
    commands: Commands, words: tuple[str, ...], said: str
) -> None:
    ended = commands.run("spalloc", *OWNER, *words)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert said in ended.stderr


def test_while_boards_are_waited_for_a_published_server_is_asked_nothing_that_it_does_not_know() -> None:
    queued = {**READY, "state": 1, "power": None}
    with published(get_job_state=queued, list_jobs=[]) as server:
        running = commands_of(server).start("spalloc", *OWNER, "3")
        running.until("Job 7: Waiting in queue...\n")
        server.wait_for_command("list_jobs")
        running.until("Asks for 3 boards\n")
        assert server.count("job_queue_position") == 0
        assert running.end(signal.SIGINT) == 4

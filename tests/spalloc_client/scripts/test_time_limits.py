"""The commands and time limits, with servers that know them and servers that do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_client.wire import Failure, Request
from tests.spalloc_client.scripted import Answer, ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands

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

"""`spalloc-job` does something to a job, and is done when that is done."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.states import JobState
from tests.spalloc_client.scripted import ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands

pytestmark = pytest.mark.slow

READY = (JobState.ready, True)


def state_and_power(client: ProtocolClient, job: int) -> tuple[int, bool | None]:
    status = client.get_job_state(job)
    return status["state"], status["power"]


@pytest.mark.parametrize("option", ["--power-off", "--power-on", "--reset"])
def test_boards_have_their_power_when_the_command_ends(
    option: str, commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    job = make_job(3)
    if option == "--power-on":
        assert commands.run("spalloc-job", str(job), "--power-off").returncode == 0
    assert commands.run("spalloc-job", str(job), option).returncode == 0
    assert state_and_power(client, job) == (JobState.ready, option != "--power-off")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (["spalloc-ps"], 0),
        (["spalloc-machine"], 0),
        (["spalloc-job", "7", "--info"], 0),
        (["spalloc-job", "7", "--destroy", "enough"], 0),
        (["spalloc-job", "7", "--destroy"], 2),
        (["spalloc-job"], 2),
        (["spalloc", "3", "-c", "true"], 2),
    ],
)
def test_what_a_file_says_wrongly_of_an_option_concerns_only_commands_that_use_it(
    line: list[str], status: int, tmp_path: Path
) -> None:
    (tmp_path / ".spalloc").write_text("[spalloc]\nowner =\nmachine =\nmin_ratio = x\n")
    job = {"state": 3, "power": True, "keepalive": 60.0, "reason": None, "start_time": 0.0, "owner": "me"}
    answers = {
        "list_jobs": [],
        "list_machines": [],
        "get_job_state": job,
        "get_job_machine_info": boards("b"),
    }
    with ScriptedServer(answers) as server:
        name, *words = line
        ended = Commands(server.hostname, server.port).run(name, *words, cwd=tmp_path)
    assert ended.returncode == status, ended.stderr
    assert ("is ''; it must be" in ended.stderr) == (status == 2)


def boards(hostname: str | None) -> dict[str, object]:
    if hostname is None:
        return dict.fromkeys(("width", "height", "connections", "machine_name", "boards"))
    connections = [[[0, 0], hostname]]
    return {"width": 8, "height": 8, "connections": connections, "machine_name": "m", "boards": [[0, 0, 0]]}


@pytest.mark.parametrize(
    ("after", "state", "status", "said"),
    [
        ("board-2", 3, 0, "Job 7 was moved to other boards: the hostname is board-2 now.\n"),
        (None, 1, 8, "spalloc-job: Job 7 has lost its boards, and waits for others.\n"),
        ("board-1", 3, 0, ""),
    ],
)
def test_a_reset_after_which_the_job_has_other_boards_says_so(
    after: str | None, state: int, status: int, said: str
) -> None:
    with ScriptedServer({"get_job_machine_info": boards("board-1")}) as server:

        def reset(_: object) -> None:
            job = {"state": state, "power": True, "keepalive": 60.0, "reason": None, "start_time": 0.0}
            server.answers |= {"get_job_machine_info": boards(after), "get_job_state": job}

        server.answers["power_on_job_boards"] = reset
        ended = Commands(server.hostname, server.port).run("spalloc-job", "7", "--reset")
    assert (ended.returncode, ended.stderr) == (status, said)


def test_without_an_id_the_only_job_of_the_owner_is_meant(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    other, mine = make_job(1, owner="joe"), make_job(1)
    assert commands.run("spalloc-job", "--owner", "jane", "--power-off").returncode == 0
    assert state_and_power(client, other) == READY
    assert state_and_power(client, mine) == (JobState.ready, False)


def test_of_several_jobs_of_the_owner_one_must_be_named(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    first, second = make_job(1), make_job(1)
    ended = commands.run("spalloc-job", "--owner", "jane", "--power-off")
    assert (ended.returncode, ended.stderr) == (
        3,
        f"spalloc-job: ambiguous: jane has 2 live jobs: {first}, {second}; name one: spalloc-job {second} ...\n",
    )
    assert [state_and_power(client, job) for job in (first, second)] == [READY, READY]


def test_a_job_of_somebody_else_is_destroyed_with_the_reason_given(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    job = make_job(3, owner="joe")
    ended = commands.run(
        "spalloc-job", str(job), "--owner", "jane", "--destroy", "Your job is taking too long..."
    )
    assert ended.returncode == 0
    status = client.get_job_state(job)
    assert (status["state"], status["reason"]) == (JobState.destroyed, "Your job is taking too long...")
    assert client.list_jobs() == []


def test_a_job_destroyed_without_a_reason_is_told_by_whom(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    job = make_job(1)
    assert commands.run("spalloc-job", str(job), "--owner", "jane", "--destroy").returncode == 0
    assert client.get_job_state(job)["reason"] == "Destroyed by jane"


def test_a_number_alone_is_no_reason_and_the_only_job_stays(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    job = make_job(1)
    ended = commands.run("spalloc-job", "--owner", "jane", "--destroy", "99")
    assert ended.returncode == 2
    assert "spalloc-job 99 --destroy" in ended.stderr
    assert [live["job_id"] for live in client.list_jobs()] == [job]
    assert "spalloc-job 99 --destroy" in commands.run("spalloc-job", "--destroy", "99").stderr
    assert commands.run("spalloc-job", str(job), "--destroy", "99").returncode == 0
    assert client.get_job_state(job)["reason"] == "99"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_job_that_the_server_does_not_know_is_status_3(more: tuple[str, ...], commands: Commands) -> None:
    ended = commands.run("spalloc-job", "99", *more)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert "unknown" in ended.stdout


def test_destroying_says_what_it_did(commands: Commands, make_job: Callable[..., int]) -> None:
    job = str(make_job(1))
    said = [commands.run("spalloc-job", which, "--destroy", "Why not?") for which in (job, job, "77")]
    assert [(ended.returncode, ended.stderr) for ended in said] == [
        (0, f"Job {job}: Destroyed: Why not?\n"),
        (0, f"Job {job}: Had been destroyed before: Why not?\n"),
        (3, "spalloc-job: the server knows no job 77, so nothing was destroyed\n"),
    ]


@pytest.mark.parametrize("board", ["board-2", "8,4", "(8, 4)"])
def test_a_sick_board_is_reported_by_the_host_name_that_the_server_knows(board: str) -> None:
    network = {
        "width": 16, "height": 16, "machine_name": "m", "boards": [[0, 0, 0], [0, 0, 1]],
        "connections": [[[0, 0], "board-1"], [[8, 4], "board-2"]],
    }  # fmt: skip
    with ScriptedServer({"get_job_machine_info": network}) as server:
        ended = Commands(server.hostname, server.port).run(
            "spalloc-job", "24", "--report", board, "SDRAM test failed"
        )
        assert (ended.returncode, ended.stderr) == (0, "Job 24: Reported board-2: SDRAM test failed\n")
        (report,) = [request for request in server.requests if request.command == "report_problem"]
        assert list(report.args) == ["board-2"]
        assert report.kwargs["description"] == "SDRAM test failed"


def test_a_board_that_is_not_the_job_s_is_not_reported(
    commands: Commands, make_job: Callable[..., int]
) -> None:
    ended = commands.run("spalloc-job", str(make_job(3)), "--report", "9,9", "x")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "no such board; it has: 0,0 127." in ended.stderr
    assert commands.run("spalloc-job", "99", "--report", "0,0", "x").returncode == 9

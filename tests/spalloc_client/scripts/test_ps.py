"""`spalloc-ps`: which columns there are, what the queue waits for, and what a narrow window leaves out."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from spalloc_client.answers import Listed
from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.scripts import ps
from spalloc_client.scripts.job_view import JobView
from spalloc_client.wire import Failure
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.scripted import ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands


def job(number: int, **more: Any) -> dict[str, Any]:
    """A queued job of a listing."""
    return {
        "job_id": number, "owner": "jane@cs.example.org", "start_time": 0.0, "keepalive": 60.0, "state": 1,
        "power": None, "args": [24], "kwargs": {}, "allocated_machine_name": None, "boards": None, **more,
    }  # fmt: skip


OURS = [{"name": "m", "set_aside_boards": []}]
"""Machines of a server with extensions."""


def headings(lines: list[Any]) -> list[str]:
    return [text.strip() for text, style in lines[0].spans if style]


@pytest.mark.slow
def test_the_long_list_says_how_much_waiting_jobs_ask_for_and_why_they_wait(
    commands: Commands, make_job: Callable[..., int]
) -> None:
    make_job(4, 2)
    make_job(5)
    make_job(0, 0, 1)
    usual = commands.run("spalloc-ps").stdout
    assert "Asks for" not in usual
    _, running, waiting, last = commands.run("spalloc-ps", "--long").stdout.splitlines()
    assert "4x2 triads" in running
    assert "5 boards" in waiting
    assert "1st of 2: it needs 5 boards, and 0 are free on virtual." in waiting
    assert "2nd of 2: it needs board (0, 0, 1)" in last
    queue = [
        place["queue"] for place in json.loads(commands.run("spalloc-ps", "-l", "--json").stdout)["jobs"]
    ]
    assert [place and (place["position"], place["of"]) for place in queue] == [None, (1, 2), (2, 2)]


@pytest.mark.slow
def test_all_three_commands_say_why_a_job_waits(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    make_job(4, 2)
    waiting = commands.start("spalloc", "--owner", "me", "3")
    why = "it needs 3 boards, and 0 are free on virtual."
    waiting.until(f"Waiting in queue...\nI{why[1:]}\n")
    assert why in commands.run("spalloc-ps", "--long").stdout
    shown = " ".join(commands.run("spalloc-job", "--owner", "me").stdout.split())
    assert f"Asks for: 3 boards Queue: Number 1 of 1 in the queue; {why}" in shown
    waiting.process.terminate()
    assert waiting.end() == 143


@pytest.mark.slow
def test_columns_can_be_chosen(commands: Commands, make_job: Callable[..., int]) -> None:
    made = make_job(3, owner="jane")
    ended = commands.run("spalloc-ps", "--columns", "Owner,id, asks")
    assert [line.split() for line in ended.stdout.splitlines()] == [
        ["Owner", "(Host)", "ID", "Asks", "for"],
        ["jane", "(127.0.0.1)", str(made), "3", "boards"],
    ]
    refused = commands.run("spalloc-ps", "--columns", "id,colour")
    assert refused.returncode == 2
    assert "there is no column 'colour'; there are: id, state, power," in refused.stderr


def test_a_server_that_tells_no_reasons_is_asked_once_and_places_are_worked_out() -> None:
    answers = {
        "list_machines": OURS,
        "job_queue_position": Failure("no such command"),
        "list_jobs": [job(7), job(9, owner="me"), job(12)],
    }
    with ScriptedServer(answers) as server, ProtocolClient(server.hostname, server.port) as client:
        view = ps.JobsView(None, None, ["id", "queue"])
        shown = view.draw(view.ask(client, 5.0), None, None)
        assert [line.plain for line in shown[1:]] == [" 7  1st of 3", " 9  2nd of 3", "12  3rd of 3"]
        assert server.count("job_queue_position") == 1


def test_a_server_that_would_hang_up_on_the_question_for_places_is_not_asked() -> None:
    answers: dict[str, Any] = {"list_machines": [{"name": "m"}], "list_jobs": [job(7), job(9)]}
    with ScriptedServer(answers) as server, ProtocolClient(server.hostname, server.port) as client:
        view = ps.JobsView(None, None, ["id", "queue"])
        shown = view.draw(view.ask(client, 5.0), None, None)
        assert [line.plain for line in shown[1:]] == [" 7  1st of 2", " 9  2nd of 2"]
        alone = JobView(9).ask(client, 5.0)
        assert str(alone.place) == "2nd of 2"
        assert server.count("job_queue_position") == server.count("job_times") == 0


def limited(number: int, limit: float | None, ago: float | None = None, **more: Any) -> dict[str, Any]:
    """A job with a time limit, which got its boards some seconds ago."""
    allocated = None if ago is None else time.time() - ago
    return job(number, time_limit=limit, allocated=allocated, **more)


def test_limits_and_the_time_left_are_shown_where_a_job_has_a_limit() -> None:
    shown = ps.Jobs(
        [
            Listed(limited(1, 5400.0, 1800.2, state=3)),
            Listed(limited(2, 1800.0)),
            Listed(job(3)),
            Listed(limited(4, 60.0, 90.0, state=3)),
        ]
    )
    lines = ps.JobsView(None, None).draw(shown, None, None)
    assert "Time limit" in headings(lines)
    lines = ps.JobsView(None, None, ["id", "limit", "left"]).draw(shown, None, None)
    assert [line.plain.split() for line in lines[1:]] == [
        ["1", "1h30m", "1h"],
        ["2", "30m"],
        ["3"],
        ["4", "1m", "0s"],
    ]


@pytest.mark.parametrize("columns", [None, ps._LONG])
def test_where_no_job_has_a_limit_the_table_is_as_without_limits(columns: Any) -> None:
    names = headings(ps.JobsView(None, None, columns).draw(ps.Jobs([Listed(job(1))]), None, None))
    assert "Time limit" not in names
    assert "Time left" not in names


def test_columns_of_limits_stay_where_they_were_asked_for() -> None:
    view = ps.JobsView(None, None, ["id", "limit"])
    assert headings(view.draw(ps.Jobs([Listed(job(1))]), None, None)) == ["ID", "Time limit"]


def test_limits_are_in_the_json_and_null_for_servers_that_know_none() -> None:
    told: Any = ps.JobsView(None, None).json(ps.Jobs([Listed(job(1, time_limit=60.0, allocated=5.0))]))
    assert (told["jobs"][0]["time_limit"], told["jobs"][0]["allocated"]) == (60.0, 5.0)
    told = ps.JobsView(None, None).json(ps.Jobs([Listed(job(1))]))
    assert (told["jobs"][0]["time_limit"], told["jobs"][0]["allocated"]) == (None, None)


TIMES = {
    "time_limit": 1800.0, "ends_in": 1500.2, "why": "Its time limit of 30 minutes was reached.",
    "expected_seconds": None, "expected_by": None, "expected_start": None,
}  # fmt: skip


def job_shown(times: Any) -> tuple[str, Any]:
    """What `spalloc-job` shows of a queued job, and its JSON, with a server that tells these times."""
    answers: dict[str, Any] = {
        "list_machines": OURS,
        "list_jobs": [job(7)],
        "job_times": times,
        "job_queue_position": None,
    }
    with ScriptedServer(answers) as server, ProtocolClient(server.hostname, server.port) as client:
        view = JobView(7)
        shown = view.ask(client, 5.0)
        return "\n".join(line.plain for line in view.draw(shown, None, None)), view.json(shown)


def test_one_job_is_shown_with_its_limit_the_time_left_and_the_reason_of_its_end() -> None:
    text, json_object = job_shown(TIMES)
    assert "Time limit: 30 minutes\n" in text
    assert "Time left: 25 minutes, until " in text
    assert "Ends with: Its time limit of 30 minutes was reached." in text
    assert json_object["times"] == TIMES


@pytest.mark.parametrize(
    ("times", "told"),
    [(Failure("no such command"), None), (dict.fromkeys(TIMES), dict.fromkeys(TIMES))],
)
def test_one_job_without_a_limit_is_shown_as_before(times: Any, told: Any) -> None:
    text, json_object = job_shown(times)
    assert "Time" not in text.replace("Start time", "")
    assert json_object["times"] == told


def test_of_a_long_queue_only_the_first_are_asked_about() -> None:
    waits = {"position": 1, "of": 1, "reason": "It waits."}
    answers: dict[str, Any] = {
        "list_machines": OURS,
        "job_queue_position": waits,
        "list_jobs": [job(number) for number in range(1, 301)],
    }
    with ScriptedServer(answers) as server, ProtocolClient(server.hostname, server.port) as client:
        view = ps.JobsView(None, None, ["id", "queue"])
        shown = view.draw(view.ask(client, 5.0), None, None)
        assert shown[-1].plain == "300  300th of 300"
        assert server.count("job_queue_position") == 100


@pytest.mark.parametrize("width", [None, 200, 90, 80, 70, 60, 50, 40, 30, 10])
def test_the_owner_is_the_last_to_go_in_a_narrow_window(width: int | None) -> None:
    shown = ps.Jobs(
        [Listed(job(1, allocated_machine_name="my-machine", boards=[[0, 0, 0]], power=True, state=3))]
    )
    lines = ps.JobsView(None, None).draw(shown, width, None)
    names = headings(lines)
    assert names[-1] == "Owner"
    assert lines[1].plain.endswith("jane@cs.example.org")
    everything = ["ID", "State", "Power", "Boards", "Machine", "Created at", "Keepalive", "Owner"]
    assert names == [name for name in everything if name in names]
    if width is None or width >= 95:
        assert names == everything
    elif width >= 45:
        assert max(line.width for line in lines) <= width


def test_chosen_columns_stay_in_a_narrow_window() -> None:
    shown = ps.Jobs([Listed(job(1))])
    assert headings(ps.JobsView(None, None, ["keepalive", "owner"]).draw(shown, 5, None)) == [
        "Keepalive",
        "Owner",
    ]


@pytest.mark.slow
def test_an_ended_job_s_long_reason_costs_no_column(site: EmbeddedSite, client: ProtocolClient) -> None:
    made = client.create_job(1, owner="me", keepalive=None)
    client.destroy_job(made, "Because " * 30)
    view = ps.AllJobsView(None, None)
    assert "Keepalive" in headings(view.draw(view.ask(client, 5.0), 120, None))

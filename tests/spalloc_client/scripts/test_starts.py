"""The commands say when jobs that wait may get boards, where the server knows it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from spalloc_client.job_answers import AnswerError
from spalloc_client.protocol_client import ProtocolClient
from spalloc_client.scripts.ps import JobsView
from spalloc_client.scripts.queue import QueuePosition
from spalloc_client.scripts.starts import in_words, starts_of
from spalloc_client.scripts.wording import cause
from spalloc_client.wire import Failure
from tests.spalloc_client.scripted import ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands

PUBLISHED = [{"name": "m", "tags": ["default"], "width": 1, "height": 1, "dead_boards": [], "dead_links": []}]
OURS = [{**PUBLISHED[0], "set_aside_boards": []}]


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ((0.0, 0.0), "within 1 second"),
        ((0.0, 45.0), "within 45 seconds"),
        ((12.7, 45.2), "in 12 to 46 seconds"),
        ((300.0, 1200.0), "in 5 to 20 minutes"),
        ((10.0, 1190.0), "within 20 minutes"),
        ((1200.0, 1200.0), "in about 20 minutes"),
        ((7000.0, 9000.0), "in 1 to 3 hours"),
        ((0.0, 7000.0), "within 117 minutes"),
        ((86_400.0, 200_000.0), "in 1 to 3 days"),
        ((-5.0, -1.0), "within 1 second"),
    ],
)
def test_a_range_is_said_in_a_unit_of_which_few_are_needed(start: tuple[float, float], said: str) -> None:
    assert in_words(start) == said


def test_the_prompt_says_when_the_job_is_expected_to_start() -> None:
    place = QueuePosition(1, 2, "Number 1 of 2 in the queue; it needs 5 boards, and 0 are free on m.")
    start = (300.0, 1200.0)
    for wanted in ("5 boards", "2x2 triads"):
        said = cause(place, wanted, start)
        assert said is not None
        assert said.plain.endswith(
            "t needs 5 boards, and 0 are free on m; expected to start in 5 to 20 minutes"
        )
    assert cause(place, "5 boards") != said


def asked(**answers: Any) -> tuple[Any, ScriptedServer]:
    with ScriptedServer(answers) as server, ProtocolClient(server.hostname, server.port) as client:
        return starts_of(client, 5.0), server


def test_a_published_server_is_not_asked_since_it_would_hang_up() -> None:
    found, server = asked(list_machines=PUBLISHED)
    assert found == {}
    assert server.count("job_starts") == 0


def test_an_older_server_of_this_project_says_nothing() -> None:
    assert asked(list_machines=OURS, job_starts=Failure("there is no command"))[0] == {}


def test_a_server_that_works_it_out_is_asked_again() -> None:
    answers = iter([None, None, {"7": [5, 10.5]}])
    found, server = asked(list_machines=OURS, job_starts=lambda _: next(answers))
    assert found == {7: (5.0, 10.5)}
    assert server.count("job_starts") == 3


@pytest.mark.parametrize("answer", [7, {"a": [1, 2]}, {"1": 5}, {"1": [1]}])
def test_an_answer_of_another_kind_is_named(answer: Any) -> None:
    with pytest.raises(AnswerError, match="reply to job_starts is not what the protocol says"):
        asked(list_machines=OURS, job_starts=answer)


def test_spalloc_ps_asks_only_if_it_is_wanted() -> None:
    with ScriptedServer({"list_jobs": []}) as server, ProtocolClient(server.hostname, server.port) as client:
        assert JobsView(None, None).ask(client, 5.0).starts is None
        assert server.count("list_machines") == server.count("job_starts") == 0


@pytest.mark.slow
def test_all_three_commands_say_when_a_job_may_start(
    commands: Commands, client: ProtocolClient, make_job: Callable[..., int]
) -> None:
    make_job(4, 2, time_limit=1800)
    waiting = commands.start("spalloc", "--owner", "me", "--time", "30m", "3")
    waiting.until("Waiting in queue...\n")
    shown = commands.run("spalloc-ps", "--start").stdout
    assert "Expected to start" in shown
    (start,) = (
        job["expected_start"]
        for job in json.loads(commands.run("spalloc-ps", "--start", "--json").stdout)["jobs"]
        if job["state"] == "queued"
    )
    assert 0 <= start[0] <= start[1] <= 1800
    assert "Starts: expected " in commands.run("spalloc-job", "--owner", "me").stdout
    times = json.loads(commands.run("spalloc-job", "--owner", "me", "--json").stdout)["times"]
    assert len(times["expected_start"]) == 2
    waiting.process.terminate()
    assert waiting.end() == 143

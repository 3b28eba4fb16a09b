"""Time limits of jobs, blocking and asyncio: with a server that knows them, and with one that does not."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spalloc_client import JobDestroyedError, SpallocServerException
from spalloc_client.errors import ProtocolTimeoutError
from spalloc_client.job_answers import AnswerError
from spalloc_client.wire import Failure, JobsChanged, Request, encode
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.scripted import PATIENCE, Answer, ScriptedServer

READY = {"state": 3, "power": True, "keepalive": 60.0, "reason": None}
TIMES = {
    "time_limit": 1800.0, "ends_in": 1500.5, "why": "Its time limit of 30 minutes was over.",
    "expected_seconds": 1800.0, "expected_by": "limit", "expected_start": None,
}  # fmt: skip
NOTHING = dict.fromkeys(TIMES)


def limits(**answers: Answer) -> ScriptedServer:
    """A server that knows time limits, as ours does."""
    machines = [{"name": "m", "set_aside_boards": []}]

    def times(request: Request) -> Any:
        return None if request.args == (0,) else TIMES

    return ScriptedServer(
        {"create_job": 7, "get_job_state": READY, "list_machines": machines, "job_times": times, **answers}
    )


class Published(ScriptedServer):
    """A server that knows no extension, and hangs up on who asks for one, as the published one does."""

    def __init__(self) -> None:
        super().__init__({"create_job": 7, "get_job_state": READY, "list_machines": [{"name": "m"}]})
        for command in ("job_times", "extend_job", "notify_job_ending"):
            self.answers[command] = self._hang_up

    def _hang_up(self, _: Request) -> bytes:
        self.drop()
        return b""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with limits() as server:
        yield server


@pytest.fixture
def published() -> Iterator[ScriptedServer]:
    with Published() as server:
        yield server


def created(server: ScriptedServer) -> Any:
    """What the one job was created with."""
    (request,) = (request for request in server.requests if request.command == "create_job")
    return request.kwargs


@pytest.mark.parametrize("said", [1800, 1800.0, "30m", "30", "0:30:00"])
def test_a_server_that_knows_limits_is_sent_seconds(
    job_class: Any, server: ScriptedServer, said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    job_class(time_limit=said, **arguments(server)).close()
    assert created(server)["time_limit"] == 1800.0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_job_without_a_limit_asks_nothing_more_than_before(job_class: Any, server: ScriptedServer) -> None:
    job_class(time_limit=None, **arguments(server)).close()
    assert "time_limit" not in created(server)
    assert server.count("list_machines") == server.count("job_times") == 0


def test_a_server_that_knows_no_limits_makes_the_job_without_one_and_a_warning_says_so(
    job_class: Any, published: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    job_class(time_limit="30m", **arguments(published)).close()
    assert "time_limit" not in created(published)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    where = f"{published.hostname}:{published.port}"
    assert warnings == [f"The server {where} knows no time limits: the job is created without one."]
    assert published.count("job_times") == 0, "it would hang up"


def test_a_server_that_has_other_extensions_only_is_sent_none(
    job_class: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with limits(job_times=Failure("no such command")) as server:
        job_class(time_limit=5, **arguments(server)).close()
        assert "time_limit" not in created(server)
    assert "knows no time limits" in caplog.text


@pytest.mark.parametrize(("said", "sent"), [(5, 5.0), ("2h", 7200.0)])
def test_a_client_sends_a_duration_in_seconds(
    client_class: Any, server: ScriptedServer, said: Any, sent: float
) -> None:
    with client_class(server.hostname, server.port) as client:
        client.create_job(3, owner="me", time_limit=said)
        client.extend_job(7, said)
        assert created(server)["time_limit"] == sent
        assert server.requests[-1].args == (7, sent)
        with pytest.raises(ValueError, match="time_limit is 'soon'; it must be a duration"):
            client.create_job(owner="me", time_limit="soon")
        with pytest.raises(ValueError, match="time_limit is -1; it must be a number of seconds"):
            client.extend_job(7, -1)
        client.notify_job_ending(7)
        client.no_notify_job_ending(7)
        assert [request.command for request in server.requests[-2:]] == [
            "notify_job_ending",
            "no_notify_job_ending",
        ]


def test_a_client_does_not_send_that_there_is_no_limit(client_class: Any, published: ScriptedServer) -> None:
    with client_class(published.hostname, published.port) as client:
        client.create_job(owner="me", time_limit=None)
    assert created(published) == {"owner": "me"}


def test_a_job_tells_its_times(job_class: Any, server: ScriptedServer) -> None:
    job = job_class(**arguments(server))
    times = job.times()
    assert {name: getattr(times, name) for name in TIMES} == TIMES
    job.close()


@pytest.mark.parametrize("kind", ["ended", "published"])
def test_a_job_that_is_no_more_or_whose_server_knows_no_limits_has_no_times(
    job_class: Any, kind: str
) -> None:
    with Published() if kind == "published" else limits(job_times=None) as server:
        job = job_class(**arguments(server))
        times = job.times()
        assert {name: getattr(times, name) for name in TIMES} == NOTHING
        job.close()


def test_the_range_of_the_expected_start_is_told(job_class: Any) -> None:
    with limits(job_times={"expected_start": [60, 120.5]}) as server:
        job = job_class(**arguments(server))
        assert job.times().expected_start == (60.0, 120.5)
        job.close()


@pytest.mark.parametrize(
    "answer", [7, [], {"ends_in": "soon"}, {"time_limit": 0}, {"expected_start": 5}, {"expected_start": [1]}]
)
def test_times_that_are_not_the_protocol_s_are_a_protocol_error(job_class: Any, answer: Any) -> None:
    with limits(job_times=lambda request: None if request.args == (0,) else answer) as server:
        job = job_class(**arguments(server))
        with pytest.raises(AnswerError, match="reply to job_times is not what the protocol says"):
            job.times()
        job.close()


def test_a_limit_is_extended_and_the_new_one_returned(job_class: Any) -> None:
    with limits(extend_job=7200.0) as server:
        job = job_class(**arguments(server))
        assert job.extend("2h") == 7200.0
        assert server.requests[-1] == Request("extend_job", (7, 7200.0))
        with pytest.raises(ValueError, match="time_limit is 'x'; it must be a duration above 0"):
            job.extend("x")
        job.close()


def test_why_the_server_does_not_extend_it_is_told_as_the_server_says_it(job_class: Any) -> None:
    with limits(extend_job=Failure("Job 7 can't have more than 1 hour.")) as server:
        job = job_class(**arguments(server))
        with pytest.raises(SpallocServerException, match=r"^Job 7 can't have more than 1 hour\.$"):
            job.extend(9000)
        job.close()


def test_a_server_that_knows_no_limits_extends_none(job_class: Any, published: ScriptedServer) -> None:
    job = job_class(**arguments(published))
    with pytest.raises(SpallocServerException, match="the server knows no time limits"):
        job.extend(9000)
    assert published.count("extend_job") == 0
    job.close()


@pytest.mark.parametrize("answer", [None, True, "2h"])
def test_a_new_limit_that_is_no_number_is_a_protocol_error(job_class: Any, answer: Any) -> None:
    with limits(extend_job=answer) as server:
        job = job_class(**arguments(server))
        with pytest.raises(AnswerError, match="reply to extend_job"):
            job.extend(60)
        job.close()


def ends_in(*seconds: float | None) -> Callable[[Request], Any]:
    """Answers, one after the other and then the last one again."""
    left = list(seconds)

    def answer(request: Request) -> Any:
        if request.args == (0,):
            return None
        return {**TIMES, "ends_in": left.pop(0) if len(left) > 1 else left[0]}

    return answer


def test_who_waits_for_the_end_is_told_when_it_is_near_and_why(job_class: Any) -> None:
    with limits(job_times=ends_in(60.02, 59.5)) as server:
        job = job_class(**arguments(server))
        times = job.wait_for_ending("1m", PATIENCE)
        assert (times.ends_in, times.why) == (59.5, TIMES["why"])
        assert job.wait_for_ending(60).ends_in == 59.5, "at once"
        job.close()


@pytest.mark.parametrize("first", [None, 3600.0])
def test_an_end_that_is_set_or_moved_while_waiting_is_seen(job_class: Any, first: float | None) -> None:
    with limits() as server:
        asked: list[int] = []

        def times(request: Request) -> Any:
            if request.args == (0,):
                return None
            asked.append(1)
            if len(asked) == 1:
                server.send(encode(JobsChanged([7])))
            return {**TIMES, "ends_in": first if len(asked) == 1 else 30.0}

        server.answers["job_times"] = times
        job = job_class(**arguments(server))
        assert job.wait_for_ending(60.0, PATIENCE).ends_in == 30.0
        job.close()


def test_the_wait_for_the_end_ends_in_time(job_class: Any, published: ScriptedServer) -> None:
    job = job_class(**arguments(published))
    assert job.wait_for_ending(60.0, timeout=0.05) is None
    assert published.count("job_times") == 0
    with pytest.raises(ValueError, match="before is 0; it must be a number of seconds above 0"):
        job.wait_for_ending(0)
    job.close()


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({**READY, "state": 4, "reason": "Its time limit was over."}, r"^Its time limit was over\.$"),
        ({**READY, "state": 0}, "job 7 is no more, no reason given"),
    ],
)
def test_who_waits_for_the_end_of_a_job_that_has_ended_is_told_so(
    job_class: Any, server: ScriptedServer, state: Any, said: str
) -> None:
    job = job_class(**arguments(server))
    server.answers["get_job_state"] = state
    with pytest.raises(JobDestroyedError, match=said):
        job.wait_for_ending(60.0)
    job.close()


def test_a_server_that_is_silent_about_limits_is_not_asked_for_a_job(job_class: Any) -> None:
    with limits(list_machines=b"") as server:
        with pytest.raises(ProtocolTimeoutError):
            job_class(time_limit=5, timeout=0.2, **arguments(server))
        assert server.count("create_job") == 0


def test_a_site_ends_a_job_at_its_limit_and_tells_when_and_why(
    job_class: Any, small_site: EmbeddedSite
) -> None:
    with job_class(1, time_limit=3600, **arguments(small_site)) as job:
        assert job.times().time_limit == 3600.0
        assert 3500.0 < job.times().ends_in <= 3600.0
        assert job.extend("2h") == 7200.0
        assert 7100.0 < job.wait_for_ending("1d").ends_in <= 7200.0
        with job_class(1, time_limit=1, **arguments(small_site)) as other:
            with pytest.raises(JobDestroyedError, match="Its time limit is 1 second"):
                other.wait_for_ending(0.001)

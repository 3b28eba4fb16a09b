"""Logging in at a service, sessions that end, and what a service refuses; without a service."""

import base64
import json

import pytest

from spalloc_client.errors import LoginError, ProtocolError, SpallocServerException
from spalloc_client.https.session import Send
from tests.spalloc_client.https.playing import JAVA_ROOT, OUR_ROOT, Player, reply

JOB = {"state": "READY", "owner": "me", "start-time": "2026-11-29T23:51:23Z", "original-request": None}


def test_the_password_is_sent_once_and_then_cookie_and_token_go_with_what_follows() -> None:
    player = Player(OUR_ROOT)
    player.says("PUT jobs/7/keepalive", reply("ok"))
    player.ask("job_keepalive", 7)
    player.ask("job_keepalive", 7)
    login, *rest = player.sent
    assert login.headers["authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()
    assert len(rest) == 2
    for sent in rest:
        assert "authorization" not in sent.headers
        assert (sent.headers["cookie"], sent.headers["X-CSRF-TOKEN"]) == ("JSESSIONID=S1", "csrf1")
        assert sent.headers["content-type"].startswith("text/plain")


def test_a_token_is_sent_as_such() -> None:
    player = Player(OUR_ROOT, token="sp_token")
    player.ask("version")
    assert player.sent[0].headers["authorization"] == "Bearer sp_token"


def test_a_session_that_has_ended_is_followed_by_another_and_the_request_is_sent_again() -> None:
    player = Player(OUR_ROOT)
    player.says("GET jobs/7", reply(JOB), reply("log in", 401), reply(JOB))
    assert player.ask("get_job_state", 7)["state"] == 3
    player.answers["GET srv/spalloc"] = reply({**OUR_ROOT, "csrf-token": "csrf2"}, cookie="S2")
    assert player.ask("get_job_state", 7)["state"] == 3
    assert player.sent[-1].headers["cookie"] == "JSESSIONID=S2"
    assert player.sent[-1].headers["X-CSRF-TOKEN"] == "csrf2"
    assert player.requests.count("GET jobs/7") == 3


def test_a_request_is_not_sent_again_and_again_to_a_service_that_never_takes_its_session() -> None:
    player = Player(OUR_ROOT)
    player.ask("version")
    player.says("GET jobs/7", reply("log in", 401))
    with pytest.raises(SpallocServerException, match="log in"):
        player.ask("get_job_state", 7)
    assert player.requests.count("GET jobs/7") == 2


def test_where_basic_is_off_the_form_is_filled_in() -> None:
    player = Player(JAVA_ROOT)

    def root(step: Send) -> object:
        if step.headers.get("cookie") == "JSESSIONID=S3":
            return reply(JAVA_ROOT)
        return reply("log in required", 401, www_authenticate='Bearer realm="SpallocService"')

    player.answers["GET srv/spalloc"] = root
    player.says(
        "GET system/login.html",
        reply('<input type="hidden" name="_csrf" value="A&B" />', cookie="S2", content_type="text/html"),
    )
    player.says("POST system/perform_login", reply(None, 302, cookie="S3"))
    assert player.ask("version") == "7.4.2"
    form = next(sent for sent in player.sent if sent.method == "POST")
    assert form.body == b"_csrf=A%26B&username=me&password=secret&submit=submit"
    assert form.headers["cookie"] == "JSESSIONID=S2"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply("wrong name or password", 401, www_authenticate="Basic"), "wrong name or password"),
        (reply({"message": "computer says no"}, 401, www_authenticate="Basic"), "computer says no"),
        (reply("wait a minute", 429, retry_after="60"), "wait a minute"),
    ],
)
def test_a_login_that_is_refused_says_whose_and_why_and_never_the_password(answer: object, said: str) -> None:
    player = Player(OUR_ROOT)
    player.answers["GET srv/spalloc"] = answer
    with pytest.raises(LoginError, match="does not take the password of me") as raised:
        player.ask("version")
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(player.sent) == 1


def test_who_has_no_login_is_told_where_one_may_stand() -> None:
    player = Player(OUR_ROOT, username="me")
    with pytest.raises(LoginError, match=r"SPALLOC_PASSWORD.*SPALLOC_TOKEN.*netrc"):
        player.ask("version")
    assert player.sent == []


def test_a_service_that_is_asked_too_often_is_asked_again_when_it_says() -> None:
    player = Player(OUR_ROOT)
    player.says("GET jobs/7", reply("slow down", 429, retry_after="3"), reply(JOB))
    assert player.ask("get_job_state", 7)["state"] == 3
    assert player.slept == 3.0


@pytest.mark.parametrize(
    "trouble", ["failed", "java.sql.SQLException: Deadlock found when trying to get lock"]
)
def test_deadlocks_of_the_java_service_s_database_are_got_over(trouble: str) -> None:
    player = Player(JAVA_ROOT)
    made = reply({"job-id": 7, "job-ref": "x"}, 201)
    player.says("POST jobs", reply(trouble, 500), reply(trouble, 500), made)
    assert player.ask("create_job", 3, keepalive=60.0) == 7
    assert player.requests == ["POST jobs"] * 3
    player.says("POST jobs", reply(trouble, 500))
    with pytest.raises(SpallocServerException, match=r"failed|Deadlock"):
        player.ask("create_job", 3, keepalive=60.0)


def test_other_mistakes_of_the_service_are_told_once_in_its_words() -> None:
    player = Player(JAVA_ROOT)
    words = "User is a member of more than one group, so the group must be selected in the request"
    player.says("POST jobs", reply(f"unexpected server problem: NoSuchGroup: {words}", 500))
    with pytest.raises(SpallocServerException, match=f"^{words}; name the one that pays: --group"):
        player.ask("create_job", 3, keepalive=60.0)
    assert player.requests == ["POST jobs"]


@pytest.mark.parametrize(
    "answer",
    [
        reply("<html>Welcome</html>", content_type="text/html"),
        reply("<html>gone</html>", 404, content_type="text/html"),
        reply({"version": {}}),
        reply("[1]"),
        reply(None, 301, location="https://elsewhere/"),
    ],
    ids=["page", "no page", "another service", "no document", "redirect"],
)
def test_what_is_no_spalloc_service_is_not_taken_for_one(answer: object) -> None:
    player = Player(OUR_ROOT)
    player.answers["GET srv/spalloc"] = answer
    with pytest.raises(ProtocolError, match="does not speak the protocol"):
        player.ask("list_machines")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_service_that_is_away_behind_its_proxy_counts_as_a_lost_connection(status: int) -> None:
    player = Player(OUR_ROOT)
    player.says("GET jobs/7", reply("<html>Bad gateway</html>", status, content_type="text/html"))
    with pytest.raises(ProtocolError, match=str(status)):
        player.ask("get_job_state", 7)


def test_a_session_is_used_again_over_another_connection() -> None:
    player = Player(OUR_ROOT)
    player.play(player.session.begin())
    player.play(player.session.begin())
    first, second = player.sent
    assert "authorization" in first.headers
    assert "authorization" not in second.headers
    assert second.headers["cookie"] == "JSESSIONID=S1"
    assert json.loads(player.answers["GET srv/spalloc"].body) == OUR_ROOT

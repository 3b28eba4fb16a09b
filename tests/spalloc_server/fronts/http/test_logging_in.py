"""Who is let in, by which credentials, and what a request must show to change something."""

import base64
import re

import pytest

from spalloc_server.core.account_commands import WRONG
from spalloc_server.core.lockout import OF_PAIR
from spalloc_server.fronts.http.api.app import make_app
from spalloc_server.fronts.http.people import People, Session
from tests.spalloc_server.fronts.http.service import PASSWORD, Client, Service, job, run

BASIC = {"authorization": f"Basic {base64.b64encode(f'alice:{PASSWORD}'.encode()).decode()}"}
BEARER = {"authorization": "Bearer token-alice"}
HIDDEN = re.compile(r"""<input type="hidden" name="_csrf" value="(.*)" />""")
"""What SpiNNMan looks for."""
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def form(client: Client, name: str = "alice", password: str = PASSWORD) -> dict[str, str]:
    """Load the login page and return the form, filled in."""
    page = await client.get("system/login.html")
    assert page.status == 200
    found = HIDDEN.search(page.text)
    assert found is not None
    return {"_csrf": found[1], "username": name, "password": password, "submit": "submit"}


def test_spinnman_logs_in_by_the_page_and_finds_the_token_in_the_root_document() -> None:
    async def test(service: Service) -> None:
        client = service.client()
        filled = await form(client, " alice ")
        before = client.cookie
        answer = await client("POST", "system/perform_login", form=filled)
        assert answer.status == 302
        assert answer.headers["location"] == "https://spalloc.example/spalloc/system/"
        assert re.search(r"JSESSIONID=([A-Z0-9]+);", answer.headers["set-cookie"])
        assert client.cookie != before, "whoever knows the first cookie must not be logged in, too"
        root = (await client.get("srv/spalloc/")).json
        assert root["csrf-header"] == "X-CSRF-TOKEN"
        assert root["jobs-ref"] == "https://spalloc.example/spalloc/srv/spalloc/jobs"
        assert root["version"].keys() == {"major-version", "minor-version", "revision"}
        client.csrf = root["csrf-token"]
        await client.create()

    run(test)


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_connections() -> None:
    async def test(service: Service) -> None:
        cookie = (await service.client().get("system/login.html")).headers["set-cookie"]
        assert re.fullmatch(r"JSESSIONID=[A-Z0-9]{52}; Path=/spalloc; HttpOnly; SameSite=Lax; Secure", cookie)
        plain = (await service.client(scheme="http").get("system/login.html")).headers["set-cookie"]
        assert "Secure" not in plain, "a browser would not send it back"

    run(test)


def test_a_wrong_password_is_told_in_json_and_sets_no_cookie() -> None:
    async def test(service: Service) -> None:
        client = service.client()
        answer = await client("POST", "system/perform_login", form=await form(client, password="wrong"))
        assert (answer.status, answer.json) == (401, {"message": WRONG})
        assert "set-cookie" not in answer.headers
        shown = await client("POST", "system/perform_login", form=await form(client, "<b>"), headers=BROWSER)
        assert shown.status == 401
        assert f"<strong>{WRONG}</strong>" in shown.text
        for _ in range(OF_PAIR.free - 1):
            await client("POST", "system/perform_login", form=await form(client, password="wrong"))
        late = await client("POST", "system/perform_login", form=await form(client))
        assert (late.status, late.headers["retry-after"]) == (429, "1")
        assert "too many wrong passwords" in late.json["message"]
        basic = await service.client().get("srv/spalloc", headers=BASIC)
        assert (basic.status, basic.headers["retry-after"]) == (429, "1")

    run(test)


def test_a_login_form_of_another_site_is_refused_before_the_password_is_looked_at() -> None:
    async def test(service: Service) -> None:
        client, other = service.client(), service.client()
        filled = await form(client)
        await form(other)
        for wrong in ({**filled, "_csrf": "x"}, {name: filled[name] for name in ("username", "password")}):
            assert (await client("POST", "system/perform_login", form=wrong)).status == 401
        assert (await other("POST", "system/perform_login", form=filled)).status == 401
        assert (await service.client()("POST", "system/perform_login", form=filled)).status == 401
        assert service.passwords.checked == 0

    run(test)


def test_who_logs_in_again_loses_the_old_session() -> None:
    async def test(service: Service) -> None:
        client = await service.log_in()
        old = service.client()
        old.cookie = client.cookie
        client.csrf = None
        assert (await client("POST", "system/perform_login", form=await form(client))).status == 302
        assert (await client.get("srv/spalloc")).status == 200
        assert (await old.get("srv/spalloc")).status == 401

    run(test)


def test_the_old_session_has_ended_on_disk_before_the_login_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    log_out, recorded = People.log_out, People.recorded

    def noted_end(people: People, session: Session, address: str) -> None:
        done.append("ended")
        log_out(people, session, address)

    async def noted_record(people: People) -> None:
        await recorded(people)
        done.append("recorded")

    monkeypatch.setattr(People, "log_out", noted_end)
    monkeypatch.setattr(People, "recorded", noted_record)

    async def test(service: Service) -> None:
        client = await service.log_in()
        client.csrf = None
        done.clear()
        assert (await client("POST", "system/perform_login", form=await form(client))).status == 302
        assert done[-2:] == ["ended", "recorded"]

    run(test)


def test_a_bearer_token_on_the_login_page_gives_a_cookie_that_works_alone() -> None:
    async def test(service: Service) -> None:
        client = service.client()
        assert (await client.get("system/login.html", headers=BEARER)).status == 200
        root = await client.get("srv/spalloc/")
        assert root.json["account"] == "alice"
        # SpiNNMan goes on to send all three, and must keep its session.
        client.csrf = root.json["csrf-token"]
        made = await client("POST", "srv/spalloc/jobs", document=job(), headers=BEARER)
        assert made.status == 201
        assert "set-cookie" not in made.headers

    run(test)


def test_a_bearer_token_needs_neither_cookie_nor_csrf_token() -> None:
    async def test(service: Service) -> None:
        client = service.client()
        made = await client("POST", "srv/spalloc/jobs", document=job(), headers=BEARER)
        assert made.status == 201
        client.csrf = None
        assert (await client("DELETE", made.headers["location"], headers=BEARER)).status == 204
        wrong = await client.get("srv/spalloc", headers={"authorization": "Bearer nonsense"})
        assert wrong.status == 401, "a token that is sent must be valid, whatever the cookie is"
        assert [value for name, value in wrong.all_headers if name == "www-authenticate"] == [
            'Basic realm="SpallocService", charset="UTF-8"',
            'Bearer realm="SpallocService"',
        ]

    run(test)


def test_basic_can_read_and_with_its_cookie_and_token_also_write() -> None:
    async def test(service: Service) -> None:
        client = service.client()
        refused = await client("POST", "srv/spalloc/jobs", document=job(), headers=BASIC)
        assert refused.status == 401
        assert "GET /spalloc/srv/spalloc first" in refused.text
        assert service.passwords.checked == 0
        client.csrf = (await client.get("srv/spalloc", headers=BASIC)).json["csrf-token"]
        made = await client("POST", "srv/spalloc/jobs", document=job(), headers=BASIC)
        assert made.status == 201
        assert service.passwords.checked == 1, "the password is checked once a session"

    run(test)


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ("Basic !", 400),
        ("Basic YQ==", 400),
        ("Basic " + base64.b64encode(b"alice:wrong").decode(), 401),
        ("Basic " + "A" * 5000, 400),
        ("Digest x", 401),
        ("", 401),
    ],
)
def test_other_credentials_are_refused_in_words(credentials: str, status: int) -> None:
    async def test(service: Service) -> None:
        answer = await service.client().get("srv/spalloc", headers={"authorization": credentials})
        assert answer.status == status
        assert answer.text

    run(test)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "srv/spalloc/jobs"),
        ("DELETE", "srv/spalloc/jobs/1"),
        ("PUT", "srv/spalloc/jobs/1/keepalive"),
        ("POST", "srv/spalloc/jobs/1/machine/power"),
        ("PUT", "srv/spalloc/jobs/1/time-limit"),
        ("POST", "srv/spalloc/jobs/1/report-issue"),
        ("POST", "system/perform_logout"),
    ],
)
@pytest.mark.parametrize("given", [None, "", "csrf-wrong"])
def test_a_cookie_alone_changes_nothing(method: str, path: str, given: str | None) -> None:
    async def test(service: Service) -> None:
        client = await service.log_in()
        url = await client.create()
        client.csrf = given
        answer = await client(method, path, document=job())
        assert answer.status == 403
        assert "X-CSRF-TOKEN" in answer.text
        assert (await client.get(url)).json["state"] != "DESTROYED"

    run(test)


def test_somebody_elses_csrf_token_is_not_good() -> None:
    async def test(service: Service) -> None:
        client, other = await service.log_in(), await service.log_in("bob")
        client.csrf = other.csrf
        assert (await client("POST", "srv/spalloc/jobs", document=job())).status == 403

    run(test)


def test_after_logout_the_cookie_is_worth_nothing() -> None:
    async def test(service: Service) -> None:
        client = await service.log_in()
        value = client.cookie
        answer = await client("POST", "system/perform_logout")
        assert answer.status == 204
        assert client.cookie is None
        client.cookie = value
        assert (await client.get("srv/spalloc")).status == 401
        person = await service.log_in()
        filled = {"_csrf": person.csrf or ""}
        person.csrf = None
        gone = await person("POST", "system/perform_logout", form=filled, headers=BROWSER)
        assert (gone.status, gone.headers["location"]) == (
            302,
            "https://spalloc.example/spalloc/system/login.html",
        )

    run(test)


def test_browsers_are_sent_to_the_login_page_and_programs_are_told() -> None:
    async def test(service: Service) -> None:
        client = service.client()
        sent = await client.get("srv/spalloc/jobs", headers=BROWSER)
        assert (sent.status, sent.headers["location"]) == (
            302,
            "https://spalloc.example/spalloc/system/login.html",
        )
        for accept in (
            "*/*",
            "application/json",
            "text/html;q=0.5, application/json",
            "text/*",
            "nonsense;q=x",
        ):
            told = await client.get("srv/spalloc/jobs", headers={"accept": accept})
            assert told.status == 401, accept
            assert told.text.startswith("log in required")

    run(test)


def test_what_an_account_may_do_follows_from_its_role() -> None:
    async def test(service: Service) -> None:
        reader = await service.log_in("reader")
        for path in (
            "srv/spalloc",
            "srv/spalloc/jobs?details=true",
            "srv/spalloc/machines",
            "srv/spalloc/history",
        ):
            assert (await reader.get(path)).status == 200
        refused = await reader("POST", "srv/spalloc/jobs", document=job())
        assert refused.status == 403
        assert (
            refused.text
            == "the account reader is a reader; only a user, a service or an administrator may do this"
        )

    run(test)


def test_headers_that_must_be_there_once_are_refused_twice() -> None:
    async def test(service: Service) -> None:
        client = await service.log_in()
        value = client.cookie
        for name, twice in (
            ("cookie", [f"JSESSIONID={value}", "JSESSIONID=A"]),
            ("authorization", ["Bearer token-alice", "Bearer token-bob"]),
            ("content-type", ["application/json", "text/plain"]),
        ):
            answer = await client.get("srv/spalloc", headers=[(name, one) for one in twice])
            assert (answer.status, answer.text) == (400, f"the header {name} is there twice; send it once")

    run(test)


def test_a_cookie_that_can_be_none_of_ours_is_ignored() -> None:
    async def test(service: Service) -> None:
        for value in ("", "short", "a b", "é" * 52, "A" * 100):
            client = service.client()
            page = await client.get("system/login.html", headers={"cookie": f"JSESSIONID={value}; x"})
            assert "set-cookie" in page.headers
            assert (
                await service.client().get("srv/spalloc", headers={"cookie": f"JSESSIONID={value}"})
            ).status == 401

    run(test)


def test_the_page_of_somebody_who_has_logged_in_says_who_they_are() -> None:
    async def test(service: Service) -> None:
        alice = await service.log_in()
        page = await alice.get("system/")
        assert "the account <b>alice</b>, a user" in page.text
        found = HIDDEN.search(page.text)
        assert found is not None
        assert found[1] == alice.csrf
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]

    run(test)


def test_a_base_path_that_is_none_is_refused() -> None:
    async def test(service: Service) -> None:
        for base in ("", "spalloc", "/spalloc", "/a b/", "//"):
            with pytest.raises(ValueError, match="it must begin and end with a slash"):
                make_app(service.engine, service.people, base=base)

    run(test)

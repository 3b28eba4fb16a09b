"""How browsers log in by an issuer: there and back, once, in the browser that began it."""

import asyncio
from collections.abc import Callable
from functools import partial
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from spalloc_server.fronts.http.sso import single_sign_on
from tests.peers.environments import PeerEnvironment
from tests.peers.provider import CLIENT, NAME, REDIRECT, SECRET, provider
from tests.spalloc_server.fronts.http.service import PASSWORD, Answer, Client, Service
from tests.spalloc_server.fronts.http.sso.double import Double, answered
from tests.spalloc_server.fronts.http.sso.signed_in import ROOT, account, run
from tests.spalloc_server.fronts.http.sso.signing import RSA, unsigned, with_hmac

BEGIN, CODE = "system/openid/login", "system/openid/code"
HTML = {"accept": "text/html"}


class Browser:
    """Keeps all cookies, as browsers do, and follows nothing by itself."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.cookies: dict[str, str] = {}

    async def get(self, target: str, **headers: str) -> Answer:
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self._client.get(target, headers={**HTML, "cookie": sent, **headers})
        for name, value in answer.all_headers:
            if name == "set-cookie":
                for cookie in SimpleCookie(value).values():
                    self.cookies[cookie.key] = cookie.value
                    if not cookie.value:
                        del self.cookies[cookie.key]
        return answer

    async def begin(self) -> dict[str, str]:
        """Go to the issuer; return what it is asked."""
        answer = await self.get(BEGIN)
        assert answer.status == 302, answer
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def come_back(self, **brought: str) -> Answer:
        return await self.get(f"{CODE}?{urlencode(brought)}")


def gives(double: Double, asked: dict[str, str], **changed: Any) -> None:
    """Have the issuer take any code for the login that it was asked for."""
    token = double.token(**{"nonce": asked["nonce"], **changed})
    double.answers["/token"] = {"access_token": "access", "id_token": token}


async def whose(browser: Browser) -> str | None:
    answer = await browser.get(ROOT, accept="application/json")
    return answer.json["account"] if answer.status == 200 else None


def test_the_login_page_has_a_button_where_there_is_an_issuer() -> None:
    async def test(service: Service, double: Double) -> None:
        page = await service.client().get("system/login.html", headers=HTML)
        assert '<a class="button" href="/spalloc/system/openid/login">Log in with A &amp; B</a>' in page.text
        service.people.single_sign_on = None
        page = await service.client().get("system/login.html", headers=HTML)
        assert "openid" not in page.text
        assert (await service.client().get(BEGIN)).status == 404
        assert (await service.client().get(CODE)).status == 404

    run(test, title="A & B")


def test_a_browser_is_sent_to_the_issuer_and_is_logged_in_when_it_comes_back() -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        await browser.get("system/login.html")
        before = browser.cookies["JSESSIONID"]
        asked = await browser.begin()
        assert {name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "scope")} == {
            "response_type": "code",
            "client_id": "spalloc",
            "redirect_uri": "https://spalloc.example/spalloc/system/openid/code",
            "scope": "openid profile",
        }
        assert asked["code_challenge_method"] == "S256"
        gives(double, asked)
        answer = await browser.come_back(code="c-1", state=asked["state"])
        assert (answer.status, answer.headers["location"]) == (302, "https://spalloc.example/spalloc/system/")
        assert await whose(browser) == "openid.jane"
        # The session is new: whoever knew the cookie from before has nothing.
        assert browser.cookies["JSESSIONID"] != before
        assert "__Host-spalloc-login" not in browser.cookies
        for name, value in answer.all_headers:
            if name == "set-cookie":
                assert "HttpOnly" in value
                assert "Secure" in value
                assert "SameSite=Lax" in value

    run(test)


def test_the_session_that_the_browser_had_ends() -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        browser.cookies["JSESSIONID"], old = await service.people.log_in("alice", PASSWORD, "10.0.0.1")
        asked = await browser.begin()
        gives(double, asked)
        await browser.come_back(code="c-1", state=asked["state"])
        assert await whose(browser) == "openid.jane"
        assert not service.people.is_live(old.key)

    run(test)


def test_whoever_makes_up_codes_has_the_issuer_asked_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, double: Double) -> None:
        double.answers["/token"] = answered({"error": "invalid_grant"}, 400)
        told = []
        for _ in range(5):
            attacker = Browser(service.client("10.9.9.9"))
            asked = await attacker.begin()
            told.append(await attacker.come_back(code="made-up", state=asked["state"]))
        assert [one.status for one in told] == [401, 401, 401, 429, 429]
        assert "too many logins from there have failed" in told[-1].text
        assert double.asked.count("/token") == 3
        # Others log in, and so does whoever is right, a minute later.
        for client in (service.client("10.0.0.1"), service.client("10.9.9.9")):
            browser = Browser(client)
            asked = await browser.begin()
            gives(double, asked)
            assert (await browser.come_back(code="c-1", state=asked["state"])).status == 302
            monkeypatch.setattr(service.engine.clock, "now", lambda at=service.engine.clock.now: at() + 61)

    monkeypatch.setattr(single_sign_on, "MOST_WRONG_CODES", 3)
    run(test)


def test_codes_from_one_address_wait_in_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service, double: Double) -> None:
        first, second = Browser(service.client()), Browser(service.client())
        states = [(await one.begin())["state"] for one in (first, second)]
        double.hold = asyncio.Event()
        double.came.clear()
        waiting = asyncio.ensure_future(first.come_back(code="c-1", state=states[0]))
        await double.came.wait()
        assert (await second.come_back(code="c-2", state=states[1])).status == 429
        double.hold.set()
        await waiting
        # The login was not used up by that.
        assert (await second.come_back(code="c-2", state=states[1])).status != 429
        assert double.asked.count("/token") == 2

    monkeypatch.setattr(single_sign_on, "MOST_CODES_FROM_ONE", 1)
    run(test)


def test_a_login_is_not_finished_twice() -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        asked = await browser.begin()
        gives(double, asked)
        cookies = dict(browser.cookies)
        await browser.come_back(code="c-1", state=asked["state"])
        again = Browser(service.client())
        again.cookies = cookies
        answer = await again.come_back(code="c-1", state=asked["state"])
        assert (answer.status, "has been used already; begin again" in answer.text) == (401, True)
        assert await whose(again) is None
        assert double.asked.count("/token") == 1

    run(test)


def test_nobody_finishes_the_login_of_somebody_else() -> None:
    async def test(service: Service, double: Double) -> None:
        attacker, victim = (Browser(service.client()) for _ in range(2))
        asked = await attacker.begin()
        gives(double, asked)
        # The attacker sends the victim a link, so that they work in the attacker's account; or has seen the victim's.
        for own in (None, await victim.begin()):
            answer = await victim.come_back(code="c-1", state=asked["state"])
            assert (answer.status, "begun in another browser" in answer.text) == (401, True), own
            assert await whose(victim) is None
        assert "/token" not in double.asked

    run(test)


@pytest.mark.parametrize(
    "brought",
    [
        {},
        {"code": "c-1"},
        {"state": "made-up", "code": "c-1"},
        {"state": "", "code": ""},
        {"error": "access_denied"},
    ],
)
def test_who_comes_back_without_having_left_is_not_logged_in(brought: dict[str, str]) -> None:
    async def test(service: Service, double: Double) -> None:
        answer = await Browser(service.client()).come_back(**brought)
        assert (answer.status, "was not begun here" in answer.text) == (401, True)

    run(test)


def test_an_answer_of_another_issuer_is_refused() -> None:
    async def test(service: Service, double: Double) -> None:
        double.answers["/.well-known/openid-configuration"] = {
            **double.document,
            "authorization_response_iss_parameter_supported": True,
        }
        browser = Browser(service.client())
        for brought in ({}, {"iss": "https://attacker.example"}):
            asked = await browser.begin()
            answer = await browser.come_back(code="c-1", state=asked["state"], **brought)
            assert (answer.status, "another issuer" in answer.text) == (401, True)
        asked = await browser.begin()
        gives(double, asked)
        await browser.come_back(code="c-1", state=asked["state"], iss=double.issuer)
        assert await whose(browser) == "openid.jane"

    run(test)


def test_what_the_issuer_says_instead_of_a_code_is_shown_without_harm() -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        asked = await browser.begin()
        said = {"error": "access_denied", "error_description": "no <script>alert(1)</script>\n" + "x" * 500}
        answer = await browser.come_back(state=asked["state"], **said)
        assert answer.status == 401
        assert "did not log you in: no &lt;script&gt;" in answer.text
        assert "x" * 200 not in answer.text
        answer = await browser.come_back(state=(await browser.begin())["state"])
        assert "sent you back without a code" in answer.text

    run(test)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"nonce": "of-another-login"}, "is not the answer to this login"),
        ({"aud": "another"}, "is not for this service"),
        ({"azp": "another"}, "was given to another program"),
        ({"iss": "https://elsewhere.example"}, "another issuer"),
        ({"exp": 1}, "is over"),
    ],
)
def test_a_code_whose_token_is_not_for_this_login_logs_nobody_in(changed: dict[str, Any], why: str) -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        asked = await browser.begin()
        gives(double, asked, **changed)
        answer = await browser.come_back(code="c-1", state=asked["state"])
        assert (answer.status, why in answer.text) == (401, True), answer
        assert await whose(browser) is None

    run(test)


@pytest.mark.parametrize(
    "forged",
    [unsigned, partial(with_hmac, RSA.as_pem(private=False)), partial(with_hmac, b"only ours")],
    ids=["none", "public key", "client secret"],
)
def test_a_code_whose_token_anybody_could_have_made_logs_nobody_in(
    forged: Callable[[dict[str, Any]], str],
) -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        asked = await browser.begin()
        token = forged(double.claims(nonce=asked["nonce"]))
        double.answers["/token"] = {"access_token": "access", "id_token": token}
        answer = await browser.come_back(code="c-1", state=asked["state"])
        assert (answer.status, "an algorithm that is not allowed here" in answer.text) == (401, True), answer
        assert await whose(browser) is None
        assert "openid.jane" not in service.engine.site.accounts.by_name

    run(test)


def test_an_issuer_that_is_away_is_told_and_passwords_go_on() -> None:
    async def test(service: Service, double: Double) -> None:
        double.answers["/.well-known/openid-configuration"] = answered({}, 500)
        answer = await Browser(service.client()).get(BEGIN)
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")
        assert "can&#x27;t be asked at this moment" in answer.text
        assert "password" in answer.text
        assert await account(service.client(), "token-alice") == "alice"

    run(test)


def test_a_page_of_another_site_begins_no_login() -> None:
    async def test(service: Service, double: Double) -> None:
        for where in ("cross-site", "same-site"):
            answer = await Browser(service.client()).get(BEGIN, **{"sec-fetch-site": where})
            assert (answer.status, answer.headers["location"]) == (
                302, "https://spalloc.example/spalloc/system/login.html",
            )  # fmt: skip
        assert double.asked == []

    run(test)


def test_nothing_that_a_browser_brings_leads_it_elsewhere() -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        asked = await browser.begin()
        gives(double, asked)
        elsewhere = dict.fromkeys(("next", "redirect_uri", "target_link_uri"), "https://attacker.example")
        answer = await browser.come_back(code="c-1", state=asked["state"], **elsewhere)
        assert answer.headers["location"] == "https://spalloc.example/spalloc/system/"

    run(test)


def test_a_login_with_a_browser_lasts_a_number_of_hours_however_much_it_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, double: Double) -> None:
        browser = Browser(service.client())
        asked = await browser.begin()
        gives(double, asked)
        await browser.come_back(code="c-1", state=asked["state"])
        wall = service.engine.clock.wall
        monkeypatch.setattr(service.engine.clock, "wall", lambda: wall() + 3590)
        assert await whose(browser) == "openid.jane"
        monkeypatch.setattr(service.engine.clock, "wall", lambda: wall() + 3601)
        assert await whose(browser) is None

    run(test, session_hours=1.0)


def test_a_browser_logs_in_by_a_provider_as_it_is_published(
    peer: Callable[[str], PeerEnvironment],
) -> None:
    with provider(peer(NAME)) as canaille:
        canaille.add_user("jane", ["brain"])
        canaille.log_in("jane")

        async def test(service: Service, double: Double) -> None:
            browser = Browser(service.client())
            asked = await browser.begin()
            assert asked["redirect_uri"] == REDIRECT
            address = canaille.visit(asked)
            brought = dict(parse_qsl(urlsplit(address).query))
            await browser.come_back(**brought)
            assert await whose(browser) == "openid.jane"
            # The code is spent: with a login of its own, it still is of no use.
            asked = await browser.begin()
            answer = await browser.come_back(**{**brought, "state": asked["state"]})
            assert (answer.status, "does not take the login (invalid_grant)" in answer.text) == (401, True)

        run(test, issuer=canaille.issuer, secret=SECRET, client=CLIENT)

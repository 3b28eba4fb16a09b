"""Bearer tokens of an issuer, as clients of the HTTP service send them."""

import asyncio
import logging

import pytest

from spalloc_server.core.account_commands import SetLocked
from spalloc_server.core.askers import SERVER
from spalloc_server.fronts.http.sso import bearers
from tests.spalloc_server.fronts.http.service import Service, job
from tests.spalloc_server.fronts.http.sso.double import Double, answered
from tests.spalloc_server.fronts.http.sso.signed_in import ROOT, account, bearer, run
from tests.spalloc_server.fronts.http.sso.signing import EC, RSA, signed, with_hmac

JOBS = "srv/spalloc/jobs"


def test_a_signed_token_logs_in_and_its_cookie_works_alone() -> None:
    async def test(service: Service, double: Double) -> None:
        client = service.client()
        token = double.token()
        page = await client.get("system/login.html", headers=bearer(token))
        assert (page.status, '<input type="hidden" name="_csrf"' in page.text) == (200, True)
        # SpiNNMan sends the cookie only from here on.
        assert await account(client) == "openid.jane"
        created = await service.client().begin("POST", JOBS, document=job(), headers=bearer(token)).answer()
        assert created.status == 201
        assert service.engine.site.jobs[1].record.account == "openid.jane"

    run(test)


def test_all_clients_with_one_token_share_a_session() -> None:
    async def test(service: Service, double: Double) -> None:
        token = double.token()
        clients = [service.client() for _ in range(5)]
        assert set(await asyncio.gather(*(account(one, token) for one in clients))) == {"openid.jane"}
        assert len({one.cookie for one in clients}) == 1
        assert len(service.engine.site.accounts.sessions_of("openid.jane")) == 1
        # Another token of the same person begins another.
        other = service.client()
        await account(other, double.token(jti="2"))
        assert len(service.engine.site.accounts.sessions_of("openid.jane")) == 2

    run(test)


def test_tokens_of_ours_go_on_to_work_and_the_issuer_is_not_asked_about_them() -> None:
    async def test(service: Service, double: Double) -> None:
        assert await account(service.client(), "token-alice") == "alice"
        assert "not valid" in await account(service.client(), "spalloc_revoked-long-ago")
        assert double.asked == []

    run(test)


def test_an_opaque_token_is_asked_about_once_until_it_may_have_been_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, double: Double) -> None:
        double.answers["/introspect"] = {"active": True, **double.claims()}
        client = service.client()
        for _ in range(5):
            assert await account(client, "opaque") == "openid.jane"
        assert double.asked.count("/introspect") == 1
        double.answers["/introspect"] = {"active": False}
        assert await account(client, "opaque") == "openid.jane"
        monkeypatch.setattr(service.engine.clock, "now", lambda at=service.engine.clock.now: at() + 61)
        refused = await account(service.client(), "opaque")
        assert refused.startswith(
            "401 this token is over, revoked, or none of the issuer's; get another from"
        )
        # The session has ended for those who have its cookie only, too.
        assert (await client.get(ROOT)).status == 401

    run(test)


@pytest.mark.parametrize("crowd", ["wrong", "waiting"])
def test_whoever_has_a_revoked_token_can_not_keep_it_good_by_sending_others(
    monkeypatch: pytest.MonkeyPatch, crowd: str
) -> None:
    async def test(service: Service, double: Double) -> None:
        double.answers["/introspect"] = {"active": True, **double.claims()}
        client = service.client("10.9.9.9")
        assert await account(client, "opaque") == "openid.jane"
        double.answers["/introspect"] = {"active": False}
        monkeypatch.setattr(service.engine.clock, "now", lambda at=service.engine.clock.now: at() + 61)
        others, held = [], asyncio.Event()
        if crowd == "wrong":
            await account(client, "made-up-1")
            assert "429" in await account(client, "made-up-2")
        else:
            double.hold = held
            double.came.clear()
            others = [asyncio.ensure_future(account(service.client("10.9.9.9"), "slow"))]
            await double.came.wait()
            assert "429" in await account(client, "slow-2")
            double.hold = None
        assert (await account(client, "opaque")).startswith("401 this token is over, revoked")
        held.set()
        await asyncio.gather(*others)

    monkeypatch.setattr(bearers, "MOST_WRONG", 1)
    monkeypatch.setattr(bearers, "MOST_WAITING_FROM_ONE", 1)
    monkeypatch.setattr(bearers, "AT_ONCE", 1)
    run(test)


def test_an_issuer_that_hangs_holds_up_sessions_once_and_not_each_of_their_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, double: Double) -> None:
        double.answers["/introspect"] = {"active": True, **double.claims()}
        for token in ("opaque-1", "opaque-2"):
            await account(service.client(), token)
        double.asked.clear()
        double.answers["/introspect"] = answered({}, 500)
        monkeypatch.setattr(service.engine.clock, "now", lambda at=service.engine.clock.now: at() + 61)
        for token in ("opaque-1", "opaque-2", "opaque-1"):
            assert await account(service.client(), token) == "openid.jane"
        assert double.asked == ["/introspect"]
        # It is asked again soon.
        double.answers["/introspect"] = {"active": False}
        monkeypatch.setattr(service.engine.clock, "now", lambda at=service.engine.clock.now: at() + 11)
        assert "401" in await account(service.client(), "opaque-2")

    run(test)


@pytest.mark.parametrize("signed_one", [True, False])
def test_somebody_who_is_not_let_in_makes_the_server_ask_the_issuer_once_a_minute(
    *, signed_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(service: Service, double: Double) -> None:
        # The name is only in the issuer's userinfo, and no account can have it.
        double.answers["/introspect"] = {"active": True, **double.claims(preferred_username=None)}
        double.answers["/userinfo"] = {"sub": "u-1", "preferred_username": "no name"}
        token = double.token(preferred_username=None) if signed_one else "opaque"
        told = {await account(service.client(), token) for _ in range(5)}
        assert double.asked.count("/userinfo") == 1
        assert len(told) == 1
        assert "401 the issuer calls you 'no name'" in told.pop()
        double.answers["/userinfo"] = {"sub": "u-1", "preferred_username": "jane"}
        monkeypatch.setattr(service.engine.clock, "now", lambda at=service.engine.clock.now: at() + 61)
        assert await account(service.client(), token) == "openid.jane"

    run(test)


def test_sessions_go_on_while_the_issuer_is_away_and_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service, double: Double) -> None:
        double.answers["/introspect"] = {"active": True, **double.claims()}
        client = service.client()
        await account(client, "opaque")
        double.answers["/introspect"] = answered({}, 500)
        monkeypatch.setattr(service.engine.clock, "now", lambda at=service.engine.clock.now: at() + 61)
        assert await account(service.client(), "opaque") == "openid.jane"
        assert await account(client) == "openid.jane"
        answer = await service.client().get(ROOT, headers=bearer("another"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")
        assert answer.text == "single sign-on can't be asked at this moment; try again soon"

    run(test)


def test_a_token_ends_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service, double: Double) -> None:
        token = double.token()
        client = service.client()
        assert await account(client, token) == "openid.jane"
        monkeypatch.setattr(service.engine.clock, "wall", lambda at=service.engine.clock.wall: at() + 301)
        assert (await client.get(ROOT)).status == 401
        assert "401" in await account(service.client(), token)

    run(test)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"aud": "another-program"}, "is not for this service: its aud must name spalloc"),
        ({"iss": "https://elsewhere.example"}, "is another issuer's"),
        ({"exp": 1}, "is over"),
        ({"at_hash": "x"}, "is no access token"),
        ({"sub": 7}, "the claim sub is missing"),
        ({"preferred_username": ["a"]}, "gives no name for an account"),
    ],
)
def test_a_token_that_is_not_for_us_is_refused(changed: dict[str, object], why: str) -> None:
    async def test(service: Service, double: Double) -> None:
        refused = await account(service.client(), double.token(**changed))
        assert refused.startswith("401 ")
        assert why in refused
        assert "openid.jane" not in service.engine.site.accounts.by_name

    run(test)


def test_forged_tokens_are_refused() -> None:
    async def test(service: Service, double: Double) -> None:
        head, claims, _ = double.token().split(".")
        unsigned = "eyJhbGciOiJub25lIn0"
        for token in (
            f"{unsigned}.{claims}.",
            with_hmac(RSA.as_pem(private=False)),
            f"{head}.{claims}.AAAA",
            signed(double.claims(), EC, "ES256", kid="one"),
        ):
            assert (await account(service.client(), token)).startswith("401 this token "), token
        assert service.engine.site.accounts.by_name.keys().isdisjoint({"openid.jane"})

    run(test)


def test_a_locked_account_can_not_come_by_its_issuer() -> None:
    async def test(service: Service, double: Double) -> None:
        token = double.token()
        client = service.client()
        await account(client, token)
        service.engine.do(SetLocked("openid.jane", True, "root"), SERVER)
        assert "401 the account openid.jane is locked" in await account(service.client(), token)
        assert (await client.get(ROOT)).status == 401

    run(test)


def test_a_flood_of_made_up_tokens_asks_the_issuer_little_and_others_still_come_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, double: Double) -> None:
        first = [await account(service.client("10.9.9.9"), "made-up") for _ in range(3)]
        assert len(set(first)) == 1
        assert double.asked.count("/introspect") == 1
        told = [await account(service.client("10.9.9.9"), f"made-up-{number}") for number in range(30)]
        assert told[0].startswith("401 ")
        assert told[-1].startswith("429 too many tokens from there are not good")
        assert double.asked.count("/introspect") == 10
        double.answers["/introspect"] = {"active": True, **double.claims()}
        assert await account(service.client("10.0.0.2"), "good") == "openid.jane"
        # Signed ones from there are looked at all the same: that takes no request.
        assert await account(service.client("10.9.9.9"), double.token()) == "openid.jane"

    monkeypatch.setattr(bearers, "MOST_WRONG", 10)
    run(test)


def test_a_slow_issuer_holds_up_a_bounded_number_from_one_address_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(service: Service, double: Double) -> None:
        await account(service.client(), double.token())
        double.hold = asyncio.Event()
        double.came.clear()
        slow = [
            asyncio.ensure_future(account(service.client("10.9.9.9"), f"t-{number}")) for number in range(3)
        ]
        await double.came.wait()
        assert "429 too many clients log in" in await account(service.client("10.9.9.9"), "t-4")
        # Passwords, cookies, our tokens and signed ones need no answer of the issuer.
        assert await account(service.client("10.9.9.9"), "token-alice") == "alice"
        assert (
            await account(service.client(), double.token(sub="u-2", preferred_username="joe")) == "openid.joe"
        )
        double.hold.set()
        assert {one[:3] for one in await asyncio.gather(*slow)} == {"401"}

    monkeypatch.setattr(bearers, "MOST_WAITING_FROM_ONE", 3)
    run(test)


def test_no_token_and_no_secret_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test(service: Service, double: Double) -> None:
        caplog.set_level(logging.DEBUG)
        token, wrong = double.token(), double.token(aud="x")
        double.answers["/introspect"] = {"active": True, **double.claims(preferred_username=None)}
        double.answers["/userinfo"] = {"sub": "u-1", "preferred_username": "jane"}
        for one in (token, wrong, "opaque-secret", "opaque-secret"):
            await account(service.client(), one)
        double.answers["/introspect"] = answered({"error": "x"}, 500)
        await account(service.client(), "other-secret")
        for secret in (token, wrong, "opaque-secret", "other-secret", "only ours", "only+ours"):
            assert secret not in caplog.text
        assert "account openid.jane with the role user is made" in caplog.text

    run(test)

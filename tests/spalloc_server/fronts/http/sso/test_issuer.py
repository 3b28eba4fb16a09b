"""What an issuer is asked, how often, and that no answer of it leads elsewhere or holds anything up."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_server.fronts.http.connections.authority import make_certificate
from spalloc_server.fronts.http.connections.tls import context_of
from spalloc_server.fronts.http.openid import is_address
from spalloc_server.fronts.http.sso import asking
from spalloc_server.fronts.http.sso.asking import AwayError
from spalloc_server.fronts.http.sso.issuer import CodeError
from spalloc_server.fronts.http.sso.tokens import TokenError
from tests.spalloc_server.fronts.http.sso.double import PATIENCE, Double, MovedClock, answered, asked, doubled
from tests.spalloc_server.fronts.http.sso.signing import EC, RSA, key_set, signed

DISCOVERY = "/.well-known/openid-configuration"


def run(test: Callable[[Double], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
    async def main() -> None:
        async with doubled(tls) as double:
            await asyncio.wait_for(test(double), PATIENCE)

    asyncio.run(main())


async def away(task: Awaitable[object]) -> str:
    with pytest.raises(AwayError) as caught:
        await task
    return str(caught.value)


def test_discovery_and_keys_are_asked_once_for_many_tokens() -> None:
    async def test(double: Double) -> None:
        async with asked(double) as issuer:
            tokens = [double.token(sub=f"u-{number}") for number in range(10)]
            found = await asyncio.gather(*map(issuer.by_signature, tokens))
            assert [one["sub"] for one in found] == [f"u-{number}" for number in range(10)]
            assert double.asked == [DISCOVERY, "/keys"]

    run(test)


def test_answers_are_kept_for_as_long_as_they_say() -> None:
    async def test(double: Double) -> None:
        clock = MovedClock()
        double.answers["/keys"] = answered(key_set(), 200, "Cache-Control: public, max-age=3600")
        async with asked(double, clock) as issuer:
            token = double.token(exp=clock.wall() + 90_000)
            await issuer.by_signature(token)
            clock.at += 3599
            await issuer.by_signature(token)
            assert double.asked.count("/keys") == 1
            clock.at += 2
            await issuer.by_signature(token)
            assert double.asked.count("/keys") == 2
            # An answer that may not be kept is kept for a minute, and none longer than a day.
            double.answers["/keys"] = answered(key_set(), 200, "Cache-Control: no-store, max-age=3600")
            clock.at += 3601
            await issuer.by_signature(token)
            clock.at += 59
            await issuer.by_signature(token)
            assert double.asked.count("/keys") == 3

    run(test)


def test_a_new_key_is_found_and_unknown_names_of_keys_make_the_server_ask_once_a_minute() -> None:
    async def test(double: Double) -> None:
        clock = MovedClock()
        double.answers["/keys"] = key_set(RSA)
        async with asked(double, clock) as issuer:
            await issuer.by_signature(double.token())
            new = signed(double.claims(), EC, "ES256")
            double.answers["/keys"] = key_set(EC)
            clock.at += 60
            await issuer.by_signature(new)
            assert double.asked.count("/keys") == 2
            for number in range(20):
                with pytest.raises(TokenError, match="a key that the issuer does not have"):
                    await issuer.by_signature(signed(double.claims(), RSA, kid=f"made-up-{number}"))
            assert double.asked.count("/keys") == 2
            # The key that signed before is no longer one.
            with pytest.raises(TokenError):
                await issuer.by_signature(double.token())

    run(test)


def test_an_issuer_that_is_away_is_not_asked_again_at_once_and_its_known_keys_go_on_to_count() -> None:
    async def test(double: Double) -> None:
        clock = MovedClock()
        async with asked(double, clock) as issuer:
            good = {DISCOVERY: double.document, "/keys": key_set()}
            double.answers[DISCOVERY] = answered({}, 503)
            token = double.token(exp=clock.wall() + 900_000)
            for _ in range(5):
                assert "the status 503" in await away(issuer.by_signature(token))
            assert double.asked == [DISCOVERY]
            clock.at += 2
            double.answers.update(good)
            await issuer.by_signature(token)
            double.answers[DISCOVERY] = double.answers["/keys"] = answered({}, 500)
            clock.at += 50_000
            await issuer.by_signature(token)
            count = len(double.asked)
            await issuer.by_signature(token)
            assert len(double.asked) == count
            # Not for ever: a key may have been taken back.
            clock.at += 50_000
            assert "the status 500" in await away(issuer.by_signature(token))

    run(test)


def test_an_issuer_that_does_not_answer_holds_up_nothing_for_longer_than_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(double: Double) -> None:
        double.hold = asyncio.Event()
        async with asked(double) as issuer:
            assert "does not answer within 0.05 s" in await away(issuer.metadata())

    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.05)
    run(test)


def test_who_leaves_while_the_issuer_is_asked_does_not_take_the_answer_from_others() -> None:
    async def test(double: Double) -> None:
        double.hold = asyncio.Event()
        async with asked(double) as issuer:
            first, second = (asyncio.ensure_future(issuer.metadata()) for _ in range(2))
            await double.came.wait()
            first.cancel()
            double.hold.set()
            assert (await second).token == f"{double.issuer}/token"
            assert double.asked == [DISCOVERY]

    run(test)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 302 X\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "redirect"),
        (b"HTTP/1.1 200 X\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000, "more than 524288 bytes"),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n", "reached"),
        (b"HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\n[{}]", "no JSON object"),
        (b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\nhello", "no JSON object"),
        (b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n" + b"[" * 100_000, "no JSON object"),
        (b"nonsense\r\n\r\n", "can't be reached"),
        (b"", "can't be reached"),
    ],
)  # fmt: skip
def test_no_redirect_is_followed_and_no_answer_is_too_large(answer: bytes, why: str) -> None:
    async def test(double: Double) -> None:
        double.answers[DISCOVERY] = answer
        async with asked(double) as issuer:
            assert why in await away(issuer.metadata())
            assert double.asked == [DISCOVERY]

    run(test)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"issuer": "http://127.0.0.1:1"}, "calls itself 'http://127.0.0.1:1'"),
        ({"issuer": None}, "calls itself"),
        ({"jwks_uri": None}, "does not say its jwks_uri"),
        ({"jwks_uri": 7}, "jwks_uri that is no address with https"),
        ({"jwks_uri": "http://169.254.169.254/latest"}, "no address with https"),
        ({"jwks_uri": "file:///etc/passwd"}, "no address with https"),
        ({"jwks_uri": "https://elsewhere.example/keys"}, 'on elsewhere.example; if that is right, name it: http'),
        ({"token_endpoint": "http://127.0.0.1:9/token"}, "has its token_endpoint on 127.0.0.1:9"),
        ({"userinfo_endpoint": "https://me@issuer.example/"}, "no address with https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "no address with https"),
    ],
)  # fmt: skip
def test_discovery_leads_to_the_issuer_alone(changed: dict[str, Any], why: str) -> None:
    async def test(double: Double) -> None:
        double.answers[DISCOVERY] = {**double.document, **changed}
        async with asked(double) as issuer:
            assert why in await away(issuer.metadata())

    run(test)


def test_an_issuer_shows_a_certificate_of_an_authority_that_is_believed(tmp_path: Path) -> None:
    made = make_certificate(tmp_path / "theirs", ["localhost"])
    other = make_certificate(tmp_path / "other", ["localhost"])

    async def test(double: Double) -> None:
        async with asked(double, authority=made.bundle) as issuer:
            assert (await issuer.metadata()).token == f"{double.issuer}/token"
        for authority in (None, other.bundle):
            async with asked(double, authority=authority) as issuer:
                assert "can't be reached: " in (said := await away(issuer.metadata()))
                assert "certificate" in said.lower()
        # Nor does an issuer over TLS lead to addresses without it.
        double.answers[DISCOVERY] = {**double.document, "jwks_uri": "http://127.0.0.1:9/keys"}
        async with asked(double, authority=made.bundle) as issuer:
            assert "has its jwks_uri on 127.0.0.1:9" in await away(issuer.metadata())

    run(test, context_of(made.certificate, made.key))


def test_a_proxy_that_the_environment_names_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(double: Double) -> None:
        monkeypatch.setenv("http_proxy", double.issuer.replace("//", "//me:word@"))
        elsewhere = "http://127.0.0.2:9"
        double.answers[f"{elsewhere}{DISCOVERY}"] = {
            name: value.replace(double.issuer, elsewhere) for name, value in double.document.items()
        }
        async with asked(double, issuer=elsewhere) as issuer:
            assert (await issuer.metadata()).token == f"{elsewhere}/token"
            assert "proxy-authorization: basic bwu6d29yza==" in double.heads[-1].lower()
        monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:9")
        async with asked(double) as issuer:
            assert "a proxy of the kind socks5; name one of HTTP" in await away(issuer.metadata())

    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    run(test)


def test_addresses_are_with_https_or_on_this_computer() -> None:
    for right in (
        "https://a.example",
        "https://a.example:8443/x?y=1",
        "http://127.0.0.1:5",
        "http://localhost/",
    ):
        assert is_address(right), right
    for wrong in (
        "http://a.example", "https://", "https:///x", "https://a.example/ x", "https://a@b.example", "//a.example",
        "https://a.example#b", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "ftp://a.example",
        "https://a.example:port", "https://a.example\\@b", "https://[::1", "https://ä.example", "x" * 3000,
    ):  # fmt: skip
        assert not is_address(wrong), wrong


def test_an_opaque_token_is_asked_about_with_the_clients_secret() -> None:
    async def test(double: Double) -> None:
        double.answers["/introspect"] = {"active": True, **double.claims()}
        async with asked(double, client="spalloc", secret="a:b c") as issuer:
            assert (await issuer.by_introspection("opaque"))["sub"] == "u-1"
            assert double.bodies[-1] == "token=opaque&token_type_hint=access_token"
            # spalloc:a%3Ab+c in base64
            assert "authorization: basic c3bhbgxvyzphjtnbyitj" in double.heads[-1].lower()

    run(test)


def test_an_issuer_that_takes_secrets_in_forms_only_gets_them_there() -> None:
    async def test(double: Double) -> None:
        methods = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
        double.answers[DISCOVERY] = {**double.document, **methods}
        async with asked(double) as issuer:
            with pytest.raises(TokenError):
                await issuer.by_introspection("opaque")
            assert double.bodies[-1].endswith("&client_id=spalloc&client_secret=only+ours")

    run(test)


def test_a_wrong_secret_of_ours_is_no_fault_of_the_tokens() -> None:
    async def test(double: Double) -> None:
        double.answers["/introspect"] = answered({"error": "invalid_client"}, 401)
        async with asked(double) as issuer:
            assert "status 401 (invalid_client)" in await away(issuer.by_introspection("opaque"))

    run(test)


def test_without_introspection_only_signed_tokens_are_good() -> None:
    async def test(double: Double) -> None:
        async with asked(double, secret=None) as issuer:
            with pytest.raises(TokenError, match="is not signed"):
                await issuer.by_introspection("opaque")

    run(test)


def test_userinfo_is_asked_for_what_the_token_lacks_and_only_about_the_same_person() -> None:
    async def test(double: Double) -> None:
        async with asked(double) as issuer:
            complete = double.claims()
            assert await issuer.completed(complete, "t") == complete
            assert "/userinfo" not in double.asked
            bare = double.claims(preferred_username=None)
            double.answers["/userinfo"] = {"sub": "u-1", "preferred_username": "jane", "iss": "x", "aud": "y"}
            assert await issuer.completed(bare, "t") == {**bare, "preferred_username": "jane"}
            assert "authorization: bearer t" in double.heads[-1].lower()
            for other in ({"sub": "u-2", "preferred_username": "root"}, {"preferred_username": "root"}):
                double.answers["/userinfo"] = other
                with pytest.raises(TokenError, match="somebody else's"):
                    await issuer.completed(bare, "t")
            double.answers["/userinfo"] = answered({}, 401)
            with pytest.raises(TokenError, match="not taken by the issuer"):
                await issuer.completed(bare, "t")

    run(test)


def test_a_code_that_the_issuer_does_not_take_logs_nobody_in() -> None:
    async def test(double: Double) -> None:
        async with asked(double) as issuer:
            ask = ("code", "verifier", "https://here.example/code", "n-1")
            double.answers["/token"] = answered({"error": "invalid_grant"}, 400)
            with pytest.raises(CodeError, match=r"does not take the login \(invalid_grant\)"):
                await issuer.by_code(*ask)
            for wrong in ({}, {"access_token": "t"}, {"access_token": "t", "id_token": 7}):
                double.answers["/token"] = wrong
                assert "no tokens" in await away(issuer.by_code(*ask))
            double.answers["/token"] = {"access_token": "t", "id_token": double.token(nonce="n-2")}
            with pytest.raises(TokenError, match="not the answer to this login"):
                await issuer.by_code(*ask)
            double.answers["/token"] = {"access_token": "t", "id_token": double.token(nonce="n-1")}
            assert (await issuer.by_code(*ask))["preferred_username"] == "jane"
            form = "grant_type=authorization_code&code=code&redirect_uri=https%3A%2F%2Fhere.example%2Fcode"
            assert double.bodies[double.asked.index("/token")] == f"{form}&code_verifier=verifier"

    run(test)

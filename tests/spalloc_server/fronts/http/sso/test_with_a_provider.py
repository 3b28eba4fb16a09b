"""Tokens of a provider that others made, Canaille, as it makes them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from spalloc_server.clock import SystemClock
from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.sso.asking import AwayError
from spalloc_server.fronts.http.sso.issuer import Issuer
from spalloc_server.fronts.http.sso.tokens import TokenError
from tests.peers.environments import PeerEnvironment
from tests.peers.provider import CLIENT, NAME, SECRET, Provider, provider
from tests.spalloc_server.fronts.http.sso.signing import RSA, signed, unsigned, with_hmac


@pytest.fixture(scope="module")
def canaille(peer: Callable[[str], PeerEnvironment]) -> Any:
    with provider(peer(NAME)) as running:
        running.add_client("game", "another", "https://game.example/code")
        running.add_user("jane", ["brain"])
        yield running


def run(canaille: Provider, test: Callable[[Issuer], Awaitable[None]], **changed: Any) -> None:
    async def main() -> None:
        openid = OpenId(issuer=canaille.issuer, client=CLIENT, secret=SECRET)
        issuer = Issuer(replace(openid, **changed), SystemClock())
        try:
            await test(issuer)
        finally:
            await issuer.stop()

    asyncio.run(main())


def test_an_opaque_token_is_good_until_it_is_revoked(canaille: Provider) -> None:
    async def test(issuer: Issuer) -> None:
        token = canaille.opaque("jane", CLIENT)
        claims = await issuer.completed(await issuer.by_introspection(token), token)
        assert (claims["sub"], claims["preferred_username"]) == ("jane", "jane")
        canaille.revoke(token)
        with pytest.raises(TokenError, match="over, revoked"):
            await issuer.by_introspection(token)

    run(canaille, test)


def test_a_token_for_another_program_is_refused_by_either_kind(canaille: Provider) -> None:
    async def test(issuer: Issuer) -> None:
        with pytest.raises(TokenError, match="none of the issuer's"):
            await issuer.by_introspection(canaille.opaque("jane", "game"))
        with pytest.raises(TokenError, match="a program whose users are not let in"):
            await issuer.by_introspection(canaille.opaque("jane", "game", audience=[CLIENT]))
        signed = canaille.sign({"sub": "jane", "aud": ["game"], "exp": SystemClock().wall() + 300})
        with pytest.raises(TokenError, match="not for this service"):
            await issuer.by_signature(signed)

    run(canaille, test, clients=(CLIENT,))


def test_a_token_that_is_over_anothers_or_forged_is_refused(canaille: Provider) -> None:
    async def test(issuer: Issuer) -> None:
        good = {"iss": canaille.issuer, "sub": "jane", "aud": CLIENT, "exp": SystemClock().wall() + 300}
        assert (await issuer.by_signature(canaille.sign(good)))["sub"] == "jane"
        published = (await issuer._keys.get()).all
        for token, why in (
            (canaille.sign({**good, "exp": SystemClock().wall() - 60}), "is over"),
            (canaille.sign({**good, "iss": "https://elsewhere.example"}), "is another issuer's"),
            (unsigned(good), "an algorithm that is not allowed"),
            *(
                (with_hmac(key.as_pem(private=False), good), "an algorithm that is not allowed")
                for key in published
            ),
            (signed(good, RSA), "a key that the issuer does not have"),
            (signed(good, RSA, kid=published[0].get("kid")), "is not signed by the issuer"),
        ):
            with pytest.raises(TokenError, match=why):
                await issuer.by_signature(token)

    run(canaille, test)


def test_a_wrong_secret_of_ours_is_told_as_that(canaille: Provider) -> None:
    async def test(issuer: Issuer) -> None:
        with pytest.raises(AwayError, match="answers a question about a token with the status 401"):
            await issuer.by_introspection(canaille.opaque("jane", CLIENT))

    run(canaille, test, secret="wrong")


def test_new_keys_of_the_provider_are_found(canaille: Provider) -> None:
    async def test(issuer: Issuer) -> None:
        claims = {"sub": "jane", "aud": CLIENT, "exp": SystemClock().wall() + 300}
        before = canaille.sign(claims)
        assert (await issuer.by_signature(before))["sub"] == "jane"
        canaille.change_keys()
        after = Issuer(issuer.openid, SystemClock())
        assert (await after.by_signature(canaille.sign(claims)))["sub"] == "jane"
        with pytest.raises(TokenError, match="a key that the issuer does not have"):
            await after.by_signature(before)
        await after.stop()

    run(canaille, test)

"""Which tokens of an issuer are good, and that none is that somebody else could have made, or meant for another."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from spalloc_server.fronts.http.sso.tokens import (
    Keys,
    TokenError,
    UnknownKeyError,
    access_claims,
    id_claims,
    introspected_claims,
    is_signed,
)
from tests.examples import examples
from tests.spalloc_server.fronts.http.sso.signing import (
    EC,
    ED,
    KEYS,
    NOW,
    OPENID,
    OTHER,
    RSA,
    claims,
    encoded,
    key_set,
    signed,
    unsigned,
    with_hmac,
)


def refused(token: str, openid: Any = OPENID, keys: Keys = KEYS) -> str:
    assert is_signed(token)
    with pytest.raises(TokenError) as caught:
        access_claims(token, keys, openid, NOW)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (EC, "ES256"), (ED, "Ed25519")],
)
def test_a_bearer_token_that_the_issuer_signed_is_good(key: Any, algorithm: str) -> None:
    assert access_claims(signed(key=key, algorithm=algorithm), KEYS, OPENID, NOW)["sub"] == "u-1"


def test_a_token_without_a_signature_is_refused() -> None:
    for name in ("none", "None", "NONE", ""):
        assert refused(unsigned(claims(), name)) == "is signed with an algorithm that is not allowed here"


def test_a_token_that_is_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    for secret in (RSA.as_pem(private=False), RSA.as_der(private=False), RSA.as_dict()["n"].encode()):
        assert "algorithm" in refused(with_hmac(secret))


def test_secrets_among_the_issuers_keys_are_no_keys() -> None:
    secret = {"kty": "oct", "k": encoded("x" * 32), "kid": "one", "alg": "HS256"}
    assert Keys.read({"keys": [secret]}).all == ()


def test_a_configuration_can_allow_fewer_algorithms() -> None:
    narrow = replace(OPENID, algorithms=("ES256",))
    assert access_claims(signed(key=EC, algorithm="ES256"), KEYS, narrow, NOW)
    assert "algorithm" in refused(signed(), narrow)


def test_another_key_by_the_same_name_signs_nothing() -> None:
    assert refused(signed(key=OTHER)) == "is not signed by the issuer"


def test_a_changed_token_is_refused() -> None:
    head, _, signature = signed().split(".")
    assert refused(f"{head}.{encoded(claims(sub='u-2'))}.{signature}") == "is not signed by the issuer"
    assert refused(f"{head}.{encoded(claims())}.") == "is not signed by the issuer"


def test_a_key_that_comes_with_the_token_is_not_looked_at() -> None:
    own = RSAKey.generate_key(2048, {"kid": "mine"})
    for head in (
        {"jwk": own.as_dict(private=False)},
        {"jku": "https://attacker.example/keys"},
        {"x5u": "https://attacker.example/chain"},
    ):
        with pytest.raises(UnknownKeyError):
            access_claims(signed(key=own, **head), KEYS, OPENID, NOW)
        assert refused(signed(key=own, kid="one", **head)) == "is not signed by the issuer"


@pytest.mark.parametrize(
    "kid", ["../../dev/null", "' OR 1=1 --", 7, ["one"], {"one": 1}, "", "x" * 300, True]
)
def test_the_name_of_a_key_is_only_a_name(kid: Any) -> None:
    token = f"{encoded({'alg': 'RS256', 'kid': kid})}.{encoded(claims())}.{encoded('x')}"
    with pytest.raises(TokenError):
        access_claims(token, KEYS, OPENID, NOW)


def test_a_key_is_used_for_its_own_algorithm_and_curve_only() -> None:
    bound = Keys.read({"keys": [{**RSA.as_dict(private=False), "alg": "RS256"}]})
    assert access_claims(signed(), bound, OPENID, NOW)
    with pytest.raises(UnknownKeyError):
        access_claims(signed(algorithm="PS256"), bound, OPENID, NOW)
    token = f"{encoded({'alg': 'ES256', 'kid': 'one'})}.{encoded(claims())}.{encoded('x')}"
    with pytest.raises(UnknownKeyError):
        access_claims(token, KEYS, OPENID, NOW)


def test_a_token_that_names_no_key_is_good_where_there_is_only_one_for_it() -> None:
    assert access_claims(signed(kid=None), KEYS, OPENID, NOW)
    with pytest.raises(UnknownKeyError):
        access_claims(signed(kid=None), Keys.read(key_set(RSA, RSAKey.generate_key(2048))), OPENID, NOW)


def test_weak_and_private_and_encrypting_and_broken_keys_are_left_out() -> None:
    good = RSA.as_dict(private=False)
    weak = {**good, "n": good["n"][:170]}
    odd: list[Any] = [weak, {**good, "use": "enc"}, {**good, "key_ops": ["encrypt"]}, {**good, "n": 7}, {}, 7]
    odd += [{"kty": "RSA"}, {"kty": ["RSA"]}, {**good, "kty": "EC"}, {**good, "n": "!!"}]
    assert Keys.read({"keys": odd}).all == ()
    (only,) = Keys.read({"keys": [RSA.as_dict(private=True)]}).all
    assert not only.is_private


def test_the_issuers_keys_are_a_set_with_a_bound() -> None:
    for wrong in ({}, {"keys": {}}, {"keys": [RSA.as_dict(private=False)] * 101}):
        with pytest.raises(TokenError, match="not a set of at most 100 keys"):
            Keys.read(wrong)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://issuer.example/other"}, "another issuer's"),
        ({"iss": "https://issuer.example/realm/"}, "another issuer's"),
        ({"iss": None}, "another issuer's"),
        ({"iss": ["https://issuer.example/realm"]}, "another issuer's"),
        ({"aud": "another"}, "not for this service: its aud must name spalloc"),
        ({"aud": ["another", "account"]}, "not for this service"),
        ({"aud": None}, "not for this service"),
        ({"aud": {"spalloc": 1}}, "not for this service"),
        ({"aud": ["spalloc", 7]}, "not for this service"),
        ({"exp": NOW - 31}, "is over"),
        ({"exp": None}, "does not say until when"),
        ({"exp": "tomorrow"}, "exp that is no time"),
        ({"exp": True}, "exp that is no time"),
        ({"exp": 10**400}, "exp that is no time"),
        ({"nbf": NOW + 60}, "not good yet"),
        ({"iat": NOW + 60}, "not good yet"),
        ({"iat": "now"}, "iat that is no time"),
        ({"typ": "ID"}, "no access token"),
        ({"typ": "Refresh"}, "no access token"),
        ({"at_hash": "x"}, "no access token"),
        ({"events": {}}, "no access token"),
        ({"cnf": {"jkt": "x"}}, "bound to a key"),
    ],
)
def test_a_token_of_another_issuer_time_purpose_or_reader_is_refused(
    changed: dict[str, Any], why: str
) -> None:
    assert why in refused(signed(claims(**changed)))


def test_clocks_may_differ_by_half_a_minute() -> None:
    assert access_claims(signed(claims(exp=NOW - 29, iat=NOW + 29)), KEYS, OPENID, NOW)


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt", 7])
def test_other_tokens_that_the_issuer_signs_are_no_bearer_tokens(kind: Any) -> None:
    token = f"{encoded({'alg': 'RS256', 'kid': 'one', 'typ': kind})}.{encoded(claims())}.{encoded('x')}"
    with pytest.raises(TokenError):
        access_claims(token, KEYS, OPENID, NOW)
    if isinstance(kind, str):
        assert refused(signed(typ=kind)) == "is no access token"


def test_extensions_that_must_be_understood_are_not() -> None:
    for head in ({"crit": ["exp"], "exp": 1}, {"b64": False, "crit": ["b64"]}):
        token = f"{encoded({'alg': 'RS256', 'kid': 'one', **head})}.{encoded(claims())}.{encoded('x')}"
        assert refused(token) == "has a head that is not understood here"


def test_a_token_for_several_readers_may_be_one_of_a_trusted_programs() -> None:
    openid = replace(OPENID, audience=("team", "spalloc"), clients=("notebook",))
    assert access_claims(signed(claims(aud=["x", "team"], azp="notebook")), KEYS, openid, NOW)
    assert access_claims(signed(claims(client_id="notebook")), KEYS, openid, NOW)
    for other in ({}, {"azp": "game"}, {"azp": "notebook", "client_id": "game"}, {"azp": ["notebook"]}):
        assert "a program whose users are not let in" in refused(signed(claims(**other)), openid)


def test_a_site_may_go_by_the_program_alone() -> None:
    openid = replace(OPENID, audience=(), clients=("notebook",))
    assert access_claims(signed(claims(aud=None, azp="notebook")), KEYS, openid, NOW)
    assert refused(signed(claims(aud="spalloc", azp="game")), openid)


@given(st.text(max_size=300) | st.from_regex(r"eyJ[\w-]{0,40}\.[\w-]{1,40}\.[\w-]{0,40}", fullmatch=True))
@examples(200)
def test_nothing_that_is_sent_as_a_token_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(TokenError):
        access_claims(text, KEYS, OPENID, NOW)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "azp", "typ", "client_id", "at_hash"]), _JSON
)
@examples(200)
def test_claims_of_any_type_are_taken_or_refused(name: str, value: Any) -> None:
    openid = replace(OPENID, clients=("notebook",))
    with pytest.raises(TokenError):
        access_claims(signed({**claims(), name: value}), KEYS, openid, NOW)


# Tokens of which the issuer is asked


def test_what_the_issuer_says_of_a_token_counts() -> None:
    answer = claims(active=True, iss=None, token_type="Bearer")
    assert introspected_claims(answer, OPENID, NOW)["sub"] == "u-1"
    assert introspected_claims(claims(active=True, exp=None), OPENID, NOW)
    for changed, why in (
        ({"active": False}, "over, revoked"),
        ({"active": "true"}, "over, revoked"),
        ({"active": None}, "over, revoked"),
        ({"aud": "another"}, "not for this service"),
        ({"aud": None}, "not for this service"),
        ({"iss": "https://issuer.example/other"}, "another issuer's"),
        ({"exp": NOW - 31}, "is over"),
        ({"nbf": NOW + 60}, "not good yet"),
        ({"typ": "Refresh"}, "no bearer token"),
        ({"token_type": "refresh_token"}, "no bearer token"),
        ({"token_type": "DPoP"}, "no bearer token"),
        ({"token_type": 7}, "no bearer token"),
    ):
        with pytest.raises(TokenError, match=why):
            introspected_claims(claims(**{"active": True, **changed}), OPENID, NOW)


# ID tokens


def id_token(**changed: Any) -> str:
    return signed(claims(**{"nonce": "n-1", **changed}))


def id_refused(token: str) -> str:
    with pytest.raises(TokenError) as caught:
        id_claims(token, KEYS, OPENID, NOW, "n-1", "access")
    return str(caught.value)


def test_an_id_token_is_good_for_the_login_that_asked_for_it() -> None:
    # The first half of the SHA-256 of the access token.
    token = id_token(at_hash="oFYf1knNtrqnhAVfBRuteQ", azp="spalloc")
    with pytest.raises(TokenError, match="does not belong to the access token"):
        id_claims(token, KEYS, OPENID, NOW, "n-1", "another")
    assert id_claims(token, KEYS, OPENID, NOW, "n-1", "access")
    assert id_claims(id_token(), KEYS, OPENID, NOW, "n-1", "access")["sub"] == "u-1"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"nonce": None}, "not the answer to this login"),
        ({"nonce": "n-2"}, "not the answer to this login"),
        ({"nonce": ["n-1"]}, "not the answer to this login"),
        ({"aud": "another"}, "not for this service"),
        ({"aud": ["spalloc", "another"]}, "given to another program"),
        ({"azp": "another"}, "given to another program"),
        ({"iss": "https://issuer.example/other"}, "another issuer's"),
        ({"exp": NOW - 31}, "is over"),
        ({"at_hash": "x"}, "does not belong to the access token"),
        ({"at_hash": 7}, "does not belong to the access token"),
    ],
)
def test_an_id_token_for_another_login_or_program_is_refused(changed: dict[str, Any], why: str) -> None:
    assert why in id_refused(id_token(**changed))


def test_an_id_token_that_anybody_could_have_made_is_refused() -> None:
    said = claims(nonce="n-1")
    for token in (unsigned(said), *(with_hmac(secret, said) for secret in (RSA.as_pem(private=False), b"x"))):
        assert id_refused(token) == "is signed with an algorithm that is not allowed here"
    assert id_refused(signed(said, OTHER)) == "is not signed by the issuer"


def test_an_access_token_is_no_id_token() -> None:
    assert id_refused(signed(claims(nonce="n-1"), typ="at+jwt")) == "is no ID token"

"""Whether a token that an issuer has signed is good: by which key, for whom, until when. Values and the time only.

An ID token says who has logged in; it is for this server alone, and comes from the issuer itself. An access token is a
bearer token, which anybody may send. One is never taken for the other.
"""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256, sha384, sha512
from hmac import compare_digest
from math import inf
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.sso.claims import Claims

LEEWAY_SECONDS = 30.0
"""How much the issuer's clock and this computer's may differ."""
MOST_KEYS = 100
SHORTEST_RSA_BITS = 2048
LONGEST_RSA_BITS = 8192
LONGEST_KID = 256

_KINDS: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_KIND_OF_ALGORITHM = {"R": "RSA", "P": "RSA", "E": "EC"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_NOT_ACCESS_TOKENS = frozenset({"id", "refresh", "offline", "logout"})
"""What Keycloak's claim `typ` says of other tokens."""
_LATEST = 1e12
"""A number of seconds that no clock will show."""
_HASHES = {"256": sha256, "384": sha384, "512": sha512}

Key = RSAKey | ECKey | OKPKey


class TokenError(ValueError):
    """A token that is not good; the message is the rest of a sentence about it."""


class UnknownKeyError(TokenError):
    """A token that is signed with a key that is not known."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys with which an issuer signs."""

    all: tuple[Key, ...] = ()

    @classmethod
    def read(cls, document: Claims) -> "Keys":
        """Return the public keys for signatures of a key set (RFC 7517); others in it are left out.

        Raises:
            TokenError: It is no key set, or has too many keys.
        """
        listed = document.get("keys")
        if not isinstance(listed, list) or len(listed) > MOST_KEYS:
            raise TokenError(f"the issuer's keys are not a set of at most {MOST_KEYS} keys")
        keys = (_key(one) for one in listed)
        return cls(tuple(one for one in keys if one is not None))

    def of(self, kid: str | None, algorithm: str) -> Key:
        """Return the key with a name, for an algorithm; without a name, the only one for the algorithm.

        Raises:
            UnknownKeyError: There is no such key.
        """
        fitting = [key for key in self.all if _fits(key, algorithm) and kid in (None, key.get("kid"))]
        if len(fitting) != 1:
            raise UnknownKeyError("is signed with a key that the issuer does not have")
        return fitting[0]


def _key(one: object) -> Key | None:
    """Return a public key; None for one of another kind or purpose, and for a weak one."""
    if not isinstance(one, dict) or one.get("use", "sig") != "sig":
        return None
    kind = _KINDS.get(one["kty"]) if isinstance(one.get("kty"), str) else None
    operations = one.get("key_ops", ["verify"])
    if kind is None or not isinstance(operations, list) or "verify" not in operations:
        return None
    # What a private key has more than a public one is not even looked at.
    parts = {name: one[name] for name in ("kty", "n", "e", "crv", "x", "y", "kid", "alg") if name in one}
    try:
        if kind is RSAKey and not SHORTEST_RSA_BITS <= _bits(parts["n"]) <= LONGEST_RSA_BITS:
            return None
        return kind.import_key(parts)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _bits(modulus: str) -> int:
    return int.from_bytes(_bytes(modulus)).bit_length()


def _fits(key: Key, algorithm: str) -> bool:
    if key.get("alg") not in (None, algorithm):
        return False
    if algorithm in _CURVES:
        return key.get("crv") == _CURVES[algorithm]
    return key.key_type == _KIND_OF_ALGORITHM.get(algorithm[:1])


def is_signed(token: str) -> bool:
    """Return whether a token has the form of a signed one (RFC 7515); others are asked for at the issuer."""
    parts = token.split(".")
    return len(parts) == 3 and token.startswith("eyJ") and all(parts[:2])


def verified(token: str, keys: Keys, openid: OpenId) -> tuple[Claims, str, str]:
    """Return the claims of a token that the issuer has signed, the type in its header, and the algorithm.

    Nothing that they say is checked yet.

    Raises:
        UnknownKeyError: By a key that is not known.
        TokenError: It is not signed by the issuer, or not as it must be.
    """
    head = _part(token.partition(".")[0])
    algorithm, kid, kind = head.get("alg"), head.get("kid"), head.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in openid.algorithms:
        raise TokenError("is signed with an algorithm that is not allowed here")
    if "crit" in head or "b64" in head or not isinstance(kind, str):
        raise TokenError("has a head that is not understood here")
    if kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= LONGEST_KID):
        raise TokenError("does not name its key in a valid way")
    key = keys.of(kid, algorithm)
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = len(token)
    try:
        found = jws.deserialize_compact(token, key, [algorithm], registry)
        claims = json.loads(found.payload or b"")
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenError("is not signed by the issuer") from error
    if not isinstance(claims, dict):
        raise TokenError("has no claims")
    return claims, kind.lower().removeprefix("application/"), algorithm


def _part(encoded: str) -> Claims:
    try:
        decoded = json.loads(_bytes(encoded))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise TokenError("can't be read") from error
    if not isinstance(decoded, dict):
        raise TokenError("can't be read")
    return decoded


def _bytes(encoded: str) -> bytes:
    return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))


def access_claims(token: str, keys: Keys, openid: OpenId, wall: float) -> Claims:
    """Return the claims of a signed bearer token that is good at a time.

    Args:
        token: The token.
        keys: The issuer's.
        openid: What it must be for.
        wall: The time, in seconds of Unix time.

    Raises:
        UnknownKeyError: It is signed with a key that is not known.
        TokenError: It is not good.
    """
    claims, kind, _ = verified(token, keys, openid)
    said = claims.get("typ", "Bearer")
    is_other = not isinstance(said, str) or said.lower() in _NOT_ACCESS_TOKENS
    if kind not in ("jwt", "at+jwt") or is_other or "at_hash" in claims or "events" in claims:
        raise TokenError("is no access token")
    _check_times(claims, wall)
    check_purpose(claims, openid)
    return claims


def check_purpose(claims: Claims, openid: OpenId) -> None:
    """Refuse an access token of another issuer, for somebody else, or of another program.

    Raises:
        TokenError: It is one.
    """
    if claims.get("iss") != openid.issuer:
        raise TokenError("is another issuer's")
    if openid.audiences and not set(_audience(claims)) & set(openid.audiences):
        raise TokenError(f"is not for this service: its aud must name {' or '.join(openid.audiences)}")
    if openid.clients:
        named = [claims[name] for name in ("azp", "client_id") if name in claims]
        if not named or any(one not in openid.clients for one in named):
            raise TokenError("was given to a program whose users are not let in here")
    if "cnf" in claims:
        raise TokenError("is bound to a key that its bearer must show, which can't be checked here")


def introspected_claims(answer: Claims, openid: OpenId, wall: float) -> Claims:
    """Return the claims of a bearer token of which the issuer was asked (RFC 7662).

    Args:
        answer: What it answered, which is believed.
        openid: What the token must be for.
        wall: The time, in seconds of Unix time.

    Raises:
        TokenError: It is not good.
    """
    if answer.get("active") is not True:
        raise TokenError("is over, revoked, or none of the issuer's")
    kinds = (answer.get("typ", "Bearer"), answer.get("token_type", "Bearer"))
    if any(not isinstance(one, str) or one.lower() not in ("bearer", "access_token") for one in kinds):
        raise TokenError("is no bearer token")
    if "exp" in answer:
        _check_times(answer, wall)
    check_purpose({"iss": openid.issuer, **answer}, openid)
    return answer


def id_claims(token: str, keys: Keys, openid: OpenId, wall: float, nonce: str, access: str) -> Claims:
    """Return the claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7).

    Args:
        token: The token, as the issuer sent it.
        keys: The issuer's.
        openid: What it must be for.
        wall: The time, in seconds of Unix time.
        nonce: What the login began with.
        access: The access token that came with it.

    Raises:
        UnknownKeyError: It is signed with a key that is not known.
        TokenError: It is not good.
    """
    claims, kind, algorithm = verified(token, keys, openid)
    if kind != "jwt":
        raise TokenError("is no ID token")
    if claims.get("iss") != openid.issuer:
        raise TokenError("is another issuer's")
    audience = _audience(claims)
    if openid.client not in audience:
        raise TokenError("is not for this service")
    party = claims.get("azp")
    if party != openid.client and (party is not None or len(audience) > 1):
        raise TokenError("was given to another program")
    _check_times(claims, wall)
    given = claims.get("nonce")
    if not isinstance(given, str) or not compare_digest(given.encode(), nonce.encode()):
        raise TokenError("is not the answer to this login")
    hashed = claims.get("at_hash")
    if hashed is not None and hashed != _half_hash(access, algorithm):
        raise TokenError("does not belong to the access token that came with it")
    return claims


def _half_hash(token: str, algorithm: str) -> str:
    digest = _HASHES.get(algorithm[2:], sha512)(token.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _audience(claims: Claims) -> tuple[str, ...]:
    found = claims.get("aud")
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        return ()
    return tuple(listed)


def expiry(claims: Claims) -> float:
    """Return when a token is over, in seconds of Unix time; -inf where the claims don't say."""
    found = _time(claims, "exp")
    return -inf if found is None else found


def _check_times(claims: Claims, wall: float) -> None:
    if expiry(claims) <= wall - LEEWAY_SECONDS:
        raise TokenError("is over" if "exp" in claims else "does not say until when it is good")
    for name in ("nbf", "iat"):
        begins = _time(claims, name)
        if begins is not None and begins > wall + LEEWAY_SECONDS:
            raise TokenError("is not good yet; perhaps a clock is wrong")


def _time(claims: Claims, name: str) -> float | None:
    found: Any = claims.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < _LATEST:
        raise TokenError(f"has a claim {name} that is no time")
    return float(found)

"""Keys of an issuer, and tokens of any kind that they sign, good ones and others."""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from spalloc_server.fronts.http.openid import OpenId
from spalloc_server.fronts.http.sso.tokens import Keys

ISSUER = "https://issuer.example/realm"
NOW = 1_800_000_000.0
OPENID = OpenId(issuer=ISSUER, client="spalloc")
RSA = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "two"})
ED = OKPKey.generate_key("Ed25519", {"kid": "three"})
OTHER = RSAKey.generate_key(2048, {"kid": "one"})
"""Somebody else's, by the name of one of the issuer's."""


def key_set(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys or (RSA, EC, ED)]}


KEYS = Keys.read(key_set())


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of a good bearer token, with changes; None leaves one out."""
    usual = {"iss": ISSUER, "sub": "u-1", "aud": ["spalloc"], "exp": NOW + 300, "iat": NOW - 5}
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


def signed(said: dict[str, Any] | None = None, key: Any = RSA, algorithm: str = "RS256", **head: Any) -> str:
    header = {"alg": algorithm, "kid": key.get("kid"), **head}
    header = {name: value for name, value in header.items() if value is not None}
    algorithms = [algorithm]
    return jwt.encode(header, claims() if said is None else said, key, algorithms)


def encoded(part: Any) -> str:
    """Return a part of a token, a string or a value that is written in JSON."""
    written = (
        part if isinstance(part, bytes) else (part if isinstance(part, str) else json.dumps(part)).encode()
    )
    return urlsafe_b64encode(written).decode().rstrip("=")


def unsigned(said: dict[str, Any], algorithm: str = "none") -> str:
    """Return a token without a signature."""
    return f"{encoded({'alg': algorithm, 'kid': 'one'})}.{encoded(said)}."


def with_hmac(secret: bytes, said: dict[str, Any] | None = None) -> str:
    """Return a token that is signed with a secret, which anybody has where it is a public key."""
    start = f"{encoded({'alg': 'HS256', 'kid': 'one'})}.{encoded(claims() if said is None else said)}"
    return f"{start}.{encoded(hmac.digest(secret, start.encode(), 'sha256'))}"

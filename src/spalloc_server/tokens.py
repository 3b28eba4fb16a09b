"""Makes personal access tokens, and the hashes by which tokens and cookies are known: nothing else of them is kept."""

import hashlib
import secrets

PREFIX = "spalloc_"
"""What a token begins with, so that programs which look for secrets in published files find it."""


def new_token() -> str:
    """Return a new token: the prefix, and 256 random bits as letters, digits, - and _."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return the SHA-256 of a token or a cookie's value, in hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()

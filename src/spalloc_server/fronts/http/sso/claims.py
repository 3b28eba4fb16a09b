"""What an issuer's claims about somebody give: a name, a role and groups. Values only.

That the claims are the issuer's own is found out in tokens.py and issuer.py.
"""

from collections.abc import Mapping
from typing import Any

from spalloc_server.core.accounts import NAMES, name_flaw
from spalloc_server.core.askers import Role
from spalloc_server.core.identities import Identity, Membership, Person
from spalloc_server.fronts.http.openid import OpenId

LONGEST_SUBJECT = 255
"""How many characters of ASCII a subject may have (OpenID Connect Core 1.0, section 2)."""
MOST_VALUES = 5000
"""How many values a claim may have."""
LONGEST_VALUE = 512
_MOST_SHOWN = 60

Claims = Mapping[str, Any]


class ClaimsError(ValueError):
    """Claims that give no account; the message is a sentence for the client."""


def found(claims: Claims, path: str) -> Any:
    """Return a claim, or None; a dot leads into a claim that is an object, unless there is one with the whole name."""
    if path in claims:
        return claims[path]
    first, dot, rest = path.partition(".")
    inner = claims.get(first)
    return found(inner, rest) if dot and isinstance(inner, Mapping) else None


def lacks(openid: OpenId, claims: Claims) -> bool:
    """Return whether any claim is missing that the configuration names."""
    return any(found(claims, path) is None for path in openid.claims)


def subject_of(claims: Claims) -> str:
    """Return what the issuer knows somebody by.

    Raises:
        ClaimsError: The claims don't say, or in no valid way.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise ClaimsError(
            "the issuer does not say for whom this login is: the claim sub is missing or not valid"
        )
    return subject


def person(openid: OpenId, claims: Claims) -> Person:
    """Return who somebody is.

    Args:
        openid: What the claims give.
        claims: The issuer's claims, which have been checked.

    Raises:
        ClaimsError: They give no account.
    """
    subject = subject_of(claims)
    given = found(claims, openid.name)
    if not isinstance(given, str) or not given:
        is_there = "is missing" if given is None else "is no string"
        raise ClaimsError(
            f"the issuer gives no name for an account: the claim {openid.name} {is_there}; ask an administrator"
        )
    name = f"{openid.prefix}{given}"
    if name_flaw(name) is not None:
        shown = "".join(letter if letter.isprintable() else "?" for letter in given[:_MOST_SHOWN])
        raise ClaimsError(
            f"the issuer calls you {shown!r}, of which no account's name can be made ({openid.prefix} and it): "
            f"a name is {NAMES}; ask an administrator"
        )
    identity = Identity(openid.issuer, subject)
    return Person(identity, name, _role(openid, claims), *_groups(openid, claims))


def _role(openid: OpenId, claims: Claims) -> Role:
    for rule in openid.roles:
        if any(one.found(value) is not None for value in _values(claims, rule.claim) for one in rule.match):
            return rule.role
    if openid.role is None:
        raise ClaimsError(
            "the issuer knows you, but nothing that it says of you allows you to use this service; ask an administrator"
        )
    return openid.role


def _groups(openid: OpenId, claims: Claims) -> tuple[tuple[Membership, ...] | None, tuple[str, ...]]:
    """Return the groups, and the names that can't be one; None for the groups where no rule speaks of any."""
    if not openid.groups:
        return None, ()
    groups: dict[str, Membership] = {}
    left_out: dict[str, None] = {}
    for rule in openid.groups:
        for value in _values(claims, rule.claim):
            name = rule.named(value)
            if name is not None and name_flaw(name) is None:
                groups.setdefault(name, Membership(name, rule.makes, rule.quota))
            elif name is not None:
                left_out[name] = None
    return tuple(groups.values()), tuple(left_out)


def _values(claims: Claims, path: str) -> list[str]:
    """Return the strings of a claim, each once, in a fixed order.

    Raises:
        ClaimsError: It has anything else, or too much.
    """
    value = found(claims, path)
    values = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise ClaimsError(
            f"the issuer's claim {path} is not as expected, a string or strings; ask an administrator"
        )
    if len(values) > MOST_VALUES:
        raise ClaimsError(
            f"the issuer's claim {path} has more than {MOST_VALUES} values; ask an administrator"
        )
    return sorted({one for one in values if len(one) <= LONGEST_VALUE})

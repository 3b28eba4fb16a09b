"""Accounts, their tokens and their sessions: values, and what they may be.

Which there are, and what ends a session, is decided in account_keeping.py; who may do what, in admission.py. No
password, token or cookie is here: only hashes, which the callers make.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from spalloc_server.core.askers import Login, Role
from spalloc_server.core.identities import Identity

LONGEST_NAME = 64
"""How many characters the name of an account or a token may have."""
MOST_ACCOUNTS = 10_000
MOST_TOKENS = 50
"""How many tokens an account may have."""
MOST_SESSIONS = 20_000
MOST_SESSIONS_OF_ONE = 200
"""How many sessions an account may have; one more ends another of its sessions."""
LONGEST_TOKEN_DAYS = 366
IDLE_SECONDS = 1800.0
"""After how long without a request a session ends."""
NOTED_SECONDS = 60.0
"""How much later the use of a session is noted than the use that was noted before; a session lives longer by this."""
KNOWN_SECONDS = 30 * 86_400.0
"""For how long an address is known to be one from which an account logs in."""
MOST_KNOWN = 20
"""How many such addresses of an account are remembered; of more, the latest."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", re.ASCII)
NAMES = (
    "letters of A to Z, digits and any of . _ @ + -, the first a letter or a digit, at most "
    f"{LONGEST_NAME} characters"
)
"""What a name may be, in words."""


class Scope(StrEnum):
    """What a token allows."""

    READ = "read"
    """What a reader may do."""
    USE = "use"
    """All that its account may do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may log in."""

    name: str
    role: Role
    password: str | None
    """The hash of its password; None if it has none, and is used by tokens only."""
    created: float
    """In seconds of Unix time."""
    is_locked: bool = False
    """Whether an administrator has locked it: nobody may log in to it."""
    logged_in_from: tuple[tuple[str, float], ...] = ()
    """The addresses from which it has logged in, each with when that was noted last (Unix time); the latest last."""
    groups: tuple[str, ...] = ()
    """The names of the groups that it is in."""
    default_group: str | None = None
    """The one of them that is charged for jobs that name none; None for the only one, if it is in one."""
    identity: Identity | None = None
    """Whose it is, if its people log in by an issuer; its role and its groups are then as the issuer says."""

    def knows(self, address: str, wall: float) -> bool:
        """Return whether it has logged in lately from `address`, or from its neighbours (networks.py)."""
        return any(one == address and abs(wall - when) < KNOWN_SECONDS for one, when in self.logged_in_from)


@dataclass(frozen=True, slots=True)
class Token:
    """A personal access token: a program logs in with it, instead of a name and a password."""

    key: str
    """The token's SHA-256."""
    account: str
    name: str
    """As its account calls it."""
    scope: Scope
    created: float
    """In seconds of Unix time, as is `expires`."""
    expires: float


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What a login has begun."""

    key: str
    """The SHA-256 of its cookie's value."""
    account: str
    csrf: str
    """The secret that requests which change something must repeat."""
    address: str
    """From where it was begun."""
    begun: float
    """In seconds of Unix time, as is `used`."""
    used: float | None = None
    """When it was last used, as far as that is noted; None if it never was since it began."""
    token: str | None = None
    """The key of the token that it began with; None if it began otherwise."""
    bearer: str | None = None
    """The SHA-256 of the issuer's token that it began with; None if it began otherwise."""
    expires: float | None = None
    """When it ends at the latest, in seconds of Unix time, if it began by an issuer."""


@dataclass(slots=True)
class AccountNews:
    """Records to write, or to remove where None, and the sessions that have ended."""

    accounts: dict[str, Account | None] = field(default_factory=dict)
    tokens: dict[str, Token | None] = field(default_factory=dict)
    sessions: dict[str, SessionRecord | None] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    """The keys of sessions that have ended."""
    is_asked_for: bool = False
    """Whether somebody asked for any of it, and must not be answered before it is on disk."""

    def after(self, earlier: "AccountNews | None") -> "AccountNews":
        """Return these news together with earlier ones, if any; of several records of one thing, the last stays."""
        if earlier is None:
            return self
        return AccountNews(
            {**earlier.accounts, **self.accounts},
            {**earlier.tokens, **self.tokens},
            {**earlier.sessions, **self.sessions},
            earlier.ended | self.ended,
            earlier.is_asked_for or self.is_asked_for,
        )


def login_of(account: Account, token: Token | None) -> Login:
    """Return what a session of an account may do that was begun with a token, or with a password (None)."""
    if token is not None and token.scope is Scope.READ:
        return Login(account.name, Role.READER, token_only_reads=True)
    return Login(account.name, account.role)


def name_flaw(name: str) -> str | None:
    """Return what is wrong with a name of an account or a token, as the end of a sentence; None if nothing is."""
    if len(name) <= LONGEST_NAME and _NAME.fullmatch(name):
        return None
    return f"can't be a name: a name is {NAMES}"


def alike(name: str, others: Collection[str]) -> str | None:
    """Return one of `others` that differs from `name` in capital letters only, or not at all; None if there is none."""
    folded = name.casefold()
    return next((one for one in others if one.casefold() == folded), None)

"""Who may do what at the double: accounts, sessions, tokens against forged requests; no protocol is known here."""

import base64
import binascii
import secrets
from dataclasses import dataclass
from enum import IntEnum

from tests.doubles.clock import Clock


class Role(IntEnum):
    """What an account may do; each may do what those before it may."""

    BASIC = 0
    READER = 1
    USER = 2
    NMPI_EXEC = 3
    ADMIN = 4


@dataclass
class Account:
    name: str
    password: str
    role: Role = Role.USER
    groups: tuple[str, ...] = ("test",)
    token: str | None = None
    """A bearer token that the issuer would vouch for."""

    @property
    def sees_all(self) -> bool:
        return self.role >= Role.NMPI_EXEC


@dataclass
class Session:
    """What a cookie stands for; logged in or not."""

    name: str
    csrf: str
    seen: float
    account: Account | None = None


class People:
    """The accounts, and the sessions that are live."""

    def __init__(self, clock: Clock) -> None:
        self.accounts: dict[str, Account] = {}
        self.sessions: dict[str, Session] = {}
        self.lasts = 1800.0
        """Seconds that a session lives without a request."""
        self.logins = 0
        """How often somebody logged in by form."""
        self._clock = clock

    def add(self, account: Account) -> Account:
        self.accounts[account.name] = account
        return account

    def open(self, account: Account | None = None) -> Session:
        session = Session(
            secrets.token_hex(16).upper(), secrets.token_urlsafe(24), self._clock.now(), account
        )
        self.sessions[session.name] = session
        return session

    def session(self, name: str | None) -> Session | None:
        """The live session of a cookie, which counts as a request."""
        found = self.sessions.get(name or "")
        if found is not None and self._clock.now() > found.seen + self.lasts:
            del self.sessions[found.name]
            return None
        if found is not None:
            found.seen = self._clock.now()
        return found

    def is_live(self, name: str) -> bool:
        found = self.sessions.get(name)
        return found is not None and self._clock.now() <= found.seen + self.lasts

    def by_basic(self, header: str) -> Account | None:
        try:
            name, _, password = base64.b64decode(header, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self.by_password(name, password)

    def by_password(self, name: str, password: str) -> Account | None:
        account = self.accounts.get(name.strip())
        return account if account is not None and account.password == password else None

    def by_token(self, token: str) -> Account | None:
        return next((each for each in self.accounts.values() if each.token == token), None)


def masked(csrf: str) -> str:
    """The token looks different each time, and every one of them is good."""
    return f"{secrets.token_hex(4)}.{csrf}"


def unmasked(token: str) -> str:
    return token.partition(".")[2]

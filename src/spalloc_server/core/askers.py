"""Who asks something of the site: a client at some address, which may have logged in to an account.

Who has which account, and how one logs in, is decided elsewhere; who may do what, in admission.py.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an account may do."""

    READER = "reader"
    """Look at machines and jobs."""
    USER = "user"
    """Also create jobs, and use its own."""
    ADMINISTRATOR = "administrator"
    """Also see and use all jobs, and create jobs for others."""
    SERVICE = "service"
    """The same as an administrator with jobs, for a program that works for many people; nothing else."""

    @property
    def rules_all_jobs(self) -> bool:
        """Whether it may use everybody's jobs, and create jobs for others."""
        return self is Role.ADMINISTRATOR or self is Role.SERVICE


@dataclass(frozen=True, slots=True)
class Login:
    """An account that a client has logged in to, and what the client may do with it."""

    account: str
    role: Role
    """That of the account, or less: a token may allow only part of it."""
    token_only_reads: bool = False
    """Whether the role is a reader's because of the token."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who asks."""

    host: str
    """The client's address; empty for the server itself and its administrators' commands."""
    login: Login | None = None
    """None for a client that has not logged in: v1 has no passwords."""

    @property
    def source(self) -> str:
        """As whom it is counted: see `source_of`."""
        return source_of(None if self.login is None else self.login.account, self.host)


SERVER = Asker("")
"""The server itself, and whoever types `spalloc-server` commands on its computer."""


def source_of(account: str | None, host: str) -> str:
    """Return as whom somebody is counted where limits and shares are by person: their account, else their host."""
    return host if account is None else f"account {account}"

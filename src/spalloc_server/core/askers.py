"""Who asks something of the site: a client at some address, which may have logged in to an account.

Who has which account, and how one logs in, is decided elsewhere; who may do what, in rights.py and admission.py.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What an account may do; the table is in rights.py."""

    READER = "reader"
    """Look at machines and jobs."""
    USER = "user"
    """Also create jobs, and use its own."""
    SERVICE = "service"
    """Also see and use all jobs, and create jobs for others: for a program that works for many people."""
    ADMINISTRATOR = "administrator"
    """Also stop all jobs."""


@dataclass(frozen=True, slots=True)
class Login:
    """An account that a client has logged in to, and what the client may do with it."""

    account: str
    role: Role
    """That of the account, or less: a token may allow only part of it."""
    token_only_reads: bool = False
    """Whether the role is a reader's because of the token."""
    is_by_network: bool = False
    """Whether it has no password or token, but comes from a network that has an account; v1 has nothing else."""


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

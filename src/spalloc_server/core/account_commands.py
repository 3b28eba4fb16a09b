"""What can be asked about accounts: administrators make and change them, and clients log in and out.

As in commands.py, they come in by the engine's `do` only. Passwords are checked before, off the event loop; here only
their hashes are compared with what is known.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import ClassVar

from spalloc_server.core.accounts import (
    LONGEST_TOKEN_DAYS,
    MOST_ACCOUNTS,
    MOST_TOKENS,
    Account,
    Scope,
    SessionRecord,
    Token,
    alike,
    name_flaw,
)
from spalloc_server.core.askers import Asker, Role
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.words import counted

WRONG = "wrong name or password"
DAY_SECONDS = 86_400.0
_MOST_SHOWN = 60
"""How many characters of a name that does not exist are repeated."""


def _known(site: Site, name: str) -> Account:
    """Return an account.

    Raises:
        RefusedError: There is none of that name.
    """
    account = site.accounts.by_name.get(name)
    if account is None:
        other = alike(name, site.accounts.by_name)
        hint = f"there is {other}" if other else "spalloc-server account list shows all"
        raise RefusedError(f"there is no account {name[:_MOST_SHOWN]!r}; {hint}")
    return account


def _own(site: Site, name: str, what: str) -> Account:
    """Return an account of which not an issuer says what it is.

    Raises:
        RefusedError: There is none of that name, or an issuer says it.
    """
    account = _known(site, name)
    if account.identity is not None:
        raise RefusedError(
            f"the {what} of account {name} is said by {account.identity.issuer}, by which it logs in; lock the "
            "account, or change http.openid in the configuration"
        )
    return account


def name_refusal(site: Site, name: str) -> str | None:
    """Return why there can't be another account, or none of that name; or None."""
    wrong = name_flaw(name)
    if wrong is not None:
        return f"{name[:_MOST_SHOWN]!r} {wrong}"
    other = alike(name, site.accounts.by_name)
    if other is not None:
        return f"there is an account {other} already; change it, or take another name"
    left = next((job.id for job in site.jobs.values() if job.record.account == name), None)
    if left is not None:
        return (
            f"job {left} was created by an earlier account {name}, and would belong to this one; destroy it, "
            "or take another name"
        )
    if len(site.accounts.by_name) >= MOST_ACCOUNTS:
        return f"there are {MOST_ACCOUNTS} accounts, and no more are allowed: remove some"
    return None


def _tell(site: Site, name: str, by: str, what: str) -> None:
    site.notice(f"account {name} {what} by {by}", {"account": name, "by": by})


@dataclass(frozen=True, slots=True)
class AddAccount(Command[None]):
    """Make an account."""

    name: str
    role: Role
    password: str | None
    """The hash of its password; None for an account that is used by tokens only."""
    by: str
    """The administrator's name."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return what is wrong with the name, or why there can't be another account; or None."""
        return name_refusal(site, self.name)

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Make it."""
        site.accounts.put(Account(self.name, self.role, self.password, at.wall))
        _tell(site, self.name, self.by, f"with the role {self.role} is made")


@dataclass(frozen=True, slots=True)
class SetPassword(Command[None]):
    """Give an account another password, and end its sessions; its tokens stay."""

    name: str
    password: str | None
    """The hash; None to allow tokens only."""
    by: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Change it.

        Raises:
            RefusedError: There is no such account, or its people log in by an issuer.
        """
        site.accounts.change(replace(_own(site, self.name, "password"), password=self.password))
        site.accounts.forgive(self.name)
        what = "loses its password" if self.password is None else "is given another password"
        _tell(site, self.name, self.by, what)


@dataclass(frozen=True, slots=True)
class SetRole(Command[None]):
    """Change what an account may do, and end its sessions."""

    name: str
    role: Role
    by: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Change it.

        Raises:
            RefusedError: There is no such account, or its people log in by an issuer.
        """
        site.accounts.change(replace(_own(site, self.name, "role"), role=self.role))
        _tell(site, self.name, self.by, f"is given the role {self.role}")


@dataclass(frozen=True, slots=True)
class SetLocked(Command[None]):
    """Lock an account, which ends its sessions, or unlock it and forget wrong passwords."""

    name: str
    is_locked: bool
    by: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Lock or unlock it.

        Raises:
            RefusedError: There is no such account.
        """
        account = replace(_known(site, self.name), is_locked=self.is_locked)
        if self.is_locked:
            site.accounts.change(account)
        else:
            site.accounts.put(account)
            site.accounts.forgive(self.name)
        _tell(site, self.name, self.by, "is locked" if self.is_locked else "is unlocked")


@dataclass(frozen=True, slots=True)
class RemoveAccount(Command[None]):
    """Remove an account with its tokens and sessions; its jobs stay."""

    name: str
    by: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Remove it.

        Raises:
            RefusedError: There is no such account.
        """
        site.accounts.remove(_known(site, self.name).name)
        _tell(site, self.name, self.by, "is removed")
        site.tell_of_missing_accounts()


@dataclass(frozen=True, slots=True)
class AddToken(Command[Token]):
    """Give an account a token; the result is its record."""

    account: str
    name: str
    key: str
    """The token's SHA-256."""
    scope: Scope
    days: float
    """For how long it is good."""
    by: str

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return what is wrong with its name or its days; or None."""
        wrong = name_flaw(self.name)
        if wrong is not None:
            return f"{self.name[:_MOST_SHOWN]!r} {wrong}"
        if not 0 < self.days <= LONGEST_TOKEN_DAYS:
            return f"a token is good for more than 0 and at most {LONGEST_TOKEN_DAYS} days, not {self.days:g}"
        return "this token is in use already: make another" if site.accounts.has_token(self.key) else None

    def apply(self, site: Site, by: Asker, at: Moment) -> Token:  # noqa: ARG002
        """Add it; tokens of the account that are over are forgotten.

        Raises:
            RefusedError: There is no such account, it has a token of that name, or too many.
        """
        account = _known(site, self.account)
        own = site.accounts.tokens_of(account.name)
        valid = [name for name, token in own.items() if token.expires > at.wall]
        if self.name in valid:
            raise RefusedError(
                f"account {account.name} has a token {self.name} already: revoke it, or take another name"
            )
        if len(valid) >= MOST_TOKENS:
            raise RefusedError(
                f"account {account.name} has {MOST_TOKENS} tokens, and no more are allowed: revoke some"
            )
        for name in own.keys() - set(valid):
            site.accounts.revoke(own[name])
        token = Token(
            self.key, account.name, self.name, self.scope, at.wall, at.wall + self.days * DAY_SECONDS
        )
        site.accounts.add_token(token)
        days = counted(int(self.days), "day") if self.days == int(self.days) else f"{self.days:g} days"
        _tell(site, account.name, self.by, f"is given the token {self.name}, to {self.scope}, for {days},")
        return token


@dataclass(frozen=True, slots=True)
class RevokeTokens(Command[None]):
    """Remove tokens of an account, all of these or none, and end the sessions that they began."""

    account: str
    names: Collection[str]
    by: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Remove them.

        Raises:
            RefusedError: There is no such account, or it has no such token.
        """
        account = _known(site, self.account)
        own = site.accounts.tokens_of(account.name)
        for name in self.names:
            if name not in own:
                there = f"it has {', '.join(sorted(own))}" if own else "it has none"
                raise RefusedError(f"account {account.name} has no token {name[:_MOST_SHOWN]!r}; {there}")
        if not self.names:
            raise RefusedError("say which tokens, by name")
        for token in [own[name] for name in dict.fromkeys(self.names)]:
            site.accounts.revoke(token)
            _tell(site, account.name, self.by, f"loses the token {token.name}, which is revoked,")


@dataclass(frozen=True, slots=True)
class BeginSession(Command[SessionRecord]):
    """Begin a session for somebody whose password or token is right."""

    is_lasting: ClassVar[bool] = False

    account: str
    key: str
    """The SHA-256 of the cookie's value."""
    csrf: str
    password: str | None = None
    """The hash that the password was compared with; None if it is by token."""
    token: str | None = None
    """The token's key."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return that the account is locked, or has changed since its password was checked; or None."""
        account = site.accounts.by_name.get(self.account)
        if account is None or (self.token is None and account.password != self.password):
            return WRONG
        if account.is_locked:
            return f"the account {account.name} is locked; ask an administrator to unlock it"
        return None

    def apply(self, site: Site, by: Asker, at: Moment) -> SessionRecord:
        """Begin it.

        Raises:
            RefusedError: There is no such token any more.
        """
        if self.token is not None and site.accounts.token(self.token, at.wall) is None:
            raise RefusedError(WRONG)
        account = site.accounts.by_name[self.account]
        if self.token is None:
            # Whoever has a token, perhaps for reading only, does not know the password, and may be guessing it.
            site.accounts.right_password(account, by.host, at)
        session = SessionRecord(self.key, account.name, self.csrf, by.host, at.wall, token=self.token)
        site.accounts.begin(session, at)
        return session


@dataclass(frozen=True, slots=True)
class UseSession(Command[None]):
    """Note that a session is used; the answer does not wait for the disk."""

    is_lasting: ClassVar[bool] = False

    key: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Note it."""
        site.accounts.use(self.key, at)


@dataclass(frozen=True, slots=True)
class EndSession(Command[None]):
    """End a session; nothing happens if it has ended."""

    is_lasting: ClassVar[bool] = False

    key: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """End it."""
        site.accounts.end(self.key)


@dataclass(frozen=True, slots=True)
class WrongPassword(Command[None]):
    """Count a wrong password for an account, of which there need be none."""

    is_lasting: ClassVar[bool] = False

    name: str
    """The account's name as it was typed."""

    def apply(self, site: Site, by: Asker, at: Moment) -> None:
        """Count it."""
        site.accounts.wrong_password(self.name, by.host, at)


@dataclass(frozen=True, slots=True)
class RenewHash(Command[None]):
    """Replace the hash of an account's password by another hash of it, unless the password has changed."""

    is_lasting: ClassVar[bool] = False

    name: str
    before: str
    after: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Replace it."""
        account = site.accounts.by_name.get(self.name)
        if account is not None and account.password == self.before:
            site.accounts.put(replace(account, password=self.after))

"""Does the administrator's commands about accounts in the running server, and answers them once they are on disk.

What they do is decided in core/account_commands.py. Passwords and tokens never come here: the command that is typed
makes their hashes.
"""

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from spalloc_server.core.account_commands import (
    AddAccount,
    AddToken,
    RemoveAccount,
    RevokeTokens,
    SetLocked,
    SetPassword,
    SetRole,
)
from spalloc_server.core.accounts import Account, Scope, Token
from spalloc_server.core.askers import Role
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.engine import Engine, EngineFailedError
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer, Line
from spalloc_server.operation.doing import do, settled
from spalloc_server.words import counted, date_and_time, there_are

_HASH = re.compile(r"\$argon2id\$[A-Za-z0-9+/=$,]{1,400}", re.ASCII)
_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOST_NAMED = 20
"""How many jobs an answer names; the others are counted."""


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `accounts.list`: none."""


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `accounts.lock`, `accounts.unlock`, `accounts.remove` and `tokens.list`."""

    name: str
    """The account's."""


class WithPassword(Named, frozen=True, forbid_unknown_fields=True):
    """The arguments of `accounts.password`."""

    password: str | None
    """The hash; None for no password."""

    def __post_init__(self) -> None:
        """Check the hash."""
        if self.password is not None and not _HASH.fullmatch(self.password):
            # It is not repeated: somebody may have sent a password.
            raise ValueError("password is no hash of argon2id")


class Add(WithPassword, frozen=True, forbid_unknown_fields=True):
    """The arguments of `accounts.add`."""

    role: Role


class WithRole(Named, frozen=True, forbid_unknown_fields=True):
    """The arguments of `accounts.role`."""

    role: Role


class NewToken(Named, frozen=True, forbid_unknown_fields=True):
    """The arguments of `tokens.add`."""

    token: str
    """The token's name."""
    key: str
    """Its SHA-256, in hexadecimal digits."""
    scope: Scope
    days: float

    def __post_init__(self) -> None:
        """Check the key."""
        if not _KEY.fullmatch(self.key):
            raise ValueError("key is no SHA-256")


class OldTokens(Named, frozen=True, forbid_unknown_fields=True):
    """The arguments of `tokens.revoke`."""

    tokens: list[str]


class AccountCommands:
    """The administrators' commands about the accounts of one server."""

    def __init__(self, engine: Engine) -> None:
        """Do commands with `engine`."""
        self._engine = engine
        self._accounts = engine.site.accounts

    @property
    def commands(self) -> "Mapping[str, Callable[[Mapping[str, object], str], Awaitable[Answer]]]":
        """The commands, by their names on the control socket."""
        return {
            "accounts.list": self._list,
            "accounts.add": self._add,
            "accounts.password": self._password,
            "accounts.role": self._role,
            "accounts.lock": self._lock,
            "accounts.unlock": self._unlock,
            "accounts.remove": self._remove,
            "tokens.list": self._list_tokens,
            "tokens.add": self._add_token,
            "tokens.revoke": self._revoke,
        }

    async def _list(self, arguments: Mapping[str, object], _by: str) -> Answer:
        msgspec.convert(arguments, NoArguments)
        try:
            await settled(self._engine)
        except RefusedError as error:
            return Answer(REFUSED, str(error))
        found = sorted(self._accounts.by_name.values(), key=lambda one: one.name)
        jobs = self._jobs()
        are = "is" if len(found) == 1 else "are"
        lines = [self._line(one, len(jobs.get(one.name, ()))) for one in found]
        return Answer(DONE, f"there {are} {counted(len(found), 'account')}", lines)

    async def _add(self, arguments: Mapping[str, object], by: str) -> Answer:
        new = msgspec.convert(arguments, Add)
        how = "and a password" if new.password else "and no password: give it a token"
        return await self._done(
            AddAccount(new.name, new.role, new.password, by),
            f"account {new.name} is made, with the role {new.role} {how}",
        )

    async def _password(self, arguments: Mapping[str, object], by: str) -> Answer:
        new = msgspec.convert(arguments, WithPassword)
        what = "has no password any more" if new.password is None else "has a new password"
        return await self._done(
            SetPassword(new.name, new.password, by), f"account {new.name} {what}, and its sessions have ended"
        )

    async def _role(self, arguments: Mapping[str, object], by: str) -> Answer:
        new = msgspec.convert(arguments, WithRole)
        return await self._done(
            SetRole(new.name, new.role, by),
            f"account {new.name} has the role {new.role}, and its sessions have ended",
        )

    async def _lock(self, arguments: Mapping[str, object], by: str) -> Answer:
        name = msgspec.convert(arguments, Named).name
        return await self._done(
            SetLocked(name, True, by),
            f"account {name} is locked, and its sessions have ended{self._its_jobs(name)}",
        )

    async def _unlock(self, arguments: Mapping[str, object], by: str) -> Answer:
        name = msgspec.convert(arguments, Named).name
        return await self._done(SetLocked(name, False, by), f"account {name} is unlocked")

    async def _remove(self, arguments: Mapping[str, object], by: str) -> Answer:
        name = msgspec.convert(arguments, Named).name
        return await self._done(
            RemoveAccount(name, by),
            f"account {name} is removed, with its tokens and sessions{self._its_jobs(name)}",
        )

    async def _list_tokens(self, arguments: Mapping[str, object], _by: str) -> Answer:
        name = msgspec.convert(arguments, Named).name
        if name not in self._accounts.by_name:
            return Answer(
                REFUSED, f"there is no account {name[:60]!r}; spalloc-server account list shows all"
            )
        try:
            await settled(self._engine)
        except RefusedError as error:
            return Answer(REFUSED, str(error))
        wall = self._engine.clock.wall()
        found = sorted(self._accounts.tokens_of(name).values(), key=lambda one: one.name)
        return Answer(
            DONE,
            f"account {name} has {counted(len(found), 'token')}",
            [_token_line(one, wall) for one in found],
        )

    async def _add_token(self, arguments: Mapping[str, object], by: str) -> Answer:
        new = msgspec.convert(arguments, NewToken)
        command = AddToken(new.name, new.token, new.key, new.scope, new.days, by)
        try:
            token = await do(self._engine, command)
        except (RefusedError, EngineFailedError) as error:
            return Answer(REFUSED, str(error))
        until = date_and_time(token.expires)
        return Answer(DONE, f"account {new.name} has the token {token.name}, to {token.scope}, until {until}")

    async def _revoke(self, arguments: Mapping[str, object], by: str) -> Answer:
        old = msgspec.convert(arguments, OldTokens)
        names = tuple(dict.fromkeys(old.tokens))
        return await self._done(
            RevokeTokens(old.name, names, by),
            f"{there_are(len(names), 'token')} revoked, with {'its' if len(names) == 1 else 'their'} sessions",
        )

    async def _done(self, command: Command[object], text: str) -> Answer:
        try:
            await do(self._engine, command)
        except (RefusedError, EngineFailedError) as error:
            return Answer(REFUSED, str(error))
        return Answer(DONE, text)

    def _jobs(self) -> dict[str, list[int]]:
        """Return the live jobs of each account that has any."""
        found: dict[str, list[int]] = {}
        for job in self._engine.site.jobs.values():
            if job.record.account is not None:
                found.setdefault(job.record.account, []).append(job.id)
        return found

    def _its_jobs(self, name: str) -> str:
        """Return what becomes of an account's jobs, as the end of a sentence."""
        jobs = self._jobs().get(name, [])
        if not jobs:
            return ""
        more = f" and {len(jobs) - _MOST_NAMED} more" if len(jobs) > _MOST_NAMED else ""
        named = ", ".join(map(str, jobs[:_MOST_NAMED]))
        return (
            f"; its jobs go on until their keepalive ends, and administrators may destroy them: {named}{more}"
        )

    def _line(self, account: Account, jobs: int) -> Line:
        tokens, sessions = (
            len(found)
            for found in (self._accounts.tokens_of(account.name), self._accounts.sessions_of(account.name))
        )
        about = {
            "kind": "account",
            "name": account.name,
            "role": account.role,
            "locked": account.is_locked,
            "has_password": account.password is not None,
            "issuer": None if account.identity is None else account.identity.issuer,
            "created": account.created,
            "groups": account.groups,
            "default_group": account.default_group,
            "tokens": tokens,
            "sessions": sessions,
            "jobs": jobs,
        }
        locked = ", locked" if account.is_locked else ""
        by = "" if account.identity is None else f", by {account.identity.issuer}"
        has = ", ".join(
            counted(number, what)
            for number, what in ((tokens, "token"), (sessions, "session"), (jobs, "job"))
        )
        return Line(f"{account.name}: {account.role}{locked}{by}, {has}", about)


def _token_line(token: Token, wall: float) -> Line:
    is_over = token.expires <= wall
    about = {
        "kind": "token",
        "account": token.account,
        "name": token.name,
        "scope": token.scope,
        "created": token.created,
        "expires": token.expires,
        "over": is_over,
    }
    when = (
        f"over since {date_and_time(token.expires)}" if is_over else f"until {date_and_time(token.expires)}"
    )
    return Line(f"{token.name}: to {token.scope}, {when}", about)

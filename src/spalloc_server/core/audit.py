"""The audit: who did what, from where, when, and with what outcome.

Here is which commands are in it, and in which words: nothing secret, so no password, token, cookie or key of one, and
no name that somebody typed of an account that does not exist, since it may be a password. The engine has entries made
where commands come in.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from spalloc_client.durations import in_words
from spalloc_server.core import account_commands as accounts
from spalloc_server.core import administration, commands, emergency, identity_commands
from spalloc_server.core import group_commands as groups
from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import Command
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.groups import of_boards
from spalloc_server.core.identities import Person
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment

LOG_IN = "log-in"
LONGEST = 300
"""How many characters of each value are kept; longer ones are cut."""
_MOST_NAMED = 10


class Entry(NamedTuple):
    """One deed, done or refused."""

    at: float
    """In seconds of Unix time."""
    what: str
    """What was to be done, such as `create-job`."""
    account: str | None
    """The account of whoever asked; None for a client that had not logged in, and for the server."""
    by: str | None
    """The local user who typed a command on the server's computer; None for others."""
    host: str
    """The address of whoever asked; empty on the server's computer."""
    job: int | None
    subject: str | None
    """What else it was done to: `account jane`, `group lab`, `boards m (0, 0, 1)`."""
    detail: str | None
    """How: a role, a quota, a reason."""
    outcome: str | None
    """Why it was refused; None if it was done."""


class Deed(NamedTuple):
    """A command in the words of the audit."""

    what: str
    subject: str | None = None
    detail: str | None = None
    job: int | None = None
    by: str | None = None
    always: bool = False
    """Whether there is an entry though it changed nothing."""
    outcome: str | None = None
    """Why it counts as refused, though the command was done."""
    creates: bool = False
    """Whether the command's result is the job."""


@dataclass(frozen=True, slots=True)
class Note(Command[None]):
    """Have an entry made of what was done, or refused, outside of the core."""

    is_lasting: ClassVar[bool] = False

    deed: Deed

    def apply(self, site: Site, by: Asker, at: Moment) -> None:
        """Change nothing."""


NOT_AUDITED: Collection[type[Command[Any]]] = frozenset(
    {
        # As often as clients like, and nothing of a site is changed.
        commands.KeepAlive,
        accounts.UseSession,
        # What the server does by itself: a start or a reload, which has an entry, and a login, which has one too.
        commands.SetRules,
        commands.SetNeighbours,
        administration.SetReservations,
        accounts.RenewHash,
        identity_commands.EndOfOtherIssuers,
    }
)

_Of = Callable[[Any, Site], Deed]
_DEEDS: Mapping[type[Command[Any]], _Of] = {
    commands.CreateJob: lambda c, _: Deed(
        "create-job", _named("owner", c.owner), _named("group", c.group), creates=True
    ),
    commands.DestroyJob: lambda c, _: Deed("destroy-job", detail=c.reason, job=c.job),
    commands.ExtendJob: lambda c, _: Deed(
        "extend-job", detail=f"time limit {in_words(c.time_limit)}", job=c.job
    ),
    commands.SetPower: lambda c, _: Deed("power-on" if c.on else "power-off", job=c.job),
    commands.Report: lambda c, _: Deed("report", _boards([c.board]), c.text),
    administration.Drain: lambda c, _: Deed(
        "take-out" if c.moves_jobs else "drain", _boards(c.boards), c.why, by=c.by
    ),
    administration.PutBack: lambda c, _: Deed("put-back", _boards(c.boards), by=c.by),
    administration.ClearReports: lambda c, _: Deed("clear-reports", _boards(c.boards), by=c.by),
    administration.Reserve: lambda c, _: Deed(
        "reserve", f"reservation {c.reservation.name}", c.reservation.reason, by=c.reservation.by
    ),
    administration.Unreserve: lambda c, _: Deed("unreserve", _names("reservation", c.names), by=c.by),
    accounts.AddAccount: lambda c, _: Deed("add-account", f"account {c.name}", f"role {c.role}", by=c.by),
    accounts.SetPassword: lambda c, _: Deed(
        "set-password", f"account {c.name}", "none" if c.password is None else None, by=c.by
    ),
    accounts.SetRole: lambda c, _: Deed("set-role", f"account {c.name}", f"role {c.role}", by=c.by),
    accounts.SetLocked: lambda c, _: Deed(
        "lock-account" if c.is_locked else "unlock-account", f"account {c.name}", by=c.by
    ),
    accounts.RemoveAccount: lambda c, _: Deed("remove-account", f"account {c.name}", by=c.by),
    accounts.AddToken: lambda c, _: Deed(
        "add-token", f"account {c.account}", f"token {c.name}, to {c.scope}, for {c.days:g} days", by=c.by
    ),
    accounts.RevokeTokens: lambda c, _: Deed(
        "revoke-tokens", f"account {c.account}", _names("token", c.names), by=c.by
    ),
    accounts.BeginSession: lambda c, _: Deed(
        LOG_IN, f"account {c.account}", "by password" if c.token is None else "by token"
    ),
    accounts.WrongPassword: lambda c, site: Deed(
        LOG_IN,
        f"account {c.name}" if c.name in site.accounts.by_name else None,
        None if c.name in site.accounts.by_name else "an account that does not exist",
        always=True,
        outcome=accounts.WRONG,
    ),
    accounts.EndSession: lambda _c, _: Deed("log-out"),
    identity_commands.BeginByIssuer: lambda c, site: Deed(
        LOG_IN,
        f"account {_of_person(c.person, site)}",
        f"role {c.person.role}, by {c.person.identity.issuer}",
    ),
    groups.AddGroup: lambda c, _: Deed("add-group", f"group {c.name}", _quota(c.quota), by=c.by),
    groups.SetQuota: lambda c, _: Deed(
        "set-quota", f"group {c.name}", ("+ " if c.adds else "") + _quota(c.quota), by=c.by
    ),
    groups.RemoveGroup: lambda c, _: Deed("remove-group", f"group {c.name}", by=c.by),
    groups.SetGroups: lambda c, _: Deed(
        "set-groups", f"account {c.account}", _names("group", c.groups), by=c.by
    ),
    emergency.StopAll: lambda c, _: Deed("stop-all", detail=c.why, by=c.by, always=True),
    emergency.LiftStop: lambda c, _: Deed("lift-stop", by=c.by, always=True),
    Note: lambda c, _: c.deed,
}

AUDITED: Collection[type[Command[Any]]] = _DEEDS.keys()
"""The commands that are in the audit."""


def deed_of(command: Command[Any], site: Site) -> Deed | None:
    """Return a command in the words of the audit; None for one that is not in it."""
    of = _DEEDS.get(type(command))
    return None if of is None else of(command, site)


def entry_of(deed: Deed, by: Asker, at: float, job: int | None, outcome: str | None) -> Entry:
    """Return the entry of a deed.

    Args:
        deed: What was to be done.
        by: Who asked for it.
        at: When, in seconds of Unix time.
        job: The job that was created; None for the deed's own.
        outcome: Why it was refused; None if it was done.
    """
    return Entry(
        at,
        deed.what,
        None if by.login is None else by.login.account,
        deed.by or None,
        by.host,
        deed.job if job is None else job,
        _cut(deed.subject),
        _cut(deed.detail),
        _cut(outcome or deed.outcome),
    )


def _of_person(person: Person, site: Site) -> str:
    """Return the name of somebody's account; at the issuer, they may be called otherwise now."""
    account = site.accounts.of_identity(person.identity)
    return person.name if account is None else account.name


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _named(what: str, name: str | None) -> str | None:
    return None if name is None else f"{what} {name}"


def _names(what: str, names: Collection[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{what} {', '.join(sorted(names)[:_MOST_NAMED])}{more}"


def _boards(keys: Collection[BoardKey]) -> str:
    return _names("board", [f"{key.machine} {key.board}" for key in keys])


def _quota(quota: float | None) -> str:
    return "no limit" if quota is None else f"quota {of_boards(quota)}"

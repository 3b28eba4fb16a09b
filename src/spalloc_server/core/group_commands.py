"""What administrators can have done about groups: they are made and removed, get quotas, and have accounts.

As in commands.py, these come in by the engine's `do` only.
"""

from dataclasses import dataclass, replace

from spalloc_server.core.accounts import Account, alike, name_flaw
from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.groups import MOST_BOARD_SECONDS, MOST_GROUPS, MOST_GROUPS_OF_ONE, Group, of_boards
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spalloc_server.words import there_are

_MOST_NAMED = 20
"""How many jobs a sentence names; the others are counted."""
_MOST_SHOWN = 60
"""How many characters of a name that does not exist are repeated."""


def _known(site: Site, name: str) -> Group:
    """Return a group.

    Raises:
        RefusedError: There is none of that name.
    """
    group = site.groups.by_name.get(name)
    if group is None:
        other = alike(name, site.groups.by_name)
        hint = f"there is {other}" if other else "spalloc-server group list shows all"
        raise RefusedError(f"there is no group {name[:_MOST_SHOWN]!r}; {hint}")
    return group


def _quota_flaw(quota: float | None) -> str | None:
    if quota is None or 0 <= quota <= MOST_BOARD_SECONDS:
        return None
    return f"a quota is 0 to {MOST_BOARD_SECONDS:.0e} board-seconds, or none for no limit; not {quota:g}"


@dataclass(frozen=True, slots=True)
class AddGroup(Command[None]):
    """Make a group, without accounts."""

    name: str
    quota: float | None
    """The board-seconds that its jobs may use; None for no limit."""
    by: str
    """The administrator's name."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return what is wrong with the name or the quota, or why there can't be another group; or None."""
        wrong = name_flaw(self.name)
        if wrong is not None:
            return f"{self.name[:_MOST_SHOWN]!r} {wrong}"
        other = alike(self.name, site.groups.by_name)
        if other is not None:
            return f"there is a group {other} already; change it, or take another name"
        if len(site.groups.by_name) >= MOST_GROUPS:
            return f"there are {MOST_GROUPS} groups, and no more are allowed: remove some"
        return _quota_flaw(self.quota)

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Make it."""
        site.groups.put(Group(self.name, self.quota, 0.0, at.wall))
        site.quotas.change(self.name)
        what = "without a limit" if self.quota is None else f"with a quota of {of_boards(self.quota)}"
        _tell(site, self.name, self.by, f"is made by {self.by}, {what}")


@dataclass(frozen=True, slots=True)
class SetQuota(Command[Group]):
    """Change a group's quota, at once also for jobs that have boards; the result is the group."""

    name: str
    quota: float | None
    """The board-seconds that its jobs may use in all, or how many more if `adds`; None for no limit."""
    by: str
    adds: bool = False

    def apply(self, site: Site, by: Asker, at: Moment) -> Group:  # noqa: ARG002
        """Change it.

        Raises:
            RefusedError: There is no such group, or it can't have this quota.
        """
        group, quota = _known(site, self.name), self.quota
        if self.adds:
            if group.quota is None or quota is None:
                raise RefusedError(
                    f"group {group.name} has no limit, and nothing can be added: give it a quota"
                )
            quota += group.quota
        wrong = _quota_flaw(quota)
        if wrong is not None:
            raise RefusedError(wrong)
        changed = replace(group, quota=quota)
        site.groups.put(changed)
        site.quotas.change(changed.name)
        what = "no limit any more" if quota is None else f"a quota of {of_boards(quota)}"
        _tell(site, group.name, self.by, f"is given {what} by {self.by}")
        return changed


@dataclass(frozen=True, slots=True)
class RemoveGroup(Command[None]):
    """Remove a group; its accounts stay."""

    name: str
    by: str

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """Remove it.

        Raises:
            RefusedError: There is no such group, or jobs are charged to it.
        """
        name = _known(site, self.name).name
        jobs = site.quotas.jobs_of(name)
        if jobs:
            more = f" and {len(jobs) - _MOST_NAMED} more" if len(jobs) > _MOST_NAMED else ""
            raise RefusedError(
                f"{there_are(len(jobs), 'live job')} charged to group {name}, and it can't be removed before they "
                f"end: {', '.join(map(str, sorted(jobs)[:_MOST_NAMED]))}{more}"
            )
        for account in [one for one in site.accounts.by_name.values() if name in one.groups]:
            left = tuple(group for group in account.groups if group != name)
            site.accounts.put(_in_groups(account, left, account.default_group))
        site.groups.remove(name)
        _tell(site, name, self.by, f"is removed by {self.by}")


@dataclass(frozen=True, slots=True)
class SetGroups(Command[Account]):
    """Say in which groups an account is, in place of those it was in; the result is the account.

    Its sessions go on, and jobs that it has created stay charged as they are.
    """

    account: str
    groups: tuple[str, ...]
    default: str | None
    """The group that is charged for its jobs that name none; None for its only one."""
    by: str

    def apply(self, site: Site, by: Asker, at: Moment) -> Account:  # noqa: ARG002
        """Change it.

        Raises:
            RefusedError: There is no such account or group, or the default is not among the groups.
        """
        account = site.accounts.by_name.get(self.account)
        if account is None:
            other = alike(self.account, site.accounts.by_name)
            hint = f"there is {other}" if other else "spalloc-server account list shows all"
            raise RefusedError(f"there is no account {self.account[:_MOST_SHOWN]!r}; {hint}")
        groups = tuple(dict.fromkeys(_known(site, name).name for name in self.groups))
        if len(groups) > MOST_GROUPS_OF_ONE:
            raise RefusedError(
                f"an account may be in {MOST_GROUPS_OF_ONE} groups, and these are {len(groups)}"
            )
        if self.default is not None and self.default not in groups:
            raise RefusedError(
                f"the default is {self.default[:_MOST_SHOWN]!r}, and must be one of the account's groups"
            )
        changed = _in_groups(account, groups, self.default)
        if changed != account:
            site.accounts.put(changed)
            told = {"account": account.name, "by": self.by}
            site.notice(f"account {account.name} is put into {_names(changed)} by {self.by}", told)
        return changed


def _in_groups(account: Account, groups: tuple[str, ...], default: str | None) -> Account:
    return replace(account, groups=groups, default_group=default if default in groups else None)


def _names(account: Account) -> str:
    if not account.groups:
        return "no group"
    default = "" if account.default_group is None else f", by default {account.default_group}"
    return f"the group{'' if len(account.groups) == 1 else 's'} {', '.join(account.groups)}{default}"


def _tell(site: Site, name: str, by: str, what: str) -> None:
    site.notice(f"group {name} {what}", {"group": name, "by": by})

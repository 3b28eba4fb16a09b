"""Groups: accounts that share a quota of board-seconds; which there are, and which one a job is charged to.

Who is in which group is said by the accounts (accounts.py). What a job costs, and what happens when nothing of a quota
is left, is decided in quotas.py.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spalloc_server.core.accounts import Account

MOST_GROUPS = 10_000
MOST_GROUPS_OF_ONE = 1_000
"""How many groups an account may be in."""
MOST_BOARD_SECONDS = 1e15
"""The largest quota: thirty million boards for a year."""
_MOST_NAMED = 20
"""How many groups a sentence names; the others are counted."""
_MOST_SHOWN = 60
"""How many characters of a name that does not exist are repeated."""


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts that share a quota."""

    name: str
    quota: float | None
    """The board-seconds that its jobs may use; None for no limit."""
    used: float
    """The board-seconds of all allocations that have ended."""
    created: float
    """In seconds of Unix time."""


@dataclass(frozen=True, slots=True)
class GroupRules:
    """What an administrator has decided for all groups."""

    required: bool = False
    """Whether each job must be charged to a group."""
    quota_warning: float = 300.0
    """How many seconds before nothing of a quota is left the users of its jobs are told."""


class GroupsView:
    """The groups, read-only."""

    def __init__(self) -> None:
        """Begin with none."""
        self._groups: dict[str, Group] = {}

    @property
    def by_name(self) -> Mapping[str, Group]:
        """All groups, by name."""
        return self._groups


class Groups(GroupsView):
    """Keeps the groups; whoever changes them checks before whether that is allowed."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.news: dict[str, Group | None] = {}
        """Records to write, by name, or to remove where None, since this was last taken."""

    def put(self, group: Group) -> None:
        """Add a group, or replace it."""
        self._groups[group.name] = self.news[group.name] = group

    def remove(self, name: str) -> None:
        """Remove a group."""
        del self._groups[name]
        self.news[name] = None

    def charge(self, name: str, board_seconds: float) -> None:
        """Add what an allocation has cost; nothing happens if there is no such group."""
        group = self._groups.get(name)
        if group is not None:
            # Many jobs end in a decision, and dataclasses.replace takes ten times as long.
            self.put(Group(name, group.quota, group.used + board_seconds, group.created))

    def recall(self, groups: Collection[Group]) -> None:
        """Take up the records of an earlier process."""
        self._groups = {group.name: group for group in groups}


def chosen(account: "Account | None", asked: str | None) -> str | None:
    """Return the group that a job is charged to; None for none.

    Args:
        account: Who creates the job; None for a client without an account.
        asked: The group that was asked for; None for the account's default or, without one, its only group.
    """
    if asked is not None or account is None:
        return asked
    if account.default_group is None and len(account.groups) == 1:
        return account.groups[0]
    return account.default_group


def choice_refusal(
    groups: GroupsView, rules: GroupRules, account: "Account | None", asked: str | None, *, any_group: bool
) -> str | None:
    """Return why a job can't be charged to what is `chosen`, or None if it can.

    Args:
        groups: All groups.
        rules: Whether there must be one.
        account: Who creates the job; None for a client without an account.
        asked: The group that was asked for; None if none was.
        any_group: Whether the client may choose a group that its account is not in.
    """
    group = chosen(account, asked)
    theirs = () if account is None else account.groups
    if group is None:
        if len(theirs) > 1:
            return (
                f"the account {account.name if account else ''} is in several groups, and has no default: say which "
                f"one is charged, with group: {_named(theirs)}"
            )
        if rules.required:
            who = "a client without an account" if account is None else f"the account {account.name}"
            return (
                f"{who} is in no group, and this server charges each job to one: ask an administrator to add the "
                "account to a group"
            )
        return None
    if group in groups.by_name and (any_group or group in theirs):
        return None
    shown = repr(group[:_MOST_SHOWN])
    if any_group or group in theirs:
        return f"there is no group {shown}; ask an administrator, with spalloc-server group list"
    if account is None:
        return f"a client without an account can't have a job charged to group {shown}: it is in no group"
    there = f"it is in {_named(theirs)}" if theirs else "it is in none"
    return f"the account {account.name} is in no group {shown}; {there}"


def _named(groups: Collection[str]) -> str:
    more = f" and {len(groups) - _MOST_NAMED} more" if len(groups) > _MOST_NAMED else ""
    return ", ".join(list(groups)[:_MOST_NAMED]) + more


def of_boards(board_seconds: float) -> str:
    """Return board-seconds in words, such as "0 board-seconds" and "2.5 board-hours"."""
    if abs(board_seconds) < 3600:
        return f"{board_seconds:.0f} board-second{'' if round(board_seconds) == 1 else 's'}"
    hours = f"{board_seconds / 3600:,.1f}".removesuffix(".0")
    return f"{hours} board-hour{'' if hours == '1' else 's'}"

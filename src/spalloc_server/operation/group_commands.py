"""Does the administrator's commands about groups in the running server, and answers them once they are on disk.

What they do is decided in core/group_commands.py.
"""

from collections import Counter
from collections.abc import Mapping

import msgspec

from spalloc_server.core.commands import RefusedError
from spalloc_server.core.group_commands import AddGroup, RemoveGroup, SetGroups, SetQuota
from spalloc_server.core.groups import Group, of_boards
from spalloc_server.engine import Engine
from spalloc_server.operation.control.protocol import DONE, Answer, Line
from spalloc_server.operation.doing import Doing, do, refusing, settled
from spalloc_server.words import counted


class NoArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `groups.list`: none."""


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `groups.show` and `groups.remove`."""

    name: str
    """The group's."""


class WithQuota(Named, frozen=True, forbid_unknown_fields=True):
    """The arguments of `groups.add`."""

    quota: float | None
    """In board-seconds; None for no limit."""


class NewQuota(WithQuota, frozen=True, forbid_unknown_fields=True):
    """The arguments of `groups.quota`."""

    adds: bool = False
    """Whether the quota becomes larger by this."""


class GroupsOfAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The arguments of `accounts.groups`."""

    name: str
    """The account's."""
    groups: list[str]
    default: str | None = None


class GroupCommands:
    """The administrators' commands about the groups of one server."""

    def __init__(self, engine: Engine) -> None:
        """Do commands with `engine`."""
        self._engine = engine
        self._site = engine.site

    @property
    def commands(self) -> Mapping[str, Doing]:
        """The commands, by their names on the control socket."""
        return {
            "groups.list": refusing(self._list),
            "groups.show": refusing(self._show),
            "groups.add": refusing(self._add),
            "groups.quota": refusing(self._quota),
            "groups.remove": refusing(self._remove),
            "accounts.groups": refusing(self._of_account),
        }

    async def _list(self, arguments: Mapping[str, object], _by: str) -> Answer:
        msgspec.convert(arguments, NoArguments)
        await settled(self._engine)
        found = sorted(self._site.groups.by_name.values(), key=lambda one: one.name)
        members = Counter(group for one in self._site.accounts.by_name.values() for group in one.groups)
        are = "is" if len(found) == 1 else "are"
        lines = [self._line(one, members[one.name]) for one in found]
        return Answer(DONE, f"there {are} {counted(len(found), 'group')}", lines)

    async def _show(self, arguments: Mapping[str, object], _by: str) -> Answer:
        name = msgspec.convert(arguments, Named).name
        await settled(self._engine)
        group = self._site.groups.by_name.get(name)
        if group is None:
            raise RefusedError(f"there is no group {name[:60]!r}; spalloc-server group list shows all")
        accounts = self._site.accounts.by_name.values()
        members = sorted((one for one in accounts if name in one.groups), key=lambda one: one.name)
        lines = [
            Line(
                f"{one.name}{', by default' if one.default_group == name else ''}",
                {"kind": "member", "account": one.name, "default": one.default_group == name},
            )
            for one in members
        ]
        return Answer(
            DONE,
            f"group {name} has {counted(len(members), 'account')}",
            [self._line(group, len(members)), *lines],
        )

    async def _add(self, arguments: Mapping[str, object], by: str) -> Answer:
        new = msgspec.convert(arguments, WithQuota)
        await do(self._engine, AddGroup(new.name, new.quota, by))
        what = "without a limit" if new.quota is None else f"with a quota of {of_boards(new.quota)}"
        return Answer(DONE, f"group {new.name} is made, {what}")

    async def _quota(self, arguments: Mapping[str, object], by: str) -> Answer:
        new = msgspec.convert(arguments, NewQuota)
        group = await do(self._engine, SetQuota(new.name, new.quota, by, new.adds))
        return Answer(DONE, f"group {self._in_words(group)}")

    async def _remove(self, arguments: Mapping[str, object], by: str) -> Answer:
        name = msgspec.convert(arguments, Named).name
        await do(self._engine, RemoveGroup(name, by))
        return Answer(DONE, f"group {name} is removed; its accounts stay")

    async def _of_account(self, arguments: Mapping[str, object], by: str) -> Answer:
        new = msgspec.convert(arguments, GroupsOfAccount)
        account = await do(self._engine, SetGroups(new.name, tuple(new.groups), new.default, by))
        if not account.groups:
            return Answer(DONE, f"account {account.name} is in no group")
        if len(account.groups) == 1:
            return Answer(DONE, f"account {account.name} is in group {account.groups[0]}")
        default = account.default_group
        which = "its jobs must say which is charged" if default is None else f"{default} by default"
        return Answer(DONE, f"account {account.name} is in groups {', '.join(account.groups)}; {which}")

    def _in_words(self, group: Group) -> str:
        used = of_boards(self._site.quotas.used(group, self._engine.clock.now()))
        if group.quota is None:
            return f"{group.name}: {used} used, without a limit"
        return f"{group.name}: {used} used of {of_boards(group.quota)}"

    def _line(self, group: Group, members: int) -> Line:
        quotas, now = self._site.quotas, self._engine.clock.now()
        jobs = len(quotas.jobs_of(group.name))
        about = {
            "kind": "group",
            "name": group.name,
            "quota": group.quota,
            "used": quotas.used(group, now),
            "left": quotas.left(group, now),
            "accounts": members,
            "jobs": jobs,
            "created": group.created,
        }
        return Line(f"{self._in_words(group)}, {counted(members, 'account')}, {counted(jobs, 'job')}", about)

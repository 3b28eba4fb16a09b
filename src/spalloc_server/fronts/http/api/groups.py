"""Groups that an account's jobs may be charged to, and what is left of their quotas.

Which one is charged, and what happens when nothing is left, is decided in core/.
"""

from spalloc_server.core.groups import Group
from spalloc_server.core.rights import Right, may
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.api import documents
from spalloc_server.fronts.http.api.answers import Answer, document
from spalloc_server.fronts.http.api.requests import Request


class Groups:
    """Answers about the groups of one site."""

    def __init__(self, door: Engine) -> None:
        """Answer about the site behind `door`."""
        self._door = door

    def list(self, request: Request) -> Answer:
        """List the groups of the account that asks; all of them, if its jobs may be charged to any."""
        login, known = request.logged_in.login, self._door.site.groups.by_name
        account = self._door.site.accounts.by_name.get(login.account)
        names = () if account is None else account.groups
        found = (
            known.values()
            if may(login, Right.NAME_GROUP)
            else [known[name] for name in names if name in known]
        )
        default = None if account is None else account.default_group
        groups = [self._described(group) for group in sorted(found, key=lambda one: one.name)]
        return document(documents.Groups(groups, default))

    def _described(self, group: Group) -> documents.Group:
        quotas, now = self._door.site.quotas, self._door.clock.now()
        left = quotas.left(group, now)
        return documents.Group(
            name=group.name,
            quota=group.quota,
            used=round(quotas.used(group, now), 1),
            left=None if left is None else round(left, 1),
        )

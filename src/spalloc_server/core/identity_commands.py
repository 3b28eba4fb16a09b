"""How somebody logs in whom an issuer of single sign-on knows: their account follows what the issuer says of them.

That the issuer has said it is found out before, in fronts/http/sso/. As in commands.py, this comes in by the engine's
`do` only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

from spalloc_server.core.account_commands import name_refusal
from spalloc_server.core.accounts import MOST_ACCOUNTS, Account, SessionRecord, alike
from spalloc_server.core.askers import Asker
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.groups import MOST_GROUPS, MOST_GROUPS_OF_ONE, Group, of_boards
from spalloc_server.core.identities import Membership, Person
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment

LEFT_TO_ADMINISTRATORS = 1_000
"""How many accounts, and groups, can be made by administrators only, however many people issuers know."""


@dataclass(frozen=True, slots=True)
class BeginByIssuer(Command[SessionRecord]):
    """Begin a session for somebody whom an issuer knows; their account is made if they have none."""

    is_lasting: ClassVar[bool] = False

    person: Person
    key: str
    """The SHA-256 of the cookie's value."""
    csrf: str
    expires: float
    """When it ends at the latest, in seconds of Unix time."""
    bearer: str | None = None
    """The SHA-256 of the issuer's token that it began with; None if they came with a browser."""

    def refusal(self, site: Site, by: Asker) -> str | None:  # noqa: ARG002
        """Return that the account is locked, or that there can't be one of that name; or None."""
        account = site.accounts.of_identity(self.person.identity)
        if account is None:
            if len(site.accounts.by_name) >= MOST_ACCOUNTS - LEFT_TO_ADMINISTRATORS:
                return "there are as many accounts as there may be; ask an administrator to remove some"
            wrong = name_refusal(site, self.person.name)
            return None if wrong is None else f"no account {self.person.name} can be made for you: {wrong}"
        if account.is_locked:
            return f"the account {account.name} is locked; ask an administrator to unlock it"
        return None

    def apply(self, site: Site, by: Asker, at: Moment) -> SessionRecord:
        """Have the account follow the issuer, and begin the session.

        Raises:
            RefusedError: The issuer's token is over.
        """
        if self.expires <= at.wall:
            raise RefusedError("this token of the issuer is over; get another from the issuer")
        person = self.person
        account = site.accounts.of_identity(person.identity)
        if account is None:
            account = Account(person.name, person.role, None, at.wall, identity=person.identity)
            site.accounts.put(account)
            told = {"account": account.name, "by": person.identity.issuer}
            site.notice(
                f"account {account.name} with the role {person.role} is made for somebody whom "
                f"{person.identity.issuer} knows",
                told,
            )
        self._follow(site, account, at)
        session = SessionRecord(
            self.key, account.name, self.csrf, by.host, at.wall, bearer=self.bearer, expires=self.expires
        )
        site.accounts.begin(session, at)
        return session

    def _follow(self, site: Site, account: Account, at: Moment) -> None:
        """Give an account the role and the groups that the issuer says."""
        person, changed = self.person, account
        if person.groups is not None:
            groups = tuple(_groups(site, person.groups, person.identity.issuer, at))
            default = account.default_group if account.default_group in groups else None
            changed = replace(changed, groups=groups, default_group=default)
        if person.role is not account.role:
            # Whoever has lost a role must not go on with it in another session.
            site.accounts.change(replace(changed, role=person.role))
            site.notice(
                f"account {account.name} has the role {person.role}, was {account.role}, by {person.identity.issuer}",
                {"account": account.name, "by": person.identity.issuer},
            )
        elif changed != account:
            site.accounts.put(changed)


@dataclass(frozen=True, slots=True)
class EndOfOtherIssuers(Command[None]):
    """End the sessions that began by an issuer which is not configured any more."""

    is_lasting: ClassVar[bool] = False

    issuer: str | None
    """The one that is configured."""

    def apply(self, site: Site, by: Asker, at: Moment) -> None:  # noqa: ARG002
        """End them."""
        site.accounts.end_of_other_issuers(self.issuer)


def _groups(site: Site, memberships: Iterable[Membership], issuer: str, at: Moment) -> Iterable[str]:
    """Make the groups that are to be made, and yield those that exist, up to a number."""
    there = 0
    for one in memberships:
        if one.group not in site.groups.by_name:
            if (
                not one.makes
                or len(site.groups.by_name) >= MOST_GROUPS - LEFT_TO_ADMINISTRATORS
                or alike(one.group, site.groups.by_name)
            ):
                continue
            site.groups.put(Group(one.group, one.quota, 0.0, at.wall))
            what = "without a limit" if one.quota is None else f"with a quota of {of_boards(one.quota)}"
            site.notice(
                f"group {one.group} is made {what}, since {issuer} says that somebody is in it",
                {"group": one.group, "by": issuer},
            )
        there += 1
        if there > MOST_GROUPS_OF_ONE:
            return
        yield one.group

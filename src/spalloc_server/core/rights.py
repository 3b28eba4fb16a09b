"""What not everybody may do, and which roles may: the one table of it.

Whose a job is, and so whether somebody may do with it what their role allows, is decided in admission.py.
"""

from collections.abc import Mapping
from enum import Enum

from spalloc_server.core.askers import Login, Role
from spalloc_server.core.refusals import Refusal, Sort


class Right(Enum):
    """Something that somebody who has logged in may do, or not."""

    LOOK = "look at machines, at the list of jobs, and at all of jobs of their own"
    USE = "create jobs, change those of their own, and reach their boards"
    USE_ALL = "look at, change and reach everybody's jobs"
    NAME_OWNER = "create jobs of which somebody else is the owner"
    NAME_GROUP = "have jobs charged to a group that their account is not in"
    ADMINISTER = "stop all jobs, lift the stop, and whatever else is about the site and not about a job"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.READER: frozenset({Right.LOOK}),
    Role.USER: frozenset({Right.LOOK, Right.USE}),
    Role.SERVICE: frozenset({Right.LOOK, Right.USE, Right.USE_ALL, Right.NAME_OWNER, Right.NAME_GROUP}),
    Role.ADMINISTRATOR: frozenset(Right),
}
"""What each role may do."""


def may(login: Login | None, right: Right) -> bool:
    """Return whether somebody may do something by their role; who has not logged in has none."""
    return login is not None and right in RIGHTS[login.role]


def role_refusal(login: Login, right: Right) -> Refusal | None:
    """Return why a role does not allow something, for whoever has logged in with it; None if it does."""
    if may(login, right):
        return None
    if login.token_only_reads:
        why = f"this token of the account {login.account} is for reading only; give one with the scope use"
    else:
        who = f"the account {login.account} is {_with_article(login.role)}"
        why = f"{who}; only {those_with(right)} may do this"
    return Refusal(why, Sort.FORBIDDEN)


def those_with(right: Right) -> str:
    """Return which accounts may do something, in words."""
    *others, last = (_with_article(role) for role, rights in RIGHTS.items() if right in rights)
    return f"{', '.join(others)} or {last}" if others else last


def _with_article(role: Role) -> str:
    return f"{'an' if role is Role.ADMINISTRATOR else 'a'} {role}"

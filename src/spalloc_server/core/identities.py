"""Somebody whom an issuer of single sign-on knows, and what the issuer says of them: values only."""

from dataclasses import dataclass

from spalloc_server.core.askers import Role


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom an issuer knows."""

    issuer: str
    """The issuer's address."""
    subject: str
    """What the issuer knows them by, and never gives to anybody else."""


@dataclass(frozen=True, slots=True)
class Membership:
    """That somebody is in a group, and how the group is made if it does not exist."""

    group: str
    makes: bool = False
    """Whether it is made; otherwise they are not in it until an administrator makes it."""
    quota: float | None = None
    """The board-seconds that it is made with; None for no limit."""


@dataclass(frozen=True, slots=True)
class Person:
    """What an issuer says of somebody."""

    identity: Identity
    name: str
    """Of the account that is made for them when they come first; names may change at the issuer."""
    role: Role
    groups: tuple[Membership, ...] | None = None
    """The groups that they are in; None where that is not the issuer's to say."""
    left_out: tuple[str, ...] = ()
    """What would be names of further groups, and can't be one."""

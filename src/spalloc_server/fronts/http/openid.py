"""How people log in by an OpenID Connect issuer: values only, set by the configuration.

The rooms of sso/ do what they say; nothing of those is imported where there is no issuer.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from spalloc_server.core.askers import Role

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA",
)  # fmt: skip
"""The algorithms by which an issuer may sign: those with a private and a public key only."""


LONGEST_ADDRESS = 2000


def is_address(text: str) -> bool:
    """Return whether a string is an address with https, or with http on this computer; without a name or a fragment."""
    if (
        len(text) > LONGEST_ADDRESS
        or not text.isascii()
        or not text.isprintable()
        or " " in text
        or "\\" in text
    ):
        return False
    try:
        split = urlsplit(text)
        _ = split.port
    except ValueError:
        return False
    if not split.hostname or "@" in split.netloc or "#" in text:
        return False
    return split.scheme == "https" or (split.scheme == "http" and _is_loopback(split.hostname))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a value of a claim must look like; one `*` in it stands for any characters, one or more."""

    before: str
    after: str | None = None
    """What follows the star; None where there is no star."""

    @classmethod
    def read(cls, text: str) -> "Pattern | None":
        """Return the pattern that is written so; None if it has more than one star, or nothing at all."""
        before, star, after = text.partition("*")
        if not text or "*" in after:
            return None
        return cls(before, after if star else None)

    def found(self, value: str) -> str | None:
        """Return what stands for the star, or the whole value where there is no star; None if it looks otherwise."""
        if self.after is None:
            return value if value == self.before else None
        end = len(value) - len(self.after)
        if end <= len(self.before) or not (value.startswith(self.before) and value.endswith(self.after)):
            return None
        return value[len(self.before) : end]

    def __str__(self) -> str:
        return self.before if self.after is None else f"{self.before}*{self.after}"


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Who has a value in a claim has a role."""

    claim: str
    match: tuple[Pattern, ...]
    role: Role

    def __str__(self) -> str:
        return f"{self.role} by {self.claim} like {', '.join(map(str, self.match))}"


@dataclass(frozen=True, slots=True)
class GroupRule:
    """Who has a value in a claim is a member of a group, whose name is in the value."""

    claim: str
    match: tuple[Pattern, ...]
    name: Pattern
    """The group's name; what stands for the star in the value stands for the star in it, with dots for slashes."""
    quota: float | None = None
    """The board-seconds of groups that are made when their first member comes; None for no limit."""
    makes: bool = False
    """Whether groups that do not exist are made; others are left out."""

    def named(self, value: str) -> str | None:
        """Return the name of the group that a value of the claim stands for; None if it stands for none."""
        for pattern in self.match:
            found = pattern.found(value)
            if found is not None:
                name = self.name
                part = found.strip("/").replace("/", ".")
                return name.before if name.after is None else f"{name.before}{part}{name.after}"
        return None

    def __str__(self) -> str:
        made = f", made with {self.quota or 'no'} quota" if self.makes else ""
        return f"{self.name} by {self.claim} like {', '.join(map(str, self.match))}{made}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenId:
    """An issuer, and what its word gives."""

    issuer: str
    """Its address, exactly as it is in its tokens."""
    client: str
    """Under which name the issuer knows this server."""
    secret: str | None = field(default=None, repr=False)
    """What shows the issuer that it is this server; None for a public client."""
    title: str = "single sign-on"
    """What the login page calls it."""
    scopes: tuple[str, ...] = ("openid", "profile")
    """What is asked for when somebody logs in with a browser."""
    audience: tuple[str, ...] | None = None
    """For whom bearer tokens must be, one of these; None for this client, empty for anybody."""
    clients: tuple[str, ...] = ()
    """To which programs bearer tokens must have been given, one of these; empty for any."""
    algorithms: tuple[str, ...] = ALGORITHMS
    hosts: tuple[str, ...] = ()
    """On which other hosts the issuer's addresses may be."""
    authority: Path | None = None
    """The file of the authorities that sign the issuer's certificate, in PEM; None for those of this computer."""
    prefix: str = "openid."
    """What the names of accounts that come by the issuer begin with."""
    name: str = "preferred_username"
    """The claim with the rest of the name."""
    role: Role | None = Role.USER
    """The role of those to whom no rule gives one; None to refuse them."""
    roles: tuple[RoleRule, ...] = ()
    """The first that fits counts."""
    groups: tuple[GroupRule, ...] = ()
    session_hours: float = 12.0
    """After how many hours somebody who has logged in with a browser must do so again."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """For whom bearer tokens must be; empty for anybody."""
        return (self.client,) if self.audience is None else self.audience

    @property
    def claims(self) -> tuple[str, ...]:
        """The claims that are needed to know who somebody is."""
        by_rules = [*(one.claim for one in self.roles), *(one.claim for one in self.groups)]
        return tuple(dict.fromkeys([self.name, *by_rules]))

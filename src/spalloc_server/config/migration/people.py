"""Users, groups and quotas of the Java service, as exports of its database have them: read from CSV.

The tables are those of JavaSpiNNaker 7.4.2 (`user_info`, `user_groups`, `group_memberships`). The guide *Move from the
Java service* has the queries.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from spalloc_server.core.accounts import NAMES, name_flaw
from spalloc_server.core.askers import Role
from spalloc_server.core.groups import MOST_BOARD_SECONDS

MOST_BYTES = 64_000_000
"""How large an export may be."""
_NOTHING = ("", "NULL", "\\N")
"""How an export writes that a value is missing."""
_LEVELS = {
    "0": "BASIC",
    "1": "READER",
    "2": "USER",
    "3": "ADMIN",
    "4": "NMPI_EXEC",
}
_ROLES = {
    # There is no role that may look at nothing; such an account is locked.
    "BASIC": Role.READER,
    "READER": Role.READER,
    "USER": Role.USER,
    "ADMIN": Role.ADMINISTRATOR,
    "NMPI_EXEC": Role.SERVICE,
}
_USERS = ("user_name", "trust_level", "locked", "is_local")
_GROUPS = ("group_name", "quota")
_MEMBERS = ("user_name", "group_name")


class ExportError(ValueError):
    """A file is no export that can be read; the message says what is wrong in which line."""


@dataclass(frozen=True, slots=True)
class User:
    """A user who logged in with a password."""

    name: str
    role: Role
    is_locked: bool


@dataclass(slots=True)
class Exported:
    """What exports say."""

    groups: dict[str, float | None] = field(default_factory=dict)
    """The board-seconds that each group may still use; None for no limit."""
    users: dict[str, User] = field(default_factory=dict)
    by_issuer: set[str] = field(default_factory=set)
    """Users who log in by OpenID Connect: their accounts are made when they come."""
    members: dict[str, list[str]] = field(default_factory=dict)
    """The groups of each user who has any."""
    notes: list[str] = field(default_factory=list)
    """What was left out, or means something else here, in whole sentences."""

    def add(self, text: str, name: str) -> None:
        """Add what an export says, which may be that of users, of groups or of memberships.

        Args:
            text: The export, with a line of headings; comma or tab separates values.
            name: The file's name, for messages.

        Raises:
            ExportError: It is none of these, or has a value that makes no sense.
        """
        lines = text.removeprefix("\ufeff").splitlines()
        head = lines[0] if lines else ""
        rows = csv.DictReader(lines, dialect="excel-tab" if "\t" in head else "excel")
        found = {heading.strip().lower() for heading in rows.fieldnames or ()}
        kinds = {_USERS: self._user, _GROUPS: self._group, _MEMBERS: self._member}
        take = next((take for headings, take in kinds.items() if found.issuperset(headings)), None)
        if take is None:
            takes = "; ".join(map(",".join, kinds))
            raise ExportError(f"{name}:1: the headings are {head[:80]!r}; they must have one of: {takes}")
        try:
            for row in rows:
                # A row that is too long has the rest under None, and one that is too short has None for values.
                values = {str(heading).strip().lower(): value for heading, value in row.items()}
                if any(not isinstance(value, str) for value in values.values()):
                    raise ExportError(f"{name}:{rows.line_num}: this line has not as many values as headings")
                try:
                    take({heading: value.strip() for heading, value in values.items()})
                except ValueError as error:
                    raise ExportError(f"{name}:{rows.line_num}: {error}") from None
        except csv.Error as error:
            raise ExportError(f"{name}:{rows.line_num}: {error}") from None

    def _user(self, row: Mapping[str, str]) -> None:
        name = row["user_name"]
        if not _flag("is_local", row["is_local"]):
            self.by_issuer.add(name)
            return
        if not self._can_be(name, "user"):
            return
        level = _LEVELS.get(row["trust_level"], row["trust_level"].upper())
        if level not in _ROLES:
            raise ValueError(
                f"trust_level is {row['trust_level'][:60]!r}; it must be 0 to {len(_LEVELS) - 1}, or one of "
                f"{', '.join(_ROLES)}"
            )
        is_locked = _flag("locked", row["locked"])
        if level == "BASIC":
            is_locked = True
            self.notes.append(
                f"user {name} has the level BASIC, which may look at nothing: the account is a reader's, and locked"
            )
        self.users[name] = User(name, _ROLES[level], is_locked)

    def _group(self, row: Mapping[str, str]) -> None:
        name, text = row["group_name"], row["quota"]
        if not self._can_be(name, "group"):
            return
        quota = None if text in _NOTHING else float(text)
        if quota is not None and not quota <= MOST_BOARD_SECONDS:
            raise ValueError(
                f"the quota is {text}; it must be at most {MOST_BOARD_SECONDS:.0e} board-seconds"
            )
        if quota is not None and quota < 0:
            self.notes.append(
                f"group {name} has used {-quota:.0f} board-seconds more than it may: its quota is 0"
            )
            quota = 0.0
        self.groups[name] = quota

    def _member(self, row: Mapping[str, str]) -> None:
        if name_flaw(row["user_name"]) is None and name_flaw(row["group_name"]) is None:
            self.members.setdefault(row["user_name"], []).append(row["group_name"])

    def _can_be(self, name: str, what: str) -> bool:
        if name_flaw(name) is None:
            return True
        self.notes.append(f"{what} {name[:80]!r} was left out: a name is {NAMES}")
        return False

    def memberships(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the groups of each user who had a password and is in any."""
        for name, groups in self.members.items():
            if name not in self.by_issuer:
                yield name, list(dict.fromkeys(groups))


def _flag(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{name} is {text[:60]!r}; it must be 0 or 1")
    return text == "1"

"""Taking values out of a document's tables, each checked: every mistake is noted, none ends the reading.

It knows no kind of value and no key: see kinds.py, document.py and machines.py for those.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from spalloc_server.config.lines import Path
from spalloc_server.config.mistakes import Mistakes, nearest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
U = TypeVar("U")
D = TypeVar("D", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of the document, where it stands, and where to note what is wrong with it."""

    value: object
    path: Path
    mistakes: Mistakes

    def wrong(self, expected: str) -> None:
        """Note that the value is not what is expected."""
        self.mistakes.wrong(self.path, self.value, expected)


Kind = Callable[[Entry], T | None]
"""Returns the value that an entry stands for, or notes what is wrong with it and returns None."""


@dataclass(slots=True)
class Table:
    """A table whose keys are taken one by one; those that nobody takes are mistakes."""

    values: dict[str, object]
    path: Path
    mistakes: Mistakes
    _known: set[str] = field(default_factory=set)

    def has(self, key: str) -> bool:
        """Return whether the table has a key."""
        return key in self.values

    def take(self, key: str, kind: Kind[T], default: U) -> T | U:
        """Return a key's value; `default` where it is missing, or wrong (which is noted)."""
        self._known.add(key)
        if key not in self.values:
            return default
        found = kind(self.entry(key))
        return default if found is None else found

    def need(self, key: str, kind: Kind[T], expected: str) -> T | None:
        """Return a key's value; None where it is missing or wrong, both of which are noted."""
        self._known.add(key)
        if key not in self.values:
            self.mistakes.add(self.path, f"has no {key}; expected {expected}")
            return None
        return kind(self.entry(key))

    def fill(self, default: D, kinds: Mapping[str, Kind[object]]) -> D:
        """Return `default` with the table's values in the fields that `kinds` names."""
        return replace(
            default, **{key: self.take(key, kind, getattr(default, key)) for key, kind in kinds.items()}
        )

    def whole(self, default: D, kinds: Mapping[str, Kind[object]]) -> D:
        """Do the same with a table that has no other keys."""
        found = self.fill(default, kinds)
        self.finish()
        return found

    def table(self, key: str) -> "Table":
        """Return the table within this one that has the name `key`; an empty one if it is missing or wrong."""
        self._known.add(key)
        inner = self.values.get(key, {})
        if not isinstance(inner, dict):
            self.entry(key).wrong(f"a table: [{key}]")
            inner = {}
        return Table(inner, (*self.path, key), self.mistakes)

    def tables(self, key: str) -> list["Table"]:
        """Return the tables of the array `key`; none if it is missing or wrong."""
        self._known.add(key)
        inner = self.values.get(key, [])
        if not isinstance(inner, list) or not all(isinstance(one, dict) for one in inner):
            name = ".".join(part for part in (*self.path, key) if isinstance(part, str))
            self.entry(key).wrong(f"tables, each headed [[{name}]]")
            return []
        return [Table(one, (*self.path, key, index), self.mistakes) for index, one in enumerate(inner)]

    def entry(self, key: str) -> Entry:
        """Return the entry of a key."""
        return Entry(self.values[key], (*self.path, key), self.mistakes)

    def finish(self) -> None:
        """Note the keys that nobody has taken."""
        for key in self.values.keys() - self._known:
            self.mistakes.add((*self.path, key), f"is not a setting; {nearest(key, self._known)}")

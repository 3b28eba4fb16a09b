"""Taking values out of a document's tables, each checked, with every mistake noted instead of stopping at the first.

Knows kinds of values (texts, ports, networks, durations), but no key: those are sections.py's and machines.py's.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_network
from math import isfinite
from pathlib import Path as File
from typing import TypeVar

from spalloc_server.config.lines import Path
from spalloc_server.config.mistakes import Mistakes, nearest, shown
from spalloc_server.core.networks import Network, Networks

T = TypeVar("T")
U = TypeVar("U")
E = TypeVar("E", bound=Enum)


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
            self.entry(key).wrong(f"tables, each headed [[{'.'.join(_names((*self.path, key)))}]]")
            return []
        return [Table(one, (*self.path, key, index), self.mistakes) for index, one in enumerate(inner)]

    def entry(self, key: str) -> Entry:
        """Return the entry of a key."""
        return Entry(self.values[key], (*self.path, key), self.mistakes)

    def finish(self) -> None:
        """Note the keys that nobody knows."""
        for key in self.values.keys() - self._known:
            self.mistakes.add((*self.path, key), f"is not a setting; {nearest(key, self._known)}")


def _names(path: Path) -> list[str]:
    return [part for part in path if isinstance(part, str)]


# Kinds of values


def a_text(entry: Entry) -> str | None:
    """Take a text that isn't empty and can be shown on one line."""
    if isinstance(entry.value, str) and entry.value.strip() and entry.value.isprintable():
        return entry.value
    entry.wrong("a string of printable characters")
    return None


def whole_number(least: int, most: int) -> Kind[int]:
    """Take a whole number from `least` to `most`."""

    def kind(entry: Entry) -> int | None:
        if type(entry.value) is int and least <= entry.value <= most:
            return entry.value
        entry.wrong(f"a whole number from {least} to {most}")
        return None

    return kind


_LONGEST = 1e9


def a_duration(unit: str, *, above: float | None = None) -> Kind[float]:
    """Take a length of time in `unit`: 0 or more, or more than `above`."""

    def fits(value: float) -> bool:
        return isfinite(value) and value <= _LONGEST and (value >= 0 if above is None else value > above)

    def kind(entry: Entry) -> float | None:
        value = entry.value
        if isinstance(value, int | float) and not isinstance(value, bool) and fits(value):
            return float(value)
        entry.wrong(f"a number of {unit}, {'0 or more' if above is None else f'more than {above:g}'}")
        return None

    return kind


def a_share(entry: Entry) -> float | None:
    """Take a part of a whole, from 0 to 1."""
    value = entry.value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    entry.wrong("a number from 0 to 1")
    return None


def one_of(choices: type[E]) -> Kind[E]:
    """Take one of an enumeration's values."""

    def kind(entry: Entry) -> E | None:
        for choice in choices:
            if entry.value == choice.value and isinstance(entry.value, str):
                return choice
        entry.wrong(" or ".join(shown(choice.value) for choice in choices))
        return None

    return kind


def list_of(kind: Kind[T], what: str) -> Kind[tuple[T, ...]]:
    """Take a list whose elements are of a kind; those that are not are left out, and noted."""

    def of_list(entry: Entry) -> tuple[T, ...] | None:
        if not isinstance(entry.value, list):
            entry.wrong(f"a list of {what}")
            return None
        taken = (
            kind(Entry(value, (*entry.path, index), entry.mistakes))
            for index, value in enumerate(entry.value)
        )
        return tuple(value for value in taken if value is not None)

    return of_list


def a_network(entry: Entry) -> Network | None:
    """Take a network, such as `10.0.0.0/8`, or one address."""
    if isinstance(entry.value, str):
        try:
            return ip_network(entry.value)
        except ValueError:
            pass
    entry.wrong('a network, such as "10.0.0.0/8" (no bits set after the first 8), or an address')
    return None


def networks(entry: Entry) -> Networks | None:
    """Take a list of networks."""
    read: Kind[tuple[Network, ...]] = list_of(a_network, "networks")
    found = read(entry)
    return None if found is None else Networks(found)


_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,250}[A-Za-z0-9])?\.?|[0-9a-fA-F:]*:[0-9a-fA-F:.]*(%\w+)?")
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9._-]+:([0-9]{1,5})")
_LAST_PORT = 65535


def a_host(entry: Entry) -> str | None:
    """Take a host's name or address."""
    if isinstance(entry.value, str) and _HOST.fullmatch(entry.value):
        return entry.value
    entry.wrong("a host's name or address")
    return None


def a_host_or_host_with_port(entry: Entry) -> str | None:
    """Take `HOST` or `HOST:PORT`."""
    if isinstance(entry.value, str):
        port = _HOST_AND_PORT.fullmatch(entry.value)
        if (int(port[1]) in range(1, _LAST_PORT + 1)) if port else _HOST.fullmatch(entry.value):
            return entry.value
    entry.wrong("a host's name or address, with :PORT where it is not the usual one")
    return None


a_port = whole_number(0, _LAST_PORT)


class InFolder:
    """Takes a file's path, which is meant from the folder of the configuration."""

    def __init__(self, folder: File) -> None:
        """Take paths from `folder`."""
        self._folder = folder

    def __call__(self, entry: Entry) -> File | None:
        """Take a path."""
        # What is said of the file is to stay on one line.
        if isinstance(entry.value, str) and entry.value and entry.value.isprintable():
            return self._folder / entry.value
        entry.wrong("the path of a file, in printable characters")
        return None

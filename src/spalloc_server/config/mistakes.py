"""Mistakes in a configuration: collected while it is read, so that one report names them all.

What counts as a mistake is decided by the modules that read.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from spalloc_server.config.lines import Path
from spalloc_server.words import counted

_SHOWN_CHARACTERS = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong: where it is, and what was expected."""

    file: str
    line: int
    """From 1."""
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sentence}"


class ConfigurationError(ValueError):
    """A configuration can't be used; `mistakes` are all that is wrong with it, in the order of its lines."""

    def __init__(self, file: str, mistakes: Iterable[Mistake], notes: Iterable[str] = ()) -> None:
        """Report `mistakes`, one or more, in the configuration `file`; `notes` may help to find their cause."""
        self.file = file
        self.mistakes = tuple(sorted(set(mistakes)))
        self.notes = tuple(notes)
        lines = [f"{file} has {counted(len(self.mistakes), 'mistake')}:", *map(str, self.mistakes)]
        super().__init__("\n".join([*lines, *(f"note: {note}" for note in self.notes)]))


class Mistakes:
    """What is wrong with one file, so far."""

    def __init__(self, file: str, lines: Callable[[], Mapping[Path, int]]) -> None:
        """Report about `file`; `lines` returns the lines of its values, and is called only if anything is wrong."""
        self.file = file
        self.found: list[Mistake] = []
        self.notes: list[str] = []
        """Oddities of the files that are no mistakes, such as a byte order mark."""
        self._lines = cache(lines)
        self._names: dict[Path, str] = {}

    def call(self, path: Path, name: str) -> None:
        """Name the value at `path` in reports as the administrator did."""
        self._names[path] = name

    def add(self, path: Path, sentence: str) -> None:
        """Report that something is wrong with the value at `path`; the sentence continues from the path."""
        lines = self._lines()
        where = path
        while where not in lines:
            where = where[:-1]
        self.found.append(Mistake(self.file, lines[where], f"{self.path_in_words(path)} {sentence}"))

    def wrong(self, path: Path, value: object, expected: str) -> None:
        """Report that the value at `path` is not what is expected there."""
        self.add(path, f"is {shown(value)}; expected {expected}")

    def path_in_words(self, path: Path) -> str:
        """Return a value's path as it is written in reports, such as `machine "desk" dead_boards[0]`."""
        text = ""
        for end in range(1, len(path) + 1):
            name = self._names.get(path[:end])
            part = path[end - 1]
            if name is not None:
                text += f" {shown(name)}"
            elif isinstance(part, int):
                text += f"[{part}]"
            else:
                text += ("" if not text else " " if text[-1] == '"' else ".") + _key(part)
        return text or "the file"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else shown(key)


def shown(value: object) -> str:
    """Return a value as it is written in reports: escaped, and not too long."""
    try:
        text = json.dumps(value, default=str).replace("\x7f", "\\u007f")
    except ValueError:
        text = "a number of very many digits"
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint about an unknown word: the one that it begins, the nearest known one, or all of them."""
    words = sorted(known)
    longer = [one for one in words if len(word) > 2 and one.startswith(word)]
    if len(longer) == 1:
        return f"did you mean {longer[0]!r}?"
    close = get_close_matches(word[:_SHOWN_CHARACTERS], words, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(words)}"

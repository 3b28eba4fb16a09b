"""On which line of a TOML text each value is: tomllib reads the values, but doesn't tell where they are.

Positions only. tomllib must have read the text before, because invalid TOML is not noticed here.
"""

import re

Path = tuple[str | int, ...]
"""The keys of tables and the indices into arrays, from 0, that lead to a value."""

_ROOT: Path = ()
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERAL_STRING = re.compile(r"'[^']*'")
# Up to two quotes may come right before the three that end the string.
_LONG_BASIC_STRING = re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL)
_LONG_LITERAL_STRING = re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL)
_STRINGS = (_LONG_BASIC_STRING, _LONG_LITERAL_STRING, _BASIC_STRING, _LITERAL_STRING)
_OTHER_VALUE = re.compile(r"[^,\]}#\n]+")
_BLANK = re.compile(r"[ \t]*")
_BLANK_OVER_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


def lines_of(text: str) -> dict[Path, int]:
    """Return the line, from 1, of every table, key and array element of a TOML text."""
    return _Scanner(text).scan()


class _Scanner:
    """Goes through the text once; `_at` is how far it has got."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._counted = 0
        self._lines: dict[Path, int] = {_ROOT: 1}
        self._elements: dict[Path, int] = {}
        """How many tables each array of tables has so far."""

    def scan(self) -> dict[Path, int]:
        table = _ROOT
        self._skip(_BLANK_OVER_LINES)
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._begin_element()
            elif self._text[self._at] == "[":
                table = self._begin_table()
            else:
                self._pair(table)
            self._skip(_BLANK_OVER_LINES)
        return self._lines

    # Tables

    def _begin_table(self) -> Path:
        line = self._here()
        self._at += 1
        path = self._resolved(self._keys(line, None))
        self._at += 1
        self._lines[path] = line
        return path

    def _begin_element(self) -> Path:
        line = self._here()
        self._at += 2
        keys = self._keys(line, None)
        self._at += 2
        array = (*self._resolved(keys[:-1]), keys[-1])
        self._lines.setdefault(array, line)
        index = self._elements.get(array, 0)
        self._elements[array] = index + 1
        self._lines[*array, index] = line
        return (*array, index)

    def _resolved(self, keys: list[str]) -> Path:
        """Return the path of a header's dotted key: through an array of tables, it leads to the latest table."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            count = self._elements.get(path)
            self._lines.setdefault(path, self._here())
            if count is not None:
                path = (*path, count - 1)
        return path

    # Keys and values

    def _pair(self, table: Path) -> None:
        line = self._here()
        keys = self._keys(line, table)
        self._at += 1
        self._value((*table, *keys))

    def _keys(self, line: int, table: Path | None) -> list[str]:
        """Read a dotted key, up to what follows it; note the lines of its parts if it is in `table`."""
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            keys.append(self._key())
            if table is not None:
                self._lines.setdefault((*table, *keys), line)
            self._skip(_BLANK)
            if self._text[self._at] != ".":
                return keys
            self._at += 1

    def _key(self) -> str:
        for pattern in (_BASIC_STRING, _LITERAL_STRING):
            found = pattern.match(self._text, self._at)
            if found is not None:
                self._at = found.end()
                return _unquoted(found[0])
        found = _BARE_KEY.match(self._text, self._at)
        if found is None:
            raise ValueError(f"no key at character {self._at} of the text")
        self._at = found.end()
        return found[0]

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        self._lines.setdefault(path, self._here())
        match self._text[self._at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._string()
            case _:
                self._skip(_OTHER_VALUE)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        self._skip(_BLANK_OVER_LINES)
        while self._text[self._at] != "]":
            self._value((*path, index))
            index += 1
            self._skip(_BLANK_OVER_LINES)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK_OVER_LINES)
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _string(self) -> None:
        for pattern in _STRINGS:
            found = pattern.match(self._text, self._at)
            if found is not None:
                self._at = found.end()
                return

    # The position

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line


def _unquoted(key: str) -> str:
    import tomllib

    (name,) = tomllib.loads(f"{key} = 0")
    return name

"""What a file is that somebody gives to `spalloc-server convert`: one of the forms that it takes, or something else."""

import ast
import csv
import io
import re
import tomllib
from enum import Enum

from spalloc_server.store.schema import APPLICATION

MOST_BYTES = 64_000_000
"""How large a file may be."""
_SQLITE = b"SQLite format 3\x00"
_APPLICATION_AT = 68
"""Where a SQLite file has its application_id."""
_YAML = re.compile(r"^(---|(spring|server|spalloc|logging|management)\s*:)[ \t]*(#.*)?$", re.MULTILINE)
_PROPERTIES = re.compile(r"^(spring|server|spalloc|logging|management)\.[\w.-]+\s*[=:]", re.MULTILINE)
_SECTION = re.compile(r"\[[A-Za-z][\w. -]*\][ \t]*\r?\n")
_SQL = re.compile(
    r"^(-- (MySQL|MariaDB) dump|(CREATE TABLE|INSERT INTO|DROP TABLE)\b)", re.MULTILINE | re.IGNORECASE
)
_SETTINGS = "the Java service's own settings: give the JSON from which its machines were imported"
_TABLES = {
    "user_name": "an export of the Java service's users or of their groups: give it to spalloc-server account import",
    "group_name": "an export of the Java service's groups: give it to spalloc-server account import",
    "cabinet": "a list of the places of boards, as SpiNNer writes it: name it in a configuration, as places",
}
_BINARY = {
    b"\x1f\x8b": "compressed by gzip: uncompress it first",
    b"BZh": "compressed by bzip2: uncompress it first",
    b"\xfd7zXZ\x00": "compressed by xz: uncompress it first",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: uncompress it first",
    b"PK\x03\x04": "a ZIP file: unpack it, and give one of the files in it",
    b"\x7fELF": "a program of this computer",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF document",
}


class Form(Enum):
    """The forms of files that can be converted."""

    PYTHON = "a Python program, as the servers of 2023 and 2025 have it"
    DEFINITIONS = "machine definitions of the Java service, in JSON"


TAKEN = "convert takes " + " or ".join(form.value for form in Form)
"""The end of a sentence about a file that is something else."""


class UnknownFormError(ValueError):
    """A file has another form; the message is a sentence that says which."""


def recognised(content: bytes) -> Form:
    """Return which form a file has, by what it contains.

    Raises:
        UnknownFormError: It can't be converted.
    """
    other = _binary(content) or _empty(content)
    if other is not None:
        raise UnknownFormError(f"the file is {other}")
    text = content.decode("utf-8-sig")
    if text.lstrip()[:1] in ("{", "[") and not _is_toml(text):
        if _SECTION.match(text.lstrip()):
            raise UnknownFormError("the file is settings in sections, such as those of a client")
        return Form.DEFINITIONS
    other = _of_text(text)
    if other is not None:
        raise UnknownFormError(f"the file is {other}")
    return Form.PYTHON


def _empty(content: bytes) -> str | None:
    return None if content.strip() else "empty"


def _binary(content: bytes) -> str | None:
    if content.startswith(_SQLITE):
        application = int.from_bytes(content[_APPLICATION_AT : _APPLICATION_AT + 4], "big")
        if application == APPLICATION:
            return "the records of a server such as this one; spalloc-server backup and restore move them"
        return "a database of SQLite: give the file from which its machines were made"
    for magic, what in _BINARY.items():
        if content.startswith(magic):
            return what
    if b"\0" in content:
        return "no text"
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return f"no text in UTF-8: byte {error.start + 1} can't be read"
    return None


def _of_text(text: str) -> str | None:
    """Return what a file is that is neither JSON nor Python; None if it may be Python."""
    if _is_toml(text):
        return "a configuration of this server already, or other TOML: spalloc-server check reads it"
    first = text.lstrip()[:10_000].partition("\n")[0]
    # mysql --batch writes tabs.
    row = next(csv.reader(io.StringIO(first), delimiter="\t" if "\t" in first else ","), [])
    heads = {name.strip().lower() for name in row}
    if len(heads) > 1:
        for head, what in _TABLES.items():
            if head in heads:
                return what
    if text.lstrip().startswith("<"):
        return "XML or HTML"
    if _is_python(text):
        return None
    if _SQL.search(text):
        return "statements of SQL: give machine definitions as JSON, and users and groups as CSV"
    if text.startswith("#!") and "python" not in first:
        return "a script in another language"
    if _PROPERTIES.search(text):
        return f"properties, perhaps {_SETTINGS}"
    if _YAML.search(text):
        return f"YAML, perhaps {_SETTINGS}"
    return None


def _is_toml(text: str) -> bool:
    try:
        return bool(tomllib.loads(text)) and re.search(r"^\s*\[", text, re.MULTILINE) is not None
    except (tomllib.TOMLDecodeError, RecursionError):
        return False


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True

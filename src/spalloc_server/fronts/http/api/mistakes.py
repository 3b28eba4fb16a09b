"""What is wrong with a document or a query that a client sent, in words: which field, what it has, what is allowed."""

import difflib
import re
from typing import Any, Literal, get_args, get_origin

import msgspec

_LONGEST_VALUE = 40
_LONGEST = 300
"""How many characters of a sentence are said: it may repeat what the client sent."""

_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")
_NO_CHOICE = re.compile(r"Invalid enum value (?P<value>.*)", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)
_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "|": "or",
}
_TYPES = re.compile(r"\b(?:int|float|str|bool|array|object)\b|\|")


def in_words(kind: Any, error: msgspec.ValidationError) -> str:
    """Return what is wrong with a value, beginning with the field's name.

    Args:
        kind: The type of the whole value.
        error: What msgspec says of it.
    """
    what, at, where = str(error).rpartition(" - at `$")
    if not at:
        what, where = where, ""
    path = where.strip("`").removeprefix(".")
    if found := _MISSING.fullmatch(what):
        return f"{path}{'.' if path else ''}{found['field']} is required"
    if found := _NO_CHOICE.fullmatch(what):
        return f"{path} is {found['value'][:_LONGEST_VALUE]}; it must be {_choices(_type_at(kind, path))}"
    said = _plain(what)
    if found := _UNKNOWN.fullmatch(what):
        said += _known_fields(_struct_of(_type_at(kind, path)), found["field"])
    return f"{path or 'all of it'}: {said}" if at else said


def _known_fields(kind: type[msgspec.Struct] | None, unknown: str) -> str:
    """Return which fields a document may have in the place of one that it may not, as the end of a sentence."""
    if kind is None:
        return ""
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    near = difflib.get_close_matches(unknown, names, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"{meant}; there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def _choices(hint: Any) -> str:
    """Return the values that a type allows, in words."""
    while get_origin(hint) is not Literal:
        hint = get_args(hint)[0]
    *others, last = map(str, get_args(hint))
    return f"{', '.join(others)} or {last}" if others else last


def _type_at(kind: Any, path: str) -> Any:
    """Return the type of what is at a path within a value; None if there is nothing."""
    for name in re.findall(r"[\w-]+", path):
        within = _struct_of(kind)
        fields = () if within is None else msgspec.structs.fields(within)
        kind = next((field.type for field in fields if field.encode_name == name), None)
    return kind


def _struct_of(hint: Any) -> type[msgspec.Struct] | None:
    """Return the kind of document that a value of this type is, or has in it."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint
    return next((found for part in get_args(hint) if (found := _struct_of(part)) is not None), None)


def _plain(message: str) -> str:
    message = re.sub(r"`([^`]*)`", lambda found: _TYPES.sub(_type, found[1]), message)
    return (message[:1].lower() + message[1:])[:_LONGEST]


def _type(found: re.Match[str]) -> str:
    return _NAMES[found[0]]

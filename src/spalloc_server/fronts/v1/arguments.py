"""Checks the arguments of v1 commands: names, types and defaults, and the error messages.

See commands.py for what each command takes and does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from spalloc_client.wire import Json


class CommandError(ValueError):
    """A command that can't be done as it was sent; the message is for the client's user."""


LARGEST_NUMBER = 2**53
"""Beyond this number, not every JSON reader is exact, nor are the records."""

LONGEST_NAME = 256
"""The most characters of an owner, of a machine's name, and of a job's tags together: they are kept as long as the
job's history."""

Check = Callable[[str, Json], object]


class _Required:
    """The type of `REQUIRED`."""


REQUIRED = _Required()
"""The default of an argument that must be given."""


class Parameter(msgspec.Struct, frozen=True):
    """One argument of a command."""

    name: str
    check: Check
    """Returns the value, or raises `CommandError`."""
    default: object = REQUIRED


def bind(
    command: str, parameters: Sequence[Parameter], args: Sequence[Json], kwargs: Mapping[str, Json]
) -> dict[str, Any]:
    """Return a value for each parameter, by name.

    Raises:
        CommandError: An argument is missing, unknown, given twice or of the wrong type.
    """
    if not kwargs and len(args) == len(parameters):
        return {
            parameter.name: parameter.check(parameter.name, value)
            for parameter, value in zip(parameters, args, strict=True)
        }
    if len(args) > len(parameters):
        raise CommandError(f"{command} was given {len(args)} arguments; it takes at most {len(parameters)}")
    values: dict[str, Any] = {}
    used = 0
    for position, parameter in enumerate(parameters):
        if parameter.name in kwargs:
            used += 1
            if position < len(args):
                raise CommandError(f"{command} was given {parameter.name} twice")
            values[parameter.name] = parameter.check(parameter.name, kwargs[parameter.name])
        elif position < len(args):
            values[parameter.name] = parameter.check(parameter.name, args[position])
        elif isinstance(parameter.default, _Required):
            raise CommandError(f"{command} needs {parameter.name}")
        else:
            values[parameter.name] = parameter.default
    if used != len(kwargs):
        known = [parameter.name for parameter in parameters]
        unknown = sorted(set(kwargs) - set(known))
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise CommandError(f"{command} has no argument {', '.join(map(repr, unknown))}; {takes}")
    return values


def a_whole_number(name: str, value: Json) -> int:
    """Return `value` if it is a whole number, which may be written as `3` or `3.0`."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise CommandError(f"{name} must be a whole number, not {_shown(value)}")
    if abs(value) > LARGEST_NUMBER:
        raise CommandError(f"{name} is out of range; it must be within ±{LARGEST_NUMBER}")
    return value


def a_number(name: str, value: Json) -> float:
    """Return `value` if it is a number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        raise CommandError(f"{name} must be a number, not {_shown(value)}")
    if abs(value) > LARGEST_NUMBER:
        raise CommandError(f"{name} is out of range; it must be within ±{LARGEST_NUMBER}")
    return value


def a_string(name: str, value: Json) -> str:
    """Return `value` if it is a string that can be written as UTF-8."""
    if not isinstance(value, str):
        raise CommandError(f"{name} must be a string, not {_shown(value)}")
    if not _is_unicode(value):
        raise CommandError(
            f"{name} must be Unicode text, not {_shown(value)}, which has half a surrogate pair"
        )
    return value


def up_to(most: int) -> Check:
    """Return a check for a string of at most `most` characters."""

    def checked(name: str, value: Json) -> str:
        text = a_string(name, value)
        if len(text) > most:
            raise CommandError(f"{name} has {len(text)} characters; it may have {most}")
        return text

    return checked


def a_boolean(name: str, value: Json) -> bool:
    """Return `value` if it is `true` or `false`."""
    if not isinstance(value, bool):
        raise CommandError(f"{name} must be true or false, not {_shown(value)}")
    return value


def names(name: str, value: Json) -> tuple[str, ...]:
    """Return `value` if it is a list of strings that, joined by commas, have at most `LONGEST_NAME` characters."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CommandError(f"{name} must be a list of strings, not {_shown(value)}")
    found = tuple(a_string(name, item) for item in value)
    length = len(",".join(found))
    if length > LONGEST_NAME:
        raise CommandError(f"{name} have {length} characters in all; they may have {LONGEST_NAME}")
    return found


def or_null(check: Check) -> Check:
    """Return a check that also allows null."""

    def checked(name: str, value: Json) -> object:
        return None if value is None else check(name, value)

    return checked


_SHOWN_CHARACTERS = 40


def _is_unicode(text: str) -> bool:
    # JSON can say "\ud800"; neither UTF-8 nor a database can.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: Json) -> str:
    if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        return "a number out of range"
    try:
        text = ascii(value)
    except RecursionError:
        # The decoder accepts deeper nesting than ascii() can write.
        return "something nested too deeply"
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."

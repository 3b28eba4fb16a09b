"""The allowed values of each option, checked alike in arguments and in configuration files.

A check of options.py takes an option's name and its value. It returns the value with the correct type, or raises
ValueError with a message of one form: `NAME is VALUE; it must be WHAT IS ALLOWED`.
"""

from __future__ import annotations

import os

from spalloc_client.wire import plain_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# As `math` has them, without importing it.
_INFINITY = float("inf")
_NO_NUMBER = float("nan")


def _wrong(name: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{name} is {value!r}; it must be {allowed}")


def whole_number(name: str, value: object, lowest: int, highest: int | None, allowed: str) -> int:
    """A whole number of any type from `lowest` to `highest`; truth values are not numbers."""
    number = plain_number(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if (
        isinstance(number, bool | float | None)
        or number < lowest
        or (highest is not None and number > highest)
    ):
        raise _wrong(name, value, allowed)
    return number


def _number(value: object) -> float:
    """A number, or NaN for any other value."""
    number = plain_number(value)
    if number is None or isinstance(number, bool):
        return _NO_NUMBER
    try:
        return float(number)
    except OverflowError:
        return _NO_NUMBER


def is_url(name: str) -> bool:
    """Whether a server's name is the address of a service that speaks HTTP."""
    return "://" in name


def server_name(name: str, port: object) -> str:
    """What to call a server in messages."""
    return name if is_url(name) else f"{name}:{port}"


def hostname(name: str, value: object) -> str:
    """A server's name or address, or a service's URL, which is returned without its login to be seen."""
    if isinstance(value, str) and is_url(value) and value.partition("://")[0].lower() in ("https", "http"):
        from spalloc_client.address import ServiceUrl

        return ServiceUrl.read(name, value)
    if isinstance(value, str) and value and not any(map(str.isspace, value)):
        return value
    raise _wrong(name, value, "the server's name or address")


def server(value: object) -> tuple[str, int | None]:
    """A server's name or address, and its port if that is said with it: `host:port`, `[::1]`, `[::1]:port`."""
    text = hostname("hostname", value)
    url_port: int | None = getattr(text, "port", None)
    if url_port is not None:
        return text, url_port
    name, number, rest = text, "", ""
    if is_url(text):
        # Its parts, in case the user copied it from somewhere.
        from spalloc_client.address import hidden

        text = hidden(text)
        name, number, rest = text.partition("://")[2].partition("/")[0], "", "a URL of another kind"
    if name.startswith("["):
        name, _, after = name[1:].partition("]")
        number, rest = after.removeprefix(":"), rest or ("" if after[:1] in ("", ":") else after)
    elif name.count(":") == 1:
        name, _, number = name.partition(":")
        rest = rest or ("" if number else "no port")
    if rest or not name:
        port_too = f" --port {number}" if number.isdecimal() else ""
        wanted = f"type --hostname {name}{port_too}" if name else "such as spalloc.example.org:22244"
        raise ValueError(f"hostname is {text!r}; it must be the server's name or address: {wanted}")
    return name, port("port", number) if number else None


def login_part(name: str, value: object) -> str | None:
    """A name, password or token, or None; what is wrong is not shown."""
    if value is None or (isinstance(value, str) and value and value.isprintable()):
        return value
    raise ValueError(f"{name} must be text on one line, or None")


def payer(name: str, value: object) -> str | None:
    """The name of a group or collaboration, or None."""
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise _wrong(name, value, "a name, or None for what the service says")


def port(name: str, value: object) -> int:
    """A TCP port, as a number or in digits."""
    given: object = value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len("65535"):
        given = int(value)
    return whole_number(name, given, 1, 65535, "a whole number from 1 to 65535")


def keepalive(name: str, value: object) -> float | None:
    """Seconds above 0, or None."""
    if value is None:
        return None
    seconds = _number(value)
    if 0.0 < seconds < _INFINITY:
        return seconds
    raise _wrong(name, value, "a number of seconds above 0, or None to keep the job until it is destroyed")


def time_limit(name: str, value: object) -> float | None:
    """A duration, or None."""
    return None if value is None else duration(name, value, "; or None for what the server says")


def duration(name: str, value: object, otherwise: str = "") -> float:
    """Seconds above 0, as a number or as the text of a duration; `otherwise` says what else is allowed."""
    from spalloc_client import durations

    try:
        seconds = durations.read(value) if isinstance(value, str) else _number(value)
    except ValueError:
        seconds = _NO_NUMBER
    if 0.0 < seconds < _INFINITY:
        return seconds
    numbers = "" if isinstance(value, str) else "a number of seconds above 0, or "
    raise _wrong(name, value, f"{numbers}{durations.ALLOWED}{otherwise}")


def reconnect_delay(name: str, value: object) -> float:
    """Seconds, 0 or more."""
    seconds = _number(value)
    if 0.0 <= seconds < _INFINITY:
        return seconds
    raise _wrong(name, value, "a number of seconds, 0 or more")


def timeout(name: str, value: object) -> float | None:
    """Seconds above 0, or None."""
    if value is None:
        return None
    seconds = _number(value)
    if seconds > 0.0:
        return seconds
    raise _wrong(name, value, "a number of seconds above 0, or None to wait forever")


def owner(name: str, value: object) -> str:
    """An owner's name."""
    if isinstance(value, str) and value.strip():
        return value
    raise _wrong(name, value, "a name, by convention an email address")


def machine(name: str, value: object) -> str | None:
    """A machine's name, or None."""
    if value is None or (isinstance(value, str) and value):
        return value
    raise _wrong(name, value, "the name of a machine, or None for any")


def tags(name: str, value: object) -> list[str] | None:
    """Tags, or None; a single string would be read as its letters."""
    if value is None:
        return None
    words = _listed(value)
    if words is not None and all(isinstance(tag, str) and tag for tag in words):
        found = [str(tag) for tag in words]  # numpy's strings among them
        return sorted(found) if isinstance(value, set | frozenset) else found
    hint = f": write [{value!r}]" if isinstance(value, str) and value else ""
    raise _wrong(name, value, f"a list of tags (strings){hint}, or None for the tag 'default'")


def filenames(value: object) -> list[str]:
    """Names of files: of one, as text or as a path, or of several."""
    names: Any = [value] if isinstance(value, str | bytes) or hasattr(value, "__fspath__") else _listed(value)
    try:
        return [os.fsdecode(name) for name in names]
    except TypeError:
        raise _wrong("config_filenames", value, "the name of a file, or a list of such names") from None


def _listed(value: object) -> list[Any] | None:
    """The items of a collection of any kind; None for text and for other values."""
    if isinstance(value, str | bytes | bytearray) or not hasattr(value, "__iter__"):
        return None
    try:
        return list(value)
    except TypeError:
        return None  # numpy's arrays without dimensions


def min_ratio(name: str, value: object) -> float:
    """A ratio of sides, 0.0 or more; the server takes values above 1 as their reciprocal."""
    ratio = _number(value)
    if 0.0 <= ratio < _INFINITY:
        return ratio
    raise _wrong(name, value, "a number from 0.0 (any shape) to 1.0 (square)")


def count_or_none(name: str, value: object) -> int | None:
    """A number of things, 0 or more, or None."""
    if value is None:
        return None
    return whole_number(name, value, 0, None, "a whole number, 0 or more, or None for any number")


def flag(name: str, value: object) -> bool:
    """True or False, numpy's among them."""
    truth = plain_number(value)
    if isinstance(truth, bool):
        return truth
    raise _wrong(name, value, "True or False")

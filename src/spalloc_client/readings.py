"""Reads values from text: from configuration files, and from the words of a command line.

checks.py says which values are allowed. In files, what can't be read is returned unchanged, for the check to refuse in
its own words; in command lines, it raises ValueError.
"""

from __future__ import annotations

from spalloc_client import checks


def text(said: str) -> str:
    """Any text."""
    return said


def text_or_none(said: str) -> str | None:
    """Any text but `None`."""
    return None if said == "None" else said


def number_or_none(said: str) -> float | str | None:
    """A number, or `None`."""
    try:
        return None if said == "None" else float(said)
    except ValueError:
        return said


def whole_or_none(said: str) -> int | str | None:
    """A whole number, or `None`."""
    try:
        return None if said == "None" else int(said)
    except ValueError:
        return said


def keepalive_or_none(said: str) -> float | str | None:
    """As `--keepalive` has it: a negative number means that none is needed."""
    number = number_or_none(said)
    return None if isinstance(number, float) and number < 0.0 else number


def tags_or_none(said: str) -> list[str] | None:
    """Tags with commas between, or `None`."""
    tags = [tag.strip() for tag in said.split(",")]
    return None if said == "None" else [tag for tag in tags if tag] or None


def truth(said: str) -> bool | str:
    """A truth value."""
    if said.lower() in ("1", "yes", "true", "on"):
        return True
    if said.lower() in ("0", "no", "false", "off"):
        return False
    return said


def yes_or_no(word: str) -> bool:
    """Read a truth value as configuration files spell them."""
    value = truth(word)
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false, not {word!r}")


def server(word: str) -> str:
    """Check a server's name or address, which its port may follow, or a URL, of which the login is no longer shown."""
    name, _ = checks.server(word)
    return name if checks.is_url(name) else word


def port(word: str) -> int:
    """Read a TCP port."""
    return checks.port("port", word)


def seconds(word: str) -> float:
    """Read a number of seconds above 0; one below says that there is no limit."""
    try:
        number = float(word)
    except ValueError:
        number = 0.0
    # Neither infinity nor NaN, which is not equal to itself.
    if number != 0.0 and number - number == 0.0:
        return number
    raise ValueError(f"expected a number of seconds above 0, or -1 for no limit, not {word!r}")


def duration(word: str) -> float:
    """Read a duration as seconds; a number below 0 says that the server decides."""
    from spalloc_client import durations

    try:
        return durations.read(word)
    except ValueError:
        number = number_or_none(word)
        if isinstance(number, float) and number < 0.0:
            return number
        raise ValueError(
            f"expected {durations.ALLOWED}; or -1 for what the server says; not {word!r}"
        ) from None


def spelled_duration(seconds: float) -> str:
    """Write seconds as `duration` reads them."""
    from spalloc_client import durations

    return durations.written(seconds)


def delay(word: str) -> float:
    """Read a number of seconds; one below 0 means 0."""
    try:
        return max(0.0, float(word))
    except ValueError:
        raise ValueError(f"expected a number of seconds, not {word!r}") from None


def or_none(value: float | None) -> float | None:
    """Return `value`, or None for the negative values by which users say none."""
    return None if value is None or value < 0 else value

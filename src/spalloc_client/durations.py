"""Durations as people write and read them: of time limits, on command lines, in configuration files, in messages.

Programs give seconds. deadline.py words the short times that a program waits.
"""

from __future__ import annotations

import re

ALLOWED = (
    "a duration above 0, such as 30m, 2h, 1d, 90s or 1h30m, or as Slurm has it: 90 (minutes), 30:00 (minutes and "
    "seconds), 1:30:00, 2-0 (days and hours), 2-0:30 or 2-0:30:00"
)
"""What can be read, for messages: `limit is ...; it must be ALLOWED`."""

_UNITS = (("d", "day", 86400), ("h", "hour", 3600), ("m", "minute", 60), ("s", "second", 1))

_WITH_UNITS = "".join([rf"(?:(\d{{1,9}}(?:\.\d{{1,6}})?){letter} *)?" for letter, _, _ in _UNITS])
_WITH_DAYS = r"(\d{1,9})-(\d{1,9})(?::(\d{1,9}))?(?::(\d{1,9}))?"
_WITH_COLONS = r"(?:(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9})|(\d{1,9}))"


def read(text: str) -> float:
    """Read a duration; a number alone is minutes, as in Slurm.

    Returns:
        Seconds, above 0.

    Raises:
        ValueError: It is none, or 0.
    """
    seconds = _seconds(text.strip().lower())
    if seconds > 0:
        return float(seconds)
    raise ValueError(f"{text!r} can't be read; it must be {ALLOWED}")


def _seconds(text: str) -> float:
    """Seconds; 0 for what can't be read. Counts beyond 59 are added up, as Slurm adds them."""
    if found := re.fullmatch(_WITH_UNITS, text, re.ASCII):
        counts = [float(count or 0) for count in found.groups()]
    elif found := re.fullmatch(_WITH_DAYS, text, re.ASCII):
        counts = [int(count or 0) for count in found.groups()]
    elif found := re.fullmatch(_WITH_COLONS, text, re.ASCII):
        hours, minutes, seconds, alone = (int(count or 0) for count in found.groups())
        counts = [0, hours, minutes + alone, seconds]
    else:
        return 0.0
    return sum([count * unit for count, (_, _, unit) in zip(counts, _UNITS, strict=True)])


def written(seconds: float) -> str:
    """Write a duration as `read` takes it, in the shortest form with units: `1h30m`; `0s` for 0."""
    return "".join([f"{count}{letter}" for count, letter, _ in _parts(seconds)]) or "0s"


def in_words(seconds: float) -> str:
    """Say a duration in a sentence: `1 hour 30 minutes`; `0 seconds` for 0."""
    words = [f"{count} {word}{'' if count == '1' else 's'}" for count, _, word in _parts(seconds)]
    return " ".join(words) or "0 seconds"


def _parts(seconds: float) -> list[tuple[str, str, str]]:
    """The counts that are not 0, largest unit first, with each unit's letter and word.

    From 10 seconds, whole seconds: what is said of the time that is left should not show how long the saying took.
    """
    left = max(0.0, round(seconds, 0 if seconds >= 10 else 1))
    parts = []
    for letter, word, unit in _UNITS:
        count, left = divmod(left, unit) if unit > 1 else (left, 0.0)
        if count:
            parts.append((f"{count:.1f}".removesuffix(".0"), letter, word))
    return parts

"""How values are written in the API's documents and addresses: durations, times, booleans, numbers, directions.

Which documents there are is in documents.py.
"""

import re
from datetime import UTC, datetime
from math import isfinite

from spalloc_server.fronts.http.api.answers import HttpError
from spinnaker.geometry import Link

DIRECTIONS = {
    Link.EAST: "SE",
    Link.NORTH_EAST: "E",
    Link.NORTH: "N",
    Link.WEST: "NW",
    Link.SOUTH_WEST: "W",
    Link.SOUTH: "S",
}
"""What the API calls the links of a board: by where the neighbour is if triads are drawn as squares."""

LONGEST_NUMBER = 18
"""How many digits a number in an address may have."""

_DURATION = re.compile(
    r"P(?=.)(?:(\d{1,9})D)?(?:T(?=.)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0)


def seconds(name: str, duration: float | str) -> float:
    """Read a duration: ISO 8601 in days, hours, minutes and seconds, or a number of seconds.

    Raises:
        HttpError: It is neither.
    """
    if not isinstance(duration, str):
        if isfinite(duration):
            return float(duration)
    elif found := _DURATION.fullmatch(duration):
        return sum([float(count or 0) * unit for count, unit in zip(found.groups(), _UNITS, strict=True)])
    raise HttpError(
        400, f"{name} is {str(duration)[:40]!r}; it must be a duration such as PT60S or PT1H30M, or seconds"
    )


def written_time(moment: float) -> str:
    """Write a moment of Unix time in whole seconds, as in `2026-11-29T23:50:50Z`."""
    return datetime.fromtimestamp(int(moment), UTC).isoformat()[:19] + "Z"


def written_time_or_none(moment: float | None) -> str | None:
    """Write a moment of Unix time, or None."""
    return None if moment is None else written_time(moment)


def read_time(name: str, word: str) -> float:
    """Read a moment, in seconds of Unix time; one without an offset is in UTC.

    Raises:
        HttpError: It is none, or before 1970.
    """
    try:
        # A plus sign of an offset that was not escaped is a space in an address.
        found = datetime.fromisoformat(
            word.strip().upper().replace(" ", "+") if "T" in word.upper() else word
        )
        moment = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        moment = -1.0
    if moment < 0:
        raise HttpError(
            400, f"{name} is {word[:40]!r}; it must be a time from 1970 on, such as 2026-12-01T09:30:00Z"
        )
    return moment


def read_boolean(name: str, word: str) -> bool:
    """Read `true` or `false`, in any case.

    Raises:
        HttpError: It is neither.
    """
    match word.lower():
        case "true":
            return True
        case "false":
            return False
    raise HttpError(400, f"{name} is {word[:40]!r}; it must be true or false")


def read_whole_number(name: str, word: str) -> int:
    """Read a whole number in decimal digits, which may be negative.

    Raises:
        HttpError: It is none.
    """
    digits = word.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST_NUMBER:
        return int(word)
    raise HttpError(400, f"{name} is {word[:40]!r}; it must be a whole number in decimal digits")

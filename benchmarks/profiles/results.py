"""Where the time of a path goes, as its file holds it."""

import pstats
import re
from pathlib import Path, PurePath

import msgspec

ROWS = 14
ADDRESS = re.compile(r" (object )?at 0x[0-9a-f]+")
ROOTS = ("site-packages", "src", "lib")
"""Folders that the shown part of a file's path begins behind; the first that is found counts."""


class Function(msgspec.Struct, frozen=True):
    """One function's part of a path."""

    name: str
    calls: float
    """Calls for each operation."""
    own: float
    """Its share of all time, without what it called."""
    whole: float
    """Its share with what it called."""


class Profile(msgspec.Struct, frozen=True):
    """Where the time of a path goes."""

    measurement: str
    operations: int
    seconds: float
    """Under the profiler, which makes calls of Python functions slower than they are."""
    functions: tuple[Function, ...]
    """Those with the largest shares of their own, largest first."""


class Profiles(msgspec.Struct, frozen=True):
    """Profiles of a run."""

    taken: str
    profiles: tuple[Profile, ...]


def summed_up(measurement: str, operations: int, stats: pstats.Stats) -> Profile:
    """Sum up what a profiler has counted while a number of operations were done."""
    entries = stats.stats  # type: ignore[attr-defined]
    seconds = sum(own for _, _, own, _, _ in entries.values())
    functions = [
        Function(
            named(*key), round(calls / operations, 2), round(own / seconds, 4), round(whole / seconds, 4)
        )
        for key, (_, calls, own, whole, _) in entries.items()
    ]
    functions.sort(key=lambda each: each.own, reverse=True)
    return Profile(measurement, operations, round(seconds, 4), tuple(functions[:ROWS]))


def named(file: str, line: int, function: str) -> str:
    """Return a function's name without any folder of this machine."""
    if file == "~":
        return ADDRESS.sub("", function.strip("<>"))
    parts = PurePath(file).parts
    for root in ROOTS:
        if root in parts:
            parts = parts[len(parts) - parts[::-1].index(root) :]
            break
    else:
        parts = parts[-1:]
    return f"{'/'.join(parts)}:{line} {function}"


def read(path: Path) -> Profiles:
    """Read profiles.

    Raises:
        FileNotFoundError: There is no such file.
        msgspec.ValidationError: It holds something else.
    """
    return msgspec.json.decode(path.read_bytes(), type=Profiles)


def write(path: Path, profiles: Profiles) -> None:
    """Write profiles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(profiles), indent=1) + b"\n")

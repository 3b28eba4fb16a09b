"""Reading traces of jobs.

See simulation.py for what happens to the jobs.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from spalloc_server.config.files import FileError, read_text

COLUMNS = ("submit", "duration", "boards")
LARGEST_TRACE_BYTES = 1_000_000_000


class TraceError(ValueError):
    """A trace cannot be read; the message names the file, the line, what is wrong and what is allowed."""


class TraceJob(NamedTuple):
    """One job of a trace."""

    submit: float
    """When it is submitted, in seconds from any start."""
    duration: float
    """How long it holds its boards once it has them, in seconds; a scheduler must not know it."""
    boards: int
    """How many boards it asks for, 1 or more."""


def read_trace(path: Path) -> list[TraceJob]:
    """Return the jobs of a CSV file with the columns submit, duration and boards, in order of submission.

    Raises:
        TraceError: the file is missing, not text, or has a line that is not such a job.
    """
    try:
        return parse_trace(read_text(path, LARGEST_TRACE_BYTES).text.splitlines(), str(path))
    except FileError as error:
        raise TraceError(f"{path}: {error}.") from error


def parse_trace(lines: Iterable[str], name: str) -> list[TraceJob]:
    """Return the jobs of a trace's lines, in order of submission.

    Args:
        lines: the lines of a CSV file with a header.
        name: what to call the trace in messages.

    Raises:
        TraceError: a line is not a job.
    """
    rows = csv.DictReader(lines)
    missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
    if missing:
        raise TraceError(
            f"{name}: the first line does not name the column {missing[0]}; it must be {','.join(COLUMNS)}."
        )
    try:
        jobs = [_job(row, f"{name}, line {rows.line_num}") for row in rows]
    except csv.Error as error:
        raise TraceError(f"{name}, line {rows.line_num}: {error}.") from error
    if not jobs:
        raise TraceError(f"{name}: it has no jobs.")
    return sorted(jobs, key=lambda job: job.submit)


def _job(row: dict[str, str], where: str) -> TraceJob:
    boards = _number(row, "boards", where)
    if boards != int(boards) or boards < 1:
        raise TraceError(f"{where}: boards is {row['boards']!r}; it must be a whole number from 1 up.")
    return TraceJob(_number(row, "submit", where), _number(row, "duration", where), int(boards))


def _number(row: dict[str, str], column: str, where: str) -> float:
    try:
        number = float(row[column])
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise TraceError(f"{where}: {column} is {row[column]!r}; it must be a number from 0 up.")
    return number

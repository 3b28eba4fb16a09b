"""Traces of jobs, and reading them as CSV.

See swf.py for logs in the Standard Workload Format, and simulation.py for what happens to the jobs.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from spalloc_server.config.files import FileError, read_text
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest, shape_of

COLUMNS = ("submit", "duration", "boards")
LARGEST_TRACE_BYTES = 1_000_000_000


class TraceError(ValueError):
    """A trace cannot be used; the message names the file, the line, what is wrong and what is allowed."""


class TraceJob(NamedTuple):
    """One job of a trace."""

    submit: float
    """When it is submitted, in seconds from any start."""
    duration: float
    """How long it holds its boards once it has them, in seconds; a scheduler must not know it."""
    boards: int
    """How many boards it asks for, 1 or more."""
    owner: str = ""
    """Whose job it is; empty if that is not known."""
    limit: float | None = None
    """The seconds after which it must have ended, which the scheduler knows; None without a limit."""
    host: str = ""
    """The host that it is created from, under any name; empty if that is not known."""
    request: JobRequest | None = None
    """What it asks for, if that is more than a number of boards."""

    @property
    def length(self) -> float:
        """How long it holds its boards, in seconds, if it ends at its limit at the latest."""
        return self.duration if self.limit is None else min(self.duration, self.limit)


def request_of(job: TraceJob) -> JobRequest:
    """Return what a job asks for."""
    return job.request or JobRequest(AnyBoard() if job.boards == 1 else Boards(job.boards))


@dataclass(frozen=True, slots=True)
class Trace:
    """The jobs of a file."""

    name: str
    jobs: tuple[TraceJob, ...]
    """In order of submission, one or more."""
    processors: int | None = None
    """If the jobs ask for processors of another machine: how many it has. None if they ask for boards."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many jobs of the file are not among `jobs`, for each reason."""

    def on(self, boards: int) -> Sequence[TraceJob]:
        """Return the jobs as they ask for boards of a machine.

        A job that asked for a share of another machine asks for the same share, rounded up.

        Args:
            boards: how many boards the machine has that are not dead.
        """
        if self.processors is None:
            return self.jobs
        boards = max(boards, 1)
        return [
            _asking_for(min(boards, -(-job.boards * boards // self.processors)), job) for job in self.jobs
        ]


def _asking_for(boards: int, job: TraceJob) -> TraceJob:
    request = job.request
    if request is not None and isinstance(request.shape, AnyBoard | Boards):
        request = replace(request, shape=shape_of([boards]))
    return job._replace(boards=boards, request=request)


def read_trace(path: Path) -> list[TraceJob]:
    """Return the jobs of a CSV file, in order of submission.

    It has the columns submit, duration and boards; the columns owner and limit may be there, and may be empty.

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
            f"{name}: the first line does not name the column {missing[0]}; it must be {','.join(COLUMNS)}, and may "
            "go on with owner and limit."
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
    limit = _number(row, "limit", where) if row.get("limit") else None
    if limit == 0.0:
        raise TraceError(f"{where}: limit is {row['limit']!r}; it must be a number above 0, or empty.")
    return TraceJob(
        _number(row, "submit", where),
        _number(row, "duration", where),
        int(boards),
        row.get("owner") or "",
        limit,
    )


def _number(row: dict[str, str], column: str, where: str) -> float:
    try:
        number = float(row[column])
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        raise TraceError(f"{where}: {column} is {row[column]!r}; it must be a number from 0 up.")
    return number

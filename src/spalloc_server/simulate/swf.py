"""Reading logs of jobs in the Standard Workload Format, as the Parallel Workloads Archive has them.

Each line is a job of 18 numbers, -1 where something is not known; a line that begins with `;` is a comment, and many
comments are `; Name: value`. The format: https://www.cs.huji.ac.il/labs/parallel/workload/swf.html. Logs that
`spalloc-server export` wrote say more in such comments (`export.py`); what is said in none is not guessed.
"""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf, isfinite
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote

from spalloc_server.core.requests import JobRequest, RequestError, requested
from spalloc_server.simulate.trace import LARGEST_TRACE_BYTES, Trace, TraceError, TraceJob
from spalloc_server.words import counted

FIELDS = 18
BOARDS_ARE_PROCESSORS = "ProcessorsPerBoard"
"""The comment that says how many of the log's processors are a board."""
_LONGEST_LINE_BYTES = 100_000
_MOST_JOBS = 10_000_000
_LONGEST_WORD = 40
_GZIP = b"\x1f\x8b"
_COMMENT = re.compile(r";\s*(?P<name>\w+)\s*:\s*(?P<value>.*)")
_ENTRY = re.compile(r"(?P<number>-?\d{1,9})\s+(?P<text>.*)")
_PARTS = frozenset({2, 3, 4})
"""The statuses of lines for parts of a job that has a line of its own."""
_CANCELLED = 5
_NUMBER = re.compile(r"-?\d{1,18}")
UNKNOWN = -1
"""What a field says that is not known."""


class At(IntEnum):
    """The positions of the fields that are read."""

    SUBMIT = 1
    RUN_TIME = 3
    ALLOCATED = 4
    REQUESTED = 7
    LIMIT = 8
    STATUS = 10
    USER = 11
    GROUP = 12
    QUEUE = 14


def read_swf(path: Path, processors_per_board: int | None = None) -> Trace:
    """Return the jobs of a log, compressed with gzip or not.

    Args:
        path: the log.
        processors_per_board: how many processors are a board; None if the log's header says it, or if the whole of
            the log's machine is to be the whole of the simulated one.

    Raises:
        TraceError: the file can't be read, or has a line that is neither a job nor a comment.
    """
    try:
        with path.open("rb") as file:
            is_compressed = file.read(2) == _GZIP
            file.seek(0)
            if not is_compressed:
                return parse_swf(_lines(file, str(path)), str(path), processors_per_board)
            with gzip.open(file) as plain:
                return parse_swf(_lines(plain, str(path)), str(path), processors_per_board)
    except (OSError, EOFError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TraceError(f"{path}: the file can't be read: {why}.") from error


def _lines(file: "IO[bytes] | gzip.GzipFile", name: str) -> Iterator[str]:
    size = number = 0
    while line := file.readline(_LONGEST_LINE_BYTES + 1):
        number += 1
        size += len(line)
        if len(line) > _LONGEST_LINE_BYTES:
            raise TraceError(f"{name}, line {number}: it is longer than {_LONGEST_LINE_BYTES} bytes.")
        if size > LARGEST_TRACE_BYTES:
            raise TraceError(f"{name}: it has more than {LARGEST_TRACE_BYTES} bytes.")
        # Names in comments are in any encoding.
        yield line.decode(errors="replace")


class _Names(NamedTuple):
    """Fields of a job that the comments say more about."""

    user: str
    group: int
    queue: int


@dataclass(slots=True)
class _Header:
    """What the comments say."""

    values: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[int, object]] = field(
        default_factory=lambda: {"User": {}, "Group": {}, "Queue": {}}
    )

    def note(self, line: str) -> None:
        found = _COMMENT.match(line)
        if found is None:
            return
        name, value = found["name"], found["value"].strip()
        if name not in self.tables:
            self.values.setdefault(name, value)
        elif entry := _ENTRY.match(value):
            try:
                self.tables[name][int(entry["number"])] = json.loads(entry["text"])
            except (ValueError, RecursionError):
                return  # a description in words, as other systems write

    def whole(self, name: str) -> int | None:
        """Return the number that a comment begins with; None without one, or if it is not above 0."""
        digits = re.match(r"\d{1,9}", self.values.get(name, ""))
        return (int(digits[0]) or None) if digits else None


def parse_swf(lines: Iterable[str], name: str, processors_per_board: int | None = None) -> Trace:
    """Return the jobs of a log's lines.

    Jobs that never ran, and those whose time, length or number of processors is not known, are counted and left out.

    Args:
        lines: the log's lines.
        name: what to call the log in messages.
        processors_per_board: as for `read_swf`.

    Raises:
        TraceError: a line is neither a job nor a comment, there is no job that ran, or it is not known how many
            processors are a board.
    """
    header = _Header()
    left_out: Counter[str] = Counter()
    jobs: list[TraceJob] = []
    named: list[_Names] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith(";"):
            header.note(text)
        elif text:
            words = text.split()
            fields = _fields(words, f"{name}, line {number}")
            job = _job(fields)
            if isinstance(job, str):
                left_out[job] += 1
                continue
            if len(jobs) == _MOST_JOBS:
                raise TraceError(f"{name}, line {number}: there are more than {_MOST_JOBS} jobs.")
            jobs.append(job)
            named.append(_Names(words[At.USER], int(fields[At.GROUP]), int(fields[At.QUEUE])))
    if not jobs:
        told = "".join(f"; {count} {reason}" for reason, count in left_out.items())
        raise TraceError(f"{name}: it has no job that ran{told}.")
    per_board = processors_per_board or header.whole(BOARDS_ARE_PROCESSORS)
    processors = None if per_board else header.whole("MaxProcs") or header.whole("MaxNodes")
    if per_board is None and processors is None:
        raise TraceError(
            f"{name}: its comments name neither MaxProcs nor MaxNodes, so it is not known which part of the machine "
            "a job asks for; say how many processors are a board with --processors-per-board N."
        )
    if processors is not None:
        processors = max(processors, *(job.boards for job in jobs))
    whole = _with_names(jobs, named, header, per_board or 1, name)
    return Trace(
        name, tuple(sorted(whole, key=lambda job: job.submit)), processors, dict(sorted(left_out.items()))
    )


def _fields(words: list[str], where: str) -> list[float]:
    """Return the fields of a line as numbers."""
    if len(words) != FIELDS:
        raise TraceError(
            f"{where}: it has {counted(len(words), 'field')}; a job has {FIELDS}, separated by blanks, and a comment "
            "begins with a semicolon."
        )
    try:
        fields = list(map(float, words))
    except ValueError:
        fields = []
    if fields and isfinite(sum(fields)):
        return fields
    # One of them is not what most are: the user's name, or a mistake.
    fields = []
    for at, word in enumerate(words):
        try:
            # The user's may be a name.
            number = UNKNOWN if at == At.USER else float(word)
        except ValueError:
            number = inf
        if not isfinite(number):
            raise TraceError(
                f"{where}: field {at + 1} is {word[:_LONGEST_WORD]!r}; it must be a number, {UNKNOWN} if it is not "
                "known."
            )
        fields.append(number)
    return fields


def _job(fields: list[float]) -> TraceJob | str:
    """Return the job of a line, with processors for boards; or why it is left out."""
    submit, length, limit, status = (fields[at] for at in (At.SUBMIT, At.RUN_TIME, At.LIMIT, At.STATUS))
    processors = fields[At.REQUESTED] if fields[At.REQUESTED] >= 1 else fields[At.ALLOCATED]
    if status in _PARTS:
        return "came as part of a job that has a line of its own"
    if status == _CANCELLED and length <= 0:
        return "never ran"
    if length < 0:
        return "came without a known length"
    if processors < 1:
        return "came without a known number of processors"
    if submit < 0:
        return "came without a known time of submission"
    return TraceJob(
        submit,
        length,
        int(processors),
        limit=limit if limit > 0 else None,
    )


def _with_names(
    jobs: list[TraceJob], named: list[_Names], header: _Header, per_board: int, name: str
) -> Iterator[TraceJob]:
    """Yield the jobs with boards for processors, with their owners, and with what they asked for.

    Args:
        jobs: the jobs.
        named: who and what stands behind each.
        header: what the comments say of them.
        per_board: how many processors are a board.
        name: what to call the log in messages.
    """
    users, hosts, queues = (header.tables[title] for title in ("User", "Group", "Queue"))
    requests: dict[tuple[int, int], JobRequest] = {}
    for job, (user, group, queue) in zip(jobs, named, strict=True):
        boards = -(-job.boards // per_board)
        asked = queues.get(queue)
        if isinstance(asked, dict) and (queue, boards) not in requests:
            requests[queue, boards] = _request(asked, boards, f"{name}, the comment Queue: {queue}")
        host = hosts.get(group)
        yield job._replace(
            boards=boards,
            owner=_owner(user, users),
            # In other systems' logs, groups are no hosts.
            host=host if isinstance(host, str) else "",
            request=requests.get((queue, boards)),
        )


def _owner(word: str, users: Mapping[int, object]) -> str:
    """Return the owner that a user's field says: a number or, as some logs have it, a name."""
    if not _NUMBER.fullmatch(word):
        return unquote(word)
    known = users.get(int(word))
    return known if isinstance(known, str) else word if int(word) >= 0 else ""


def _request(asked: dict[str, object], boards: int, where: str) -> JobRequest:
    words = dict(asked)
    args = words.pop("args", [boards])
    try:
        return requested(args, **words)  # type: ignore[arg-type]
    except (RequestError, TypeError) as error:
        raise TraceError(f"{where}: it is no request for boards: {error}.") from error

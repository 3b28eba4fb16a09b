"""A site's history as a log in the Standard Workload Format, which swf.py reads.

Values only: the records come from the store, and the command writes the log.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from math import ceil
from typing import NamedTuple
from urllib.parse import quote

from spalloc_client._version import __version__
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.machine import DEFAULT_TAG
from spalloc_server.core.requests import BoardAt, Boards, JobRequest, Rectangle, RectangleAt, args_of
from spalloc_server.simulate.swf import BOARDS_ARE_PROCESSORS, UNKNOWN
from spalloc_server.words import counted
from spinnaker.geometry import BOARDS_PER_TRIAD

_PLAIN = JobRequest(Boards(2))
_LONGEST_ENTRY = 50_000
"""How long the description of a request may be, in characters; a longer one is left out."""
_NUMBER = re.compile(r"-?\d+")


class Owners(Enum):
    """How a log tells whose jobs they were."""

    TABLE = "table"
    """By numbers, with a table in the comments."""
    NAMES = "names"
    """By names in the jobs' lines, which not all programs can read."""
    NUMBERS = "numbers"
    """By numbers only."""


class Status(Enum):
    """What became of a job."""

    FAILED = 0
    COMPLETED = 1
    CANCELLED = 5
    UNKNOWN = UNKNOWN


class _Line(NamedTuple):
    """A job as the fields of its line, without its number."""

    submit: float
    wait: int
    run_time: int
    allocated: int
    requested: int
    limit: int
    status: Status
    owner: int | str
    host: int
    queue: int
    machine: int


class Log:
    """The jobs of a site, gathered one by one."""

    def __init__(self, now: float, owners: Owners = Owners.TABLE) -> None:
        """Begin with none.

        Args:
            now: The moment of the export, in seconds of Unix time.
            owners: How to tell whose jobs they were.
        """
        self._now = now
        self._owners = owners
        self._jobs: list[_Line] = []
        self._users: dict[str, int] = {}
        self._hosts: dict[str, int] = {}
        self._machines: dict[str, int] = {}
        self._queues: dict[str, int] = {_asked(_PLAIN): 1}
        self.unreadable = 0
        """How many jobs are missing, because their records can't be read."""

    def __len__(self) -> int:
        """Return how many jobs there are."""
        return len(self._jobs)

    def add(self, job: JobRecord) -> None:
        """Add a job."""
        request = job.request
        length = UNKNOWN
        until = job.allocated
        if job.allocated is not None:
            length = _seconds((self._now if job.ended is None else job.ended) - job.allocated)
        elif job.allocation is None:
            until = self._now if job.ended is None else job.ended
        had = len(job.allocation.boards) if job.allocation is not None else UNKNOWN
        self._jobs.append(
            _Line(
                job.created,
                UNKNOWN if until is None else _seconds(until - job.created),
                length,
                had,
                _boards(request),
                UNKNOWN if job.time_limit is None else ceil(job.time_limit),
                _status(job),
                self._owner(job.owner),
                _number(self._hosts, job.owner_host),
                _number(self._queues, _asked(request)),
                _number(self._machines, "" if job.allocation is None else job.allocation.machine),
            )
        )

    def _owner(self, name: str) -> int | str:
        if self._owners is not Owners.NAMES or not name:
            return _number(self._users, name)
        word = quote(name, safe="", errors="replace")
        # A name that looks like a number would be taken for one.
        return f"%{ord(word[0]):02x}{word[1:]}" if _NUMBER.fullmatch(word) else word

    def lines(self, boards: int | None = None) -> Iterator[str]:
        """Yield the lines of the log: the header, and the jobs in the order in which they came.

        Args:
            boards: How many boards the site's machines have, if that is known.
        """
        jobs = sorted(self._jobs, key=lambda job: job.submit)
        origin = int(jobs[0].submit) if jobs else int(self._now)
        yield from (f"; {line}" for line in self._header(origin, boards))
        for number, job in enumerate(jobs, 1):
            fields = (
                number,
                int(job.submit) - origin,
                job.wait,
                job.run_time,
                job.allocated,
                UNKNOWN,
                UNKNOWN,
                job.requested,
                job.limit,
                UNKNOWN,
                job.status.value,
                job.owner,
                job.host,
                UNKNOWN,
                job.queue,
                job.machine,
                UNKNOWN,
                UNKNOWN,
            )
            yield " ".join(map(str, fields))

    def _header(self, origin: int, boards: int | None) -> Iterator[str]:
        yield "Version: 2.2"
        yield "Computer: SpiNNaker"
        yield f"Conversion: spalloc-server export {__version__}"
        yield f"MaxJobs: {len(self._jobs)}"
        yield f"MaxRecords: {len(self._jobs)}"
        yield "Preemption: No"
        yield f"UnixStartTime: {origin}"
        yield "TimeZoneString: UTC"
        yield f"StartTime: {_date(origin)}"
        yield f"EndTime: {_date(self._now)}"
        if boards is not None:
            yield f"MaxNodes: {boards}"
            yield f"MaxProcs: {boards}"
        yield f"{BOARDS_ARE_PROCESSORS}: 1"
        yield from _NOTES.splitlines()
        if self.unreadable:
            yield f"Note: the records of {counted(self.unreadable, 'more job')} can't be read."
        if self._owners is Owners.TABLE:
            yield from _table("User", self._users)
        hosts = self._hosts
        if self._owners is Owners.NUMBERS:
            hosts = {f"host {number}": number for number in hosts.values()}
        yield from _table("Group", hosts)
        yield from _table("Partition", self._machines)
        for asked, number in self._queues.items():
            if len(asked) <= _LONGEST_ENTRY:
                yield f"Queue: {number} {asked}"


_NOTES = """\
Note: processors (5, 8) are boards: those that the job got, and those that it asked for.
Note: submit time (2) is when the job was created.
Note: wait time (3) is until its latest boards were allocated, or until it ended without any.
Note: run time (4) is how long it had those boards; of a job that has not ended, so far.
Note: requested time (9) is the job's time limit, in whole seconds, rounded up.
Note: status (11) is 1 for a job that a client ended, 0 for one that the server ended.
Note: status (11) is 5 for a job that ended without boards, -1 for one that has not ended.
Note: user (12) is the owner, group (13) the host that the job was created from.
Note: queue (15) is what the job asked for besides a number of boards, in words of create_job.
Note: partition (16) is the machine of its boards.
Note: of a job that an older server recorded, wait time and run time are unknown.
"""


def _number(numbers: dict[str, int], name: str) -> int:
    """Return the number of a name, a new one if it is new."""
    return numbers.setdefault(name, len(numbers) + 1) if name else UNKNOWN


def _table(title: str, numbers: dict[str, int]) -> Iterator[str]:
    return (f"{title}: {number} {json.dumps(name)}" for name, number in numbers.items())


def _seconds(span: float) -> int:
    # Clocks may be set back.
    return max(0, round(span))


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")


def _boards(request: JobRequest) -> int:
    match request.shape:
        case Boards(count):
            return count
        case Rectangle(size) | RectangleAt(_, size):
            return BOARDS_PER_TRIAD * size.width * size.height
    return 1


def _status(job: JobRecord) -> Status:
    if job.ended is None:
        return Status.UNKNOWN
    if job.allocation is None:
        return Status.CANCELLED
    return Status.FAILED if job.ended_by is None else Status.COMPLETED


def _asked(request: JobRequest) -> str:
    """Return what a request says besides the number of boards, as JSON."""
    words: dict[str, object] = {}
    if isinstance(request.shape, Rectangle | RectangleAt | BoardAt):
        words["args"] = list(args_of(request.shape))
    if request.machine is not None:
        words["machine"] = request.machine
    elif request.tags != {DEFAULT_TAG}:
        words["tags"] = sorted(request.tags)
    for name in ("min_ratio", "max_dead_boards", "max_dead_links", "require_torus"):
        value = getattr(request, name)
        if value != getattr(_PLAIN, name):
            words[name] = value
    return json.dumps(words)

"""The listings of jobs, their refresh in the background, and the kinds of replies.

A listing is joined from parts, one for each job, that are kept as bytes until the job changes. This module defines
what a listing says about a job. Which jobs there are is decided in core/.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice
from operator import attrgetter, is_not
from typing import Any, TypeAlias

import msgspec

from spalloc_client.states import JobState
from spalloc_client.wire import Json
from spalloc_server.core.jobs import Job, JobRecord
from spalloc_server.core.questions import SiteView
from spalloc_server.fronts.v1.codec import json_text, return_line
from spinnaker.geometry import Board

PIECE_BYTES = 64 * 1024
"""How much of a long reply is sent at once."""
JOBS_A_PIECE = 128
"""How many jobs of a listing are sent at once; a job takes 200 to 500 bytes."""
BYTES_OF_A_JOB = 300
"""What a job takes in a listing, on average."""
_POINTER_BYTES = 8


class EncodedReply(msgspec.Struct, frozen=True):
    """A reply that is encoded already."""

    reply: bytes
    """The whole line, with its newline."""


class LongReply:
    """A reply that is built piece by piece, as fast as its client reads it."""

    __slots__ = ("jobs", "pieces", "weight")

    def __init__(self, pieces: Iterator[bytes | memoryview], weight: Callable[[], int], jobs: int) -> None:
        """Describe a reply.

        Args:
            pieces: Its bytes.
            weight: Returns how many bytes are kept for this reply alone.
            jobs: About how many jobs it lists.
        """
        self.pieces = pieces
        self.weight = weight
        self.jobs = jobs


def in_pieces(reply: bytes) -> LongReply:
    """Return an encoded reply as one that is sent in pieces."""
    whole = memoryview(reply)
    pieces = (whole[start : start + PIECE_BYTES] for start in range(0, len(reply), PIECE_BYTES))
    return LongReply(pieces, lambda: len(reply), len(reply) // BYTES_OF_A_JOB)


class LaterReply(msgspec.Struct, frozen=True):
    """A reply that is read from the history; the client's next requests wait for it."""

    reply: Callable[[], Awaitable[EncodedReply]]
    """Called once; its awaitable raises `CommandError` if the command can't be done."""


Reply: TypeAlias = "Json | EncodedReply | LongReply | LaterReply"
"""The result of a command."""


class Listing:
    """Writes listings of jobs; a job that has not changed since the last listing costs almost nothing."""

    def __init__(self) -> None:
        """Begin with nothing written."""
        # Two mappings, whose values the garbage collector need not visit: one mapping of pairs would make it go through
        # all jobs in the middle of a first listing.
        self._of: dict[int, JobRecord] = {}
        self._parts: dict[int, bytes] = {}
        self._written = 0
        """How many bytes were written since the start."""
        self._latest: tuple[tuple[int, int], Sequence[bytes]] = ((0, 0), ())
        """The parts of the latest long listing, behind the bytes written and the number of jobs at that time: while
        these two are the same, the listing is up to date."""

    def of(self, jobs: Mapping[int, Job]) -> EncodedReply | LongReply:
        """Return the listing of `jobs`, in their order, as they are now."""
        # In C: for ten thousand jobs, a loop in Python would take too long.
        changed = map(is_not, map(self._of.get, jobs), map(_record, jobs.values()))
        self.write(list(compress(jobs.values(), changed)))
        if len(jobs) <= JOBS_A_PIECE:
            return EncodedReply(_listing(list(map(self._parts.__getitem__, jobs))))
        # A new or changed job changes the first number, and one that is gone the second.
        state = self._written, len(jobs)
        if self._latest[0] != state:
            self._latest = state, tuple(map(self._parts.__getitem__, jobs))
        return self._long(self._latest[1])

    def _long(self, parts: Sequence[bytes]) -> LongReply:
        # All listings share the jobs' parts. The weight counts what this reply alone keeps in memory: a pointer to each
        # part, and the parts that were replaced since it began, at most as many bytes as were written since then.
        before = self._written
        return LongReply(
            _pieces(parts), lambda: len(parts) * _POINTER_BYTES + self._written - before, len(parts)
        )

    def drop(self, jobs: Iterable[int]) -> None:
        """Drop jobs that are no longer listed."""
        self._latest = (0, 0), ()
        for number in jobs:
            self._of.pop(number, None)
            self._parts.pop(number, None)

    def write(self, jobs: Iterable[Job]) -> None:
        """Write those of `jobs` that are new, or have changed since they were written."""
        of, parts = self._of, self._parts
        for job in jobs:
            record = job.record
            number = record.id
            if of.get(number) is not record:
                text = parts[number] = json_text(_entry(record))
                of[number] = record
                self._written += len(text)


def _pieces(parts: Sequence[bytes]) -> Iterator[bytes]:
    """Return the listing of many jobs, in pieces."""
    yield b'{"return":['
    yield b",".join(parts[:JOBS_A_PIECE])
    for start in range(JOBS_A_PIECE, len(parts), JOBS_A_PIECE):
        yield b",%b" % b",".join(parts[start : start + JOBS_A_PIECE])
    yield b"]}\n"


def ended_listing(records: Iterable[JobRecord]) -> bytes:
    """Return the reply that lists jobs that have ended, in their order."""
    return _listing([json_text(_ended_entry(record)) for record in records])


def _listing(entries: list[bytes]) -> bytes:
    if not entries:
        return return_line([])
    # The frame goes into the first and last entry, so that megabytes are copied only once.
    entries[0] = b'{"return":[' + entries[0]
    entries[-1] += b"]}\n"
    return b",".join(entries)


_record = attrgetter("record")


class _Entry(msgspec.Struct, frozen=True, gc=False):
    """A job in a listing, with its fields in order."""

    job_id: int
    owner: str
    start_time: float
    keepalive: float | None
    state: JobState
    power: bool | None
    args: tuple[int, ...]
    kwargs: Mapping[str, object]
    allocated_machine_name: str | None
    boards: list[Board] | None
    keepalivehost: str


class _LimitedEntry(_Entry, frozen=True, gc=False):
    """A live job with a time limit; others are listed as published servers list them."""

    time_limit: float | None
    allocated: float | None


class _EndedEntry(_LimitedEntry, frozen=True, gc=False):
    """An ended job in a listing."""

    reason: str | None
    ended: float | None


def _entry(record: JobRecord) -> _Entry:
    entry = _unlimited_entry(record)
    if record.time_limit is None:
        return entry
    return _LimitedEntry(**_parts(entry), time_limit=record.time_limit, allocated=record.allocated)


def _ended_entry(record: JobRecord) -> _EndedEntry:
    return _EndedEntry(
        **_parts(_unlimited_entry(record)),
        time_limit=record.time_limit,
        allocated=record.allocated,
        reason=record.reason,
        ended=record.ended,
    )


def _parts(entry: _Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _Entry.__struct_fields__}


def _unlimited_entry(record: JobRecord) -> _Entry:
    allocation = record.allocation
    return _Entry(
        record.id,
        record.owner,
        record.created,
        record.keepalive,
        record.state,
        record.power,
        record.asked.args,
        record.asked.kwargs,
        None if allocation is None else allocation.machine,
        None if allocation is None else sorted(allocation.boards),
        record.keepalive_host,
    )


PAUSE_SECONDS = 0.05
"""How long a job that changed may change again before it is written: most new jobs are powered soon after."""
JOBS_A_TURN = 100
"""How many jobs are written before commands get their turn."""


class ListingRefresher:
    """Writes jobs into a listing soon after they changed, so that the next client that asks for it need not wait.

    A listing is correct without this: it writes whatever is missing. Only jobs that have ended are dropped here.
    """

    def __init__(self, listing: Listing, site: SiteView) -> None:
        """Write jobs of `site` into `listing`."""
        self._listing = listing
        self._site = site
        self._unwritten: set[int] = set()
        self._next: asyncio.Handle | None = None

    def jobs_changed(self, jobs: Iterable[int]) -> None:
        """Note that the jobs with these IDs changed."""
        self._unwritten.update(jobs)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._write_some)

    def machines_changed(self, machines: set[str]) -> None:
        """Do nothing: the listing is about jobs."""

    def jobs_ending(self, jobs: set[int]) -> None:
        """Do nothing: what is listed of these jobs has not changed."""

    def stop(self) -> None:
        """Stop writing."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _write_some(self) -> None:
        some = list(islice(self._unwritten, JOBS_A_TURN))
        self._unwritten.difference_update(some)
        jobs = self._site.jobs
        self._listing.write([jobs[number] for number in some if number in jobs])
        self._listing.drop([number for number in some if number not in jobs])
        loop = asyncio.get_running_loop()
        self._next = loop.call_soon(self._write_some) if self._unwritten else None

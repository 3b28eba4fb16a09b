"""When waiting jobs may get boards: a range for each of the first of the queue.

A forecast runs copies of the scheduler ahead in simulated time, each with other lengths of the jobs, as alike jobs had
them, and with new jobs that come as others did lately. The starts in these runs give each job a range. How right
earlier ranges were widens or narrows it.

Nothing here changes the scheduler, and nothing is random: the same events give the same ranges.
"""

import itertools
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import ceil, inf
from typing import NamedTuple

from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.request_groups import chunks, wanted
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.scheduler import Scheduler
from spinnaker.geometry import Board

FIRST = 100
"""For how many jobs a range is told, the first of the queue."""
RUNS = 12
"""How many runs ahead a forecast is made of."""
MOST_EVENTS = 600
"""How many events a run ahead has at most; a job that has not started by then gets no range."""
ARRIVALS = 300
"""How many of the latest jobs are taken as an example of those that will come."""
_FEW_ARRIVALS = 5
RIGHT = 0.86
"""Which share of the ranges is to be right: more than is promised, since the past is an example only."""
_WITHIN = 0.65
"""Before correction, jobs start by the end of the range in this share of the runs."""
_SCORED = 300
"""From how many of the latest ranges is learned how right they are."""
_FEW_SCORES = 10
"""With fewer, nothing is corrected."""
_BLUR = 60.0
"""Seconds by which every wait counts as longer when waits are compared: nobody minds them."""
_STEPS_OF_AN_EVENT = 2
_STEPS_OF_JOBS = 8
"""How many steps it takes to say of a chunk of jobs when they end."""
_SLICE_STEPS = 25
_NEW_JOB = 1 << 40
"""The ID of the first job that comes in a run ahead; no real job has as large a one."""
_GOLDEN = 0.6180339887498949


class Arrival(NamedTuple):
    """A job that came."""

    after: float
    """How many seconds after the one before."""
    request: JobRequest
    owner: str
    limit: float | None
    moved_back: float = 0.0


class Asker(NamedTuple):
    """What says how long a job may take."""

    owner: str
    boards: int
    """How many it asks for."""
    limit: float | None


class Range(NamedTuple):
    """Between which moments of the core's time a job is expected to start."""

    earliest: float
    latest: float


class _Told(NamedTuple):
    """The first range that was found for a job, before correction."""

    at: float
    earliest: float
    latest: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """When jobs are expected to start, as it seemed at some moment."""

    at: float
    """In seconds of the core's time."""
    ranges: Mapping[int, Range] = field(default_factory=dict)
    """By the jobs' IDs."""


class Forecaster:
    """Makes forecasts, and learns from how right they were."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._arrivals: deque[Arrival] = deque(maxlen=ARRIVALS)
        self._last_arrival: float | None = None
        self._told: dict[int, _Told] = {}
        self._scores: deque[float] = deque(maxlen=_SCORED)
        """By which factor each of the latest ranges would have had to end later, or by its square to begin sooner."""

    # What happens

    def came(
        self, request: JobRequest, owner: str, limit: float | None, now: float, moved_back: float = 0.0
    ) -> None:
        """Note that a job has come; the arguments are those of `Scheduler.submit`."""
        if self._last_arrival is not None:
            after = max(0.0, now - self._last_arrival)
            self._arrivals.append(Arrival(after, request, owner, limit, moved_back))
        self._last_arrival = now

    def started(self, job: int, now: float) -> None:
        """Note that a job has got boards."""
        told = self._told.pop(job, None)
        if told is not None:
            waited = now - told.at + _BLUR
            self._scores.append(
                max(
                    ((told.earliest - told.at + _BLUR) / waited) ** 0.5,
                    waited / (told.latest - told.at + _BLUR),
                )
            )

    def left(self, job: int) -> None:
        """Note that a job has left the queue without boards."""
        self._told.pop(job, None)

    @property
    def told(self) -> int:
        """Of how many jobs it is remembered what was told of them."""
        return len(self._told)

    # Forecasts

    def forecast(
        self, scheduler: Scheduler, now: float, only: Iterable[int] | None = None
    ) -> Steps[Forecast]:
        """Return when jobs are expected to start.

        Args:
            scheduler: the scheduler. What happens between slices may count or not, but a job that has left the queue
                meanwhile, or has another limit, gets no range.
            now: the time.
            only: the jobs that are asked for; None for all of the first of the queue.
        """
        waiting = scheduler.waiting_jobs
        asked = {queued.job: queued for queued in itertools.islice(waiting, FIRST)}
        arrivals = list(self._arrivals)
        model = yield from scheduler.copy(FIRST, _SLICE_STEPS)
        jobs = [queued.job for queued in model.waiting_jobs] if only is None else list(only)
        starts: dict[int, list[float]] = {job: [] for job in jobs}
        for number in range(RUNS):
            run = _Run((yield from model.copy(FIRST, _SLICE_STEPS)), now, number, arrivals)
            yield from run.begin()
            for job, start in (yield from run.starts_of(jobs)).items():
                insort(starts[job], start)
            run.end()
            yield _SLICE_STEPS
        factor = self._factor()
        ranges: dict[int, Range] = {}
        for job, found in starts.items():
            told = _Told(now, *_range(found))
            if told.latest == inf or not waiting.has(asked[job]):
                continue
            self._told.setdefault(job, told)
            promised = model.promised(job)
            earliest, latest = _widened(told, factor)
            if promised is not None:
                earliest, latest = min(earliest, max(promised, now)), max(latest, promised)
            ranges[job] = Range(earliest, latest)
        model.forget_queue()
        return Forecast(now, ranges)

    def _factor(self) -> float:
        if len(self._scores) < _FEW_SCORES:
            return 1.0
        scores = sorted(self._scores)
        return scores[min(len(scores) - 1, int(RIGHT * (len(scores) + 1)))]


def _range(starts: Sequence[float]) -> tuple[float, float]:
    """Return the range of a job by its starts in the runs, in order; missing ones are never."""
    count = ceil(_WITHIN * RUNS)
    return (starts[0], starts[count - 1]) if len(starts) >= count else (inf, inf)


def _widened(told: _Told, factor: float) -> tuple[float, float]:
    # A range that begins sooner is not much wider, since few seconds are left before it.
    earliest = (told.earliest - told.at + _BLUR) / max(factor, factor * factor) - _BLUR
    latest = (told.latest - told.at + _BLUR) * factor - _BLUR
    if earliest > latest:
        earliest = latest = (earliest + latest) / 2
    return told.at + max(0.0, earliest), told.at + max(0.0, latest)


class _Run:
    """One run ahead."""

    def __init__(self, scheduler: Scheduler, now: float, number: int, arrivals: Sequence[Arrival]) -> None:
        """Begin at a moment.

        Args:
            scheduler: a copy of the scheduler for this run.
            now: the moment.
            number: which run this is, from 0.
            arrivals: the latest jobs.
        """
        self._scheduler = scheduler
        self._now = now
        self._number = number
        self._coming = self._arrive(arrivals)
        self._next = next(self._coming, None)
        self._waiting = {
            queued.job: Asker(queued.alike.owner, queued.alike.group.boards, queued.alike.limit)
            for queued in scheduler.waiting_jobs
        }
        self._ends: list[tuple[float, int, str, frozenset[Board]]] = []
        """When the jobs that have boards end, in order, and what they have."""
        self._zone_ends = scheduler.end_zones(now)

    def begin(self) -> Steps[None]:
        """Say when the jobs end that have boards."""
        for some in chunks(self._scheduler.holdings()):
            for machine, boards, running in some:
                if running is None:
                    # Somebody's whose job has just ended.
                    self._scheduler.release(machine, boards)
                else:
                    asker = Asker(running.owner, running.boards, running.limit)
                    seconds = self._seconds(running.job, asker, max(0.0, self._now - running.started))
                    self._ends.append((running.started + seconds, running.job, machine, boards))
            yield _STEPS_OF_JOBS
        heapify(self._ends)

    def end(self) -> None:
        """Leave nothing of the copy to the garbage collector."""
        self._scheduler.forget_queue()

    def starts_of(self, jobs: Iterable[int]) -> Steps[dict[int, float]]:
        """Return when jobs start, those that do within the run."""
        missing = set(jobs)
        starts: dict[int, float] = {}
        now = self._now
        for _ in range(MOST_EVENTS):
            done = False
            while not done:
                for start in self._scheduler.decide(now):
                    if start.job in missing:
                        missing.discard(start.job)
                        starts[start.job] = now
                    seconds = self._seconds(start.job, self._waiting.pop(start.job), 0.0)
                    machine, boards = start.allocation.machine, start.allocation.boards
                    heappush(self._ends, (now + seconds, start.job, machine, boards))
                done = self._scheduler.is_done
                yield _STEPS_OF_AN_EVENT if done else _SLICE_STEPS
            self._scheduler.take_refused()
            at = self._happen() if missing else None
            if at is None:
                break
            now = at
        return starts

    def _happen(self) -> float | None:
        """Have the next event happen, and return when it does; None if there is none."""
        coming = self._next
        if self._zone_ends is not None and self._zone_ends <= min(
            self._ends[0][0] if self._ends else inf, coming[0] if coming else inf
        ):
            at = self._zone_ends
            self._zone_ends = self._scheduler.end_zones(at)
            return at
        if self._ends and (coming is None or self._ends[0][0] <= coming[0]):
            at, job, machine, boards = heappop(self._ends)
            self._scheduler.ended(job, at, counts=False)
            self._scheduler.release(machine, boards)
            return at
        if coming is None:
            return None
        at, job, arrival = coming
        self._next = next(self._coming, None)
        self._waiting[job] = Asker(arrival.owner, wanted(arrival.request), arrival.limit)
        self._scheduler.submit(
            job,
            arrival.request,
            at,
            owner=arrival.owner,
            limit=arrival.limit,
            moved_back=arrival.moved_back,
        )
        return at

    def _arrive(self, arrivals: Sequence[Arrival]) -> Iterator[tuple[float, int, Arrival]]:
        """Go through the jobs that come in this run: those that came lately, in the same order, from some job on."""
        count = len(arrivals)
        if count < _FEW_ARRIVALS:
            return
        first = count * self._number // RUNS
        at = self._now - arrivals[first].after / 2
        for number in itertools.count():
            arrival = arrivals[(first + number) % count]
            at += arrival.after
            yield at, _NEW_JOB + number, arrival

    def _seconds(self, job: int, asker: Asker, age: float) -> float:
        """Return how long a job takes in this run, in all, if it has had boards for `age` seconds."""
        # Each job's shares are spread evenly over the runs, and those of the jobs are unlike each other in each run.
        share = (job * _GOLDEN + (self._number + 0.5) / RUNS) % 1.0
        return self._scheduler.lengths.likely(asker.owner, asker.boards, asker.limit, age, share)

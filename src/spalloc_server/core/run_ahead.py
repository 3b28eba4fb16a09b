"""A run ahead: what a copy of the scheduler decides in simulated time, if jobs take times as alike jobs did.

Several runs make a forecast: see forecast.py. Nothing is random: the same events give the same runs.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import NamedTuple

from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.request_groups import chunks, wanted
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.scheduler import Scheduler
from spinnaker.geometry import Board

RUNS = 12
"""How many runs ahead a forecast is made of."""
MOST_EVENTS = 600
"""How many events a run ahead has at most; a job that has not started by then gets no range."""
NEW_JOB = 1 << 40
"""The ID of the first job that comes in a run ahead; no real job has as large a one."""
_FEW_ARRIVALS = 5
_STEPS_OF_AN_EVENT = 2
_STEPS_OF_JOBS = 8
"""How many steps it takes to say of a chunk of jobs when they end."""
_GOLDEN = 0.6180339887498949
SLICE_STEPS = 25
"""How many steps of work a slice of a decision has in a run."""


class Arrival(NamedTuple):
    """A job that came."""

    after: float
    """How many seconds after the one before."""
    request: JobRequest
    owner: str
    limit: float | None
    moved_back: float = 0.0


class Likeness(NamedTuple):
    """What says how long a job may take."""

    owner: str
    boards: int
    """How many it asks for."""
    limit: float | None


class Run:
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
        self.now = now
        self._number = number
        self._coming = self.arrivals_ahead(arrivals)
        self._next = next(self._coming, None)
        self._waiting = {
            queued.job: Likeness(queued.alike.owner, queued.alike.group.boards, queued.alike.limit)
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
                    likeness = Likeness(running.owner, running.boards, running.limit)
                    seconds = self.seconds(running.job, likeness, max(0.0, self.now - running.started))
                    end = min(running.started + seconds, max(self.now, running.ended_by))
                    self._ends.append((end, running.job, machine, boards))
            yield _STEPS_OF_JOBS
        heapify(self._ends)

    def end(self) -> None:
        """Leave nothing of the copy to the garbage collector."""
        self._scheduler.forget_queue()

    def starts_of(self, jobs: Iterable[int]) -> Steps[dict[int, float]]:
        """Return when jobs start, those that do within the run."""
        missing = set(jobs)
        starts: dict[int, float] = {}
        now = self.now
        for _ in range(MOST_EVENTS):
            done = False
            while not done:
                for start in self._scheduler.decide(now):
                    if start.job in missing:
                        missing.discard(start.job)
                        starts[start.job] = now
                    seconds = self.seconds(start.job, self._waiting.pop(start.job), 0.0)
                    machine, boards = start.allocation.machine, start.allocation.boards
                    heappush(self._ends, (now + seconds, start.job, machine, boards))
                done = self._scheduler.is_done
                yield _STEPS_OF_AN_EVENT if done else SLICE_STEPS
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
        self._waiting[job] = Likeness(arrival.owner, wanted(arrival.request), arrival.limit)
        self._scheduler.submit(
            job,
            arrival.request,
            at,
            owner=arrival.owner,
            limit=arrival.limit,
            moved_back=arrival.moved_back,
        )
        return at

    def arrivals_ahead(self, arrivals: Sequence[Arrival]) -> Iterator[tuple[float, int, Arrival]]:
        """Go through the jobs that come in this run: those that came lately, in the same order, from some job on."""
        count = len(arrivals)
        if count < _FEW_ARRIVALS:
            return
        first = count * self._number // RUNS
        at = self.now - arrivals[first].after / 2
        for number in itertools.count():
            arrival = arrivals[(first + number) % count]
            at += arrival.after
            yield at, NEW_JOB + number, arrival

    def seconds(self, job: int, likeness: Likeness, age: float) -> float:
        """Return how long a job takes in this run, in all, if it has had boards for `age` seconds."""
        # Each job's shares are spread evenly over the runs, and those of the jobs are unlike each other in each run.
        share = (job * _GOLDEN + (self._number + 0.5) / RUNS) % 1.0
        # In every other run, an owner's jobs are like the newest only: often they are all short, or long, for a while.
        newest = likeness.owner != "" and self._number % 2 == 0
        return self._scheduler.lengths.likely(
            likeness.owner, likeness.boards, likeness.limit, age, share, newest=newest
        )

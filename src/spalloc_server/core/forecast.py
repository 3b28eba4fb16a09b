"""When waiting jobs may get boards: a range for each of the first of the queue.

A forecast runs copies of the scheduler ahead in simulated time, each with other lengths of the jobs, as alike jobs had
them, and with new jobs that come as others did lately. The starts in these runs give each job a range. How right
earlier ranges were widens or narrows it.

Nothing here changes the scheduler, and nothing is random: the same events give the same ranges.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import ceil, inf, sqrt
from typing import NamedTuple

from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.run_ahead import RUNS, SLICE_STEPS, Arrival, Run
from spalloc_server.core.scheduler import Scheduler

FIRST = 100
"""For how many jobs a range is told, the first of the queue."""
ARRIVALS = 300
"""How many of the latest jobs are taken as an example of those that will come."""
RIGHT = 0.9
"""Which share of the ranges is to be right: more than is promised, since the past is an example only."""
_WITHIN = 0.75
"""Before correction, jobs start by the end of the range in this share of the runs."""
_KNOWN = 300
"""From how many of the latest ranges is learned how right they are."""
_FEW_KNOWN = 10
"""With fewer, nothing is corrected."""
_BLUR_SHARE = 0.5
"""Ranges are compared after this share of the usual wait is added to all waits."""
_LEAST_BLUR = 60.0
"""At least this many seconds are added: nobody minds them."""


class Range(NamedTuple):
    """Between which moments of the core's time a job is expected to start."""

    earliest: float
    latest: float


class _Told(NamedTuple):
    """The first range that was found for a job, before correction."""

    at: float
    earliest: float
    latest: float

    def lateness(self, now: float, blur: float) -> float:
        """Return by which factor it would have had to end later for a job that starts now, or waits still."""
        return (now - self.at + blur) / (self.latest - self.at + blur)

    def mistake(self, start: float, blur: float) -> float:
        """Return by which factor it would have had to end later, or by its square to begin sooner, to be right."""
        earliness = (self.earliest - self.at + blur) / (start - self.at + blur)
        return max(sqrt(earliness), self.lateness(start, blur))

    def corrected(self, factor: float, blur: float) -> Range:
        """Return the range that ends later by a factor."""
        # A range that begins sooner is not much wider, since few seconds are left before it.
        earliest = (self.earliest - self.at + blur) / max(factor, factor * factor) - blur
        latest = (self.latest - self.at + blur) * factor - blur
        if earliest > latest:
            earliest = latest = (earliest + latest) / 2
        return Range(self.at + max(0.0, earliest), self.at + max(0.0, latest))


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
        self.make_run: Callable[[Scheduler, float, int, Sequence[Arrival]], Run] = Run
        """Makes a run ahead: others may know more, to show what a forecast lacks."""
        self._arrivals: deque[Arrival] = deque(maxlen=ARRIVALS)
        self._last_arrival: float | None = None
        self._told: dict[int, _Told] = {}
        self._known: deque[tuple[_Told, float]] = deque(maxlen=_KNOWN)
        """The latest ranges of which it is known how right they were, each with the time when its job started."""

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
            self._known.append((told, now))

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
        asked = {queued.job: queued for queued in islice(waiting, FIRST)}
        arrivals = list(self._arrivals)
        model = yield from scheduler.copy(FIRST, SLICE_STEPS)
        jobs = [queued.job for queued in model.waiting_jobs] if only is None else list(only)
        starts: dict[int, list[float]] = {job: [] for job in jobs}
        for number in range(RUNS):
            run = self.make_run((yield from model.copy(FIRST, SLICE_STEPS)), now, number, arrivals)
            yield from run.begin()
            for job, start in (yield from run.starts_of(jobs)).items():
                insort(starts[job], start)
            run.end()
            yield SLICE_STEPS
        factor, blur = self._correction(now)
        ranges: dict[int, Range] = {}
        for job, found in starts.items():
            told = _Told(now, *_range(found))
            if told.latest == inf or not waiting.has(asked[job]):
                continue
            self._told.setdefault(job, told)
            promised = model.promised(job)
            earliest, latest = told.corrected(factor, blur)
            if promised is not None:
                earliest, latest = min(earliest, max(promised, now)), max(latest, promised)
            ranges[job] = Range(earliest, latest)
        model.forget_queue()
        return Forecast(now, ranges)

    def _correction(self, now: float) -> tuple[float, float]:
        """Return the factor by which ranges are corrected, and the seconds that are added to waits before: the blur."""
        if len(self._known) < _FEW_KNOWN:
            return 1.0, _LEAST_BLUR
        # Short waits are as uncertain, in seconds, as somewhat longer ones.
        waits = sorted([start - told.at for told, start in self._known])
        # By hand: to import `statistics` would take 2 % of the server's start.
        usual = (waits[len(waits) // 2] + waits[~(len(waits) // 2)]) / 2
        blur = max(_LEAST_BLUR, _BLUR_SHARE * usual)
        mistakes = [told.mistake(start, blur) for told, start in self._known]
        # Jobs that wait for longer than they were told would be missing until they start.
        mistakes += [told.lateness(now, blur) for told in self._told.values() if told.latest < now]
        mistakes.sort()
        return mistakes[min(len(mistakes) - 1, int(RIGHT * (len(mistakes) + 1)))], blur


def _range(starts: Sequence[float]) -> tuple[float, float]:
    """Return the range of a job by its starts in the runs, in order; missing ones are never."""
    count = ceil(_WITHIN * RUNS)
    return (starts[0], starts[count - 1]) if len(starts) >= count else (inf, inf)

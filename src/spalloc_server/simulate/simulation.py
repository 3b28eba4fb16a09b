"""A trace run through the scheduler in simulated time, and the figures of its history.

Nothing here reads, prints or draws.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean, median

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.core.scheduler import PATIENCE, Scheduler
from spalloc_server.simulate.trace import TraceJob


@dataclass(frozen=True, slots=True)
class Run:
    """One job that ran."""

    job: TraceJob
    started: float
    allocation: Allocation

    @property
    def wait(self) -> float:
        """Seconds between submission and start."""
        return self.started - self.job.submit

    @property
    def ended(self) -> float:
        """When the boards were free again."""
        return self.started + self.job.duration


@dataclass(frozen=True, slots=True)
class History:
    """What happened to the jobs of a trace."""

    machine: Machine
    runs: tuple[Run, ...]
    """The jobs that ran, in the order in which they started."""
    refused: tuple[tuple[TraceJob, str], ...]
    """The jobs that can never run, and why."""
    first_arrival: float
    events: int
    """Submissions and ends of jobs."""
    deciding: float
    """Seconds of the computer's time that the scheduler took for all events."""

    @property
    def last_end(self) -> float:
        """When the last job ended."""
        return max((run.ended for run in self.runs), default=self.first_arrival)


def simulate(
    machine: Machine, trace: Sequence[TraceJob], clock: Callable[[], float], *, patience: float = PATIENCE
) -> History:
    """Run a trace on one machine whose boards are free again as soon as a job ends.

    Args:
        machine: the machine.
        trace: the jobs, in order of submission.
        clock: returns the computer's own time in seconds, by which deciding is timed.
        patience: the scheduler's, in seconds.
    """
    scheduler = Scheduler([machine], patience=patience)
    ends: list[tuple[float, int]] = []
    running: dict[int, Run] = {}
    runs: list[Run] = []
    refused: list[tuple[TraceJob, str]] = []
    submitted, deciding, events = 0, 0.0, 0
    while submitted < len(trace) or ends:
        events += 1
        if submitted < len(trace) and (not ends or trace[submitted].submit < ends[0][0]):
            number, submitted = submitted, submitted + 1
            now = trace[number].submit
            request = _request(trace[number])
            began = clock()
            scheduler.submit(number, request, now)
        else:
            now, number = heapq.heappop(ends)
            freed = running.pop(number).allocation
            began = clock()
            scheduler.release(freed.machine, freed.boards)
        starts = scheduler.decide(now)
        deciding += clock() - began
        refused += [(trace[job], why) for job, why in scheduler.take_refused()]
        for start in starts:
            run = running[start.job] = Run(trace[start.job], now, start.allocation)
            runs.append(run)
            heapq.heappush(ends, (run.ended, start.job))
    return History(machine, tuple(runs), tuple(refused), trace[0].submit, events, deciding)


def _request(job: TraceJob) -> JobRequest:
    return JobRequest(AnyBoard() if job.boards == 1 else Boards(job.boards))


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a history."""

    started: int
    """Jobs that started."""
    refused: int
    """Jobs that can never run."""
    mean_wait: float
    """Seconds; waits are from submission to start, 0 for a job that starts at once."""
    median_wait: float
    p95_wait: float
    """Seconds; 95 % of the jobs waited no longer."""
    max_wait: float
    requested_use: float
    """Boards asked for times the time they were held, over all boards times the time from first arrival to last end."""
    us_per_event: float
    """Microseconds of the computer's time that deciding took, per submission or end of a job."""


def figures(history: History) -> Figures:
    """Return the figures of a history."""
    waits = sorted(run.wait for run in history.runs)
    work = sum(run.job.boards * run.job.duration for run in history.runs)
    span = history.last_end - history.first_arrival
    boards = history.machine.size.boards
    return Figures(
        started=len(waits),
        refused=len(history.refused),
        mean_wait=fmean(waits) if waits else 0.0,
        median_wait=median(waits) if waits else 0.0,
        p95_wait=waits[ceil(0.95 * len(waits)) - 1] if waits else 0.0,
        max_wait=waits[-1] if waits else 0.0,
        requested_use=work / (boards * span) if span else 0.0,
        us_per_event=history.deciding / history.events * 1e6,
    )

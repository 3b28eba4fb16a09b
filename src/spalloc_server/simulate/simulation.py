"""A trace run through the scheduler in simulated time.

Nothing here reads, prints, draws or sums up: see figures.py for the figures of a history.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.simulate.trace import TraceJob, request_of

if TYPE_CHECKING:
    from spalloc_server.simulate.sharing import Sharing


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
        return self.started + self.job.length


@dataclass(frozen=True, slots=True)
class History:
    """What happened to the jobs of a trace."""

    machines: tuple[Machine, ...]
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

    @property
    def boards(self) -> int:
        """How many boards the machines have."""
        return sum(machine.size.boards for machine in self.machines)


def simulate(
    machines: Machine | Sequence[Machine],
    trace: Sequence[TraceJob],
    clock: Callable[[], float],
    *,
    scheduler: Callable[[Sequence[Machine]], Scheduler] = Scheduler,
    sharing: "Sharing | None" = None,
) -> History:
    """Run a trace on machines whose boards are free again as soon as a job ends, at its limit at the latest.

    Args:
        machines: the machine, or several, highest priority first.
        trace: the jobs, in order of submission.
        clock: returns the computer's own time in seconds, by which deciding is timed.
        scheduler: makes the scheduler of these machines.
        sharing: moves jobs in the order of the queue; None leaves them as they came.
    """
    machines = (machines,) if isinstance(machines, Machine) else tuple(machines)
    decider = scheduler(machines)
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
            job = trace[number]
            request = request_of(job)
            began = clock()
            moved_back = 0.0 if sharing is None else sharing.moved_back(number, job, decider)
            decider.submit(number, request, now, owner=job.owner, limit=job.limit, moved_back=moved_back)
        else:
            now, number = heapq.heappop(ends)
            freed = running.pop(number).allocation
            began = clock()
            decider.ended(number, now, counts=True)
            if sharing is not None:
                sharing.end(number, now)
            decider.release(freed.machine, freed.boards)
        starts = decider.decide(now)
        deciding += clock() - began
        for number, why in decider.take_refused():
            refused.append((trace[number], why))
            if sharing is not None:
                sharing.end(number, now)
        for start in starts:
            run = running[start.job] = Run(trace[start.job], now, start.allocation)
            runs.append(run)
            if sharing is not None:
                sharing.begin(start.job, len(start.allocation.boards), now)
            heapq.heappush(ends, (run.ended, start.job))
    return History(machines, tuple(runs), tuple(refused), trace[0].submit, events, deciding)

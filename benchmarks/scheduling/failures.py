"""What can be wrong with the jobs of a trace, or with what the scheduler knows of them.

floors.py runs traces that are changed like this.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random

from benchmarks.scheduling.rules import MACHINE
from spalloc_server.core.lengths import Length, Lengths
from spalloc_server.core.machine import Machine
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.scheduler import Scheduler, Start
from spalloc_server.simulate.trace import TraceJob
from spalloc_server.simulate.variation import Limits, varied

LONGEST_SECONDS = 4 * 86_400.0
"""What all declare who only want to be sure, in seconds."""
_LIARS = 0.2
_SEED = 7
FLOOD_JOBS, FLOOD_BOARDS, FLOOD_SECONDS = 2_000, 12, 600.0

Changed = Callable[[Sequence[TraceJob]], list[TraceJob]]


class _Unhindered(TraceJob):
    """A job that goes on after its limit."""

    __slots__ = ()

    @property
    def length(self) -> float:
        return self.duration


def too_long(jobs: Sequence[TraceJob]) -> list[TraceJob]:
    """Let everybody declare four days, or more for a job that takes longer."""
    return [job._replace(limit=max(LONGEST_SECONDS, 1.02 * job.duration)) for job in jobs]


def too_short(jobs: Sequence[TraceJob]) -> list[TraceJob]:
    """Let a fifth of the owners, or of the jobs if nobody has a name, declare a tenth of the truth, and pay for it."""
    lies: dict[object, bool] = {}
    random, changed = Random(_SEED), []
    for at, job in enumerate(varied(jobs, Limits.MADE)):
        lies_too = lies.setdefault(job.owner or at, random.random() < _LIARS)
        changed.append(job._replace(limit=max(1.0, job.duration / 10)) if lies_too else job)
    return changed


def too_short_unhindered(jobs: Sequence[TraceJob]) -> list[TraceJob]:
    """The same where nobody ends a job at its limit."""
    return [_Unhindered(*job) for job in too_short(jobs)]


def flooded(jobs: Sequence[TraceJob]) -> list[TraceJob]:
    """Let one owner submit thousands of jobs at once, after a third of the time."""
    begins = jobs[len(jobs) // 3].submit
    flood = TraceJob(begins, FLOOD_SECONDS, FLOOD_BOARDS, "flood")
    return sorted([*jobs, *[flood] * FLOOD_JOBS], key=lambda job: job.submit)


def whole_machine(jobs: Sequence[TraceJob]) -> list[TraceJob]:
    """Let all jobs ask for the whole machine, at nine tenths of what it can do."""
    work = sum(job.duration for job in jobs)
    span = jobs[-1].submit - jobs[0].submit
    scale = work / (0.9 * span)
    return [job._replace(submit=job.submit * scale, boards=MACHINE.boards) for job in jobs]


FAILURES: Mapping[str, Changed] = {
    "nothing; no limits": lambda jobs: varied(jobs, Limits.NONE),
    "nothing; with limits": lambda jobs: varied(jobs, Limits.MADE),
    "all declare four days": too_long,
    "a fifth of the owners declare a tenth of the truth": too_short,
    "the same, and their jobs go on after it": too_short_unhindered,
    "one owner submits 2,000 jobs at once": flooded,
    "all jobs ask for the whole machine": whole_machine,
}
"""What is wrong, in words, and the jobs of a trace changed like that."""


class Restarted(Scheduler):
    """A scheduler that often forgets all but the jobs and their lengths, as a server does that could not write more."""

    EVENTS = 500
    """After how many events it forgets."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        super().__init__(machines)
        self._machines_before = machines
        self._events = 0
        self._submitted: dict[int, tuple[JobRequest, float, str, float | None]] = {}
        self._started: dict[int, tuple[Start, float]] = {}
        self._ended: list[Length] = []

    def submit(
        self,
        job: int,
        request: JobRequest,
        since: float,
        *,
        owner: str = "",
        limit: float | None = None,
        moved_back: float = 0.0,
    ) -> None:
        self._submitted[job] = request, since, owner, limit
        super().submit(job, request, since, owner=owner, limit=limit, moved_back=moved_back)

    def ended(self, job: int, now: float, *, counts: bool) -> Length | None:
        length = super().ended(job, now, counts=counts)
        if length is not None:
            self._ended.append(length)
        del self._submitted[job], self._started[job]
        return length

    def decide(self, now: float) -> list[Start]:
        self._events += 1
        if self._events % self.EVENTS == 0:
            self._restart()
        starts = super().decide(now)
        self._started |= {start.job: (start, now) for start in starts}
        return starts

    def _restart(self) -> None:
        super().__init__(self._machines_before, lengths=Lengths(self._ended))
        for job, (request, since, owner, limit) in self._submitted.items():
            if job not in self._started:
                super().submit(job, request, since, owner=owner, limit=limit)
                continue
            start, began = self._started[job]
            allocation = start.allocation
            self.begin(
                job,
                allocation.machine,
                allocation.boards,
                request=request,
                owner=owner,
                limit=limit,
                started=began,
            )

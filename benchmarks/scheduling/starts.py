"""How often jobs start within the range that they were told, and how wide the ranges are, on a log.

Usage: `python -m benchmarks.scheduling.starts TRACE [--machine 20x20] [--limits none] [--each N] [--knowing lengths]`.
A range is told to each job that must wait, when it is submitted, if it is among the first of the queue. It is compared
with the narrowest range that is the same for all of these jobs and as often right: one that only somebody could tell
who has seen the whole log.

With `--knowing`, a forecast knows how long all jobs take that have come so far, or which jobs come after them. This
shows what makes ranges wide.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import partial
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, NamedTuple

from spalloc_server.core.forecast import FIRST, Forecaster
from spalloc_server.core.packing.steps import whole
from spalloc_server.core.requests import JobRequest
from spalloc_server.core.run_ahead import NEW_JOB, Arrival, Likeness, Run
from spalloc_server.core.scheduler import Scheduler, Start
from spalloc_server.simulate.settings import machine_of
from spalloc_server.simulate.simulation import simulate
from spalloc_server.simulate.trace import TraceJob, read_trace, request_of
from spalloc_server.simulate.variation import Limits, varied


class Answer(NamedTuple):
    """What a job was told, and what came of it, in seconds from its submission."""

    earliest: float
    latest: float
    waited: float

    @property
    def is_right(self) -> bool:
        """Whether it started within the range, to the second."""
        return self.earliest - 1.0 <= self.waited <= self.latest + 1.0


class Figures(NamedTuple):
    """How good ranges are."""

    told: int
    """How many there were."""
    silent: int
    """How many jobs were told nothing."""
    right: float
    """Which share of the jobs started within theirs."""
    width: float
    """The median width, in seconds."""
    fixed: tuple[float, float]
    """The narrowest range that is the same for all jobs and as often right."""
    seconds: float
    """Seconds of the computer's time for each."""

    def __str__(self) -> str:
        fixed = self.fixed[1] - self.fixed[0]
        return (
            f"{self.told} told, {self.silent} not; {100 * self.right:.1f} % right; median width {self.width:.0f} s, "
            f"{self.width / max(fixed, 1e-9):.2f} of that of {self.fixed[0]:.0f} to {self.fixed[1]:.0f} s; "
            f"{1000 * self.seconds:.0f} ms each"
        )


class Knowing(Enum):
    """What forecasts know of the future."""

    NOTHING = "nothing"
    LENGTHS = "lengths"
    """How long the jobs take that have come so far."""
    ARRIVALS = "arrivals"
    """Which jobs come, and when."""


class _KnowingLengths(Run):
    """A run ahead in which jobs take as long as they will."""

    def __init__(self, log: Sequence[TraceJob], *arguments: Any) -> None:
        self._log = log
        super().__init__(*arguments)

    def seconds(self, job: int, likeness: Likeness, age: float) -> float:
        return super().seconds(job, likeness, age) if job >= NEW_JOB else self._log[job].duration


class _KnowingArrivals(Run):
    """A run ahead in which those jobs come that will."""

    def __init__(self, log: Sequence[TraceJob], *arguments: Any) -> None:
        self._log = log
        super().__init__(*arguments)

    def arrivals_ahead(self, _arrivals: Sequence[Arrival]) -> Iterator[tuple[float, int, Arrival]]:
        for number, job in enumerate(self._log):
            if job.submit > self.now:
                yield job.submit, NEW_JOB + number, Arrival(0.0, request_of(job), job.owner, job.limit)


def _runs(knowing: Knowing, log: Sequence[TraceJob]) -> Callable[..., Run]:
    match knowing:
        case Knowing.LENGTHS:
            return partial(_KnowingLengths, log)
        case Knowing.ARRIVALS:
            return partial(_KnowingArrivals, log)
        case Knowing.NOTHING:
            return Run


class _Telling(Scheduler):
    """A scheduler that tells each job that must wait when it may start."""

    def __init__(self, *arguments: Any, each: int, make_run: Callable[..., Run], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.told: dict[int, tuple[float, float]] = {}
        self.waited: dict[int, float] = {}
        self.silent = 0
        self.seconds = 0.0
        self._forecaster = Forecaster()
        self._forecaster.make_run = make_run
        self._each = each
        self._waiting: dict[int, float] = {}
        self._newest: int | None = None

    def submit(self, job: int, request: JobRequest, since: float, **about: Any) -> None:
        super().submit(job, request, since, **about)
        self._forecaster.came(request, about.get("owner", ""), about.get("limit"), since)
        self._newest = job

    def decide(self, now: float) -> list[Start]:
        starts = super().decide(now)
        for start in starts:
            self._forecaster.started(start.job, now)
            if start.job in self._waiting:
                self.waited[start.job] = now - self._waiting.pop(start.job)
        newest, self._newest = self._newest, None
        if newest is not None and newest % self._each == 0 and self._is_among_first(newest):
            self._tell(newest, now)
        return starts

    def _is_among_first(self, job: int) -> bool:
        return any(queued.job == job for queued in islice(self.waiting_jobs, FIRST))

    def _tell(self, job: int, now: float) -> None:
        began = process_time()
        found = whole(self._forecaster.forecast(self, now, [job])).ranges.get(job)
        self.seconds += process_time() - began
        if found is None:
            self.silent += 1
        else:
            self.told[job] = found.earliest - now, found.latest - now
            self._waiting[job] = now


def measure(
    jobs: Sequence[TraceJob], machine: str, each: int = 1, knowing: Knowing = Knowing.NOTHING
) -> Figures | None:
    """Return how good the ranges are that jobs of a trace are told; None if none is told any.

    Args:
        jobs: the jobs.
        machine: the machine's size.
        each: only every this many of the jobs are told anything.
        knowing: what forecasts know of the future.
    """
    made: list[_Telling] = []

    def scheduler(machines: Any) -> Scheduler:
        made.append(_Telling(machines, each=each, make_run=_runs(knowing, jobs)))
        return made[0]

    simulate(machine_of(machine), jobs, process_time, scheduler=scheduler)
    answers = [Answer(*told, made[0].waited[job]) for job, told in made[0].told.items()]
    if not answers:
        return None
    right = sum(answer.is_right for answer in answers) / len(answers)
    return Figures(
        len(answers),
        made[0].silent,
        right,
        median(answer.latest - answer.earliest for answer in answers),
        _fixed([answer.waited for answer in answers], right),
        made[0].seconds / (len(answers) + made[0].silent),
    )


def _fixed(waits: list[float], right: float) -> tuple[float, float]:
    waits = sorted(waits)
    count = max(1, ceil(right * len(waits)))
    first = min(range(len(waits) - count + 1), key=lambda at: waits[at + count - 1] - waits[at])
    return waits[first], waits[first + count - 1]


def main() -> None:
    """Print the figures of one log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--machine", default="20x20")
    parser.add_argument("--limits", choices=[limits.value for limits in Limits], default="none")
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--knowing", choices=[knowing.value for knowing in Knowing], default="nothing")
    arguments = parser.parse_args()
    jobs = varied(list(read_trace(arguments.trace)), Limits(arguments.limits))
    figures = measure(jobs, arguments.machine, arguments.each, Knowing(arguments.knowing))
    print(arguments.trace.stem, arguments.limits, figures, sep=", ")


if __name__ == "__main__":
    main()

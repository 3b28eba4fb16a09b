"""The traces, and what our scheduler is compared with: the published server's queue, and bounds that ignore geometry.

The other files of this folder measure with them.
"""

import heapq
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

from benchmarks.programs.process import ENVIRONMENT
from benchmarks.programs.published import published
from benchmarks.suite.measurement import CannotDoError
from spalloc_server.simulate.trace import TraceJob, read_trace
from spinnaker.geometry import Size
from tests.peers.published_server import NAME

MACHINE = Size(20, 20)
TRACES = ("light", "busy", "overloaded")
PATIENCE_SECONDS = 150.0

Runs = list[tuple[float, float, float, int]]
"""For each job when it was submitted, started and ended, in seconds, and the boards it asked for."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The figures of a history."""

    mean: float
    longest: float


def waits(runs: Runs) -> Waits:
    each = [started - submitted for submitted, started, _, _ in runs]
    return Waits(fmean(each), max(each))


def use(runs: Runs, boards: int) -> float:
    span = max(ended for _, _, ended, _ in runs) - min(submitted for submitted, *_ in runs)
    return sum((ended - started) * asked for _, started, ended, asked in runs) / (boards * span)


def trace(name: str) -> list[TraceJob]:
    return read_trace(Path(__file__).parents[1] / "traces" / f"{name}.csv")


def published_queue(jobs: Sequence[TraceJob], size: Size) -> tuple[Runs, float]:
    """Run a trace through the published server's queue; return its figures, and its seconds for each event.

    Raises:
        CannotDoError: It took too long.
    """
    script = Path(__file__).with_name("published_queue.py")
    words = [str(published(NAME).python), "-W", "ignore", str(script), *map(str, size)]
    lines = "".join(f"{job.submit!r},{job.duration!r},{job.boards}\n" for job in jobs)
    try:
        done = subprocess.run(
            words,
            input=lines,
            check=True,
            capture_output=True,
            text=True,
            env=dict(ENVIRONMENT),
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise CannotDoError(f"no end within {PATIENCE_SECONDS:.0f} s") from None
    answer = json.loads(done.stdout)
    return [tuple(run) for run in answer["runs"]], answer["us_per_event"] * 1e-6


def shaken(jobs: Sequence[TraceJob], seed: int) -> list[TraceJob]:
    """Return a trace with each duration changed by up to 1 %: an effect on both is not due to luck."""
    random = Random(seed)
    return [job._replace(duration=job.duration * random.uniform(0.99, 1.01)) for job in jobs]


def without_geometry(jobs: Sequence[TraceJob], boards: int, *, patience: float) -> Runs:
    """Run a trace where a job may start as soon as enough boards are free anywhere.

    Args:
        jobs: the trace.
        boards: the number of boards.
        patience: seconds after which the first of the waiting jobs is no longer overtaken; infinite for `skip`, 0 for
            `fifo`.
    """
    ends: list[tuple[float, int]] = []
    runs: Runs = []
    waiting: list[int] = []
    submitted, free = 0, boards
    while submitted < len(jobs) or ends:
        if submitted < len(jobs) and (not ends or jobs[submitted].submit < ends[0][0]):
            now = jobs[submitted].submit
            waiting.append(submitted)
            submitted += 1
        else:
            now, ended = heapq.heappop(ends)
            free += jobs[ended].boards
        left: list[int] = []
        for job in waiting:
            if jobs[job].boards <= free and not (left and now - jobs[left[0]].submit >= patience):
                free -= jobs[job].boards
                runs.append((jobs[job].submit, now, now + jobs[job].duration, jobs[job].boards))
                heapq.heappush(ends, (now + jobs[job].duration, job))
            else:
                left.append(job)
        waiting = left
    return runs


def made_trace(
    seed: int, load: float, *, jobs: int, size: Size, largest: int, spread: float = 1.2
) -> list[TraceJob]:
    """Make a trace like those in `traces/`.

    Arrivals are Poisson, 40 % of the jobs ask for one board, 23 % for two or three, the others' sizes have a heavy
    tail; durations are lognormal, 10 s to 6 h.

    Args:
        seed: determines the trace.
        load: boards asked for times the time they are held, over all boards times the time of arrivals.
        jobs: their number.
        size: the machine.
        largest: the most boards that a job asks for.
        spread: of the logarithm of durations.
    """
    random = Random(seed)
    tail = 0.6
    asked = []
    for _ in range(jobs):
        kind = random.random()
        if kind < 0.40:
            boards = 1
        elif kind < 0.63:
            boards = random.choice((2, 3, 3, 3))
        else:
            low, high = largest**-tail, 4.0**-tail
            boards = int(random.uniform(low, high) ** (-1 / tail))
        asked.append((min(21600.0, max(10.0, random.lognormvariate(5.66, spread))), boards))
    work = sum(duration * boards for duration, boards in asked)
    gaps = [random.expovariate(1.0) for _ in asked]
    scale = work / (load * size.boards) / sum(gaps)
    time, made = 0.0, []
    for (duration, boards), gap in zip(asked, gaps, strict=True):
        time += gap * scale
        made.append(TraceJob(time, duration, boards))
    return made

"""A trace run under several settings, each as often as wanted.

See settings.py for what settings are, and report.py for how the outcomes are told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from spalloc_server.core.machine import DEFAULT_TAG, Machine
from spalloc_server.core.scheduler import Scheduler
from spalloc_server.simulate.figures import Figures, figures
from spalloc_server.simulate.settings import Settings
from spalloc_server.simulate.simulation import History, simulate
from spalloc_server.simulate.trace import Trace, TraceJob, request_of
from spalloc_server.simulate.variation import Limits, varied

if TYPE_CHECKING:
    from spalloc_server.simulate.sharing import Sharing

_ANYWHERE = frozenset({DEFAULT_TAG})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trace led to under some settings."""

    settings: Settings
    figures: tuple[Figures, ...]
    """Of each run, one or more."""
    first: History
    """Of the first run."""


def run(
    trace: Trace, settings: Settings, clock: Callable[[], float], *, runs: int = 1, seed: int = 0
) -> Outcome:
    """Run a trace under some settings.

    Args:
        trace: The trace.
        settings: The settings.
        clock: As for `simulate`.
        runs: How often. If more than once, all lengths are changed by up to 1 %, differently in each run.
        seed: The seed of these changes: the first run's; the others have the numbers that follow.
    """
    jobs = trace.on(max(machine.size.boards - len(machine.dead_boards) for machine in settings.machines))
    if settings.anywhere:
        jobs = [_anywhere(job) for job in jobs]
    histories: list[History] = []
    found = []
    for number in range(runs):
        changed = varied(jobs, settings.limits, None if runs == 1 else seed + number)
        history = simulate(
            settings.machines,
            [_allowed(job, settings) for job in changed] if settings.limits is not Limits.NONE else changed,
            clock,
            scheduler=partial(_scheduler, settings),
            sharing=_sharing(settings),
        )
        found.append(figures(history))
        histories = histories or [history]
    return Outcome(settings, tuple(found), histories[0])


def _scheduler(settings: Settings, machines: Sequence[Machine]) -> Scheduler:
    return Scheduler(machines, **settings.scheduler)


def _sharing(settings: Settings) -> "Sharing | None":
    rules = settings.shares
    if not rules.move_any:
        return None
    # Only here: it needs more packages than the rest of the simulation.
    from spalloc_server.simulate.sharing import Sharing

    return Sharing(
        rules, sum(machine.size.boards - len(machine.dead_boards) for machine in settings.machines)
    )


def _allowed(job: TraceJob, settings: Settings) -> TraceJob:
    """Return a job with the limit that the site lets it have: a longer one is cut."""
    request = request_of(job)
    rules = settings.time_limits
    limit, longest = rules.chosen(request, job.limit), rules.of(request).longest
    if limit is not None and longest is not None:
        limit = min(limit, longest)
    return job if limit == job.limit else job._replace(limit=limit)


def _anywhere(job: TraceJob) -> TraceJob:
    if job.request is None:
        return job
    return job._replace(request=replace(job.request, machine=None, tags=_ANYWHERE))

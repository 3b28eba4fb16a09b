# How many jobs and boards there are of each kind, counted when somebody asks.
#
# Read-only: looks at the site's state, changes nothing.
"""Counts of jobs and boards."""

from collections import Counter
from dataclasses import dataclass

from spalloc_client.states import JobState
from spalloc_server.core.questions import SiteView


@dataclass(frozen=True, slots=True)
class BoardCounts:
    """The boards of one machine; each is counted once."""

    free: int
    """Could be given to a job now."""
    held: int
    """A job has them."""
    switching_off: int
    """Being switched off, or cooling down, after a job."""
    aside: int
    """Something is wrong with them; they are tried again from time to time."""
    silent: int
    """In a frame whose BMP does not answer, and otherwise free."""
    dead: int
    """Configured as dead."""


def count_jobs(site: SiteView) -> dict[JobState, int]:
    """Return how many live jobs are in each state."""
    counts = Counter(job.record.state for job in site.jobs.values())
    return {state: counts[state] for state in (JobState.queued, JobState.power, JobState.ready)}


def count_boards(site: SiteView) -> dict[str, BoardCounts]:
    """Return how many boards of each machine are in each condition."""
    held = Counter(key.machine for key in site.holders)
    care = site.boards_in_care()
    off = Counter(key.machine for key, why in care.items() if why is None)
    aside = Counter(key.machine for key, why in care.items() if why is not None)
    counts = {}
    for name, machine in site.machines.items():
        free = site.free_boards(name)
        known = free + held[name] + off[name] + aside[name]
        counts[name] = BoardCounts(
            free=free,
            held=held[name],
            switching_off=off[name],
            aside=aside[name],
            silent=len(machine.places) - known,
            dead=len(machine.dead_boards),
        )
    return counts

"""How many jobs are in each state, and boards in each condition, counted when somebody asks.

Only reads the site's state.
"""

from collections import Counter

from spalloc_client.states import JobState
from spalloc_server.core.board_life import FREE, Condition, Objection, condition
from spalloc_server.core.questions import SiteView


def count_jobs(site: SiteView) -> dict[JobState, int]:
    """Return how many live jobs are in each state."""
    counts = Counter(job.record.state for job in site.jobs.values())
    return {state: counts[state] for state in (JobState.queued, JobState.power, JobState.ready)}


def count_boards(site: SiteView) -> dict[str, Counter[Condition]]:
    """Return how many boards of each machine are in each condition; each is counted once."""
    boards = site.boards
    counts = {name: Counter[Condition]() for name in site.machines}
    for key in boards.states.keys() | boards.objected():
        if boards.knows(key):
            counts[key.machine][condition(boards.state(key), boards.objections(key))] += 1
    for name, machine in site.machines.items():
        counts[name][Condition.FREE] = len(machine.places) - counts[name].total()
        counts[name][condition(FREE, [Objection.DEAD])] = len(machine.dead_boards)
    return counts

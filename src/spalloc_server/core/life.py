"""A job's life: every state, everything that can happen to a job in it, and what it becomes.

Everything that decides a job's state must stand in this table; the diagram in the docs is made from it.
What follows from a change (power, notifications, records) is site.py's subject.
"""

from enum import StrEnum

from spalloc_client.states import JobState


class Happening(StrEnum):
    """What can happen to a job."""

    ALLOCATED = "boards were allocated"
    POWERED = "its boards are as powered as it wants them"
    POWER_ASKED = "its owner asked for its boards to be powered on, off or reset"
    LOST_BOARDS = "boards failed or were taken out, and all of its boards were taken back"
    DESTROYED = "it was destroyed"


LIFE: dict[tuple[JobState, Happening], JobState] = {
    (JobState.queued, Happening.ALLOCATED): JobState.power,
    (JobState.queued, Happening.DESTROYED): JobState.destroyed,
    (JobState.power, Happening.POWERED): JobState.ready,
    (JobState.power, Happening.POWER_ASKED): JobState.power,
    (JobState.power, Happening.LOST_BOARDS): JobState.queued,
    (JobState.power, Happening.DESTROYED): JobState.destroyed,
    (JobState.ready, Happening.POWER_ASKED): JobState.power,
    (JobState.ready, Happening.LOST_BOARDS): JobState.queued,
    (JobState.ready, Happening.DESTROYED): JobState.destroyed,
}


def after(state: JobState, happening: Happening) -> JobState:
    """Return the state that follows.

    Raises:
        ValueError: `happening` can't happen to a job in `state`.
    """
    try:
        return LIFE[state, happening]
    except KeyError:
        raise ValueError(f"a job that is {state.name} can't be told that {happening.value}") from None

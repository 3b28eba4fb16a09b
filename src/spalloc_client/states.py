"""The states that a job may be in, as numbered on the wire. The server decides which state follows which."""

from enum import IntEnum


class JobState(IntEnum):
    """All the states that a job may be in."""

    def __str__(self) -> str:
        return self.name

    unknown = 0
    """The job ID asked for was not recognised."""

    queued = 1
    """The job waits in a queue for a suitable machine."""

    power = 2
    """The boards allocated to the job are being powered on or off."""

    ready = 3
    """The job has been allocated boards, and they are not being powered on or off."""

    destroyed = 4
    """The job has been destroyed."""

"""When something happens: whoever drives the core reads both clocks once, and hands in what they said."""

from typing import NamedTuple


class Moment(NamedTuple):
    """When something happens, by both clocks."""

    now: float
    """Seconds of the core's own time: it never runs backwards, and means nothing outside the process."""
    wall: float
    """Seconds of Unix time, as the calendar has it: it may jump."""

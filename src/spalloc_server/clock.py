# The one place where the server reads clocks.
#
# Everything else is given the time, so that a simulated clock can stand here.
"""Clocks."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two times: one that never runs backwards, and the calendar's."""

    def now(self) -> float:
        """Return seconds that never run backwards."""

    def wall(self) -> float:
        """Return seconds of Unix time."""


class SystemClock:
    """The computer's clocks."""

    def now(self) -> float:
        """Return seconds since some moment before the process started."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds of Unix time."""
        return time.time()

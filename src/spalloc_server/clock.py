"""The one place where the server reads clocks.

Everything else is given the time, so that a simulated clock can stand here.
"""

import sys
import time
from typing import Protocol

from spalloc_server.core.timekeeping import Moment


class Clock(Protocol):
    """Reads two times: one that never runs backwards, and Unix time."""

    def now(self) -> float:
        """Return seconds that never run backwards."""

    def wall(self) -> float:
        """Return seconds of Unix time."""

    def suspended(self) -> float:
        """Return how many seconds the computer has been suspended in all; `now` stands still meanwhile."""


class SystemClock:
    """The computer's clocks."""

    def now(self) -> float:
        """Return seconds since some moment before the process started."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds of Unix time."""
        return time.time()

    def suspended(self) -> float:
        """Return how many seconds the computer has been suspended since it started; 0 where that is unknown."""
        if sys.platform == "linux":
            return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        return 0.0


def moment(clock: Clock) -> Moment:
    """Return both times as they are now."""
    return Moment(clock.now(), clock.wall())

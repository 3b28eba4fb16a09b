"""Whether the calendar can be believed: what is deleted because it is old is gone, however wrong the clock was.

Compares the wall clock with the time that passes, which no one can set. What is old, and what becomes of it,
is told elsewhere.
"""

from spalloc_server.moment import Moment

DRIFT_SECONDS = 60.0
"""By so much the wall clock may differ between two looks from what passed: clocks are corrected all the time."""
AT_REST_SECONDS = 86_400.0
"""A site may have recorded nothing for so long before it is started; also how long a clock must be steady after a jump,
so that somebody can see that it is wrong."""


class Calendar:
    """Says when a wall clock has been steady for long enough to delete something for being old."""

    def __init__(self) -> None:
        """Believe nothing before `begin`."""
        self._seen = Moment(0.0, 0.0)
        self._doubted_until: float | None = None

    def begin(self, latest: float | None, at: Moment) -> None:
        """Start; the wall clock must go with the latest time that is recorded, if any is."""
        self._seen = at
        if latest is not None and not -DRIFT_SECONDS <= at.wall - latest <= AT_REST_SECONDS:
            self._doubted_until = at.now + AT_REST_SECONDS

    def believes(self, at: Moment) -> bool:
        """Look at both clocks, and return whether what is old by the wall clock may be deleted."""
        jump = (at.wall - self._seen.wall) - (at.now - self._seen.now)
        self._seen = at
        if abs(jump) > DRIFT_SECONDS:
            self._doubted_until = at.now + AT_REST_SECONDS
        if self._doubted_until is not None and at.now >= self._doubted_until:
            self._doubted_until = None
        return self._doubted_until is None

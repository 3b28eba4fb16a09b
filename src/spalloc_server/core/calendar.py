"""Whether the wall clock can be trusted: a record that is deleted for its age is lost, even if the clock was wrong.

Compares the wall clock with the steady clock, which nobody can set. What is deleted, and when, is decided elsewhere.
"""

from spalloc_server.moment import Moment

DRIFT_SECONDS = 60.0
"""How much the wall clock may drift from the steady clock between two looks: small corrections are normal."""
AT_REST_SECONDS = 86_400.0
"""How long a site may have recorded nothing before it is started without raising doubts about the clock; also how long
a clock must be steady after a jump, so that somebody can notice that it is wrong."""


class Calendar:
    """Tells whether a wall clock has been steady for long enough to delete records for their age."""

    def __init__(self) -> None:
        """Call `begin` before `believes`."""
        self._seen = Moment(0.0, 0.0)
        self._doubted_until: float | None = None

    def begin(self, latest: float | None, at: Moment) -> None:
        """Start with the latest time that is recorded, if any is: the wall clock must be at most a day later."""
        self._seen = at
        if latest is not None and not -DRIFT_SECONDS <= at.wall - latest <= AT_REST_SECONDS:
            self._doubted_until = at.now + AT_REST_SECONDS

    def believes(self, at: Moment) -> bool:
        """Compare both clocks, and return whether records may be deleted for their age."""
        jump = (at.wall - self._seen.wall) - (at.now - self._seen.now)
        self._seen = at
        if abs(jump) > DRIFT_SECONDS:
            self._doubted_until = at.now + AT_REST_SECONDS
        if self._doubted_until is not None and at.now >= self._doubted_until:
            self._doubted_until = None
        return self._doubted_until is None

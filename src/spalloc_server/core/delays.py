"""Time that the server lost itself, and what it leaves of the time that others are given: nobody is charged with it.

No clock: when the server was away is found out by presence.py.
"""

REMEMBERED_DELAYS = 64
"""So many are told apart; of more, the oldest are taken as one."""


class Delays:
    """When the server was not at work, in the core's time."""

    __slots__ = ("_delays",)

    def __init__(self) -> None:
        """Begin with none."""
        self._delays: list[tuple[float, float, float]] = []
        """Begin, end and seconds lost in between, the oldest first; none overlaps another."""

    def add(self, begin: float, end: float) -> None:
        """Note that the server was away from `begin` to `end`, which is not before any end that was given earlier."""
        delays = self._delays
        while delays and delays[-1][1] > begin:
            begin = min(begin, delays.pop()[0])
        delays.append((begin, end, end - begin))
        if len(delays) > REMEMBERED_DELAYS:
            (first, _, lost), (_, last, more) = delays[:2]
            delays[:2] = [(first, last, lost + more)]

    def deadline(self, since: float, allowed: float) -> float:
        """Return when somebody who was last heard of at `since` has been silent for too long.

        That is `allowed` seconds later, and later still by what the server lost meanwhile. All delays together move it
        by no more than `allowed` beyond the longest of them, so that the dead end however often the server is stopped:
        `2 * allowed` and the longest delay after they were last heard of, at the latest.
        """
        moved = longest = 0.0
        for _, end, lost in reversed(self._delays):
            if end <= since:
                break
            missed = min(lost, end - since)
            moved += missed
            longest = max(longest, missed)
        return since + allowed + min(moved, allowed + longest)

    def is_over(self, since: float, allowed: float, now: float) -> bool:
        """Return whether somebody who was last heard of at `since` has been silent for too long by `now`."""
        return now - since > allowed and now > self.deadline(since, allowed)

"""Time that the server lost, because it was paused or slow: it moves the deadlines of clients and BMPs.

No clock: presence.py finds out when the server was away.
"""

REMEMBERED_DELAYS = 64
"""How many delays are remembered one by one; of more, the oldest count as one."""


class Delays:
    """When the server was away, in the core's time."""

    __slots__ = ("_delays",)

    def __init__(self) -> None:
        """Begin with none."""
        self._delays: list[tuple[float, float, float]] = []
        """Begin, end and seconds lost in between, the oldest first; no two overlap."""

    def add(self, begin: float, end: float) -> None:
        """Note that the server was away from `begin` to `end`, which is no earlier than any end before."""
        delays = self._delays
        while delays and delays[-1][1] > begin:
            begin = min(begin, delays.pop()[0])
        delays.append((begin, end, end - begin))
        if len(delays) > REMEMBERED_DELAYS:
            (first, _, lost), (_, last, more) = delays[:2]
            delays[:2] = [(first, last, lost + more)]

    def deadline(self, since: float, allowed: float) -> float:
        """Return the deadline of a client or BMP that was last heard of at `since`.

        It is `allowed` seconds later, and later still by the time that the server lost meanwhile. All delays together
        move it by no more than `allowed` beyond the longest of them. So a dead client's job ends however often the
        server is stopped: at the latest `2 * allowed` plus the longest delay after `since`.
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
        """Return whether the deadline has passed at `now`."""
        return now - since > allowed and now > self.deadline(since, allowed)

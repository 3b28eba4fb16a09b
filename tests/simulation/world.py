"""Simulated time: one event after another, in order.

It knows nothing of processes, networks or disks; they schedule their events here.
"""

import random
from collections.abc import Callable
from heapq import heappop, heappush

EPOCH = 1e9
"""What the computer's clock says at moment 0 of the world, in Unix time."""


class World:
    """The clock, the events to come, and the dice."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now = 1000.0
        self.events = 0
        """The number of events so far."""
        self.after_each: Callable[[], None] = lambda: None
        """Called after every event."""
        self._heap: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._order = 0

    def dice(self, *names: object) -> random.Random:
        """Separate dice, which the throws of others do not affect."""
        return random.Random(f"{self.seed}/{'/'.join(map(str, names))}")

    def at(self, when: float, event: Callable[..., object], *arguments: object) -> None:
        """Plan an event; events of the same time happen in the order in which they were planned."""
        self._order += 1
        heappush(self._heap, (max(self.now, when), self._order, event, arguments))

    def after(self, seconds: float, event: Callable[..., object], *arguments: object) -> None:
        self.at(self.now + seconds, event, *arguments)

    def run(self, *, until: Callable[[], bool], limit: float) -> bool:
        """Run events until a condition holds; return whether it did within `limit` seconds."""
        end = self.now + limit
        while not until():
            if not self._step(end):
                self.now = end
                return until()
        return True

    def pass_time(self, seconds: float) -> None:
        """Run all events of the next `seconds`."""
        end = self.now + seconds
        while self._step(end):
            pass
        self.now = end

    def _step(self, end: float) -> bool:
        """Run the next event, if it is due by `end`; return whether it was."""
        if not self._heap or self._heap[0][0] > end:
            return False
        when, _, event, arguments = heappop(self._heap)
        self.now = max(self.now, when)
        self.events += 1
        event(*arguments)
        self.after_each()
        return True

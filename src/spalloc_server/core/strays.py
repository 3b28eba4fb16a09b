"""Strays: boards that are found not to be as they were ordered, though they passed every test, such as by a reset.

What happens to a board that strays too often is decided in site.py.
"""

from collections import deque
from collections.abc import Callable

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.objections import Fault

STRAY_TRIES = 3
"""A board that strays this often within `STRAY_SECONDS` has failed, and fails again with each further stray."""
STRAY_SECONDS = 3600.0
"""How long a stray counts."""
MOST_STRAYS = 12
"""How many strays of a board are remembered; with this many, it rests for the longest time."""


class Strays:
    """The latest strays of each board."""

    def __init__(self) -> None:
        """Begin with none."""
        self._times: dict[BoardKey, deque[float]] = {}

    def add(self, key: BoardKey, why: str, now: float) -> Fault | None:
        """Note that a board strayed; return its fault if this was too often, or None.

        Args:
            key: The board.
            why: How it strayed.
            now: The core's time.
        """
        times = self._times.setdefault(key, deque(maxlen=MOST_STRAYS))
        times.append(now)
        lately = sum(now - each <= STRAY_SECONDS for each in times)
        if lately < STRAY_TRIES:
            return None
        told = f"{lately} times within an hour it was not as it was ordered, the last time: {why}"
        return Fault(told, failures=lately - STRAY_TRIES + 1)

    def forget_all_but(self, knows: Callable[[BoardKey], bool]) -> None:
        """Forget the boards that no longer exist."""
        self._times = {key: times for key, times in self._times.items() if knows(key)}

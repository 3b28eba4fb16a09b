"""Boards that come up well and don't stay as they were ordered: one that resets itself each minute passes every test.

What is done with a board that does so too often is decided in site.py.
"""

from collections import deque
from collections.abc import Callable

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.objections import Fault

STRAY_TRIES = 3
"""At this stray within `STRAY_SECONDS` a board has failed, and at each that follows."""
STRAY_SECONDS = 3600.0
"""How long a stray counts."""
MOST_STRAYS = 12
"""Strays of a board that are remembered; by then, it is left alone for as long as any board is."""


class Strays:
    """When each board was last found not to be as it was ordered."""

    def __init__(self) -> None:
        """Begin with none."""
        self._times: dict[BoardKey, deque[float]] = {}

    def add(self, key: BoardKey, why: str, now: float) -> Fault | None:
        """Note that a board strayed; return what is wrong with it if that was too often, or None.

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
        """Forget the boards that there are no more."""
        self._times = {key: times for key, times in self._times.items() if knows(key)}

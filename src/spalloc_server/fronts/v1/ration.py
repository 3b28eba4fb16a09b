# Which of many lines that say the same are logged: however fast clients come, they can't fill the log.
#
# What is said, and where, is server.py's subject.
"""A ration of log lines."""

WINDOW_SECONDS = 60.0
"""How long one line about an address stands for all of its like."""
MOST_ADDRESSES = 20
"""Addresses that have lines of their own within that time."""


class Ration:
    """Lets the first line about an address pass within each minute, and counts the others."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._unsaid: dict[str, int] = {}
        self._elsewhere = 0
        self._until: float | None = None

    def admits(self, address: str, now: float) -> bool:
        """Return whether a line about `address` may be logged at `now` (seconds); it is counted if it may not."""
        if self._until is None:
            self._until = now + WINDOW_SECONDS
        if address in self._unsaid:
            self._unsaid[address] += 1
            return False
        if len(self._unsaid) >= MOST_ADDRESSES:
            self._elsewhere += 1
            return False
        self._unsaid[address] = 0
        return True

    def summary(self, now: float) -> list[tuple[str | None, int]]:
        """Return how many lines were kept back by address, None for all others, if it is time to say so; begin anew."""
        if self._until is None or now < self._until:
            return []
        unsaid: list[tuple[str | None, int]] = [
            (address, count) for address, count in self._unsaid.items() if count
        ]
        if self._elsewhere:
            unsaid.append((None, self._elsewhere))
        self._unsaid, self._elsewhere, self._until = {}, 0, None
        return unsaid

"""Which of many lines that say the same are logged: however fast clients come, they can't fill the log.

What is said stands where it happens.
"""

import logging

from spalloc_server.words import counted

WINDOW_SECONDS = 60.0
"""How long one line about an address stands for all of its like."""
MOST_ADDRESSES = 20
"""Addresses that have lines of their own within that time."""


class Ration:
    """Lets the first lines about an address pass within each minute, and counts the others."""

    def __init__(self, lines: int = 1, addresses: int = MOST_ADDRESSES) -> None:
        """Begin with nothing said.

        Args:
            lines: How many lines about one address pass within a minute.
            addresses: How many addresses have lines of their own within a minute.
        """
        self._lines = lines
        self._addresses = addresses
        self._asked: dict[str, int] = {}
        """How many lines there would have been."""
        self._elsewhere = 0
        self._until: float | None = None

    def admits(self, address: str, now: float) -> bool:
        """Return whether a line about `address` may be logged at `now` (seconds); it is counted if it may not."""
        if self._until is None:
            self._until = now + WINDOW_SECONDS
        before = self._asked.get(address, 0)
        if not before and len(self._asked) >= self._addresses:
            self._elsewhere += 1
            return False
        self._asked[address] = before + 1
        return before < self._lines

    def summary(self, now: float) -> list[tuple[str | None, int]]:
        """Return how many lines were kept back by address, None for all others, if it is time to say so; begin anew."""
        if self._until is None or now < self._until:
            return []
        unsaid: list[tuple[str | None, int]] = [
            (address, count - self._lines) for address, count in self._asked.items() if count > self._lines
        ]
        if self._elsewhere:
            unsaid.append((None, self._elsewhere))
        self._asked, self._elsewhere, self._until = {}, 0, None
        return unsaid


class Warnings:
    """Logs what happens to clients: to the first of an address within each minute, and to how many more."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        """Begin with nothing logged.

        Args:
            log: Where to.
            what: What happens to clients: they are `refused`, say.
        """
        self._log = log
        self._what = what
        self._ration = Ration()
        self.count = 0
        """To how many it has happened."""

    def warn(self, address: str, group: str, now: float, why: str) -> None:
        """Log that it happens to a client at `address`, which counts in `group`, and why, if it is time to."""
        self.count += 1
        self.sum_up(now)
        if self._ration.admits(group, now):
            self._log.warning("a client at %s is %s: %s", address, self._what, why, extra={"client": address})

    def sum_up(self, now: float) -> None:
        """Log to how many more it happened, if it is time to."""
        for address, count in self._ration.summary(now):
            more, verb = counted(count, "more client"), "was" if count == 1 else "were"
            if address is None:
                self._log.warning("%s, at other addresses, %s %s", more, verb, self._what)
            else:
                self._log.warning(
                    "%s at %s %s %s", more, address, verb, self._what, extra={"client": address}
                )

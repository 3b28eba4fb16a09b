"""Rate limit for similar log lines, so that clients can't fill the log however many they are.

The wording is at the call sites, except for that of `Warnings`.
"""

import logging

from spalloc_server.words import counted

WINDOW_SECONDS = 60.0
"""The time for which lines are counted together."""
MOST_ADDRESSES = 20
"""Addresses that have lines of their own within that time."""


class Ration:
    """Admits the first lines about an address within each minute, and counts the others."""

    def __init__(self, lines: int = 1, addresses: int = MOST_ADDRESSES) -> None:
        """Begin with no lines.

        Args:
            lines: How many lines about one address are admitted within a minute.
            addresses: How many addresses have lines of their own within a minute.
        """
        self._lines = lines
        self._addresses = addresses
        self._asked: dict[str, int] = {}
        """How many lines there would have been, by address."""
        self._elsewhere = 0
        """How many lines there would have been about further addresses."""
        self._until: float | None = None

    def admits(self, address: str, now: float) -> bool:
        """Return whether a line about `address` may be logged at `now` (seconds); if not, it is counted."""
        if self._until is None:
            self._until = now + WINDOW_SECONDS
        before = self._asked.get(address, 0)
        if not before and len(self._asked) >= self._addresses:
            self._elsewhere += 1
            return False
        self._asked[address] = before + 1
        return before < self._lines

    def summary(self, now: float) -> list[tuple[str | None, int]]:
        """Return how many lines were not logged, and start counting again; an empty list until the minute is over.

        Returns:
            Each address with its number of lines, and None with that of all further addresses.
        """
        if self._until is None or now < self._until:
            return []
        kept_back: list[tuple[str | None, int]] = [
            (address, count - self._lines) for address, count in self._asked.items() if count > self._lines
        ]
        if self._elsewhere:
            kept_back.append((None, self._elsewhere))
        self._asked, self._elsewhere, self._until = {}, 0, None
        return kept_back


class Warnings:
    """Logs one kind of event: in each minute the first one of each address, and at its end how many more there were."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        """Begin with nothing logged.

        Args:
            log: The logger.
            what: What happened to the clients, such as `refused`.
        """
        self._log = log
        self._what = what
        self._ration = Ration()
        self.count = 0
        """How many clients it has happened to."""

    def warn(self, address: str, group: str, now: float, why: str) -> None:
        """Count one client at `address`; log why, unless its group of addresses had a line in this minute."""
        self.count += 1
        self.sum_up(now)
        if self._ration.admits(group, now):
            self._log.warning("a client at %s is %s: %s", address, self._what, why, extra={"client": address})

    def sum_up(self, now: float) -> None:
        """Log how many further clients it happened to, once the minute is over."""
        for address, count in self._ration.summary(now):
            more, verb = counted(count, "more client"), "was" if count == 1 else "were"
            if address is None:
                self._log.warning("%s, at other addresses, %s %s", more, verb, self._what)
            else:
                self._log.warning(
                    "%s at %s %s %s", more, address, verb, self._what, extra={"client": address}
                )

"""How many wrong tokens or codes came from each address within a minute; the issuer is asked about a bounded number."""

from collections import OrderedDict

WITHIN_SECONDS = 60.0
MOST_ADDRESSES = 20_000
"""How many addresses are remembered; of more, the latest."""


class Wrong:
    """Counts what was wrong from each address with its neighbours."""

    def __init__(self, most: int) -> None:
        """Begin with none; `most` may be wrong within `WITHIN_SECONDS`."""
        self._most = most
        self._from: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """When the first within that time came, and how many did."""

    def note(self, neighbours: str, now: float) -> None:
        """Count one, at a time in seconds."""
        since, wrong = self._from.get(neighbours, (now, 0))
        if now - since >= WITHIN_SECONDS:
            since, wrong = now, 0
        self._from[neighbours] = since, wrong + 1
        self._from.move_to_end(neighbours)
        if len(self._from) > MOST_ADDRESSES:
            self._from.popitem(last=False)

    def wait(self, neighbours: str, now: float) -> float:
        """Return for how many seconds the issuer is asked about nothing more from there; 0 if it is asked."""
        since, wrong = self._from.get(neighbours, (now, 0))
        return max(0.0, since + WITHIN_SECONDS - now) if wrong >= self._most else 0.0

"""How many requests of one account, and from one address, are being done at one time.

Requests that wait for a change are counted in waiting.py, connections in server.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from spalloc_server.fronts.http.api.answers import later
from spalloc_server.fronts.http.settings import Limits
from spalloc_server.ration import Warnings

_log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0


class UnderWay:
    """The requests under way; each is counted from its head to its answer."""

    def __init__(self, limits: Limits, group_of: Callable[[str], str]) -> None:
        """Begin with none.

        Args:
            limits: How many there may be; may be replaced at any time.
            group_of: Returns the group that an address is counted in.
        """
        self.limits = limits
        self._group_of = group_of
        self._of_account: Counter[str] = Counter()
        self._from_address: Counter[str] = Counter()
        self._refusals = Warnings(_log, "refused a request over HTTP")

    def __len__(self) -> int:
        """Return how many requests are under way."""
        return self._from_address.total()

    def enter_from(self, address: str) -> str:
        """Count a request from an address, and return the group in which it is counted.

        Raises:
            HttpError: There are too many.
        """
        group = self._group_of(address)
        self._enter(
            self._from_address, group, self.limits.requests_from_one_address, "from this address", address
        )
        return group

    def enter_of(self, account: str, address: str) -> None:
        """Count a request of an account, which comes from an address.

        Raises:
            HttpError: There are too many.
        """
        self._enter(
            self._of_account, account, self.limits.requests_of_one_account, "of this account", address
        )

    def leave_from(self, group: str) -> None:
        """Note that a request from a group of addresses is answered."""
        subtract(self._from_address, group)

    def leave_of(self, account: str) -> None:
        """Note that a request of an account is answered."""
        subtract(self._of_account, account)

    def _enter(self, counts: Counter[str], name: str, most: int, whose: str, address: str) -> None:
        count = counts.get(name, 0)
        if count >= most:
            why = f"{count} requests {whose} are under way, and the server does no more of them at a time"
            self._refusals.warn(address, self._group_of(address), asyncio.get_running_loop().time(), why)
            raise later(429, f"{why}; send fewer at a time", AGAIN_SECONDS)
        counts[name] = count + 1


def subtract(counts: Counter[str], name: str) -> None:
    """Count one less, and forget a name of which none is left."""
    count = counts[name] - 1
    if count:
        counts[name] = count
    else:
        del counts[name]

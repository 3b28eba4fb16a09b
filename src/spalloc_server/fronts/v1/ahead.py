"""Writing the listing of jobs ahead of time: a few of those that changed, whenever there is a moment.

What is written stands in listing.py. A listing is right without this, too: it writes whatever is missing.
What is written of jobs that have ended is dropped only here.
"""

import asyncio
from collections.abc import Iterable
from itertools import islice

from spalloc_server.core.questions import SiteView
from spalloc_server.fronts.v1.listing import Listing

PAUSE_SECONDS = 0.05
"""How long a job that changed may change again before it is written: most that are created are powered soon after."""
JOBS_A_TURN = 100
"""How many are written before commands get their turn."""


class Ahead:
    """Writes jobs into a listing soon after they changed, so that whoever asks for it first need not wait."""

    def __init__(self, listing: Listing, site: SiteView) -> None:
        """Write jobs of `site` into `listing`."""
        self._listing = listing
        self._site = site
        self._unwritten: set[int] = set()
        self._next: asyncio.Handle | None = None

    def jobs_changed(self, jobs: Iterable[int]) -> None:
        """Take the IDs of jobs that changed."""
        self._unwritten.update(jobs)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._write_some)

    def machines_changed(self, machines: set[str]) -> None:
        """Take the names of machines that changed, which make no difference."""

    def stop(self) -> None:
        """Write no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _write_some(self) -> None:
        some = list(islice(self._unwritten, JOBS_A_TURN))
        self._unwritten.difference_update(some)
        jobs = self._site.jobs
        self._listing.write([jobs[number] for number in some if number in jobs])
        self._listing.drop([number for number in some if number not in jobs])
        loop = asyncio.get_running_loop()
        self._next = loop.call_soon(self._write_some) if self._unwritten else None

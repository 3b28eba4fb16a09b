"""Keeps which clients want to be told before a job is ended by the server, and tells them.

Older clients end at messages that they don't know, so only clients that asked for it get these. A client that does not
read is told later, once for each job, how it is then. When a job ends is decided in core/endings.py.
"""

import asyncio
from collections.abc import KeysView

from spalloc_server.clock import Clock
from spalloc_server.core.questions import SiteView
from spalloc_server.fronts.v1.codec import job_ending_line
from spalloc_server.fronts.v1.watcher import Watcher, leave

LINES_A_TURN = 50
"""How many lines are sent at once; then commands get their turn."""

JOB_BYTES = 400
"""Memory for waiting for the end of a job."""


class EndingWatchers:
    """All clients that want to be told before a job ends."""

    def __init__(self, site: SiteView, clock: Clock) -> None:
        """Tell of jobs of `site`."""
        self._site = site
        self._clock = clock
        self._of_job: dict[int, set[Watcher]] = {}
        self._jobs_of: dict[Watcher, set[int]] = {}
        self._untold: dict[Watcher, dict[int, None]] = {}
        """News for each client, oldest first."""
        self._ready: dict[Watcher, None] = {}
        """Those of them that read what they are sent."""
        self._next: asyncio.Handle | None = None

    def stop(self) -> None:
        """Stop telling."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def __contains__(self, watcher: Watcher) -> bool:
        """Return whether a client is to be told of anything."""
        return watcher in self._jobs_of

    @property
    def jobs(self) -> KeysView[int]:
        """The jobs of which somebody is to be told."""
        return self._of_job.keys()

    def weight(self, watcher: Watcher) -> int:
        """Return how many bytes are kept for a client."""
        return JOB_BYTES * len(self._jobs_of.get(watcher, ()))

    def add(self, watcher: Watcher, job: int) -> None:
        """Begin to tell a client of a live job's ending, at once if that is near."""
        if job not in self._site.jobs:
            return
        self._of_job.setdefault(job, set()).add(watcher)
        self._jobs_of.setdefault(watcher, set()).add(job)
        if self._site.is_ending_soon(job):
            self._note(watcher, job)

    def remove(self, watcher: Watcher, job: int) -> None:
        """Stop telling a client of a job's ending."""
        leave(self._jobs_of, watcher, job)
        leave(self._of_job, job, watcher)
        self._told(watcher, job)

    def forget(self, watcher: Watcher) -> None:
        """Drop a client that has gone."""
        for job in self._jobs_of.pop(watcher, ()):
            leave(self._of_job, job, watcher)
        self._untold.pop(watcher, None)
        self._ready.pop(watcher, None)

    def drop(self, job: int) -> list[Watcher]:
        """Drop a job that has ended; return the clients that waited for that."""
        watchers = list(self._of_job.get(job, ()))
        for watcher in watchers:
            self.remove(watcher, job)
        return watchers

    def jobs_ending(self, jobs: set[int]) -> None:
        """Tell the clients that wait for news of these jobs."""
        for job in sorted(jobs & self._of_job.keys()):
            for watcher in self._of_job[job]:
                self._note(watcher, job)

    def catch_up(self, watcher: Watcher) -> None:
        """Go on with a client that reads again."""
        if watcher in self._untold:
            self._ready[watcher] = None
            self._go_on()

    def _note(self, watcher: Watcher, job: int) -> None:
        self._untold.setdefault(watcher, {})[job] = None
        self._ready[watcher] = None
        self._go_on()

    def _go_on(self) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._tell_some)

    def _tell_some(self) -> None:
        self._next = None
        for _ in range(LINES_A_TURN):
            watcher = next(iter(self._ready), None)
            if watcher is None:
                return
            job = next(iter(self._untold[watcher]))
            # One that has ended is dropped once that is on disk.
            if job not in self._site.jobs or watcher.tell(self._line(job)):
                self._told(watcher, job)
            else:
                # `catch_up` is called when it reads again.
                del self._ready[watcher]
        self._go_on()

    def _told(self, watcher: Watcher, job: int) -> None:
        untold = self._untold.get(watcher)
        if untold is not None:
            untold.pop(job, None)
            if not untold:
                del self._untold[watcher]
                self._ready.pop(watcher, None)

    def _line(self, job: int) -> bytes:
        ending = self._site.ending(job)
        if ending is None:
            return job_ending_line(job, None, None)
        return job_ending_line(job, max(0.0, ending.at - self._clock.now()), ending.why)

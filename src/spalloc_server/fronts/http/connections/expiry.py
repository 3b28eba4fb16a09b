"""Looks when the certificate that is shown to clients is over, and has the log say so in good time.

Not at the start: what reads certificates takes longer to import than all else that HTTP needs.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from spalloc_server.fronts.http.connections.tls import end_of
from spalloc_server.words import date_and_time

_log = logging.getLogger(__name__)

FIRST_LOOK_SECONDS = 10.0
"""How long after the start, or after another certificate is read, it is looked at."""
DAY_SECONDS = 86_400.0
WARNING_SECONDS = 14 * DAY_SECONDS
"""How long before a certificate's end the log says so, once a day."""


class Expiry:
    """The end of the certificate of one server; lives in one event loop."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """Begin without a certificate; `wall` returns the time, in seconds of Unix time."""
        self._wall = wall
        self._path: Path | None = None
        self._certificate: bytes | None = None
        self._ends: float | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long it is good, less than 0 if it is over; None without one, and until it has been looked at."""
        return None if self._ends is None else self._ends - self._wall()

    def follow(self, path: Path | None, certificate: bytes | None) -> None:
        """Look at another certificate from now on: what was in the file at `path`, in PEM; or at none."""
        self.stop()
        self._path, self._certificate, self._ends = path, certificate, None
        if certificate is not None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        assert self._certificate is not None
        await asyncio.sleep(FIRST_LOOK_SECONDS)
        try:
            # In a thread: the first import takes a while.
            self._ends = await asyncio.to_thread(end_of, self._certificate)
        except (ValueError, ImportError) as error:
            _log.warning("nobody knows when the certificate in %s is over: %s", self._path, error)
            return
        while True:
            left = self._ends - self._wall()
            when = date_and_time(self._ends)
            if left <= 0:
                _log.critical("the certificate in %s was over at %s: renew it, and reload", self._path, when)
            elif left < WARNING_SECONDS:
                _log.warning("the certificate in %s is over at %s: renew it, and reload", self._path, when)
            # Not past the end, which has a line of its own.
            await asyncio.sleep(min(DAY_SECONDS, left + 1.0) if left > 0 else DAY_SECONDS)

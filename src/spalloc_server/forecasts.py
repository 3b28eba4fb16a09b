"""Has forecasts made in the time between other work, one at a time, and keeps the latest.

Whoever asks gets the latest forecast at once, so many clients that ask make no more work than one.
"""

import asyncio
import logging
from collections.abc import Callable

from spalloc_server.clock import Clock
from spalloc_server.core.forecast import Forecast
from spalloc_server.core.packing.steps import Allowance, Steps

_log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
"""A question makes a new forecast if the latest began longer ago than this."""
UNASKED_SECONDS = 60.0
"""The same if nobody asks: forecasts show how right they are only if jobs had some when they came."""
STALE_SECONDS = 300.0
"""An older forecast is not told."""
SLICE_STEPS = 25
"""How many steps of a forecast are made at a time: a few milliseconds."""
SHARE = 0.25
"""How much of the time a forecast under way takes at most, so that other work goes on."""
REST_SECONDS = 0.005
"""The least time between two slices."""


class Forecasts:
    """The latest forecast of a site, and the one that is being made."""

    def __init__(self, begin: Callable[[float], Steps[Forecast]], clock: Clock) -> None:
        """Begin with none.

        Args:
            begin: begins a forecast at a moment of the core's time.
            clock: tells the core's time.
        """
        self._begin = begin
        self._clock = clock
        self._latest: Forecast | None = None
        self._began: float | None = None
        """When the latest one was begun."""
        self._making: asyncio.Task[None] | None = None

    def latest(self) -> Forecast | None:
        """Return the latest forecast, and have a new one made if it is no longer fresh; None if none is known yet."""
        self.renew(FRESH_SECONDS)
        latest = self._latest
        if latest is None or self._clock.now() - latest.at > STALE_SECONDS:
            return None
        return latest

    def renew(self, after: float = UNASKED_SECONDS) -> None:
        """Have a forecast made, unless one is being made or the latest was begun less than `after` seconds ago."""
        now = self._clock.now()
        if self._making is None and (self._began is None or now - self._began >= after):
            self._began = now
            self._making = asyncio.get_running_loop().create_task(self._make(now))

    def stop(self) -> None:
        """Make no more."""
        if self._making is not None:
            self._making.cancel()

    async def _make(self, now: float) -> None:
        try:
            work = self._begin(now)
            while True:
                began = self._clock.now()
                done = Allowance(SLICE_STEPS).do(work)
                if done is not None:
                    (self._latest,) = done
                    return
                took = self._clock.now() - began
                await asyncio.sleep(max(REST_SECONDS, took * (1.0 / SHARE - 1.0)))
        except Exception:  # noqa: BLE001 — a forecast changes nothing: the site is sound, and jobs go on
            self._latest = None
            _log.exception("it could not be worked out when waiting jobs may get boards")
        finally:
            self._making = None

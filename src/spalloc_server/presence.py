"""Whether the server itself was there: how late its event loop is, and whether it has read what came meanwhile.

Whoever judges others by the time (a job that nobody kept alive, a client that does nothing) asks here first
whether that can be done now, and adds what the server lost (core/timekeeping.py). What a delay does to them is
theirs to decide. An event loop that was held up may run timers before it reads its sockets. So after a delay,
nobody is judged until the loop has gone round a few times in which nothing more was read. A loop that is late
again and again never gets there: then whoever waits to judge does so now and then, in the moment in which
what was lost until then is noted.
"""

import asyncio
import logging
from collections.abc import Callable

from spalloc_server.clock import Clock
from spalloc_server.core.timekeeping import Delays
from spalloc_server.measures import Durations

_log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25
"""How often it is seen whether the loop is late."""
LATE_SECONDS = 0.25
"""What is no delay yet. With the time between two beats, a delay of half a second is always noticed."""
QUIET_ROUNDS = 10
"""Python's own loop takes four from a connection that waited to what came over it, and reads nothing in between."""
LONGEST_CATCH_UP_SECONDS = 2.0
"""On a busy server it is never quiet, but by then what came before is read."""
TOLD_SECONDS = 0.5
"""Shorter delays count, but are not worth a line in the log."""
TOLD_AGAIN_SECONDS = 60.0
"""How often the log tells of delays; a slow disk may bring two in a second."""


class Waiting:
    """Somebody who waits until others may be judged."""

    def __init__(self, waiting: dict["Waiting", None], callback: Callable[[], None]) -> None:
        """Join those who wait."""
        self.callback = callback
        self._waiting = waiting
        waiting[self] = None

    def cancel(self) -> None:
        """Wait no more."""
        self._waiting.pop(self, None)


class Presence:
    """Watches one event loop, and keeps its delays."""

    def __init__(self, clock: Clock, delays: Delays, durations: Durations) -> None:
        """Watch the loop that runs `start`.

        Args:
            clock: Where the time is read.
            delays: Where delays are noted.
            durations: Where they are counted.
        """
        self._clock = clock
        self._delays = delays
        self._durations = durations
        self._seen = 0.0
        """When the loop was last on time."""
        self._suspended = clock.suspended()
        self._told: float | None = None
        self._untold = 0
        self._waited_for = ""
        self._lost_since: float | None = None
        """When the delay began that is being caught up with."""
        self._read = self._read_before = 0
        self._quiet = 0
        self._looked = self._give_up = self._noted = 0.0
        self._judges: dict[Waiting, None] = {}
        self._judging = False
        self._next: asyncio.Handle | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._suspended = self._clock.suspended()
        self._beat_later()

    def stop(self) -> None:
        """Watch no more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
            asyncio.get_running_loop().call_soon(self._let_judge)

    def now(self) -> float:
        """Return the time by which delays are measured."""
        return self._clock.now()

    def something_was_read(self) -> None:
        """Take note that something came from outside."""
        self._read += 1

    def may_judge(self) -> bool:
        """Return whether all that has come is read, so that silence is others' own."""
        return (
            self._judging
            or self._next is None
            or (self._lost_since is None and self._began_to_be_late() is None)
        )

    def when_it_may_judge(self, callback: Callable[[], None]) -> Waiting:
        """Call back, once, when others may be judged, for somebody who has found that they may not.

        However late the loop is, that is `LONGEST_CATCH_UP_SECONDS` and a few of its rounds later at most.
        """
        return Waiting(self._judges, callback)

    def when_over(self, since: float, allowed: float, callback: Callable[[], None]) -> "Deadline":
        """Call back when somebody who was last heard of at `since` has been silent for `allowed` seconds and more.

        Args:
            since: In the clock's time.
            allowed: Seconds; the server's own delays come on top.
            callback: Called once, unless the deadline is cancelled before.
        """
        return Deadline(self, self._delays, since, allowed, callback)

    def lost(self, since: float, waited_for: str) -> None:
        """Say that what came `since` then had to wait for something of the server's, which goes on only now."""
        if self._next is None:
            return
        # What is noted already would join all that came before into one long delay.
        since = max(since, self._noted)
        if self._lost_since is not None:
            self._lost_since = min(self._lost_since, since)
            return
        self._next.cancel()
        self._catch_up(since, waited_for)

    def _began_to_be_late(self) -> float | None:
        """Return since when the loop is late, if it is."""
        now = self._clock.now()
        asleep = self._clock.suspended() - self._suspended
        if asleep > LATE_SECONDS:
            # This clock stood still meanwhile, and others' did not.
            return min(now - asleep, self._seen)
        return self._seen if now - self._seen > BEAT_SECONDS + LATE_SECONDS else None

    def _beat_later(self) -> None:
        self._seen = self._clock.now()
        self._next = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        since = self._began_to_be_late()
        if since is None:
            self._beat_later()
        else:
            self._catch_up(since, "its processor")

    def _catch_up(self, since: float, waited_for: str) -> None:
        self._lost_since, self._waited_for = since, waited_for
        self._looked = self._clock.now()
        self._give_up = self._looked + LONGEST_CATCH_UP_SECONDS
        self._read_before, self._quiet = self._read, 0
        self._next = asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        now = self._clock.now()
        away_again = now - self._looked > LATE_SECONDS
        if away_again or self._read != self._read_before:
            self._read_before, self._quiet = self._read, 0
        else:
            self._quiet += 1
        self._looked = now
        if self._quiet < QUIET_ROUNDS and now < self._give_up:
            self._next = asyncio.get_running_loop().call_soon(self._look)
        else:
            self._note(now)
            if away_again:
                self._catch_up(now, self._waited_for)
            else:
                self._beat_later()
            self._let_judge()

    def _let_judge(self) -> None:
        """Let all judge who wait for it: all that was lost is noted, so that nobody is charged with it."""
        self._judging = True
        while self._judges:
            waiting = next(iter(self._judges))
            waiting.cancel()
            try:
                waiting.callback()
            except Exception:  # noqa: BLE001 — the others wait for this, too
                _log.exception("somebody who did nothing could not be judged")
        self._judging = False

    def _note(self, now: float) -> None:
        assert self._lost_since is not None
        seconds = now - self._lost_since
        self._delays.add(self._lost_since, now)
        self._durations.add(seconds)
        self._lost_since, self._noted = None, now
        self._suspended = self._clock.suspended()
        if seconds < TOLD_SECONDS:
            return
        if self._told is not None and now - self._told < TOLD_AGAIN_SECONDS:
            self._untold += 1
            return
        before = f" ({self._untold} times more since this was last told)" if self._untold else ""
        _log.warning(
            "the server waited %.1f s for %s%s; clients and BMPs get that time on top",
            seconds,
            self._waited_for,
            before,
        )
        self._told, self._untold = now, 0


class Deadline:
    """A time until which somebody may be silent, moved by the server's delays."""

    def __init__(
        self,
        presence: Presence,
        delays: Delays,
        since: float,
        allowed: float,
        callback: Callable[[], None],
    ) -> None:
        """Begin to wait; see `Presence.when_over`."""
        self._presence = presence
        self._delays = delays
        self._since = since
        self._allowed = allowed
        self._callback = callback
        self._timer: asyncio.TimerHandle | Waiting = asyncio.get_running_loop().call_later(
            allowed, self._look
        )

    def cancel(self) -> None:
        """Wait no more."""
        self._timer.cancel()

    def _look(self) -> None:
        left = self._delays.deadline(self._since, self._allowed) - self._presence.now()
        if not self._presence.may_judge():
            self._timer = self._presence.when_it_may_judge(self._look)
        elif left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)
        else:
            self._callback()

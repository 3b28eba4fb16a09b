"""Notices when the server itself was late: its event loop was held up, so messages may wait unread.

Jobs and connections *expire*: they are ended when they have been silent for too long. Code that lets them expire asks
here first whether it may do so now, and adds the server's own delays (see core/timekeeping.py) to the time allowed.
A late event loop may run timers before it reads its sockets. So after a delay, nothing expires until the loop has read
nothing more for a few rounds. A loop that is late again and again never gets there: then each delay, once it is noted,
is followed by one moment in which expiry is allowed.
"""

import asyncio
import logging
from collections.abc import Callable

from spalloc_server.clock import Clock
from spalloc_server.core.timekeeping import Delays
from spalloc_server.measures import Durations

_log = logging.getLogger(__name__)

BEAT_SECONDS = 0.25
"""Seconds between checks whether the loop is late."""
LATE_SECONDS = 0.25
"""A shorter delay is not counted. With the time between two checks, one of half a second is always noticed."""
QUIET_ROUNDS = 10
"""After this many rounds of the loop without a read, all is read. Python's loop takes four rounds from accepting a
connection that waited to reading its first message, and may read nothing in between."""
LONGEST_CATCH_UP_SECONDS = 2.0
"""A busy loop always reads something; after this time at most, what came during the delay is read."""
LOGGED_SECONDS = 0.5
"""Shorter delays count, but are not worth a line in the log."""
LOGGED_AGAIN_SECONDS = 60.0
"""Seconds between log lines about delays; a slow disk may cause two in a second."""


class PendingExpiry:
    """A callback that waits until expiry is allowed."""

    def __init__(self, waiting: dict["PendingExpiry", None], callback: Callable[[], None]) -> None:
        """Add this one to `waiting`."""
        self.callback = callback
        self._waiting = waiting
        waiting[self] = None

    def cancel(self) -> None:
        """Don't call back."""
        self._waiting.pop(self, None)


class Presence:
    """Watches one event loop, and notes its delays."""

    def __init__(self, clock: Clock, delays: Delays, durations: Durations) -> None:
        """Prepare to watch the event loop in which `start` is called.

        Args:
            clock: Where the time is read.
            delays: Where delays are noted.
            durations: Where their lengths are counted.
        """
        self._clock = clock
        self._delays = delays
        self._durations = durations
        self._seen = 0.0
        """When the loop was last on time."""
        self._suspended = clock.suspended()
        self._logged: float | None = None
        self._unlogged = 0
        self._waited_for = ""
        self._late_since: float | None = None
        """When the delay began of which messages may still be unread."""
        self._read = self._read_before = 0
        self._quiet = 0
        self._looked = self._give_up = self._noted = 0.0
        self._pending: dict[PendingExpiry, None] = {}
        self._expiring = False
        self._next: asyncio.Handle | None = None

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._suspended = self._clock.suspended()
        self._beat_later()

    def stop(self) -> None:
        """Stop watching."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
            asyncio.get_running_loop().call_soon(self._let_expire)

    def now(self) -> float:
        """Return the time by which delays are measured."""
        return self._clock.now()

    def something_was_read(self) -> None:
        """Note that something arrived from outside."""
        self._read += 1

    def may_expire(self) -> bool:
        """Return whether all that has arrived is read, so that a silent client has sent nothing."""
        return (
            self._expiring
            or self._next is None
            or (self._late_since is None and self._began_to_be_late() is None)
        )

    def when_it_may_expire(self, callback: Callable[[], None]) -> PendingExpiry:
        """Call back, once, when expiry is allowed again; to be used when `may_expire` is False.

        However late the loop is, that is after `LONGEST_CATCH_UP_SECONDS` and a few of its rounds at most.
        """
        return PendingExpiry(self._pending, callback)

    def when_over(self, since: float, allowed: float, callback: Callable[[], None]) -> "Deadline":
        """Call back when a client has been silent for too long.

        Args:
            since: When it was last heard, in the clock's time.
            allowed: For how many seconds it may be silent; the server's own delays are added.
            callback: Called once, unless the deadline is cancelled before.
        """
        return Deadline(self, self._delays, since, allowed, callback)

    def note_delay(self, since: float, waited_for: str) -> None:
        """Note that messages that came after `since` have waited until now.

        Args:
            since: In the clock's time.
            waited_for: The part of the server that was slow, for the log.
        """
        if self._next is None:
            return
        # The time before has been counted as a delay already.
        since = max(since, self._noted)
        if self._late_since is not None:
            self._late_since = min(self._late_since, since)
            return
        self._next.cancel()
        self._catch_up(since, waited_for)

    def _began_to_be_late(self) -> float | None:
        """Return since when the loop is late; None if it is on time."""
        now = self._clock.now()
        asleep = self._clock.suspended() - self._suspended
        if asleep > LATE_SECONDS:
            # `now` stood still while the computer was suspended; the clients' clocks did not.
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
        self._late_since, self._waited_for = since, waited_for
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
            self._let_expire()

    def _let_expire(self) -> None:
        """Call back all that wait for expiry: the delay is noted by now, so that it counts against nobody."""
        self._expiring = True
        while self._pending:
            pending = next(iter(self._pending))
            pending.cancel()
            try:
                pending.callback()
            except Exception:  # noqa: BLE001 — the other callbacks must still be called
                _log.exception("checking for silent jobs or clients failed")
        self._expiring = False

    def _note(self, now: float) -> None:
        assert self._late_since is not None
        seconds = now - self._late_since
        self._delays.add(self._late_since, now)
        self._durations.add(seconds)
        self._late_since, self._noted = None, now
        self._suspended = self._clock.suspended()
        if seconds < LOGGED_SECONDS:
            return
        if self._logged is not None and now - self._logged < LOGGED_AGAIN_SECONDS:
            self._unlogged += 1
            return
        before = f" ({self._unlogged} times more since this was last logged)" if self._unlogged else ""
        _log.warning(
            "the server waited %.1f s for %s%s; clients and BMPs get as much time more",
            seconds,
            self._waited_for,
            before,
        )
        self._logged, self._unlogged = now, 0


class Deadline:
    """A time until which a client may be silent; it moves with the server's delays."""

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
        self._timer: asyncio.TimerHandle | PendingExpiry = asyncio.get_running_loop().call_later(
            allowed, self._look
        )

    def cancel(self) -> None:
        """Don't call back."""
        self._timer.cancel()

    def _look(self) -> None:
        left = self._delays.deadline(self._since, self._allowed) - self._presence.now()
        if not self._presence.may_expire():
            self._timer = self._presence.when_it_may_expire(self._look)
        elif left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)
        else:
            self._callback()

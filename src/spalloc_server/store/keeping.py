"""How much is kept of jobs that have ended: looked at with every commit, and cut when the disk is full.

The statements stand in history.py, what is kept back for a full disk in room.py.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from spalloc_server.store import history
from spalloc_server.store.opening import move_log
from spalloc_server.store.room import RESERVE_BYTES, Reserve, lacks_room
from spalloc_server.words import there_are

_log = logging.getLogger(__name__)

TELL_SECONDS = 60.0
"""How often the log tells that jobs were dropped on a full disk, which can go on with every commit."""
LEAST_GIVEN_BACK_BYTES = 4 * 1024 * 1024
"""Less than this is kept for what comes."""
LEAST_MADE_FREE_BYTES = 256 * 1024
MOST_MADE_FREE_BYTES = 16 * 1024 * 1024
"""How much is made free at once on a full disk: a sixteenth of the records, within these bounds."""
_DROPPED_ON_A_FULL_DISK = 100
_PAGES_GIVEN_BACK = 256
_PAGE_BYTES = 4096
_MARGIN = 100
"""Of the jobs or bytes that there may be, one part in so many more is dropped: not a little at each commit."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """How much there may be of jobs that have ended."""

    jobs: int = 1_000_000
    bytes: int = 1_000_000_000
    """With what is recorded of live jobs."""


class Keeper:
    """Keeps a database's ended jobs within bounds."""

    def __init__(self, database: Callable[[], sqlite3.Connection], reserve: Reserve | None) -> None:
        """Keep what `database` returns, with room in `reserve` for a full disk; None where there is no disk."""
        self.limits = HistoryLimits()
        """May be replaced at any time."""
        self._of = database
        self._reserve = reserve
        self._untold = 0
        """How many jobs were dropped on a full disk since the log told of any."""
        self._told: float | None = None
        self._ended = 0
        self._used_bytes = 0
        """No less than what is in use; more only while the file itself is no longer than the records may be."""

    def count(self) -> None:
        """Find out how much there is."""
        self._ended = history.count_ended(self._of())
        self._used_bytes = history.used_bytes(self._of())

    def have_ended(self, jobs: int, pages: int) -> None:
        """Take note that so many more ended jobs are recorded now, in a file of so many pages."""
        self.tell()
        self._ended += jobs
        self._used_bytes = pages * _PAGE_BYTES
        if self._used_bytes > self.limits.bytes:
            self._used_bytes = history.used_bytes(self._of())

    def ended_before(self, moment: float) -> int:
        """Return how many jobs ended before a moment of Unix time.

        Raises:
            sqlite3.Error: They can't be read.
        """
        return history.count_ended(self._of(), moment)

    @property
    def has_excess(self) -> bool:
        """Whether there are more ended jobs than there may be, or longer ones."""
        return self._ended > self.limits.jobs or (self._ended > 0 and self._used_bytes > self.limits.bytes)

    def drop_excess(self, most: int) -> int:
        """Drop at most `most` jobs of those that are too many, and return how many: a few more than need be.

        Raises:
            sqlite3.Error: They could not be dropped; trying again is allowed.
        """
        count = 0
        if self._ended > self.limits.jobs:
            count = self._ended - self.limits.jobs + self.limits.jobs // _MARGIN
        if self._used_bytes > self.limits.bytes:
            too_much = self._used_bytes - self.limits.bytes + self.limits.bytes // _MARGIN
            count = max(count, 1 + self._ended * too_much // self._used_bytes)
        some = min(count, most)
        dropped = self._drop(lambda: history.forget_oldest(self._of(), some))
        if dropped < some:
            # Fewer than were thought: some were counted twice.
            self.count()
        return dropped

    def drop_ended_before(self, moment: float, most: int) -> int:
        """Drop at most `most` jobs that ended before a moment of Unix time, and return how many.

        Raises:
            sqlite3.Error: They could not be dropped; trying again is allowed.
        """
        return self._drop(lambda: history.forget_ended(self._of(), moment, most))

    def _drop(self, drop: Callable[[], int]) -> int:
        try:
            dropped = drop()
        except sqlite3.OperationalError as error:
            if not lacks_room(error):
                raise
            return self.make_room()
        self._ended -= dropped
        self._used_bytes = history.used_bytes(self._of())
        return dropped

    def give_back(self) -> bool:
        """Give a little of what the file does not need any more back to the disk; return whether there is more of it.

        Raises:
            sqlite3.Error: It can't be; trying again is allowed.
        """
        free = history.free_bytes(self._of())
        if free < max(LEAST_GIVEN_BACK_BYTES, self._used_bytes // 4):
            return False
        self._give_back(_PAGES_GIVEN_BACK)
        return history.free_bytes(self._of()) < free

    def make_room(self) -> int:
        """Drop ended jobs until there is some room on a disk that is full, and return how many.

        Raises:
            sqlite3.Error: There is no room even for that.
        """
        if self._reserve is None:
            return 0
        self.count()
        if self._ended == 0:
            return 0
        self._reserve.release()
        dropped = 0
        try:
            move_log(self._of())
            wanted = history.free_bytes(self._of()) + max(
                LEAST_MADE_FREE_BYTES, min(self._used_bytes // 16, MOST_MADE_FREE_BYTES)
            )
            while history.free_bytes(self._of()) < wanted:
                some = history.forget_oldest(self._of(), _DROPPED_ON_A_FULL_DISK)
                if not some:
                    break
                dropped += some
                move_log(self._of())
        finally:
            self.count()
            self._keep_room_back(self._reserve)
        self._untold += dropped
        self.tell()
        return dropped

    def tell(self, *, at_last: bool = False) -> None:
        """Log how many jobs were dropped on a full disk: at once, then once a minute how many more, or `at_last`."""
        now = monotonic()
        if self._untold and (at_last or self._told is None or now - self._told >= TELL_SECONDS):
            _log.warning(
                "the disk is full: %s dropped from the records to make room; give the server a larger disk, or lower "
                "history.megabytes",
                there_are(self._untold, "ended job"),
            )
            self._told, self._untold = now, 0

    def _keep_room_back(self, reserve: Reserve) -> None:
        if reserve.keep():
            return
        with contextlib.suppress(sqlite3.Error):
            # Some of what was made free in the file is kept back instead.
            self._give_back(RESERVE_BYTES // _PAGE_BYTES)
            move_log(self._of())
        reserve.keep()

    def _give_back(self, pages: int) -> None:
        # As a script: to Python, a statement that returns rows without columns is over after the first page.
        self._of().executescript(f"PRAGMA incremental_vacuum({pages})")

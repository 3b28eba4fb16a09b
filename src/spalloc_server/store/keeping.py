"""Keeps the history of ended jobs within its limits, checked at every commit, and cuts it when the disk is full.

See history.py for the SQL statements, and room.py for the reserve for a full disk.
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
"""Seconds between log lines about jobs dropped on a full disk, which may happen at every commit."""
LEAST_GIVEN_BACK_BYTES = 4 * 1024 * 1024
"""Less free space than this stays in the file, for new records."""
LEAST_MADE_FREE_BYTES = 256 * 1024
MOST_MADE_FREE_BYTES = 16 * 1024 * 1024
"""How much is freed at once on a full disk: a sixteenth of the records, within these bounds."""
_DROPPED_ON_A_FULL_DISK = 100
_PAGES_GIVEN_BACK = 256
_PAGE_BYTES = 4096
_MARGIN = 100
"""When over a limit, 1/100 of the limit is dropped extra, so as not to drop at every commit."""


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """The most ended jobs that are kept."""

    jobs: int = 1_000_000
    bytes: int = 1_000_000_000
    """The most bytes of all records, live jobs included."""


class Keeper:
    """Keeps a database's ended jobs within their limits."""

    def __init__(self, database: Callable[[], sqlite3.Connection], reserve: Reserve | None) -> None:
        """Keep a history.

        Args:
            database: Returns the database.
            reserve: Room that is kept back for a full disk; None for a database in memory.
        """
        self.limits = HistoryLimits()
        """May be replaced at any time."""
        self._of = database
        self._reserve = reserve
        self._untold = 0
        """How many jobs were dropped on a full disk since the last log line about it."""
        self._told: float | None = None
        self._ended = 0
        self._used_bytes = 0
        """The bytes in use, or more; more only while even the whole file is within the limit."""

    def count(self) -> None:
        """Count ended jobs and bytes again."""
        self._ended = history.count_ended(self._of())
        self._used_bytes = history.used_bytes(self._of())

    def have_ended(self, jobs: int, pages: int) -> None:
        """Note that `jobs` more ended jobs are recorded, and that the file has `pages` pages now."""
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
        """Whether ended jobs are beyond one of the limits."""
        return self._ended > self.limits.jobs or (self._ended > 0 and self._used_bytes > self.limits.bytes)

    def drop_excess(self, most: int) -> int:
        """Drop ended jobs beyond the limits and a few more, at most `most`, and return how many were dropped.

        Raises:
            sqlite3.Error: They could not be dropped; it may be tried again.
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
            # There were fewer than the count: some were counted twice.
            self.count()
        return dropped

    def drop_ended_before(self, moment: float, most: int) -> int:
        """Drop at most `most` jobs that ended before a moment of Unix time, and return how many were dropped.

        Raises:
            sqlite3.Error: They could not be dropped; it may be tried again.
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
        """Give a little of the file's free space back to the disk; return whether to call this again.

        Raises:
            sqlite3.Error: That failed; it may be tried again.
        """
        free = history.free_bytes(self._of())
        if free < max(LEAST_GIVEN_BACK_BYTES, self._used_bytes // 4):
            return False
        self._give_back(_PAGES_GIVEN_BACK)
        return history.free_bytes(self._of()) < free

    def make_room(self) -> int:
        """Drop ended jobs until there is some room on a full disk, and return how many were dropped.

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
        """Log how many jobs were dropped on a full disk: at once, then once a minute, and in any case if `at_last`."""
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
            # Some of the space that was freed in the file is kept back instead.
            self._give_back(RESERVE_BYTES // _PAGE_BYTES)
            move_log(self._of())
        reserve.keep()

    def _give_back(self, pages: int) -> None:
        # As a script: Python ends a statement that returns rows without columns after the first page.
        self._of().executescript(f"PRAGMA incremental_vacuum({pages})")

"""The table of the audit: the statements that add entries, keep their number within bounds, and find them again.

What an entry says is in core/audit.py.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spalloc_server.core.audit import Entry
from spalloc_server.store.writing import Statement, for_all

LOOKED_AT_AFTER = 500
"""After how many new entries it is looked whether there are too many."""

_COLUMNS = "at, what, account, by_user, host, job, subject, detail, outcome"
_PUT = f"INSERT INTO audit ({_COLUMNS}) VALUES {{rows}}"
_OF_STRANGERS = "SELECT id FROM audit WHERE account IS NULL AND outcome IS NOT NULL ORDER BY id LIMIT ?"
_OF_JOBS = "SELECT id FROM audit WHERE job IS NOT NULL ORDER BY job, id LIMIT ?"
_FIRST = "SELECT id FROM audit ORDER BY id LIMIT ?"
_OLD = "SELECT id FROM audit WHERE at < ? ORDER BY id LIMIT ?"
_DROP = "DELETE FROM audit WHERE id IN ({some})"


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """The most entries that are kept."""

    entries: int = 1_000_000


@dataclass(frozen=True, slots=True)
class AuditQuestion:
    """Which entries are wanted."""

    begins: float
    """In seconds of Unix time."""
    ends: float
    account: str | None = None
    """Those of what this account did, or of what was done to it."""
    job: int | None = None
    what: str | None = None
    most: int = 1_000
    """How many at most: the latest."""


def auditing(entries: Sequence[Entry]) -> Iterator[Statement]:
    """Return the statements that add entries."""
    return for_all(_PUT, entries)


def entries_of(database: sqlite3.Connection, question: AuditQuestion) -> list[Entry]:
    """Return the entries that are wanted, the earliest first.

    Raises:
        sqlite3.Error: They can't be read.
    """
    where, values = "at >= ? AND at < ?", [question.begins, question.ends]
    wanted: list[tuple[str, Sequence[object]]] = [(where, values)]
    if question.account is not None:
        of = "(account = ? OR subject = ?)"
        wanted.append((of, (question.account, f"account {question.account}")))
    if question.job is not None:
        wanted.append(("job = ?", (question.job,)))
    if question.what is not None:
        wanted.append(("what = ?", (question.what,)))
    conditions = " AND ".join(condition for condition, _ in wanted)
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM audit WHERE {conditions} ORDER BY id DESC LIMIT ?",
        [*(value for _, some in wanted for value in some), question.most],
    )
    return [Entry(*row) for row in rows][::-1]


class AuditKeeper:
    """Keeps a database's audit within its limits."""

    def __init__(self, database: Callable[[], sqlite3.Connection]) -> None:
        """Keep the audit of what `database` returns."""
        self.limits = AuditLimits()
        """May be replaced at any time."""
        self.added = 0
        """How many entries were added since it was looked."""
        self._of = database
        self._count: int | None = None
        """How many there were when it was looked last."""
        self._untold = 0

    @property
    def may_have_excess(self) -> bool:
        """Whether it is time to look whether there are too many."""
        return self.added >= LOOKED_AT_AFTER

    def drop(self, before: float | None, most: int) -> int:
        """Drop entries beyond the limits, and old ones, in one transaction; return how many.

        Of those that are too many, entries about what was refused to clients without an account go first, such as wrong
        passwords: anybody can cause these. Then go entries about jobs, those of the earliest jobs before others:
        whoever creates jobs in a loop must not push out what administrators did.

        Args:
            before: Entries before this moment of Unix time are old; None to drop none for that.
            most: How many are dropped at most for either reason.

        Raises:
            sqlite3.Error: They could not be dropped; it may be tried again.
        """
        database = self._of()
        database.execute("BEGIN")
        try:
            if self._count is None:
                (count,) = database.execute("SELECT count(*) FROM audit").fetchone()
            else:
                count = self._count + self.added
            excess = min(most, count - self.limits.entries)
            dropped = 0
            for some in (_OF_STRANGERS, _OF_JOBS, _FIRST):
                if dropped < excess:
                    dropped += self._drop(some, excess - dropped)
            if before is not None:
                dropped += self._drop(_OLD, before, most)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            self._count = None
            raise
        self._count, self.added = count - dropped, 0
        self._untold += dropped
        return dropped

    def _drop(self, some: str, *values: float) -> int:
        self._of().execute(_DROP.format(some=some), values)
        (dropped,) = self._of().execute("SELECT changes()").fetchone()
        return int(dropped)

    def take_untold(self) -> int:
        """Return how many were dropped since this was asked last, for the log."""
        untold, self._untold = self._untold, 0
        return untold

"""The table of charges: the statements that write them and keep their number within bounds, and how they are read.

When a charge is made is decided in core/.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spalloc_server.core.charges import Charge
from spalloc_server.store.writing import Statement, for_all

LOOKED_AT_AFTER = 500
"""After how many new charges it is looked whether there are too many."""
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, in seconds of Unix time."""

_COLUMNS = "job, owner, account, group_name, machine, boards, begun, ended"
_PUT = f"INSERT INTO charges ({_COLUMNS}) VALUES {{rows}}"
_BEYOND = "SELECT id FROM charges WHERE id <= (SELECT max(id) FROM charges) - ? ORDER BY id LIMIT ?"
_OLD = "SELECT id FROM charges WHERE ended < ? ORDER BY ended LIMIT ?"
_NOTE = """
INSERT INTO counters (name, value)
SELECT 'charges_since', since
FROM (SELECT CAST(max(ended) AS INTEGER) + 1 AS since FROM charges WHERE id IN ({some}))
WHERE since IS NOT NULL
ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""
_DROP = "DELETE FROM charges WHERE id IN ({some})"
_SINCE = "SELECT value FROM counters WHERE name = 'charges_since'"


@dataclass(frozen=True, slots=True)
class ChargeLimits:
    """The most charges that are kept."""

    charges: int = 1_000_000


def charging(charges: Sequence[Charge]) -> Iterator[Statement]:
    """Yield the statements that add charges."""
    return for_all(_PUT, charges)


class ChargeKeeper:
    """Keeps a database's charges within their limits."""

    def __init__(self, database: Callable[[], sqlite3.Connection]) -> None:
        """Keep the charges of what `database` returns."""
        self.limits = ChargeLimits()
        """May be replaced at any time."""
        self.added = 0
        """How many charges were added since it was looked."""
        self._of = database
        self._untold = 0

    @property
    def may_have_excess(self) -> bool:
        """Whether it is time to look whether there are too many."""
        return self.added >= LOOKED_AT_AFTER

    def drop(self, before: float | None, most: int) -> int:
        """Drop charges beyond the limits, and old ones, in one transaction; return how many.

        Args:
            before: Charges whose allocation ended before this moment of Unix time are old; None to drop none for that.
            most: How many are dropped at most for either reason.

        Raises:
            sqlite3.Error: They could not be dropped; it may be tried again.
        """
        database, dropped = self._of(), 0
        database.execute("BEGIN")
        try:
            for some, value in ((_BEYOND, self.limits.charges), (_OLD, before)):
                if value is not None:
                    database.execute(_NOTE.format(some=some), (value, most))
                    database.execute(_DROP.format(some=some), (value, most))
                    dropped += database.execute("SELECT changes()").fetchone()[0]
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        self._untold += dropped
        self.added = max(0, self.added - most)
        return dropped

    def take_untold(self) -> int:
        """Return how many were dropped since this was asked last, for the log."""
        untold, self._untold = self._untold, 0
        return untold


def all_charges(database: sqlite3.Connection) -> Iterator[Charge]:
    """Yield all charges, in the order in which they were recorded."""
    for row in database.execute(f"SELECT {_COLUMNS} FROM charges ORDER BY id"):
        yield Charge(*row)


def complete_since(database: sqlite3.Connection) -> float | None:
    """Return since when all charges are kept, in seconds of Unix time; None if none was ever dropped."""
    row = database.execute(_SINCE).fetchone()
    return None if row is None else float(min(max(row[0], 0), _LAST_MOMENT))

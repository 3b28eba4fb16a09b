"""Adds charges up: the statements that answer who used what.

What may be asked is in core/usage.py. Jobs that have their boards still are charged up to the present, from their own
records. All of an answer is of one moment.
"""

import json
import sqlite3
from collections.abc import Collection
from math import fsum

from spalloc_server.core.usage import By, Usage, UsageQuestion, Used
from spalloc_server.store.charges import complete_since

_COLUMNS = {By.OWNER: "owner", By.ACCOUNT: "account", By.GROUP: "group_name", By.MACHINE: "machine"}

_SPELLS = """
WITH spells (job, owner, account, group_name, machine, boards, begun, ended) AS (
    SELECT job, owner, account, group_name, machine, boards, begun, ended FROM charges WHERE ended > :begins
    UNION ALL
    SELECT
        id,
        owner,
        json_extract(text, '$.account'),
        json_extract(text, '$.group'),
        machine,
        json_array_length(text, '$.allocation.boards'),
        coalesce(json_extract(text, '$.allocated'), created),
        :now
    FROM (
        SELECT id, owner, created, machine,
            CASE WHEN json_valid(CAST(record AS TEXT)) THEN CAST(record AS TEXT) ELSE '{{}}' END AS text
        FROM jobs WHERE ended IS NULL AND machine IS NOT NULL{live}
    )
)
SELECT {what} FROM spells
WHERE begun < :ends AND ended > :begins AND ended > begun AND boards > 0{of}
"""
_LIVE = " AND id IN (SELECT value FROM json_each(:live))"
_OF_ACCOUNT = " AND account = :account"
_PART = "{who}, count(DISTINCT job), total(boards * (min(ended, :ends) - max(begun, :begins)))"


def usage(
    database: sqlite3.Connection, question: UsageQuestion, now: float, live: Collection[int] | None = None
) -> Usage:
    """Return who used what.

    Args:
        database: The records; in no transaction.
        question: What is asked.
        now: The present, in seconds of Unix time.
        live: The IDs of all jobs that may have boards, which spares a look at each job; None if they are unknown.

    Raises:
        sqlite3.Error: The records can't be read.
    """
    values = {
        "begins": question.begins,
        "ends": question.ends,
        "now": now,
        "live": json.dumps(list(live or ())),
        "account": question.account,
    }
    filters = {
        "live": "" if live is None else _LIVE,
        "of": "" if question.account is None else _OF_ACCOUNT,
    }
    part = _PART.format(who=_COLUMNS[question.by])
    by = _SPELLS.format(what=part, **filters) + "GROUP BY 1 ORDER BY 3 DESC, 1"
    database.execute("BEGIN")
    try:
        parts = [Used(*row) for row in database.execute(by, values)]
        jobs = sum(used.jobs for used in parts)
        if question.by is By.MACHINE:
            # A job that was moved may have had boards of several.
            count = _SPELLS.format(what="count(DISTINCT job)", **filters)
            ((jobs,),) = database.execute(count, values).fetchall()
        since = complete_since(database)
    finally:
        if database.in_transaction:
            database.execute("COMMIT")
    return Usage(
        question,
        parts[: question.most],
        Used(None, jobs, fsum(used.board_seconds for used in parts)),
        max(0, len(parts) - question.most),
        since,
    )

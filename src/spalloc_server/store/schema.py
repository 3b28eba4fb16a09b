"""Defines the tables of the database, as migrations from each version to the next.

Never change a migration. A change to the tables is a new migration at the end, so that every database that was ever
made can be brought up to date. Reading and writing records is done by other modules.
"""

import sqlite3

APPLICATION = 0x53504131
"""Marks a database as ours: SQLite's application_id."""

MIGRATIONS: tuple[str, ...] = (
    # 1
    """
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    created REAL NOT NULL,
    ended REAL,
    machine TEXT,
    record BLOB NOT NULL
) STRICT;
CREATE INDEX ended_jobs ON jobs (ended) WHERE ended IS NOT NULL;
CREATE INDEX ended_jobs_of_owner ON jobs (owner, ended) WHERE ended IS NOT NULL;
CREATE INDEX ended_jobs_of_machine ON jobs (machine, ended) WHERE ended IS NOT NULL;
CREATE TABLE boards (
    machine TEXT NOT NULL,
    x INTEGER NOT NULL,
    y INTEGER NOT NULL,
    z INTEGER NOT NULL,
    owed_off INTEGER NOT NULL,
    aside TEXT,
    rest_seconds REAL,
    PRIMARY KEY (machine, x, y, z)
) STRICT, WITHOUT ROWID;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('next_job', 1);
""",
    # 2
    """
CREATE TABLE set_aside (
    id INTEGER PRIMARY KEY,
    why TEXT NOT NULL,
    owner TEXT NOT NULL,
    created REAL NOT NULL,
    ended REAL,
    machine TEXT,
    record BLOB NOT NULL
) STRICT;
""",
    # 3
    """
CREATE INDEX ended_jobs_of_owner_on_machine ON jobs (owner, machine, ended) WHERE ended IS NOT NULL;
""",
    # 4
    """
ALTER TABLE boards ADD COLUMN drained TEXT;
ALTER TABLE boards ADD COLUMN drained_by TEXT;
ALTER TABLE boards ADD COLUMN drained_since REAL;
ALTER TABLE boards ADD COLUMN aside_since REAL;
""",
    # 5
    """
CREATE TABLE lengths (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    boards INTEGER NOT NULL,
    seconds REAL NOT NULL,
    limit_seconds REAL
) STRICT;
CREATE TABLE shares (owner TEXT PRIMARY KEY, used REAL NOT NULL, at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE scheduler (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
""",
    # 6
    """
CREATE TABLE reservations (name TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
""",
    # 7
    """
CREATE TABLE accounts (name TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE tokens (key TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (key TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
""",
    # 8
    """
CREATE TABLE groups (name TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
""",
    # 9: jobs that have ended are charged from what is recorded of them, as far back as that goes.
    """
CREATE TABLE charges (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    owner TEXT NOT NULL,
    account TEXT,
    group_name TEXT,
    machine TEXT NOT NULL,
    boards INTEGER NOT NULL,
    begun REAL NOT NULL,
    ended REAL NOT NULL
) STRICT;
CREATE INDEX charges_by_end ON charges (ended);
INSERT INTO charges (job, owner, account, machine, boards, begun, ended)
SELECT
    id,
    owner,
    CASE WHEN json_type(text, '$.account') = 'text' THEN json_extract(text, '$.account') END,
    machine,
    json_array_length(text, '$.allocation.boards'),
    json_extract(text, '$.allocated'),
    max(json_extract(text, '$.allocated'), ended)
FROM (
    SELECT id, owner, machine, ended, CASE WHEN json_valid(CAST(record AS TEXT)) THEN CAST(record AS TEXT) END AS text
    FROM jobs WHERE ended IS NOT NULL AND machine IS NOT NULL
)
WHERE CASE WHEN text IS NOT NULL THEN json_type(text, '$.allocated') = 'real' END
    AND CASE WHEN text IS NOT NULL THEN json_array_length(text, '$.allocation.boards') > 0 END
ORDER BY ended, id;
INSERT INTO counters (name, value)
SELECT 'charges_since', since FROM (SELECT CAST(min(ended) AS INTEGER) AS since FROM jobs) WHERE since IS NOT NULL;
""",
    # 10
    """
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    what TEXT NOT NULL,
    account TEXT,
    by_user TEXT,
    host TEXT NOT NULL,
    job INTEGER,
    subject TEXT,
    detail TEXT,
    outcome TEXT
) STRICT;
CREATE INDEX audit_of_jobs ON audit (job) WHERE job IS NOT NULL;
""",
    # 11
    """
CREATE INDEX audit_of_strangers ON audit (id) WHERE account IS NULL AND outcome IS NOT NULL;
""",
)
"""The statements that make each version of the schema from the one before; an empty database has version 0."""

_PARTS = """
SELECT type, name, sql FROM sqlite_schema
WHERE type = 'trigger' OR (type IN ('table', 'index') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\')
"""


def difference(database: sqlite3.Connection, version: int) -> str | None:
    """Return how a database of a version differs from the schema in a way that would affect writing, or None.

    Tables and indices that somebody added are no difference; triggers are.
    """
    ours = sqlite3.connect(":memory:")
    try:
        for statement in "".join(MIGRATIONS[:version]).split(";"):
            ours.execute(statement)
        made = _parts(ours)
    finally:
        ours.close()
    found = _parts(database)
    for (kind, name), sql in made.items():
        if (kind, name) not in found:
            return f"it has no {kind} {name}"
        if found[kind, name] != sql:
            return f"its {kind} {name} is not as a server makes it"
    return next((f"it has a {kind} {name}" for kind, name in found if kind == "trigger"), None)


def _parts(database: sqlite3.Connection) -> dict[tuple[str, str], list[str]]:
    """Return the statement that made each part of a database, split into words."""
    return {(kind, name): (sql or "").split() for kind, name, sql in database.execute(_PARTS)}

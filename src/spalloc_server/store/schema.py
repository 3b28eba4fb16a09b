# The tables of the database, and how those of older servers become today's.
#
# What is read from them and written to them is database.py's subject. A table is never changed in place here: a
# change is a migration of its own at the end, so that every database that was ever made can be brought up to date.
"""The store's schema and its history."""

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
)
"""What makes each version of the schema from the one before; an empty database has version 0."""

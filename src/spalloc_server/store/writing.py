"""The statements that write records into the tables.

See records.py for how a job's record is encoded, and database.py for transactions.
"""

from collections.abc import Iterator, Mapping, Sequence

from spalloc_client.states import JobState
from spalloc_server.core.effects import BoardKey, BoardRecord
from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.reservations import Reservation
from spalloc_server.store.records import reservation_to_text, to_text

Statement = tuple[str, Sequence[object]]
"""SQL, and the values of its parameters."""

_PUT_JOB = """
INSERT INTO jobs (id, owner, created, ended, machine, record) VALUES {rows}
ON CONFLICT (id) DO UPDATE
SET owner = excluded.owner, created = excluded.created, ended = excluded.ended, machine = excluded.machine,
    record = excluded.record
"""
_PUT_BOARD = """
INSERT INTO boards (
    machine, x, y, z, owed_off, aside, rest_seconds, drained, drained_by, drained_since, aside_since
) VALUES {rows}
ON CONFLICT (machine, x, y, z) DO UPDATE
SET owed_off = excluded.owed_off, aside = excluded.aside, rest_seconds = excluded.rest_seconds,
    drained = excluded.drained, drained_by = excluded.drained_by, drained_since = excluded.drained_since,
    aside_since = excluded.aside_since
"""
_ROWS_A_STATEMENT = 100
_DROP_BOARDS = "DELETE FROM boards WHERE (machine, x, y, z) IN (VALUES {rows})"
_PUT_RESERVATION = """
INSERT INTO reservations (name, record) VALUES {rows}
ON CONFLICT (name) DO UPDATE SET record = excluded.record
"""
_DROP_RESERVATIONS = "DELETE FROM reservations WHERE (name) IN (VALUES {rows})"
_COUNT_JOBS = """
INSERT INTO counters (name, value) VALUES ('next_job', ?)
ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)
"""
_COUNT_STARTS = """
INSERT INTO counters (name, value) VALUES ('starts', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1
"""


def counting_start() -> Iterator[Statement]:
    """Yield statements for a server's first write: they always change something.

    They also remove the mark that records may be missing: what the start decided because of it is written in the same
    transaction.
    """
    yield _COUNT_STARTS, ()
    yield "DELETE FROM counters WHERE name IN ('doubtful', 'backed_up')", ()


def putting(
    jobs: Mapping[int, JobRecord],
    boards: Mapping[BoardKey, BoardRecord | None],
    reservations: Mapping[str, Reservation | None],
) -> Iterator[Statement]:
    """Yield statements that write records of jobs, with the IDs given, of boards and of reservations.

    None removes the record of a board or of a reservation.
    """
    yield from for_all(_PUT_JOB, [_job_row(record) for record in jobs.values()])
    if jobs:
        yield _COUNT_JOBS, (max(jobs) + 1,)
    yield from for_all(
        _DROP_BOARDS, [(key.machine, *key.board) for key, record in boards.items() if record is None]
    )
    yield from for_all(
        _PUT_BOARD,
        [
            (
                key.machine,
                *key.board,
                record.owed_off,
                record.aside,
                record.rest_seconds,
                *_drained(record),
                record.aside_since,
            )
            for key, record in boards.items()
            if record is not None
        ],
    )
    yield from for_all(
        _DROP_RESERVATIONS, [(name,) for name, record in reservations.items() if record is None]
    )
    yield from for_all(
        _PUT_RESERVATION,
        [(name, reservation_to_text(record)) for name, record in reservations.items() if record is not None],
    )


def _drained(record: BoardRecord) -> tuple[str | None, str | None, float | None]:
    word = record.drained
    return (None, None, None) if word is None else (word.why, word.by, word.since)


def for_all(statement: str, rows: Sequence[tuple[object, ...]]) -> Iterator[Statement]:
    """Yield as few statements as possible that write rows: `{rows}` stands for them in the statement."""
    # One statement for many rows: after each statement, the writing thread waits for the interpreter, which the event
    # loop keeps busy.
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        some = rows[start : start + _ROWS_A_STATEMENT]
        row = f"({', '.join('?' * len(some[0]))})"
        yield statement.format(rows=", ".join([row] * len(some))), [value for row in some for value in row]


def _job_row(record: JobRecord) -> tuple[int, str, float, float | None, str | None, bytes]:
    ended = record.ended if record.state is JobState.destroyed else None
    machine = None if record.allocation is None else record.allocation.machine
    return record.id, record.owner, record.created, ended, machine, to_text(record)

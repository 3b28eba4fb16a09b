"""The audit is in the records, is found again, and stays within its limits."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from spalloc_server.core.audit import Entry
from spalloc_server.store import schema
from spalloc_server.store.audit import _OF_STRANGERS, LOOKED_AT_AFTER, AuditLimits, AuditQuestion
from spalloc_server.store.backup import back_up
from spalloc_server.store.database import Store
from spalloc_server.store.restoring import restore
from spalloc_server.store.soundness import save_what_can_be_read

ALL = AuditQuestion(0.0, 2e9)
ENTRIES = [
    Entry(1.5e9, "create-job", "jäne 雪", None, "10.0.0.9", 7, "owner jane", None, None),
    Entry(1.5e9 + 1 / 3, "lock-account", None, "mary", "", None, "account joe", None, None),
    Entry(1.6e9, "destroy-job", "joe", None, "10.0.0.9", 7, None, "done", "job 7 is not yours"),
]


def of_job(number: int) -> Entry:
    return Entry(1.6e9 + number, "create-job", None, None, "10.0.0.9", number, None, None, None)


def of_account(number: int) -> Entry:
    return Entry(1.6e9 + number, "log-in", None, None, "10.0.0.9", None, f"account {number}", None, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def write(path: Path, entries: Sequence[Entry]) -> None:
    store = Store(path)
    store.write({}, {}, audit=entries)
    store.close()


def read(path: Path, question: AuditQuestion = ALL) -> list[Entry]:
    store = Store(path)
    found = store.audit_entries(question)
    store.close()
    return found


def test_entries_are_read_as_they_were_written_and_stay_in_order(path: Path) -> None:
    write(path, ENTRIES[:2])
    write(path, ENTRIES[2:])
    assert read(path) == ENTRIES


@pytest.mark.parametrize(
    ("question", "found"),
    [
        (AuditQuestion(1.5e9, 1.6e9), [0, 1]),
        (AuditQuestion(1.5e9 + 0.1, 2e9), [1, 2]),
        (AuditQuestion(0.0, 2e9, account="joe"), [1, 2]),
        (AuditQuestion(0.0, 2e9, account="jäne 雪"), [0]),
        (AuditQuestion(0.0, 2e9, job=7), [0, 2]),
        (AuditQuestion(0.0, 2e9, job=7, account="joe", what="destroy-job"), [2]),
        (AuditQuestion(0.0, 2e9, what="nothing"), []),
        (AuditQuestion(0.0, 2e9, most=2), [1, 2]),
    ],
)
def test_entries_are_found_by_time_account_job_and_deed(
    question: AuditQuestion, found: list[int], path: Path
) -> None:
    write(path, ENTRIES)
    assert read(path, question) == [ENTRIES[index] for index in found]


def test_a_backup_has_the_audit_and_so_has_what_is_saved_of_a_damaged_file(
    path: Path, tmp_path: Path
) -> None:
    write(path, ENTRIES)
    back_up(path, tmp_path / "backup")
    write(path, ENTRIES)
    restore(tmp_path / "backup", path)
    save_what_can_be_read(path)
    assert read(path) == ENTRIES


def test_records_of_an_older_server_have_no_audit(path: Path) -> None:
    old = sqlite3.connect(path)
    old.executescript("".join(schema.MIGRATIONS[:9]))
    old.executescript(f"PRAGMA user_version = 9; PRAGMA application_id = {schema.APPLICATION}")
    old.close()
    assert read(path) == []


def test_whoever_creates_jobs_in_a_loop_does_not_push_out_what_administrators_did(path: Path) -> None:
    store = Store(path)
    store.audit.limits = AuditLimits(entries=10)
    store.write({}, {}, audit=[of_account(1), of_account(2)])
    for first in range(0, 2 * LOOKED_AT_AFTER, 100):
        store.write({}, {}, audit=[of_job(number) for number in range(first, first + 100)])
        if store.audit.may_have_excess:
            store.audit.drop(None, 1000)
    assert store.audit_entries(ALL) == [
        of_account(1),
        of_account(2),
        *[of_job(number) for number in range(2 * LOOKED_AT_AFTER - 8, 2 * LOOKED_AT_AFTER)],
    ]
    store.write({}, {}, audit=[of_account(number) for number in range(3, 20)])
    store.audit.drop(None, 1000)
    assert store.audit_entries(ALL) == [of_account(number) for number in range(10, 20)]
    store.close()


def test_whoever_tries_passwords_for_weeks_pushes_out_nothing_else(path: Path) -> None:
    store = Store(path)
    store.audit.limits = AuditLimits(entries=10)
    kept = [of_account(1), of_job(2), of_job(3), ENTRIES[2]]
    store.write({}, {}, audit=kept)
    wrong = [of_account(number)._replace(outcome="wrong name or password") for number in range(1000)]
    for first in range(0, 1000, 100):
        store.write({}, {}, audit=wrong[first : first + 100])
        store.audit.drop(None, 1000)
    assert store.audit_entries(ALL) == [*kept, *wrong[-6:]]
    ((*_, plan),) = store._database.execute(f"EXPLAIN QUERY PLAN {_OF_STRANGERS}", (1,)).fetchall()
    assert "audit_of_strangers" in plan
    store.close()


def test_entries_are_dropped_for_their_age_and_above_a_lower_limit_a_part_at_a_time(path: Path) -> None:
    store = Store(path)
    store.write({}, {}, audit=[of_account(number) for number in range(100)])
    assert [store.audit.drop(1.6e9 + 50, 30) for _ in range(3)] == [30, 20, 0]
    store.audit.limits = AuditLimits(entries=5)
    assert [store.audit.drop(None, 30) for _ in range(3)] == [30, 15, 0]
    assert (store.audit.take_untold(), store.audit.take_untold()) == (95, 0)
    store.close()
    assert read(path) == [of_account(number) for number in range(95, 100)]


def test_what_could_not_be_dropped_is_counted_again(path: Path) -> None:
    store = Store(path)
    store.audit.limits = AuditLimits(entries=1)
    store.write({}, {}, audit=[of_account(1), of_account(2)])
    store._database.execute("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(sqlite3.OperationalError):
        store.audit.drop(None, 10)
    store._database.execute("ALTER TABLE elsewhere RENAME TO audit")
    assert store.audit.drop(None, 10) == 1
    store.close()

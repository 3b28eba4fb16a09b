"""Charges are in the records, with the job that they are for, and within their limits."""

import contextlib
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from spalloc_client.states import JobState
from spalloc_server.core.charges import Charge
from spalloc_server.store import schema
from spalloc_server.store.backup import back_up
from spalloc_server.store.charges import ChargeLimits, all_charges, complete_since
from spalloc_server.store.database import Store
from spalloc_server.store.recalling import read_jobs
from spalloc_server.store.records import to_text
from spalloc_server.store.restoring import restore
from spalloc_server.store.soundness import save_what_can_be_read
from tests.simulation.disk import Disk
from tests.simulation.site import close
from tests.spalloc_server.store.test_database import a_job, ended, running

CHARGES = [
    Charge(7, "jäne 雪", "jane", "neuro", "m", 3, 1.5e9 + 0.125, 1.6e9 + 1 / 3),
    Charge(9, "joe", None, None, "n", 1200, 1.6e9, 1.6e9),
]


def charge(job: int, ended: float) -> Charge:
    return Charge(job, "jane", None, None, "m", 1, ended - 1.0, ended)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def write(path: Path, charges: Sequence[Charge]) -> None:
    store = Store(path)
    store.write({}, {}, charges=charges)
    store.close()


def read(path: Path) -> list[Charge]:
    with sqlite3.connect(path) as database:
        found = list(all_charges(database))
    database.close()
    return found


def since(path: Path) -> float | None:
    with sqlite3.connect(path) as database:
        found = complete_since(database)
    database.close()
    return found


def test_a_charge_is_read_as_it_was_written(path: Path) -> None:
    write(path, CHARGES)
    write(path, CHARGES[:1])
    assert read(path) == [*CHARGES, CHARGES[0]]
    assert since(path) is None


def test_a_charge_is_written_with_its_job_or_not_at_all(path: Path) -> None:
    store = Store(path)
    broken = CHARGES[0]._replace(machine=None)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.write({1: running(1)}, {}, charges=[CHARGES[1], broken])
    assert store.recall(ended_limit=1).jobs == []
    store.close()
    assert read(path) == []


def test_the_group_of_a_job_is_there_after_a_restart(path: Path) -> None:
    store = Store(path)
    store.write({1: a_job(1, group="neuro"), 2: a_job(2)}, {})
    store.close()
    store = Store(path)
    assert [job.group for job in store.recall(ended_limit=1).jobs] == ["neuro", None]
    store.close()


def test_a_backup_has_charges(path: Path, tmp_path: Path) -> None:
    write(path, CHARGES)
    back_up(path, tmp_path / "backup")
    write(path, CHARGES)
    restore(tmp_path / "backup", path)
    assert read(path) == CHARGES


def test_charges_of_a_damaged_file_are_saved(path: Path) -> None:
    write(path, CHARGES)
    save_what_can_be_read(path)
    assert read(path) == CHARGES


def test_charges_are_dropped_for_their_age_and_above_a_lower_limit_a_part_at_a_time(path: Path) -> None:
    store = Store(path)
    store.write({}, {}, charges=[charge(number, 1e9 + number) for number in range(100)])
    assert [store.charges.drop(1e9 + 50, 30) for _ in range(3)] == [30, 20, 0]
    assert store.charges.drop(None, 30) == 0
    store.charges.limits = ChargeLimits(charges=5)
    assert [store.charges.drop(None, 30) for _ in range(3)] == [30, 15, 0]
    store.close()
    assert [one.job for one in read(path)] == [95, 96, 97, 98, 99]
    assert since(path) == 1e9 + 95


def with_boards(number: int, ended: float, **changes: object) -> bytes:
    allocation = running(1).allocation
    return to_text(a_job(number, state=JobState.destroyed, ended=ended, allocation=allocation, **changes))


def test_the_jobs_that_an_older_server_recorded_are_charged(path: Path) -> None:
    old = sqlite3.connect(path)
    old.executescript("".join(schema.MIGRATIONS[:8]))
    whole = with_boards(2, 1.6e9, allocated=1.5e9 + 0.5, account="jäne")
    rows = [
        (1, 1.7e9, "m", with_boards(1, 1.7e9, allocated=1.5e9)),
        (2, 1.6e9, "m", whole),
        (3, 1.4e9, "m", with_boards(3, 1.4e9, allocated=1.5e9)),
        # Those of which it is not known when they got boards, without boards, live, or unreadable.
        (4, 1.3e9, "m", with_boards(4, 1.3e9)),
        (5, 1.6e9, None, to_text(ended(5, 1.6e9))),
        (6, None, "m", to_text(running(6))),
        *[
            (7 + number, 1.6e9, "m", text)
            for number, text in enumerate(
                (
                    b"",
                    b"\xff\x00",
                    b"[]",
                    b"{}",
                    whole[:-1],
                    whole.replace(b'"allocated":1500000000.5', b'"allocated":"x"'),
                    whole.replace(b'"allocated":1500000000.5', b'"allocated":[]'),
                    whole.replace(b'"boards":[[', b'"boards":0,"x":[['),
                )
            )
        ],
    ]
    for number, when, machine, text in rows:
        old.execute("INSERT INTO jobs VALUES (?, 'jäne 雪', 1.0, ?, ?, ?)", (number, when, machine, text))
    old.executescript(f"PRAGMA user_version = 8; PRAGMA application_id = {schema.APPLICATION}")
    old.commit()
    old.close()
    Store(path).close()
    assert read(path) == [
        Charge(3, "jäne 雪", None, None, "m", 3, 1.5e9, 1.5e9),
        Charge(2, "jäne 雪", "jäne", None, "m", 3, 1.5e9 + 0.5, 1.6e9),
        Charge(1, "jäne 雪", None, None, "m", 3, 1.5e9, 1.7e9),
    ]
    assert since(path) == 1.3e9


@pytest.mark.parametrize("value", [-5, 2**62])
def test_since_when_charges_are_complete_can_be_written_as_a_date_whatever_stands_there(
    value: int, path: Path
) -> None:
    write(path, CHARGES)
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO counters VALUES ('charges_since', ?)", (value,))
    database.close()
    assert since(path) == (0.0 if value < 0 else 253_402_300_799.0)


def test_whatever_moment_a_server_is_killed_at_a_job_has_ended_on_disk_if_and_only_if_it_is_charged() -> None:
    done = False
    for moment in range(1000):
        disk, dice = Disk(), random.Random(moment)
        killed = disk.open("/state")
        store = Store(None, killed)  # type: ignore[arg-type]
        store.write({1: running(1)}, {})
        last = disk.operations + moment

        def die(disk: Disk = disk, last: int = last, dice: random.Random = dice) -> None:
            if disk.operations > last:
                disk.before_each = lambda: None
                disk.life += 1

        disk.before_each = die
        with contextlib.suppress(sqlite3.OperationalError):
            store.write({1: ended(1, 1.6e9)}, {}, charges=CHARGES[:1])
        done = disk.life == 0
        disk.life += 1
        close(killed)
        disk.die(power_loss=False, dice=dice)
        database = disk.open("/state")
        (job,) = read_jobs(database, 1)[0]  # type: ignore[arg-type]
        charged = list(all_charges(database))  # type: ignore[arg-type]
        assert (job.ended is not None) == (charged == CHARGES[:1]) == bool(charged), moment
        close(database)
        disk.close()
        if done:
            break
    assert done
    assert moment > 1

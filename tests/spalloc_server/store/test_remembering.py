"""What the scheduler remembers is there after a restart, within bounds, and nothing wrong in it stops a start."""

import logging
import sqlite3
from pathlib import Path

import pytest

from spalloc_server.core.effects import Remembered, Share
from spalloc_server.core.lengths import REMEMBERED, Length
from spalloc_server.store import backup, restoring
from spalloc_server.store.database import Store
from spalloc_server.store.soundness import save_what_can_be_read
from tests.spalloc_server.store.test_damage import Started

LEARNT = Remembered(
    [Length("jäne 雪", 3, 0.1 + 0.2, None), Length("joe", 1, 5e-324, 1800.0)],
    {"owner joe": Share(1 / 3, 1_764_500_000.000_1), "host 10.0.0.9": Share(0.0, 0.0)},
    b"\x00\xff",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def wrote(path: Path, *batches: Remembered) -> None:
    store = Store(path)
    for learnt in batches:
        store.write({}, {}, learnt)
    store.close()


def read(path: Path) -> Remembered:
    store = Store(path)
    remembered = store.recall(ended_limit=1).remembered
    store.close()
    return remembered


def test_what_the_scheduler_remembers_is_there_after_a_restart_to_the_last_bit(path: Path) -> None:
    wrote(path, LEARNT)
    assert read(path) == LEARNT


def test_later_batches_add_lengths_replace_and_remove_shares_and_replace_the_schedulers_own(
    path: Path,
) -> None:
    later = Remembered([Length("jane", 7, 2.0, None)], {"owner joe": Share(9.0, 2.0), "host 10.0.0.9": None})
    wrote(path, LEARNT, later, Remembered(scheduler=b"later"), Remembered(shares={"owner nobody": None}))
    assert read(path) == Remembered(
        [*LEARNT.lengths, *later.lengths], {"owner joe": Share(9.0, 2.0)}, b"later"
    )


def test_the_lengths_of_the_jobs_that_ended_last_are_remembered_and_the_file_does_not_grow(
    path: Path,
) -> None:
    lengths = [Length("jane", 1, float(number), None) for number in range(2 * REMEMBERED)]
    batches = [Remembered(lengths[at : at + 137]) for at in range(0, len(lengths), 137)]
    wrote(path, *batches[:-1])
    wrote(path, batches[-1])
    assert read(path).lengths == lengths[-REMEMBERED:]
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM lengths").fetchone()[0] <= REMEMBERED + 1000
    database.close()


def test_a_server_goes_on_with_what_its_scheduler_learnt(path: Path) -> None:
    server = Started(path)
    server.site.effects.lengths += LEARNT.lengths
    server.site.effects.shares |= LEARNT.shares
    server.site.effects.scheduler = b"early"
    server.destroy(0)
    server.site.effects.scheduler = LEARNT.scheduler
    server.destroy(0)
    server.close()
    again = Started(path)
    remembered = again.site.remembered
    assert LEARNT.lengths == remembered.lengths[:2]
    assert dict(remembered.shares) == LEARNT.shares
    assert remembered.scheduler == LEARNT.scheduler
    again.close()


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        ("UPDATE lengths SET seconds = 9e999 WHERE owner = 'joe'", "1 record of the scheduler's lengths"),
        ("UPDATE lengths SET seconds = -1.0", "2 records of the scheduler's lengths"),
        ("UPDATE lengths SET boards = 0 WHERE owner = 'joe'", "1 record of the scheduler's lengths"),
        ("UPDATE lengths SET limit_seconds = 0.0 WHERE owner = 'joe'", "1 record of the scheduler's lengths"),
        (
            "UPDATE lengths SET id = 9223372036854775807 WHERE owner = 'joe'",
            "1 record of the scheduler's lengths",
        ),
        ("UPDATE shares SET used = -9e999 WHERE owner = 'owner joe'", "1 record of the scheduler's shares"),
        ("UPDATE shares SET at = 9e999", "2 records of the scheduler's shares"),
    ],
)
def test_a_row_that_can_not_be_true_is_told_once_and_dropped(
    path: Path, damage: str, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrote(path, LEARNT)
    database = sqlite3.connect(path)
    with database:
        assert database.execute(damage).rowcount
    database.close()
    caplog.clear()
    found = read(path)
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.message == f"{lost} in {path} can't be true and are dropped; it goes on without them"
    assert len(found.lengths) + len(found.shares) == 4 - int(lost[0])
    assert found.scheduler == LEARNT.scheduler
    caplog.clear()
    assert read(path) == found
    assert not caplog.records


def test_it_is_saved_from_a_damaged_file_and_put_back_from_a_backup(path: Path, tmp_path: Path) -> None:
    wrote(path, LEARNT)
    save_what_can_be_read(path)
    assert read(path) == LEARNT
    file = tmp_path / "backup"
    backup.back_up(path, file)
    wrote(path, Remembered(scheduler=b"since"))
    restoring.restore(file, path)
    assert read(path) == LEARNT

"""What the store promises: real files, and a simulated disk that forgets."""

import random
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.effects import BoardKey, BoardRecord
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.objections import Drained
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle, Shape
from spalloc_server.store import schema
from spalloc_server.store.database import Store
from spalloc_server.store.errors import StoreError
from spalloc_server.store.records import to_text
from spalloc_server.store.schema import MIGRATIONS
from spinnaker.geometry import Board, Size
from tests.seeds import SEED
from tests.simulation.disk import Disk

BOARD = BoardKey("m", Board(0, 1, 2))
DRAINED = Drained("the fan is broken", "jane", 1_764_500_000.5)


def a_job(number: int = 1, shape: Shape | None = None, **changes: object) -> JobRecord:
    return JobRecord(
        id=number,
        owner="jäne 雪",
        created=1.5e9,
        keepalive=60.0,
        request=JobRequest(shape or Boards(3), machine=None, tags=frozenset({"b", "a"}), min_ratio=0.5),
        asked=Asked((3,), {"tags": ["b", "a"], "min_ratio": 0.5}),
        keepalive_host="10.0.0.9",
        **changes,  # type: ignore[arg-type]
    )


def running(number: int) -> JobRecord:
    boards = frozenset(Board(0, 0, z) for z in range(3))
    return a_job(
        number,
        state=JobState.ready,
        power=True,
        allocation=Allocation("m", Board(0, 0, 0), Size(1, 1), boards),
        allocated=1.5e9 + 9.0,
        time_limit=600.0,
    )


def ended(number: int, when: float) -> JobRecord:
    return a_job(number, state=JobState.destroyed, reason="enough", ended=when)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    store = Store(path)
    jobs = [running(1), ended(2, 1.6e9)]
    jobs += [
        a_job(n, shape)
        for n, shape in enumerate((AnyBoard(), BoardAt(Board(1, 2, 0)), Rectangle(Size(2, 3))), 3)
    ]
    store.write({job.id: job for job in jobs}, {BOARD: BoardRecord(True, "it does not come up")})
    store.close()
    store = Store(path)
    recalled = store.recall(ended_limit=10)
    assert sorted(recalled.jobs, key=lambda job: job.id) == jobs
    assert recalled.boards == {BOARD: BoardRecord(True, "it does not come up")}
    assert recalled.next_job == 6
    store.close()


@pytest.mark.parametrize(
    "record",
    [
        BoardRecord(drained=DRAINED),
        BoardRecord(True, "it does not come up", 3.5, DRAINED, 1_764_400_000.25),
        BoardRecord(False, "it does not come up", drained=DRAINED),
    ],
)
def test_that_an_administrator_keeps_a_board_from_jobs_is_there_after_a_restart(
    path: Path, record: BoardRecord
) -> None:
    store = Store(path)
    store.write({}, {BOARD: BoardRecord(True)})
    store.write({}, {BOARD: record})
    store.close()
    store = Store(path)
    assert store.recall(ended_limit=1).boards == {BOARD: record}
    store.write({}, {BOARD: BoardRecord(record.owed_off, record.aside, record.rest_seconds)})
    (back,) = store.recall(ended_limit=1).boards.values()
    assert back.drained is None
    store.close()


def test_the_first_write_after_a_restart_reaches_the_disk_though_it_writes_nothing(path: Path) -> None:
    """What an earlier process wrote is acknowledged with it, and may be in the system's memory alone until then."""
    store = Store(path)
    store.write({1: running(1)}, {})
    store.close()
    store = Store(path)
    store.recall(ended_limit=10)
    log = path.with_name(path.name + "-wal")
    before = log.stat().st_size
    store.write({}, {})
    assert log.stat().st_size > before
    store.close()


@pytest.mark.parametrize(
    ("owner", "machine"), [(None, None), ("a", None), (None, "m"), ("nobody", "m"), ("a", "n")]
)
def test_what_is_asked_of_the_history_is_found_without_going_through_it(
    path: Path, owner: str | None, machine: str | None
) -> None:
    store = Store(path)
    jobs = [
        replace(running(number), owner="a", state=JobState.destroyed, power=None, ended=float(number))
        for number in range(1, 2001)
    ]
    store.write({job.id: job for job in jobs}, {})
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    assert store._reader is not None
    store._reader.set_progress_handler(count, 1)
    found = store.ended_jobs(owner, machine, 10)
    assert len(found) == (10 if owner != "nobody" and machine != "n" else 0)
    assert steps < 500
    store.close()


def test_a_job_is_replaced_by_its_latest_record_and_a_board_without_one_is_forgotten(path: Path) -> None:
    store = Store(path)
    store.write({1: a_job(1)}, {BOARD: BoardRecord(True)})
    store.write({1: running(1)}, {BOARD: None})
    recalled = store.recall(ended_limit=10)
    assert recalled.jobs == [running(1)]
    assert recalled.boards == {}
    store.close()


def test_only_the_latest_ended_jobs_are_recalled_and_all_live_ones(path: Path) -> None:
    store = Store(path)
    store.write({n: ended(n, 1e9 - n) for n in range(1, 21)}, {})
    store.write({n: a_job(n) for n in range(21, 41)}, {})
    numbers = {job.id for job in store.recall(ended_limit=5).jobs}
    assert numbers == {1, 2, 3, 4, 5, *range(21, 41)}
    store.close()


def test_ids_are_never_used_again_even_if_all_jobs_were_removed(path: Path) -> None:
    store = Store(path)
    store.write({7: ended(7, 1.0)}, {})
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM jobs")
    database.close()
    store = Store(path)
    assert store.recall(ended_limit=10).next_job == 8
    store.close()


def test_a_second_server_is_kept_off_the_records(path: Path) -> None:
    store = Store(path)
    with pytest.raises(
        StoreError, match=r"state\.db is in use by another server; stop that one, or give another"
    ):
        Store(path)
    store.close()
    Store(path).close()


def test_a_backup_can_be_made_while_the_server_runs(path: Path, tmp_path: Path) -> None:
    store = Store(path)
    store.write({1: a_job(1)}, {})
    source, copy = sqlite3.connect(path), sqlite3.connect(tmp_path / "copy.db")
    source.backup(copy)
    source.close()
    copy.close()
    store.write({2: a_job(2)}, {})
    store.close()
    store = Store(tmp_path / "copy.db")
    assert [job.id for job in store.recall(ended_limit=10).jobs] == [1]
    store.close()


def test_the_file_is_marked_as_a_spalloc_servers_for_good(path: Path) -> None:
    """Otherwise no later server could take it up."""
    Store(path).close()
    assert path.read_bytes()[68:72] == b"SPA1"


def test_a_newer_servers_records_are_refused_and_left_alone(path: Path) -> None:
    Store(path).close()
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"newer server \(its records have version {len(MIGRATIONS) + 1}"):
        Store(path)
    assert path.read_bytes() == before
    # The refusal holds no lock.
    with pytest.raises(StoreError, match="newer server"):
        Store(path)


def test_an_older_servers_records_are_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(path)
    store.write({1: running(1)}, {BOARD: BoardRecord(True)})
    store.close()
    later = (
        *MIGRATIONS,
        "ALTER TABLE boards ADD COLUMN note TEXT; UPDATE boards SET note = 'seen'",
        "CREATE TABLE more (x)",
    )
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    store = Store(path)
    assert store.recall(ended_limit=1).jobs == [running(1)]
    store.close()
    database = sqlite3.connect(path)
    assert database.execute("SELECT note FROM boards").fetchall() == [("seen",)]
    assert database.execute("PRAGMA user_version").fetchall() == [(len(later),)]
    database.close()
    Store(path).close()


def test_records_of_the_first_version_are_read_and_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = sqlite3.connect(path)
    old.executescript(MIGRATIONS[0])
    row = (1, "me", 1.5, None, "m", to_text(running(1)))
    old.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?)", row)
    old.execute("INSERT INTO boards VALUES ('m', 0, 1, 2, 0, 'it does not come up', 3.5)")
    old.execute("UPDATE counters SET value = 9")
    old.executescript(f"PRAGMA user_version = 1; PRAGMA application_id = {schema.APPLICATION}")
    old.commit()
    old.close()
    store = Store(path)
    recalled = store.recall(ended_limit=1)
    assert (recalled.jobs, recalled.next_job, recalled.doubtful) == ([running(1)], 9, False)
    assert recalled.boards == {BoardKey("m", Board(0, 1, 2)): BoardRecord(False, "it does not come up", 3.5)}
    store.write({9: ended(9, 2.5)}, {})
    store.close()
    store = Store(path)
    assert store.recall(ended_limit=1).jobs == [running(1), ended(9, 2.5)]
    store.close()


def test_a_migration_that_fails_leaves_the_records_as_they_were(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(path)
    store.write({1: running(1)}, {})
    store.close()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, "DROP TABLE boards; SELECT nonsense"))
        with pytest.raises(StoreError, match="no such column: nonsense"):
            Store(path)
    store = Store(path)
    store.write({}, {BOARD: BoardRecord(True)})
    assert store.recall(ended_limit=1).jobs == [running(1)]
    store.close()


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is another program's database; give another file"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_with_its_name(path: Path) -> None:
    path.write_text("these are my notes\n" * 100)
    with pytest.raises(StoreError, match=r"can't use .*state\.db for the server's records"):
        Store(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"can't open .*nowhere/state\.db .*: No such file or directory"):
        Store(tmp_path / "nowhere" / "state.db")


def test_records_are_for_the_servers_eyes_only(path: Path) -> None:
    Store(path).close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_full_disk_fails_the_write_as_a_whole_and_the_next_one_works() -> None:
    disk = Disk()
    store = Store(None, disk.open("/state"))  # type: ignore[arg-type]
    store.write({1: a_job(1)}, {})
    disk.full = True
    with pytest.raises(sqlite3.Error):
        store.write({2: a_job(2), 3: a_job(3)}, {BOARD: BoardRecord(True)})
    disk.full = False
    assert [job.id for job in store.recall(ended_limit=10).jobs] == [1]
    store.write({2: a_job(2), 3: a_job(3)}, {})
    assert [job.id for job in store.recall(ended_limit=10).jobs] == [1, 2, 3]
    store.close()
    disk.close()


@pytest.mark.parametrize("story", range(30))
def test_what_was_written_survives_a_power_loss_at_any_moment(story: int) -> None:
    dice = random.Random(SEED + story)
    disk = Disk()
    acknowledged = 0
    attempted = 0
    for _ in range(6):
        stop_at = disk.operations + dice.randint(1, 200)
        life = disk.life

        def look(stop_at: int = stop_at, life: int = life) -> None:
            if disk.operations == stop_at and disk.life == life:
                disk.die(power_loss=True, dice=dice)

        disk.before_each = look
        database = None
        try:
            database = disk.open("/state")
            store = Store(None, database)  # type: ignore[arg-type]
            recalled = store.recall(ended_limit=10)
            assert disk.life != life or {job.id for job in recalled.jobs} >= set(range(1, acknowledged + 1))
            while disk.life == life:
                attempted += 1
                store.write({acknowledged + 1: a_job(acknowledged + 1)}, {})
                if disk.life == life:
                    acknowledged += 1
        except (sqlite3.Error, StoreError):
            assert disk.life != life
        finally:
            disk.before_each = lambda: None
            if database is not None:
                database.close()
    store = Store(None, disk.open("/state"))  # type: ignore[arg-type]
    assert {job.id for job in store.recall(ended_limit=10).jobs} >= set(range(1, acknowledged + 1))
    assert attempted > acknowledged
    store.close()
    disk.close()


def test_a_listing_of_long_records_ends_before_it_fills_the_memory(path: Path) -> None:
    asked = Asked((), {"description": "x" * 50_000})
    store = Store(path)
    store.write(
        {number: replace(ended(number, 1000.0 + number), asked=asked) for number in range(1, 101)}, {}
    )
    found = store.ended_jobs(None, None, 1000)
    store.close()
    assert [record.id for record in found] == list(range(100, 20, -1))

"""Backups of records that no server uses, and what becomes of them when they are put back."""

import contextlib
import fcntl
import logging
import os
import resource
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_server.core.effects import BoardRecord
from spalloc_server.core.jobs import FIRST_JOBS
from spalloc_server.engine import SKIPPED_IDS
from spalloc_server.store import backup, restoring, schema
from spalloc_server.store.backup import back_up
from spalloc_server.store.database import Store
from spalloc_server.store.errors import StoreError
from spalloc_server.store.recalling import LARGEST_ID, Recalled
from spalloc_server.store.restoring import restore
from tests.spalloc_server.store.test_database import BOARD, DRAINED, a_job, ended, running
from tests.spalloc_server.store.test_left_log import Image, image, images

__all__ = ["image", "images"]

JOBS = {1: running(1), 2: a_job(2), 3: ended(3, 1.6e9)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = Store(tmp_path / "state")
    store.write(JOBS, {BOARD: BoardRecord(False, "it does not come up")})
    store.close()
    return tmp_path / "state"


@pytest.fixture
def file(path: Path, tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    back_up(path, tmp_path / "backups" / "backup")
    return tmp_path / "backups" / "backup"


def recalled(path: Path) -> Recalled:
    store = Store(path)
    try:
        return store.recall(ended_limit=1000)
    finally:
        store.close()


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


# Making one


def test_a_backup_says_what_it_holds_and_when(path: Path, tmp_path: Path) -> None:
    before = time.time()
    made = back_up(path, tmp_path / "backup")
    assert before <= made.seconds <= time.time()
    assert list(made.contents.lines()) == ["  2 live jobs with 3 boards, 1 ended job, 1 board set aside"]
    store = Store(path)
    store.write({}, {BOARD: BoardRecord(drained=DRAINED)})
    store.close()
    (said,) = back_up(path, tmp_path / "another").contents.lines()
    assert said.endswith(", 0 boards set aside, 1 drained")


def test_a_backup_is_one_file_for_its_owner_only(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    back_up(path, folder / "backup")
    assert [found.name for found in folder.iterdir()] == ["backup"]
    assert stat.S_IMODE((folder / "backup").stat().st_mode) == 0o600


def test_a_backup_of_a_killed_server_has_all_that_was_acknowledged_and_changes_nothing(
    image: Image, tmp_path: Path
) -> None:
    path = image.put(tmp_path)
    before = files_in(tmp_path)
    (tmp_path / "backups").mkdir()
    back_up(path, tmp_path / "backups" / "backup")
    assert files_in(tmp_path) == before
    assert {job.id: job for job in recalled(tmp_path / "backups" / "backup").jobs} == image.jobs


def test_a_file_that_is_there_is_overwritten_only_if_that_is_asked_for(path: Path, tmp_path: Path) -> None:
    (tmp_path / "backup").write_text("something else")
    with pytest.raises(StoreError, match=r"backup is there already; give another name, or --overwrite"):
        back_up(path, tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "something else"
    back_up(path, tmp_path / "backup", overwrite=True)
    assert len(recalled(tmp_path / "backup").jobs) == 3


def test_a_file_that_appears_meanwhile_is_not_overwritten(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents_of = backup.contents_of

    def meanwhile(database: sqlite3.Connection) -> object:
        (tmp_path / "backup").write_text("something else")
        return contents_of(database)

    monkeypatch.setattr(backup, "contents_of", meanwhile)
    with pytest.raises(StoreError, match="is there already"):
        back_up(path, tmp_path / "backup")
    assert (tmp_path / "backup").read_text() == "something else"


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_records_themselves_are_no_place_for_a_backup(overwrite: bool, path: Path) -> None:
    with pytest.raises(StoreError, match="holds the records themselves"):
        back_up(path, path, overwrite=overwrite)
    assert len(recalled(path).jobs) == 3


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["state-wal", "state-shm", "state-journal", "state.reserve"])
def test_what_belongs_to_the_records_is_no_place_for_a_backup(name: str, overwrite: bool, path: Path) -> None:
    path.with_name(name).unlink(missing_ok=True)
    with pytest.raises(StoreError, match=f"{name} is where the server has what belongs to its records"):
        back_up(path, path.with_name(name), overwrite=overwrite)
    assert not path.with_name(name).exists()


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _link(file: Path) -> None:
    file.with_name("linked").write_text("something else")
    file.symlink_to("linked")


def _folder(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize("make", [_pipe, _link, _folder])
def test_only_a_file_is_overwritten(make: Callable[[Path], None], path: Path, tmp_path: Path) -> None:
    make(tmp_path / "backup")
    before = (tmp_path / "backup").lstat()
    with pytest.raises(StoreError, match="backup is no file that a backup could take the place of"):
        back_up(path, tmp_path / "backup", overwrite=True)
    assert (tmp_path / "backup").lstat().st_mode == before.st_mode


def test_how_long_the_name_of_a_backup_may_be_is_said(path: Path, tmp_path: Path) -> None:
    back_up(path, tmp_path / ("b" * 240))
    assert len(recalled(restore(tmp_path / ("b" * 240), path).records).jobs) == 3
    for longer in (241, 300):
        with pytest.raises(
            StoreError, match=r"the name b+ is too long, 240 bytes are allowed; give a shorter"
        ):
            back_up(path, tmp_path / ("b" * longer))


def _damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\xa5" * 8192
    path.write_bytes(data)


def _damage_log(path: Path) -> None:
    log = path.with_name("state-wal")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)


def test_what_is_damaged_is_not_backed_up_and_an_earlier_backup_stays(path: Path, file: Path) -> None:
    _damage(path)
    before, backups = files_in(path.parent), files_in(file.parent)
    with pytest.raises(
        StoreError, match=r"state is damaged \(.*\), so there is no backup of it; copy it as it is"
    ):
        back_up(path, file, overwrite=True)
    assert files_in(path.parent) == before
    assert files_in(file.parent) == backups


def test_a_damaged_log_is_no_part_of_a_backup(image: Image, tmp_path: Path) -> None:
    path = image.put(tmp_path)
    _damage_log(path)
    before = files_in(tmp_path)
    with pytest.raises(
        StoreError, match=r"state has a damaged write-ahead log \(\d+ of at .*start the server"
    ):
        back_up(path, tmp_path / "backup")
    assert files_in(tmp_path) == before


def test_a_backup_for_which_there_is_no_room_is_not_begun(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=backup.LEAST_LEFT_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match="there is no room in .* must leave 67 MB free"):
        back_up(path, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_backup_that_takes_too_long_is_given_up(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "BACKUP_SECONDS", -1.0)
    with pytest.raises(StoreError, match="is given up; put it on a faster disk"):
        back_up(path, tmp_path / "backup")
    assert {name for name in files_in(tmp_path) if "backup" in name} == set()


def test_records_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there are no records in .*nowhere"):
        back_up(tmp_path / "nowhere", tmp_path / "backup")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_records_is_not_backed_up(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(StoreError, match="there are no records in .*empty"):
        back_up(tmp_path / "empty", tmp_path / "backup")


def test_a_folder_that_is_not_there_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder .*nowhere; make it"):
        back_up(path, tmp_path / "nowhere" / "backup")


# Putting it back


def test_what_is_put_back_is_as_it_was_and_what_was_there_is_kept(path: Path, file: Path) -> None:
    store = Store(path)
    store.write({1: ended(1, 1.7e9), 4: a_job(4)}, {})
    store.close()
    restored = restore(file, path)
    back = recalled(path)
    assert {job.id: job for job in back.jobs} == JOBS
    assert back.boards == {BOARD: BoardRecord(False, "it does not come up")}
    assert restored.kept == path.with_name("state.replaced-1")
    assert {job.id for job in recalled(restored.kept).jobs} == {1, 2, 3, 4}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert restored.seconds == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_a_backup_does_not_say_is_doubtful_until_that_is_decided(
    by_hand: bool, path: Path, file: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Boards that no job has are switched off first, and IDs are left out: also where it was only copied."""
    if by_hand:
        shutil.copy(file, path)
    else:
        restore(file, path)
    killed = tmp_path / "killed"
    killed.mkdir()
    for started in (path, killed / "state"):
        caplog.clear()
        store = Store(started)
        for name in files_in(path.parent) if started == path else ():
            # As a server leaves them that is killed before it has recorded what follows.
            shutil.copy(path.with_name(name), killed / name)
        assert store.recall(ended_limit=10).doubtful
        (line,) = [line.message for line in caplog.records if line.levelno == logging.CRITICAL]
        assert "is a backup, of 20" in line
        assert "jobs that began since are unknown" in line
        store.write({}, {})
        store.close()
        caplog.clear()
        assert not recalled(started).doubtful
        assert caplog.records == []


def test_ids_that_may_have_been_given_since_are_left_out(path: Path, file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("UPDATE counters SET value = value - 86400 WHERE name = 'backed_up'")
    database.close()
    restore(file, path)
    assert recalled(path).next_job >= 4 + 864_000


def test_ids_that_the_records_before_gave_are_left_out(path: Path, file: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE counters SET value = 500000 WHERE name = 'next_job'")
    restore(file, path)
    assert recalled(path).next_job == 500_000


@pytest.mark.parametrize("given", [4, 2**30, LARGEST_ID - FIRST_JOBS - 1000, LARGEST_ID - 200_000])
def test_there_are_ids_enough_after_a_copy_with_a_date_of_long_ago(
    given: int, path: Path, tmp_path: Path
) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE counters SET value = ? WHERE name = 'next_job'", (given,))
    shutil.copy(path, tmp_path / "copy")
    os.utime(tmp_path / "copy", (0, 0))
    restore(tmp_path / "copy", path)
    next_job = recalled(path).next_job
    assert given <= next_job <= given + FIRST_JOBS
    assert next_job + SKIPPED_IDS < LARGEST_ID


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("moment", [-1, 10**15, 2**62])
def test_a_moment_that_is_no_date_is_one_that_a_backup_does_not_say(
    moment: int, by_hand: bool, path: Path, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE counters SET value = ? WHERE name = 'backed_up'", (moment,))
    if by_hand:
        shutil.copy(file, path)
    else:
        assert restore(file, path).seconds is None
    assert recalled(path).doubtful
    assert "is a backup, of a time that it does not say" in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON jobs BEGIN DELETE FROM jobs; END", "it has a trigger t"),
        ("DROP TABLE boards", "it has no table boards"),
        ("DROP TABLE counters", "it has no table counters"),
        (
            "DROP INDEX ended_jobs; CREATE UNIQUE INDEX ended_jobs ON jobs (id)",
            "its index ended_jobs is not",
        ),
    ],
)
def test_a_backup_whose_tables_are_not_a_servers_is_refused_and_nothing_is_changed(
    change: str, said: str, path: Path, file: Path
) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.executescript(change)
    before = files_in(path.parent)
    with pytest.raises(
        StoreError, match=rf"backup is not as a server makes it \({said}.*nothing was changed"
    ):
        restore(file, path)
    assert files_in(path.parent) == before


def test_what_somebody_added_for_reading_is_put_back_too(path: Path, file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.executescript("CREATE TABLE mine (x); CREATE VIEW v AS SELECT 1; ANALYZE")
    restore(file, path)
    assert {job.id: job for job in recalled(path).jobs} == JOBS


def test_root_is_not_led_elsewhere_by_a_link_of_another_user(
    path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    with monkeypatch.context() as as_root:
        as_root.setattr(os, "geteuid", lambda: restoring.ROOT)
        if link.parent.stat().st_uid == restoring.ROOT:
            os.chown(link.parent, 65534, -1)
        with pytest.raises(StoreError, match="link is a symbolic link in a folder that is not root's"):
            restore(file, link)
    assert {job.id: job for job in recalled(path).jobs} == JOBS


def test_a_copy_for_the_records_is_not_written_through_a_link(
    path: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose folder it is could put one in the place of a copy that root makes there."""
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    status = theirs.stat()
    need_room = backup.need_room

    def swap(copy: Path, size: int) -> None:
        copy.unlink()
        copy.symlink_to(theirs)
        need_room(copy, size)

    monkeypatch.setattr(backup, "need_room", swap)
    with pytest.raises(OSError, match="symbolic links"):
        restore(file, path)
    assert theirs.read_text() == "theirs"
    assert theirs.stat() == status


def test_a_backup_is_put_back_where_there_are_no_records(file: Path, tmp_path: Path) -> None:
    restored = restore(file, tmp_path / "new")
    assert restored.kept is None
    assert len(recalled(tmp_path / "new").jobs) == 3


def test_the_log_of_a_killed_server_is_kept_with_its_records(
    image: Image, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    path = image.put(folder)
    restored = restore(file, path)
    assert {job.id: job for job in recalled(path).jobs} == JOBS
    assert restored.kept is not None
    assert {job.id: job for job in recalled(restored.kept).jobs} == image.jobs


def test_a_restore_that_is_cut_off_leaves_the_old_records_whole_or_the_new_ones(
    image: Image, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "killed"
    cut_off: list[Path] = []
    folder.mkdir()
    path = image.put(folder)

    def watched(change: Callable[..., object]) -> Callable[..., object]:
        def cut(name: Path, *others: object, **options: object) -> object:
            if name.parent == folder:
                cut_off.append(tmp_path / f"cut-{len(cut_off)}")
                shutil.copytree(folder, cut_off[-1])
            return change(name, *others, **options)

        return cut

    with monkeypatch.context() as watching:
        for name in ("unlink", "rename", "replace"):
            watching.setattr(Path, name, watched(getattr(Path, name)))
        restored = restore(file, path)
    assert restored.kept is not None
    assert not restored.kept.samefile(path), "who opens the kept records writes to them alone"
    found = [{job.id: job for job in recalled(after / "state").jobs} for after in cut_off]
    assert image.jobs in found
    assert JOBS in found
    assert all(jobs in (image.jobs, JOBS) for jobs in found)


def test_where_the_records_are_kept_is_said_if_the_backup_can_not_take_their_place(
    image: Image, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    path = image.put(folder)

    def fail(_: Path, __: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(Path, "replace", fail)
        with pytest.raises(
            StoreError, match=r"Input/output error.* are kept as .*state\.replaced-1; fix the cause and run"
        ):
            restore(file, path)
    assert {job.id: job for job in recalled(path).jobs} == image.jobs
    assert {job.id: job for job in recalled(path.with_name("state.replaced-1")).jobs} == image.jobs


@pytest.mark.parametrize("more", [0, 4096])
def test_a_backup_that_can_not_be_written_whole_does_not_take_the_place_of_the_records(
    more: int, path: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as database:
        for statement in schema.MIGRATIONS[0].split(";"):
            database.execute(statement)
        database.execute("PRAGMA user_version = 1")
        database.execute(f"PRAGMA application_id = {schema.APPLICATION}")
    before = files_in(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (old.stat().st_size + more, hard))
    try:
        with pytest.raises((sqlite3.Error, OSError)):
            restore(old, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_in(tmp_path) == before


def test_records_that_another_program_reads_stay_until_it_ends(
    image: Image, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    path = image.put(folder)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        with pytest.raises(StoreError, match=r"another program reads .*state; end that one.* are kept as"):
            restore(file, path)
    assert {job.id: job for job in recalled(path).jobs} == image.jobs
    assert restore(file, path).kept == path.with_name("state.replaced-2")


@pytest.mark.parametrize("emptied", [False, True])
def test_a_log_whose_records_are_gone_is_kept(
    emptied: bool, image: Image, file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    path = image.put(folder)
    log = path.with_name("state-wal").read_bytes()
    path.write_bytes(b"") if emptied else path.unlink()
    restored = restore(file, path)
    assert restored.kept == path.with_name("state.replaced-1-wal")
    assert restored.kept.read_bytes() == log
    assert not path.with_name("state.replaced-1").exists(), "SQLite would remove the log of an empty one"
    assert {job.id: job for job in recalled(path).jobs} == JOBS
    assert restore(file, path).kept == path.with_name("state.replaced-2")


def test_what_is_copied_of_records_is_for_their_owner_only(
    image: Image, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "killed"
    modes: list[int] = []
    folder.mkdir()
    path = image.put(folder)
    for name in files_in(folder):
        (folder / name).chmod(0o600)
    left_log = backup.LeftLog

    def look(*arguments: Any) -> object:
        modes.extend(stat.S_IMODE(found.stat().st_mode) for found in folder.glob(".*"))
        return left_log(*arguments)

    monkeypatch.setattr(backup, "LeftLog", look)
    back_up(path, folder / "backup")
    restore(file, path)
    modes.extend(stat.S_IMODE(found.stat().st_mode) for found in folder.glob("state*"))
    assert len(modes) >= 3 + 1 + 3
    assert set(modes) == {0o600}


def test_a_copy_that_sqlite_made_is_put_back_too(path: Path, tmp_path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("VACUUM INTO ?", (str(tmp_path / "copy"),))
    database.close()
    restored = restore(tmp_path / "copy", path)
    assert restored.seconds is None
    back = recalled(path)
    assert {job.id: job for job in back.jobs} == JOBS
    assert back.doubtful


def test_a_backup_of_an_older_server_is_brought_up_to_date(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE more (x)"))
        back_up(path, tmp_path / "backup")
        restore(tmp_path / "backup", tmp_path / "newer")
        assert len(recalled(tmp_path / "newer").jobs) == 3
    # With a newer server's command, it is still one of its own time.
    restore(tmp_path / "backup", path)
    assert len(recalled(path).jobs) == 3


def test_an_older_servers_backup_takes_the_place_of_a_newer_ones_records(
    path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as later:
        later.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE more (x)"))
        Store(path).close()
    with pytest.raises(StoreError, match="newer server"):
        Store(path)
    assert restore(file, path).kept is not None
    assert len(recalled(path).jobs) == 3


def _nothing(file: Path) -> None:
    file.unlink()


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _text(file: Path) -> None:
    file.write_text("machine = []\n" * 1000)


def _no_tables(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA application_id = 1")
    database.close()


def _another_program(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()


def _newer(file: Path) -> None:
    database = sqlite3.connect(file)
    database.execute("PRAGMA user_version = 99")
    database.close()


def _cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:10_000])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_nothing, "there is no .*backup; name the backup"),
        (_empty, "backup is not a backup: it is empty; name another file"),
        (_text, "backup is not a backup: file is not a database; name another file"),
        (_no_tables, "backup is not a backup: it contains no records; name another file"),
        (_another_program, "backup is another program's database"),
        (_newer, "backup was written by a newer server .*version 99"),
        (_damage, r"the backup .*backup is damaged \(.*\), and nothing was changed; put back another"),
        (_cut_off, r"the backup .*backup is damaged \("),
    ],
)
def test_what_is_no_whole_backup_is_refused_and_nothing_is_changed(
    harm: Callable[[Path], None], said: str, path: Path, file: Path
) -> None:
    harm(file)
    before, backups = files_in(path.parent), files_in(file.parent)
    with pytest.raises(StoreError, match=said):
        restore(file, path)
    assert files_in(path.parent) == before
    assert files_in(file.parent) == backups
    nowhere = path.with_name("nowhere")
    with pytest.raises(StoreError, match=said):
        restore(file, nowhere)
    assert not nowhere.exists()


def test_the_records_themselves_are_no_backup(path: Path) -> None:
    with pytest.raises(StoreError, match="state holds the records themselves"):
        restore(path, path)


# Another server's records


def test_a_refusal_of_newer_records_costs_the_newer_server_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    newer = (*schema.MIGRATIONS, "CREATE TABLE more (x)")
    killed = tmp_path / "killed"
    killed.mkdir()
    with monkeypatch.context() as later:
        later.setattr(schema, "MIGRATIONS", newer)
        store = Store(path)
        store.write({4: a_job(4)}, {})
        for file in path.parent.iterdir():
            if file.is_file():
                shutil.copy(file, killed / file.name)
        store.close()
    before = files_in(killed)
    said = r"newer server \(.*\), and is left as it is; use that one, or put back a backup of this one's time with"
    with pytest.raises(StoreError, match=said):
        Store(killed / "state")
    with pytest.raises(StoreError, match=said):
        back_up(killed / "state", tmp_path / "backup")
    assert files_in(killed) == before
    monkeypatch.setattr(schema, "MIGRATIONS", newer)
    back = recalled(killed / "state")
    assert {job.id for job in back.jobs} == {1, 2, 3, 4}
    assert not back.doubtful
    assert caplog.records == []


def test_a_server_that_starts_while_a_backup_is_put_back_takes_what_was_put_back(
    path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not hold the lock of the file that was there, and write to the one that is."""
    flock = fcntl.flock
    put_back = iter([lambda: shutil.copy(file, path.with_name("new")).replace(path)])

    def put_back_and_lock(descriptor: int, operation: int) -> None:
        next(put_back, lambda: None)()
        flock(descriptor, operation)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(fcntl, "flock", put_back_and_lock)
        store = Store(path)
    assert len(store.recall(ended_limit=10).jobs) == 3
    with pytest.raises(StoreError, match="a server runs with the records in"):
        restore(file, path)
    store.close()

"""Files that somebody removes, renames or replaces, while the server runs or between its runs."""

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.service import Service
from spalloc_server.store import database
from spalloc_server.store.database import Store
from spalloc_server.store.errors import MisplacedError
from spalloc_server.store.recalling import Recalled
from tests.spalloc_server.core.driver import machine
from tests.spalloc_server.store.test_database import a_job, ended, running

PATIENCE = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "records"
    folder.mkdir()
    return folder / "state"


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def after_a_kill(path: Path, tmp_path: Path, *, without_log: bool = False) -> Path:
    """Return a copy of what a server that is killed now leaves behind."""
    left = tmp_path / "left"
    left.mkdir()
    for file in path.parent.iterdir():
        if not (without_log and file.name.endswith("-wal")):
            shutil.copy(file, left / file.name)
    return left / path.name


def recalled(path: Path) -> Recalled:
    store = Store(path)
    found = store.recall(ended_limit=1000)
    store.close()
    return found


def critical(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.CRITICAL]


def _remove(*suffixes: str) -> Callable[[Path], None]:
    def remove(path: Path) -> None:
        for suffix in suffixes:
            beside(path, suffix).unlink()

    return remove


def _rename(path: Path) -> None:
    path.rename(beside(path, ".old"))


def _replace_log(path: Path) -> None:
    beside(path, "-wal").unlink()
    beside(path, "-wal").write_bytes(b"something else")


MISHAPS = [
    pytest.param(_remove(""), id="file removed"),
    pytest.param(_rename, id="file renamed"),
    pytest.param(_remove("-wal"), id="log removed"),
    pytest.param(_remove("-shm"), id="index of the log removed"),
    pytest.param(_remove("", "-wal", "-shm"), id="all removed"),
    pytest.param(_replace_log, id="log replaced"),
]


@pytest.mark.parametrize("mishap", MISHAPS)
def test_nothing_is_acknowledged_that_a_kill_could_lose_whatever_is_removed(
    mishap: Callable[[Path], None], path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(path)
    store.write({1: running(1), 2: ended(2, 1.6e9)}, {})
    mishap(path)
    store.write({3: a_job(3)}, {})
    (said,) = critical(caplog)
    assert "disappeared while the server runs" in said
    assert str(path) in said
    left = after_a_kill(path, tmp_path)
    assert [job.id for job in recalled(left).jobs] == [1, 3, 2]
    assert [job.id for job in store.ended_jobs(None, None, 9)] == [2]
    store.write({4: a_job(4)}, {})
    store.close()
    caplog.clear()
    assert sorted(job.id for job in recalled(path).jobs) == [1, 2, 3, 4]
    assert not critical(caplog)


@pytest.mark.parametrize("mishap", MISHAPS)
def test_what_is_removed_before_a_stop_is_there_after_it(mishap: Callable[[Path], None], path: Path) -> None:
    store = Store(path)
    store.write({1: running(1)}, {})
    mishap(path)
    store.close()
    assert [job.id for job in recalled(path).jobs] == [1]


def test_what_disappears_with_its_folder_is_written_again_when_the_folder_is_back(path: Path) -> None:
    store = Store(path)
    store.write({1: a_job(1)}, {})
    shutil.rmtree(path.parent)
    for _ in range(2):
        with pytest.raises(
            MisplacedError, match="disappeared while the server runs, and can't be written again"
        ):
            store.write({2: a_job(2)}, {})
    path.parent.mkdir()
    store.write({2: a_job(2)}, {})
    store.close()
    assert [job.id for job in recalled(path).jobs] == [1, 2]


def _written_and_not_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a store that has written its removed file again, and could not open it then."""
    store = Store(path)
    store.write({1: a_job(1)}, {})
    path.unlink()

    def fail(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as failing:
        failing.setattr(database, "mark_running", fail)
        with pytest.raises(MisplacedError, match="disk I/O error"):
            store.write({2: a_job(2)}, {})
    return store


def test_a_file_that_could_not_be_opened_again_is_opened_at_the_next_try(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _written_and_not_opened(path, monkeypatch)
    store.write({2: a_job(2)}, {})
    store.close()
    assert [job.id for job in recalled(path).jobs] == [1, 2]


def test_an_empty_file_never_passes_for_records_that_disappeared_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _written_and_not_opened(path, monkeypatch)
    kept = path.rename(beside(path, ".kept"))
    with pytest.raises(MisplacedError, match="disappeared again; put it back"):
        store.write({2: a_job(2)}, {})
    assert not path.exists()
    kept.rename(path)
    store.write({2: a_job(2)}, {})
    store.close()
    assert [job.id for job in recalled(path).jobs] == [1, 2]


def test_a_file_that_takes_the_records_place_is_neither_written_nor_overwritten(
    path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    Store(other).close()
    content = other.read_bytes()
    store = Store(path)
    store.write({1: a_job(1)}, {})
    other.rename(path)
    with pytest.raises(MisplacedError, match="another file has taken the place of .*move that one away"):
        store.write({2: a_job(2)}, {})
    assert path.read_bytes() == content
    path.unlink()
    store.write({2: a_job(2)}, {})
    store.close()
    assert [job.id for job in recalled(path).jobs] == [1, 2]


def test_after_a_kill_all_is_there_and_nothing_is_said(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(path)
    store.write({1: a_job(1)}, {})
    left = after_a_kill(path, tmp_path)
    store.close()
    found = recalled(left)
    assert [job.id for job in found.jobs] == [1]
    assert not found.doubtful
    assert not caplog.records


def test_records_that_are_reached_through_a_link_are_watched_where_they_are(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    store = Store(link)
    store.write({1: a_job(1)}, {})
    left = after_a_kill(path, tmp_path)
    other = tmp_path / "other"
    other.symlink_to(left)
    assert not recalled(other).doubtful, "a kill has lost nothing"
    assert not critical(caplog)
    _remove("-wal", "-shm")(path)
    store.write({2: a_job(2)}, {})
    shutil.rmtree(left.parent)
    again = after_a_kill(path, tmp_path)
    store.close()
    assert [job.id for job in recalled(again).jobs] == [1, 2]


def test_a_log_that_is_lost_after_a_kill_is_told(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(path)
    store.write({1: a_job(1)}, {})
    left = after_a_kill(path, tmp_path, without_log=True)
    store.close()
    found = recalled(left)
    assert found.doubtful
    (said,) = critical(caplog)
    assert f"{left} has lost its write-ahead log" in said
    assert "--cold-start" in said


def test_a_copy_from_a_running_server_is_told_of_and_is_doubtful_until_something_is_recorded(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(path)
    store.write({1: a_job(1)}, {})
    store._database.execute("VACUUM INTO ?", (str(tmp_path / "copy"),))
    store.close()
    assert recalled(tmp_path / "copy").doubtful
    assert "a copy from a time when the server ran" in critical(caplog)[0]
    caplog.clear()
    store = Store(tmp_path / "copy")
    assert store.recall(ended_limit=1).doubtful
    store.write({}, {})
    store.close()
    assert not recalled(tmp_path / "copy").doubtful
    assert not critical(caplog)


def move(path: Path, where: Path) -> None:
    path.rename(where)


class Running:
    """A whole server in this event loop."""

    def __init__(self, path: Path) -> None:
        self.service = Service(Configuration(state=path, machines=(machine(),), v1=Listening(0)))

    async def __aenter__(self) -> Service:
        await self.service.start()
        return self.service

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()


class Said(logging.Handler):
    """Waits in an event loop until the log says something, from whatever thread."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        logging.getLogger("spalloc_server").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._event.wait()
        logging.getLogger("spalloc_server").removeHandler(self)


def test_a_server_that_nobody_uses_notices_that_its_file_is_gone(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with Running(path):
            said = Said("written again, whole")
            _remove("")(path)
            await said.wait()

    asyncio.run(run())
    assert f"{path} disappeared while the server runs" in critical(caplog)[0]
    assert not recalled(path).doubtful


def test_a_server_whose_file_was_replaced_is_not_ready_and_goes_on_when_that_is_moved_away(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").write_text("not records")

    async def run() -> None:
        async with Running(path) as service:
            said = Said("nothing is changed until they can")
            move(tmp_path / "other", path)
            await said.wait()
            assert "another file has taken the place" in str(service.engine.trouble)
            said = Said("records are written again, after")
            move(path, tmp_path / "other")
            await said.wait()
            assert service.engine.trouble is None

    asyncio.run(run())
    assert path.exists()
    assert "nothing is changed until they can" in critical(caplog)[0]
    assert "records are written again" in caplog.text
    recalled(path)

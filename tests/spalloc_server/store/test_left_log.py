"""Write-ahead logs that are damaged or cut short between a kill and the next start: whatever is lost is told."""

import logging
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.jobs import JobRecord
from spalloc_server.store.database import Store
from spalloc_server.store.errors import StoreError
from tests.examples import examples
from tests.spalloc_server.store.test_database import a_job, ended

JOBS = 120
FRAME_BYTES = 24 + 4096
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


# Where SQLite's locks are by which a process says that it has a database and its index open:
# https://www.sqlite.org/src/file/src/os_unix.c (SHARED_FIRST, UNIX_SHM_DMS).
FREE_LOCKS = """
import fcntl, sys
for name, first, size in (("", 0x40000002, 510), ("-shm", 128, 1)):
    with open(sys.argv[1] + name, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, size, first)
        except BlockingIOError:
            continue
        print("nobody has state" + name)
"""


class Image:
    """What a server leaves behind that is killed, and what it had acknowledged."""

    def __init__(self, folder: Path, jobs: dict[int, JobRecord]) -> None:
        self.folder = folder
        self.jobs = jobs

    def put(self, folder: Path) -> Path:
        for file in self.folder.iterdir():
            shutil.copy(file, folder / file.name)
        return folder / "state"


def _image(folder: Path, *, moved: bool) -> Image:
    """Make an image; `moved`: some of its log is in the database's own file already, and stays in the log as well."""
    (folder / "running").mkdir(parents=True)
    (folder / "killed").mkdir()
    store, jobs = Store(folder / "running" / "state"), {}
    # A reader keeps the log from being restarted.
    store._to_read().execute("BEGIN")
    store._to_read().execute("SELECT count(*) FROM jobs").fetchone()
    for number in range(1, JOBS + 1):
        jobs[number] = a_job(number)
        store.write({number: jobs[number]}, {})
        if number % 3 == 0:
            jobs[number - 1] = ended(number - 1, 1.6e9 + number)
            store.write({number - 1: jobs[number - 1]}, {})
        if moved and number == JOBS // 2:
            store._to_read().execute("COMMIT")
            store._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
            store._to_read().execute("BEGIN")
            store._to_read().execute("SELECT count(*) FROM jobs").fetchone()
    for file in (folder / "running").iterdir():
        if not file.name.endswith(".reserve"):
            shutil.copy(file, folder / "killed" / file.name)
    store.close()
    return Image(folder / "killed", jobs)


@pytest.fixture(scope="module")
def images() -> Iterator[list[Image]]:
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        yield [_image(Path(folder) / str(moved), moved=moved) for moved in (False, True)]


@pytest.fixture
def image(images: list[Image]) -> Image:
    return images[0]


def log_of(path: Path) -> Path:
    return path.with_name("state-wal")


def index_of(path: Path) -> Path:
    return path.with_name("state-shm")


def _flip_bits(data: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 5))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)


def _flip_in_header(data: bytearray, dice: random.Random) -> None:
    data[dice.randrange(32)] ^= 1 << dice.randrange(8)


def _zero_block(data: bytearray, dice: random.Random) -> None:
    length = dice.choice((16, 512, 4096))
    start = dice.randrange(len(data)) // length * length
    data[start : start + length] = bytes(len(data[start : start + length]))


def _truncate(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data)) :]


def _truncate_between_pages(data: bytearray, dice: random.Random) -> None:
    del data[32 + dice.randrange(len(data) // FRAME_BYTES) * FRAME_BYTES :]


def _cut_out(data: bytearray, dice: random.Random) -> None:
    start = dice.randrange(len(data))
    del data[start : start + dice.choice((1, 512, FRAME_BYTES, 10 * FRAME_BYTES))]


DAMAGES = (_flip_bits, _flip_in_header, _zero_block, _truncate, _truncate_between_pages, _cut_out)


def told(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records if record.levelno == logging.CRITICAL]


class Lines(logging.Handler):
    """Gathers what is logged; pytest's own is one for all examples of a property."""

    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        logger = logging.getLogger("spalloc_server")
        logger.addHandler(self)
        stack.callback(logger.removeHandler, self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.sampled_from((0, 1)), st.sampled_from(DAMAGES), st.booleans(), st.booleans())
@examples(300)
def test_whatever_is_damaged_in_the_log_nothing_is_lost_in_silence(
    images: list[Image],
    seed: int,
    which: int,
    damage: Callable[[bytearray, random.Random], None],
    with_index: bool,
    at_once: bool,
) -> None:
    image = images[which]
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder, ExitStack() as stack:
        path, lines = image.put(Path(folder)), Lines(stack)
        data = bytearray(log_of(path).read_bytes())
        damage(data, random.Random(seed))
        log_of(path).write_bytes(data)
        if not with_index:
            index_of(path).unlink()
        try:
            store = Store(path, set_aside_unreadable=at_once)
        except StoreError as error:
            assert "\n" not in str(error)
            assert "is damaged" in str(error)
            store = Store(path, set_aside_unreadable=True)
        recalled = store.recall(ended_limit=2 * JOBS)
        store.close()
        if {job.id: job for job in recalled.jobs} != image.jobs:
            assert told(lines.records)
            # Then no ID is given again, and no board as it is.
            assert recalled.doubtful
        assert all(job == image.jobs[job.id] for job in recalled.jobs if job.ended is not None)
        after = Store(path)
        assert after.recall(ended_limit=2 * JOBS) == recalled, "it goes on with what it has"
        after.close()


def test_a_flipped_bit_in_the_middle_of_the_log_is_told_and_the_log_is_kept(
    image: Image, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = image.put(tmp_path)
    data = bytearray(log_of(path).read_bytes())
    data[len(data) // 2] ^= 1
    log_of(path).write_bytes(data)
    # As after a power loss: what the index says was never synced.
    index_of(path).write_bytes(bytes(len(index_of(path).read_bytes())))
    store = Store(path)
    recalled = store.recall(ended_limit=JOBS)
    assert JOBS // 3 < len(recalled.jobs) < JOBS
    assert recalled.doubtful
    store.close()
    (said,) = told(caplog.records)
    assert f"{path} has a damaged write-ahead log: " in said
    assert "pages can be used, and the commands in the others are lost; it is kept as" in said
    assert path.with_name("state-wal.damaged-1").read_bytes() == data
    caplog.clear()
    Store(path).close()
    assert not told(caplog.records), "it is told of once"


def test_a_commit_that_was_cut_short_is_no_damage(
    image: Image, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = image.put(tmp_path)
    whole = log_of(path).read_bytes()
    # A commit of two pages that the server died in, as SQLite writes it: the page that ends it comes last.
    frames = [bytearray(whole[-FRAME_BYTES:]), bytearray(whole[-FRAME_BYTES:])]
    frames[0][4:8] = bytes(4)
    log_of(path).write_bytes(whole + frames[0] + frames[1][:-100])
    store = Store(path)
    recalled = store.recall(ended_limit=JOBS)
    assert {job.id: job for job in recalled.jobs} == image.jobs
    assert not recalled.doubtful
    store.close()
    assert not told(caplog.records)


def test_pages_of_an_older_log_behind_the_end_are_no_damage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "killed").mkdir()
    store = Store(tmp_path / "state")
    for number in range(1, 60):
        store.write({number: a_job(number)}, {})
    store._database.execute("PRAGMA wal_checkpoint(RESTART)")
    store.write({60: a_job(60)}, {})
    for name in ("state", "state-wal", "state-shm"):
        shutil.copy(tmp_path / name, tmp_path / "killed" / name)
    store.close()
    store = Store(tmp_path / "killed" / "state")
    assert len(store.recall(ended_limit=0).jobs) == 60
    store.close()
    assert not told(caplog.records)


@pytest.mark.parametrize(
    "left", [None, b"", b"\0" * 100, b"\0" * 32768], ids=["gone", "empty", "cut", "zeros"]
)
def test_a_log_without_its_index_may_be_cut_off_and_is_told(
    image: Image, tmp_path: Path, caplog: pytest.LogCaptureFixture, left: bytes | None
) -> None:
    path = image.put(tmp_path)
    index_of(path).unlink()
    if left is not None:
        index_of(path).write_bytes(left)
    store = Store(path)
    assert store.recall(ended_limit=0).doubtful
    store.close()
    (said,) = told(caplog.records)
    assert f"{path} has lost the index of its write-ahead log, {path}-shm" in said


def test_a_database_that_was_emptied_beside_its_log_is_told(
    image: Image, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = image.put(tmp_path)
    path.write_bytes(b"")
    store = Store(path)
    assert store.recall(ended_limit=0).doubtful
    store.close()
    assert "has a damaged write-ahead log: 0 of at least" in told(caplog.records)[0]


@pytest.mark.parametrize("killed", [True, False])
def test_another_program_that_opens_the_records_knows_that_the_server_has_them(
    image: Image, tmp_path: Path, *, killed: bool
) -> None:
    # Else it would take itself for the first to open them, and cut off the index that the server has in its memory.
    path = image.put(tmp_path) if killed else tmp_path / "state"
    store = Store(path)
    store.recall(ended_limit=0)
    store.write({1000: a_job(1000)}, {})
    look = [sys.executable, "-c", FREE_LOCKS, str(path)]
    assert subprocess.run(look, check=True, capture_output=True, text=True).stdout == ""
    store.close()

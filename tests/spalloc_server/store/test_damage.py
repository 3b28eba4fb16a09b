"""Records that a disk, a program or a person has damaged: the server starts, or says in a sentence why it doesn't."""

import logging
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.states import JobState
from spalloc_server.clock import moment
from spalloc_server.core.askers import Asker
from spalloc_server.core.effects import BoardKey, BoardRecord, PowerOrder, Share
from spalloc_server.core.jobs import Asked
from spalloc_server.core.lengths import Length
from spalloc_server.core.machine import Machine
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.store import schema
from spalloc_server.store.database import Store
from spalloc_server.store.errors import StoreError
from spalloc_server.store.soundness import save_what_can_be_read
from spinnaker.geometry import Board
from tests.examples import examples
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.world import World
from tests.spalloc_server.core.driver import machine
from tests.spalloc_server.store.test_database import ended as an_ended_job

JOBS = 60
FIRST_JOB = 50_000_000
"""Where the IDs of a server without records would begin."""


class Obedient:
    """Hardware that notes what it is told."""

    def __init__(self) -> None:
        self.orders: list[PowerOrder] = []

    def start(self, listener: object) -> None: ...

    def watch(self, order: PowerOrder) -> None: ...

    def carry_out(self, order: PowerOrder, done: object) -> None:
        self.orders.append(order)

    async def stop(self) -> None: ...


class Started:
    """A server that took up records, with nothing but its core, its store and its engine."""

    def __init__(
        self, path: Path, *, set_aside: bool = False, cold: bool = False, first_job: int = FIRST_JOB
    ) -> None:
        self.world = World(0)
        self.process = Process(self.world, Network(self.world), "server")
        self.hardware = Obedient()
        self.site = Site(MACHINES)
        self.store = Store(path, set_aside_unreadable=set_aside)
        self.engine = Engine(self.site, self.store, self.hardware, self)  # type: ignore[arg-type]
        try:
            begin = lambda: self.engine.start(cold=cold, first_job=first_job)  # noqa: E731
            self.process.enter(begin)
        except BaseException:
            self.store.close()
            raise
        self.let_work()

    def now(self) -> float:
        return self.world.now

    def wall(self) -> float:
        return 1.7e9 + self.world.now

    def suspended(self) -> float:
        return 0.0

    def let_work(self) -> None:
        self.world.run(until=lambda: False, limit=1.0)
        assert not self.process.faults

    def create(self, request: JobRequest) -> int:
        numbers: list[int] = []

        def create() -> None:
            job = self.site.create_job(
                request,
                Asked((), {}),
                owner="me",
                keepalive=None,
                by=Asker("here"),
                at=moment(self),
            )
            numbers.append(job)
            self.engine.event()

        self.process.enter(create)
        self.let_work()
        return numbers[0]

    def destroy(self, number: int) -> None:
        self.site.destroy_job(number, "enough", moment(self))
        self.process.enter(self.engine.event)
        self.let_work()

    def switched_off(self) -> set[BoardKey]:
        return {
            BoardKey(order.machine, board)
            for order in self.hardware.orders
            if not order.on
            for board in order.boards
        }

    def close(self) -> None:
        self.store.close()


MACHINES: list[Machine] = [machine(4, 4)]


@pytest.fixture(scope="module")
def sound() -> Iterator[Path]:
    """The records of a site with live and ended jobs, as a stopped server leaves them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        server = Started(path)
        for number in range(JOBS):
            job = server.create(JobRequest(Boards(3) if number % 3 else AnyBoard()))
            if number % 4:
                server.destroy(job)
            server.site.effects.lengths.append(Length("me", 3, 60.0 + number, None))
            server.site.effects.shares[f"owner {number}"] = Share(180.0, 1.7e9)
            server.site.effects.scheduler = b"{}"
        server.close()
        yield path


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    shutil.copy(sound, tmp_path / "state")
    return tmp_path / "state"


def alter(path: Path, statement: str, *values: object) -> None:
    database = sqlite3.connect(path)
    with database:
        assert database.execute(statement, values).rowcount > 0
    database.close()


def _flip_bytes(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(dice.choice((1, 5, 100))):
        data[dice.randrange(len(data))] = dice.randrange(256)
    path.write_bytes(data)


def _zero_bytes(path: Path, dice: random.Random) -> None:
    data = bytearray(path.read_bytes())
    length = dice.choice((16, 512, 4096))
    start = dice.randrange(len(data)) // length * length
    data[start : start + length] = bytes(len(data[start : start + length]))
    path.write_bytes(data)


def _truncate(path: Path, dice: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: dice.randrange(len(data))])


def _alter_strings(path: Path, dice: random.Random) -> None:
    database = sqlite3.connect(path)
    with database:
        rows = database.execute("SELECT id, record FROM jobs").fetchall()
        for number, text in dice.sample(rows, dice.choice((1, 3))):
            changed = bytearray(text)
            for _ in range(dice.choice((1, 1, 10))):
                changed[dice.randrange(len(changed))] = dice.choice(b'0123456789-{}[],":e ntf\xff')
            database.execute("UPDATE jobs SET record = ? WHERE id = ?", (bytes(changed), number))
    database.close()


def _alter_values(path: Path, dice: random.Random) -> None:
    database = sqlite3.connect(path)
    value = dice.choice((None, -1, 0, 7, 2**40, 1e300, float("inf"), "x", b"{}", b"\xff"))
    table, column = dice.choice(
        [
            *(("jobs", name) for name in ("id", "owner", "created", "ended", "machine", "record")),
            *(("boards", name) for name in ("x", "z", "machine", "owed_off", "aside", "rest_seconds")),
            ("counters", "value"),
            ("counters", "name"),
            *(("lengths", name) for name in ("id", "owner", "boards", "seconds", "limit_seconds")),
            *(("shares", name) for name in ("owner", "used", "at")),
            *(("scheduler", name) for name in ("name", "value")),
        ]
    )
    some = f"rowid % {dice.choice((1, 7))} = 0" if table in ("jobs", "lengths") else "true"
    try:
        with database:
            database.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {some}", (value,))
    except sqlite3.Error:
        pass  # A value that SQLite itself keeps out of there.
    database.close()


# Hundreds of files that are synced again and again need no real disk.
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
DAMAGES = (_flip_bytes, _zero_bytes, _truncate, _alter_strings, _alter_values)


@pytest.mark.slow
@given(st.integers(0, 2**32), st.sampled_from(DAMAGES))
@examples(200)
def test_whatever_is_damaged_the_server_starts_or_says_in_a_sentence_why_not(
    sound: Path, seed: int, damage: Callable[[Path, random.Random], None]
) -> None:
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        path = Path(folder) / "state"
        shutil.copy(sound, path)
        damage(path, random.Random(seed))
        for set_aside in (False, True):
            try:
                server = Started(path, set_aside=set_aside)
            except StoreError as error:
                assert "\n" not in str(error)
                assert str(path) in str(error) or "--cold-start" in str(error)
                continue
            server.create(JobRequest(AnyBoard()))
            for job in list(server.site.jobs):
                server.destroy(job)
            assert server.engine.failure is None or isinstance(server.engine.failure, StoreError)
            server.close()


def test_what_sqlite_quotes_of_a_damaged_file_is_told_in_one_line(path: Path) -> None:
    data = path.read_bytes()
    table = data.index(b"CREATE TABLE boards")
    damage = data.index(b" NOT NULL", table)
    path.write_bytes(data[:damage] + b'"' + data[damage + 1 :])
    with pytest.raises(StoreError, match=r"^[^\n]* is damaged \([^\n]*; put back a backup [^\n]*$"):
        Started(path)


def test_ended_jobs_whose_records_can_not_be_read_are_set_aside_and_counted(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alter(path, "UPDATE jobs SET record = x'7b' WHERE ended IS NOT NULL AND id % 2 = 0")
    server = Started(path)
    (line,) = [record for record in caplog.records if "can't be read and are set aside" in record.message]
    assert line.levelno == logging.WARNING
    assert "the records of 15 ended jobs" in line.message or "ended jobs" in line.message
    assert server.site.ended
    server.close()
    caplog.clear()
    Started(path).close()
    assert not caplog.records, "they are told of once"


def _leaves(path: Path, table: str) -> list[int]:
    """Return a table's leaf pages, in order: https://www.sqlite.org/fileformat2.html."""
    database = sqlite3.connect(path)
    ((root,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchall()
    database.close()
    page = path.read_bytes()[(root - 1) * 4096 : root * 4096]
    assert page[0] == 5, "the root has leaves below it"
    cells = int.from_bytes(page[3:5], "big")
    starts = [int.from_bytes(page[at : at + 2], "big") for at in range(12, 12 + 2 * cells, 2)]
    return [*(int.from_bytes(page[at : at + 4], "big") for at in starts), int.from_bytes(page[8:12], "big")]


def test_jobs_between_two_damaged_places_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "state"
    store = Store(path)
    store.write({number: an_ended_job(number, 1.6e9 + number) for number in range(1, 201)}, {})
    store.close()
    leaves = _leaves(path, "jobs")
    assert len(leaves) >= 7
    data = bytearray(path.read_bytes())
    for page in (leaves[1], leaves[-2]):
        data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(data)
    store = Store(path, set_aside_unreadable=True)
    saved = {job.id for job in store.recall(ended_limit=1000).jobs}
    store.close()
    assert {1, 100, 200} <= saved
    assert 200 - len(saved) < 2 * 200 / (len(leaves) - 2), "only what stood in the two places is lost"


def test_a_job_of_the_history_whose_record_can_not_be_read_is_left_out_and_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "state")
    store.write({number: an_ended_job(number, 1.6e9) for number in (1, 2)}, {})
    alter(tmp_path / "state", "UPDATE jobs SET record = x'7b' WHERE id = 1")
    for _ in range(2):
        assert [job.id for job in store.ended_jobs(None, None, 10)] == [2]
        assert store.ended_job(1) is None
    (line,) = caplog.records
    assert line.levelno == logging.WARNING
    assert line.message.startswith("the record of job 1, which has ended, can't be read: ")
    store.close()


def test_a_live_job_whose_record_can_not_be_read_is_named_and_the_server_does_not_start(path: Path) -> None:
    job = _a_live_job(path)
    alter(path, "UPDATE jobs SET record = x'7b' WHERE id = ?", job)
    with pytest.raises(StoreError, match=rf"\(job {job}: .*--set-aside-unreadable"):
        Started(path)


def test_without_an_unreadable_live_job_all_boards_that_nobody_has_are_switched_off_first(path: Path) -> None:
    job = _a_live_job(path)
    alter(path, "UPDATE jobs SET record = x'7b' WHERE id = ?", job)
    # The server is killed before it has recorded which boards those are.
    store = Store(path, set_aside_unreadable=True)
    store.recall(ended_limit=1)
    store.close()
    server = Started(path, set_aside=True)
    assert job not in server.site.jobs
    held = set(server.site.boards.holders())
    everything = {BoardKey(m.name, board) for m in MACHINES for board in m.places}
    assert server.switched_off() >= everything - held
    assert not any(order.on for order in server.hardware.orders if order.boards - {key.board for key in held})
    server.close()
    again = Started(path)
    assert everything - held <= again.switched_off() | set(again.site.boards.holders()), "until it is done"
    again.close()


def test_cold_start_needs_no_readable_record_of_a_job_that_it_ends(path: Path) -> None:
    alter(path, "UPDATE jobs SET record = x'7b' WHERE ended IS NULL")
    server = Started(path, cold=True)
    assert not server.site.jobs
    server.close()


def test_two_jobs_never_have_one_board_whatever_the_records_say(path: Path) -> None:
    first, second = _live_jobs_with_boards(path)[:2]
    database = sqlite3.connect(path)
    (text,) = database.execute("SELECT record FROM jobs WHERE id = ?", (first,)).fetchone()
    database.close()
    copied = text.replace(b'"id":%d,' % first, b'"id":%d,' % second)
    alter(path, "UPDATE jobs SET record = ? WHERE id = ?", copied, second)
    with pytest.raises(StoreError, match=rf"job {second}: job {first} has its board"):
        Started(path)


@pytest.mark.parametrize("value", ["1", "-5", "4000000000", "1000000000000"])
def test_ids_never_run_backwards_whatever_the_counter_says(path: Path, value: str) -> None:
    alter(path, f"UPDATE counters SET value = {value} WHERE name = 'next_job'")
    server = Started(path)
    job = server.create(JobRequest(AnyBoard()))
    assert JOBS < job - FIRST_JOB < 2 * JOBS or FIRST_JOB + JOBS <= job < 2**31
    server.close()


def test_ids_of_records_that_were_set_aside_are_never_given_again(path: Path) -> None:
    alter(path, "DELETE FROM counters WHERE name = 'next_job'")
    alter(path, "UPDATE jobs SET record = x'7b'")
    server = Started(path, set_aside=True)
    assert server.create(JobRequest(AnyBoard())) >= FIRST_JOB + JOBS
    server.close()


@pytest.mark.parametrize("damage", [_zero_bytes, _flip_bytes])
def test_what_can_be_read_of_a_damaged_file_is_saved_and_the_file_is_kept(
    path: Path, damage: Callable[[Path, random.Random], None], caplog: pytest.LogCaptureFixture
) -> None:
    whole = path.read_bytes()
    for seed in range(100):
        path.write_bytes(whole)
        damage(path, random.Random(seed))
        try:
            Started(path).close()
        except StoreError as error:
            if "is damaged" in str(error):
                break
    else:
        raise AssertionError("no damage was found in a hundred files")
    broken = path.read_bytes()
    # It starts later, so the clock says so.
    server = Started(path, set_aside=True, first_job=FIRST_JOB + 1000)
    assert path.with_name("state.damaged-1").read_bytes()[4096:] == broken[4096:]
    assert any("is damaged" in record.message for record in caplog.records)
    assert server.create(JobRequest(AnyBoard())) >= FIRST_JOB + JOBS
    server.close()
    Started(path).close()


def test_an_older_servers_damaged_records_of_boards_are_saved_too(tmp_path: Path) -> None:
    path = tmp_path / "state"
    old = sqlite3.connect(path)
    old.executescript(schema.MIGRATIONS[0])
    old.execute("INSERT INTO boards VALUES ('m', 0, 1, 2, 0, 'it does not come up', 3.5)")
    old.commit()
    old.close()
    save_what_can_be_read(path)
    store = Store(path)
    assert store.recall(ended_limit=1).boards == {
        BoardKey("m", Board(0, 1, 2)): BoardRecord(False, "it does not come up", 3.5)
    }
    store.close()


def test_a_file_too_large_to_be_looked_through_at_the_start_is_looked_through_beside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spalloc_server.store.database.CHECKED_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("spalloc_server.store.soundness._STEPS_BETWEEN_LOOKS", 1)
    store = Store(path)
    assert not store.is_checked
    assert store.look_for_damage(lambda: False) is None
    store.close()
    database = sqlite3.connect(path)
    ((root,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'ended_jobs_of_owner'")
    database.close()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(data)
    store = Store(path)
    assert store.look_for_damage(lambda: True) is None, "there is no time left"
    assert store.look_for_damage(lambda: False) is not None
    store.close()


def _a_live_job(path: Path) -> int:
    return _live_jobs_with_boards(path)[0]


def _live_jobs_with_boards(path: Path) -> list[int]:
    store = Store(path)
    jobs = store.recall(ended_limit=0).jobs
    store.close()
    return [job.id for job in jobs if job.allocation is not None and job.state is not JobState.destroyed]

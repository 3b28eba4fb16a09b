"""How much of a disk the history takes, and what becomes of it when the disk is full: tried on a disk of 16 MB."""

import math
import re
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from spalloc_server.core.jobs import JobRecord
from spalloc_server.store import keeping
from spalloc_server.store.database import Store
from spalloc_server.store.keeping import HistoryLimits
from tests.spalloc_server.store.test_database import a_job, ended, running

LONG = "why " * 1000
DISK_MEGABYTES = 16


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may make a small disk")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def long_one(number: int) -> JobRecord:
    return replace(ended(number, 1.6e9 + number), reason=LONG)


def write(store: Store, records: Sequence[JobRecord]) -> None:
    """Write as the engine does: what is too much goes after it."""
    store.write({record.id: record for record in records}, {})
    for _ in range(1 + len(records) // 500):
        if store.history.has_excess:
            store.history.drop_excess(1000)


def fill(disk: Path) -> Path:
    """Leave nothing of a disk to anybody."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def kept(store: Store) -> list[int]:
    return [record.id for record in store.ended_jobs(None, None, 10_000)]


def test_the_records_never_take_more_of_the_disk_than_they_may(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.history.limits = HistoryLimits(bytes=2_000_000)
    store.write({1: running(1)}, {})
    for first in range(2, 2002, 50):
        write(store, [long_one(number) for number in range(first, first + 50)])
        assert (tmp_path / "state").stat().st_size < 2_500_000
    assert kept(store)[0] == 2001
    assert len(kept(store)) > 200, "no more is dropped than need be"
    store.close()
    assert (tmp_path / "state").stat().st_size < 2_500_000
    store = Store(tmp_path / "state")
    assert running(1) in store.recall(ended_limit=1).jobs, "live jobs are never dropped"
    store.close()


def test_jobs_that_never_had_boards_are_dropped_before_those_that_had() -> None:
    store = Store(None)
    store.history.limits = HistoryLimits(jobs=20)
    real = [replace(ended(number, 1.6e9), allocation=running(1).allocation) for number in range(1, 11)]
    write(store, real)
    for number in range(11, 500):
        write(store, [ended(number, 1.7e9 + number)])
    assert set(kept(store)) == {*range(1, 11), *range(490, 500)}
    for number in range(500, 530):
        write(store, [replace(record, id=number, ended=1.8e9) for record in real[:1]])
    assert set(kept(store)) == set(range(510, 530)), "of those, the ones that ended first"
    store.close()


def test_what_is_dropped_is_given_back_to_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    write(store, [long_one(number) for number in range(1, 3001)])
    store.history.limits = HistoryLimits(jobs=10)
    while store.history.has_excess:
        store.history.drop_excess(1000)
    while store.history.give_back():
        pass
    assert kept(store) == list(range(3000, 2990, -1))
    store.close()
    assert (tmp_path / "state").stat().st_size < 5_000_000


def test_a_history_that_fills_the_disk_makes_room_for_what_comes_and_is_told_once_a_minute(
    small_disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(keeping, "monotonic", lambda: now)
    store = Store(small_disk / "state")
    store.write({1: running(1)}, {})
    for first in range(2, 10_002, 50):
        now += 1.0
        store.write({number: long_one(number) for number in range(first, first + 50)}, {})
    assert kept(store)[0] == 10_001
    dropped = 10_000 - store.history.ended_before(math.inf)
    store.close()
    told = [
        re.fullmatch(r"the disk is full: (\d+) ended jobs are dropped .*", said) for said in caplog.messages
    ]
    assert 2 < len(told) <= 2 + now / keeping.TELL_SECONDS
    assert sum(int(line[1]) for line in told if line is not None) == dropped, "of all together"
    store = Store(small_disk / "state")
    assert running(1) in store.recall(ended_limit=1).jobs
    store.close()


def test_a_disk_that_others_have_filled_is_gone_on_with_while_there_is_history_to_drop(
    small_disk: Path,
) -> None:
    store = Store(small_disk / "state")
    store.write({number: long_one(number) for number in range(1, 1001)}, {})
    fill(small_disk)
    for number in range(1001, 1501):
        store.write({number: a_job(number)}, {})
    store.write({2000: running(2000)}, {})
    store.close()
    store = Store(small_disk / "state")
    live = [job.id for job in store.recall(ended_limit=0).jobs]
    assert live == [*range(1001, 1501), 2000]
    store.write({2001: a_job(2001)}, {})
    store.close()


def test_a_lower_bound_helps_on_a_full_disk(small_disk: Path) -> None:
    store = Store(small_disk / "state")
    write(store, [long_one(number) for number in range(1, 1501)])
    fill(small_disk)
    store.history.limits = HistoryLimits(bytes=1_000_000)
    while store.history.has_excess:
        store.history.drop_excess(1000)
    while store.history.give_back():
        pass
    assert kept(store)[0] == 1500
    store.close()
    assert (small_disk / "state").stat().st_size < 6_000_000


def test_a_full_disk_without_history_takes_nothing_until_there_is_room(small_disk: Path) -> None:
    store = Store(small_disk / "state")
    store.write({1: running(1)}, {})
    ballast = fill(small_disk)
    number = 2
    with pytest.raises(sqlite3.OperationalError):
        while True:
            store.write({number: a_job(number)}, {})
            number += 1
    with pytest.raises(sqlite3.OperationalError):
        store.write({number: a_job(number)}, {})
    ballast.unlink()
    store.write({number: a_job(number)}, {})
    store.close()
    store = Store(small_disk / "state")
    assert [job.id for job in store.recall(ended_limit=0).jobs] == list(range(1, number + 1))
    store.close()

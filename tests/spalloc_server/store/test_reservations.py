"""Reservations that were made by command are in the records."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from spalloc_server.core.reservations import Reservation
from spalloc_server.store import schema
from spalloc_server.store.backup import back_up
from spalloc_server.store.database import Store
from spalloc_server.store.records import reservation_to_text
from spalloc_server.store.restoring import restore
from spalloc_server.store.soundness import save_what_can_be_read
from spinnaker.geometry import Board

COURSE = Reservation(
    name="course 雪",
    begins=1_796_112_000.0,
    ends=1_796_115_600.5,
    reason="a course",
    boards=frozenset({("m", Board(0, 1, 2)), ("m", Board(0, 1, 1)), ("n", Board(0, 0, 0))}),
    machines=frozenset({"b", "a"}),
    tags=frozenset({"big"}),
    owners=frozenset({"jäne", "joe"}),
    ends_jobs=False,
    by="mary",
)
CABLE = replace(COURSE, name="cable", owners=frozenset(), ends_jobs=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "state"
    store = Store(file)
    store.write({}, {}, reservations={one.name: one for one in (COURSE, CABLE)})
    store.close()
    return file


def recalled(path: Path) -> list[Reservation]:
    store = Store(path)
    found = store.recall(ended_limit=1).reservations
    store.close()
    return list(found)


def test_a_reservation_is_read_as_it_was_written_changed_and_removed(path: Path) -> None:
    assert recalled(path) == [CABLE, COURSE]
    store = Store(path)
    longer = replace(CABLE, ends=CABLE.ends + 60.0)
    store.write({}, {}, reservations={COURSE.name: None, CABLE.name: longer})
    store.close()
    assert recalled(path) == [longer]


def test_a_reservation_is_written_in_the_same_words_each_time() -> None:
    again = replace(COURSE, owners=frozenset(["joe", "jäne"]))
    assert reservation_to_text(again) == reservation_to_text(COURSE)


@pytest.mark.parametrize(
    "text", [b"", b"{}", reservation_to_text(COURSE), reservation_to_text(replace(CABLE, ends=0.0))]
)
def test_a_reservation_that_can_not_be_read_is_told_of_and_the_others_count(
    text: bytes, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE reservations SET record = ? WHERE name = 'cable'", (text,))
    database.close()
    assert recalled(path) == [COURSE]
    (told,) = [record.message for record in caplog.records if "reservation" in record.message]
    assert told.startswith("reservation cable is not in force: its record can't be read (")


def test_a_backup_has_reservations_and_says_how_many(path: Path, tmp_path: Path) -> None:
    made = back_up(path, tmp_path / "backup")
    assert list(made.contents.lines()) == [
        "  0 live jobs with 0 boards, 0 ended jobs, 0 boards set aside, 2 reservations"
    ]
    store = Store(path)
    store.write({}, {}, reservations={COURSE.name: None})
    store.close()
    restore(tmp_path / "backup", path)
    assert recalled(path) == [CABLE, COURSE]


def test_reservations_of_a_damaged_file_are_saved(path: Path) -> None:
    save_what_can_be_read(path)
    assert recalled(path) == [CABLE, COURSE]


def test_records_of_a_server_that_knew_no_reservations_have_none(tmp_path: Path) -> None:
    path = tmp_path / "old"
    old = sqlite3.connect(path)
    old.executescript("".join(schema.MIGRATIONS[:5]))
    old.executescript(f"PRAGMA user_version = 5; PRAGMA application_id = {schema.APPLICATION}")
    old.close()
    assert back_up(path, tmp_path / "backup").contents.reservations == 0
    assert recalled(path) == []

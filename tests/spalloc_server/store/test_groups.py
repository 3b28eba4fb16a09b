"""Groups of accounts are in the records."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from spalloc_server.core.accounts import Account, AccountNews
from spalloc_server.core.askers import Role
from spalloc_server.core.groups import Group
from spalloc_server.store import schema
from spalloc_server.store.backup import back_up
from spalloc_server.store.database import Store
from spalloc_server.store.restoring import restore
from spalloc_server.store.soundness import save_what_can_be_read

LAB = Group("lab", 3.6e6, 1234.5, 2.0)
FREE = Group("free", None, 0.0, 3.0)
JANE = Account("jane", Role.USER, None, 1.5, groups=("lab", "free"), default_group="lab")
BEFORE_GROUPS = 7
"""The version of the tables of servers that knew no groups."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "state"
    write(file, {"lab": LAB, "free": FREE})
    return file


def write(path: Path, groups: dict[str, Group | None]) -> None:
    store = Store(path)
    store.write({}, {}, accounts=AccountNews({"jane": JANE}), groups=groups)
    store.close()


def recalled(path: Path) -> list[Group]:
    store = Store(path)
    found = store.recall(ended_limit=1)
    store.close()
    assert list(found.accounts) == [JANE]
    return list(found.groups)


def test_they_are_read_as_they_were_written_changed_and_removed(path: Path) -> None:
    assert recalled(path) == [FREE, LAB]
    used = replace(LAB, used=2000.25)
    write(path, {"free": None, "lab": used})
    assert recalled(path) == [used]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"name": "theory", "quota": null, "used": 0, "created": 1}',
        b'{"name": "lab", "quota": -1, "used": 0, "created": 1}',
        b'{"name": "lab", "quota": null, "used": -1, "created": 1}',
        b'{"name": "lab", "quota": null, "used": 0, "created": 1e99}',
    ],
)
def test_one_that_can_not_be_read_is_told_of_and_the_others_count(
    path: Path, text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(path) as database:
        database.execute("UPDATE groups SET record = ? WHERE name = 'lab'", (text,))
    database.close()
    assert recalled(path) == [FREE]
    (told,) = [record.message for record in caplog.records if "can't be read" in record.message]
    assert told.startswith("nothing is charged to group lab: its record can't be read (")


def test_the_records_of_a_server_without_groups_are_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    with monkeypatch.context() as before:
        before.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:BEFORE_GROUPS])
        store = Store(path)
        store.write({}, {}, accounts=AccountNews({"jane": JANE}))
        store.close()
    assert recalled(path) == []
    write(path, {"lab": LAB})
    assert recalled(path) == [LAB]


def test_they_are_in_backups_and_counted_there(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    (line,) = back_up(path, copy).contents.lines()
    assert line.endswith(", 1 account, 2 groups")
    write(path, {"lab": None})
    restore(copy, path)
    assert recalled(path) == [FREE, LAB]


def test_they_are_saved_from_damaged_records(path: Path) -> None:
    save_what_can_be_read(path)
    assert recalled(path) == [FREE, LAB]

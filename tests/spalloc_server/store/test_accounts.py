"""Accounts, tokens and sessions are in the records."""

import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from spalloc_server.core.accounts import Account, AccountNews, Scope, SessionRecord, Token
from spalloc_server.core.askers import Role
from spalloc_server.core.identities import Identity
from spalloc_server.store import schema
from spalloc_server.store.backup import back_up
from spalloc_server.store.database import Store
from spalloc_server.store.restoring import restore
from spalloc_server.store.soundness import save_what_can_be_read

JANE = Account("jane", Role.SERVICE, "$argon2id$…", 1.5, True, (("10.0.0.1", 2.0), ("2001:db8::/64", 3.25)))
JOE = Account("joe", Role.READER, None, 2.0)
TOKEN = Token("aa", "jane", "robot", Scope.READ, 2.0, 3.0e9)
SESSION = SessionRecord("cc", "jane", "secret", "10.0.0.1", 4.0, 5.5, "aa")
ALL = AccountNews({"jane": JANE, "joe": JOE}, {"aa": TOKEN}, {"cc": SESSION})
ISSUED = replace(
    JOE, name="openid.joe", identity=Identity("https://issuer.example", "u-1"), groups=("brain",)
)
BY_ISSUER = SessionRecord("dd", "openid.joe", "secret", "10.0.0.1", 4.0, bearer="bb", expires=3.0e9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "state"
    write(file, ALL)
    return file


def write(path: Path, news: AccountNews) -> None:
    store = Store(path)
    store.write({}, {}, accounts=news)
    store.close()


def recalled(path: Path) -> tuple[list[Account], list[Token], list[SessionRecord]]:
    store = Store(path)
    found = store.recall(ended_limit=1)
    store.close()
    return list(found.accounts), list(found.tokens), list(found.sessions)


def test_they_are_read_as_they_were_written_changed_and_removed(path: Path) -> None:
    assert recalled(path) == ([JANE, JOE], [TOKEN], [SESSION])
    write(path, AccountNews({"openid.joe": ISSUED}, {}, {"dd": BY_ISSUER}))
    assert recalled(path) == ([JANE, JOE, ISSUED], [TOKEN], [SESSION, BY_ISSUER])
    write(path, AccountNews({"openid.joe": None}, {}, {"dd": None}))
    used = replace(SESSION, used=6.0)
    write(path, AccountNews({"joe": None}, {"aa": None}, {"cc": used}))
    assert recalled(path) == ([JANE], [], [used])


@pytest.mark.parametrize(
    ("table", "key", "said"),
    [
        (
            "accounts",
            "name",
            "nobody can log in to account joe, by a token neither: its record can't be read (",
        ),
        ("tokens", "key", "a token is not in force: its record can't be read ("),
        ("sessions", "key", "a session has ended: its record can't be read ("),
    ],
)
@pytest.mark.parametrize("text", [b"", b"{}", b'{"name": "mary"}', None])
def test_one_that_can_not_be_read_is_told_of_and_the_others_count(
    table: str, key: str, said: str, text: bytes | None, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "joe" if table == "accounts" else "dd"
    with sqlite3.connect(path) as database:
        if text is None:
            # That of another.
            (text,) = database.execute(f"SELECT record FROM {table}").fetchone()
        database.execute(f"INSERT OR REPLACE INTO {table} ({key}, record) VALUES (?, ?)", (name, text))
    database.close()
    accounts, tokens, sessions = recalled(path)
    assert JANE in accounts
    assert (tokens, sessions) == ([TOKEN], [SESSION])
    (told,) = [record.message for record in caplog.records if "can't be read" in record.message]
    assert told.startswith(said)


@pytest.mark.parametrize(
    ("table", "key", "known", "field"),
    [
        ("accounts", "name", "joe", "created"),
        ("tokens", "key", "aa", "expires"),
        ("sessions", "key", "cc", "begun"),
    ],
)
@pytest.mark.parametrize("moment", ["1e300", "-1e300", "253402300800.0"])
def test_one_whose_times_are_no_dates_counts_as_one_that_can_not_be_read(
    table: str, key: str, known: str, field: str, moment: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(path) as database:
        (text,) = database.execute(f"SELECT record FROM {table} WHERE {key} = ?", (known,)).fetchone()
        rotten = re.sub(rf'"{field}":[0-9.e]+'.encode(), f'"{field}":{moment}'.encode(), text)
        assert rotten != text
        database.execute(f"UPDATE {table} SET record = ? WHERE {key} = ?", (rotten, known))
    database.close()
    accounts, tokens, sessions = recalled(path)
    assert len(accounts) + len(tokens) + len(sessions) == 3
    assert "its times make no sense" in caplog.text


def test_a_backup_has_accounts_and_says_how_many(path: Path, tmp_path: Path) -> None:
    made = back_up(path, tmp_path / "backup")
    assert list(made.contents.lines()) == [
        "  0 live jobs with 0 boards, 0 ended jobs, 0 boards set aside, 2 accounts"
    ]
    write(path, AccountNews({"jane": None}))
    restore(tmp_path / "backup", path)
    assert recalled(path) == ([JANE, JOE], [TOKEN], [SESSION])


def test_accounts_of_a_damaged_file_are_saved(path: Path) -> None:
    save_what_can_be_read(path)
    assert recalled(path) == ([JANE, JOE], [TOKEN], [SESSION])


def test_records_of_a_server_that_knew_no_accounts_have_none(tmp_path: Path) -> None:
    path = tmp_path / "old"
    old = sqlite3.connect(path)
    old.executescript("".join(schema.MIGRATIONS[:6]))
    old.executescript(f"PRAGMA user_version = 6; PRAGMA application_id = {schema.APPLICATION}")
    old.close()
    assert back_up(path, tmp_path / "backup").contents.accounts == 0
    assert recalled(path) == ([], [], [])

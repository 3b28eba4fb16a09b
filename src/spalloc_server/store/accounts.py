"""The tables of accounts, tokens, sessions and groups: how they are written, and how they are read at the start.

Each record is JSON. One that can't be read stays on disk, is not in force, and is told of.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, TypeVar

import msgspec

from spalloc_server.core.accounts import Account, AccountNews, SessionRecord, Token, name_flaw
from spalloc_server.core.groups import Group
from spalloc_server.store.records import UnreadableError, is_date
from spalloc_server.store.writing import Statement, for_all

_log = logging.getLogger(__name__)

T = TypeVar("T")

_PUT = """
INSERT INTO {table} ({key}, record) VALUES {{rows}} ON CONFLICT ({key}) DO UPDATE SET record = excluded.record
"""
_DROP = "DELETE FROM {table} WHERE ({key}) IN (VALUES {{rows}})"

_write = msgspec.json.Encoder().encode
_read_account = msgspec.json.Decoder(Account).decode
_read_token = msgspec.json.Decoder(Token).decode
_read_group = msgspec.json.Decoder(Group).decode
_read_session = msgspec.json.Decoder(SessionRecord).decode


def putting_accounts(news: AccountNews) -> Iterator[Statement]:
    """Yield statements that write the records of news, and remove those that are None."""
    yield from _putting("accounts", "name", news.accounts)
    yield from _putting("tokens", "key", news.tokens)
    yield from _putting("sessions", "key", news.sessions)


def putting_groups(groups: Mapping[str, Group | None]) -> Iterator[Statement]:
    """Yield statements that write the records of groups, and remove those that are None."""
    yield from _putting("groups", "name", groups)


def _putting(table: str, key: str, records: Mapping[str, object]) -> Iterator[Statement]:
    drop, put = (sql.format(table=table, key=key) for sql in (_DROP, _PUT))
    yield from for_all(drop, [(name,) for name, record in records.items() if record is None])
    yield from for_all(
        put, [(name, _write(record)) for name, record in records.items() if record is not None]
    )


def read_accounts(database: sqlite3.Connection) -> list[Account]:
    """Return all accounts that can be read, by name."""
    return _read_all(
        database, "accounts", "name", _account, "nobody can log in to account {name}, by a token neither"
    )


def read_tokens(database: sqlite3.Connection) -> list[Token]:
    """Return all tokens that can be read."""
    return _read_all(database, "tokens", "key", _token, "a token is not in force")


def read_sessions(database: sqlite3.Connection) -> list[SessionRecord]:
    """Return all sessions that can be read."""
    return _read_all(database, "sessions", "key", _session, "a session has ended")


def read_groups(database: sqlite3.Connection) -> list[Group]:
    """Return all groups that can be read, by name."""
    return _read_all(database, "groups", "name", _group, "nothing is charged to group {name}")


def _read_all(
    database: sqlite3.Connection, table: str, key: str, read: Callable[[str, Any], T], what: str
) -> list[T]:
    if not database.execute(f"PRAGMA table_info({table})").fetchall():
        # An older server's, of which a backup is summed up.
        return []
    found = []
    for name, text in database.execute(f"SELECT {key}, record FROM {table} ORDER BY {key}"):
        try:
            found.append(read(name, text))
        except (msgspec.MsgspecError, ValueError) as error:
            # The key of a token or a session says nothing to anybody.
            _log.critical("%s: its record can't be read (%s)", what.format(name=name), error)
    return found


def _account(name: str, text: bytes) -> Account:
    account = _read_account(text)
    _check(account.name == name, "it is another account's")
    _check(name_flaw(name) is None, "its name can't be one")
    _check_times(account.created, *(when for _, when in account.logged_in_from))
    return account


def _group(name: str, text: bytes) -> Group:
    group = _read_group(text)
    _check(group.name == name, "it is another group's")
    _check(name_flaw(name) is None, "its name can't be one")
    _check_times(group.created)
    amounts = (group.used, group.quota or 0.0)
    _check(all(isfinite(one) and one >= 0 for one in amounts), "its board-seconds make no sense")
    return group


def _token(key: str, text: bytes) -> Token:
    token = _read_token(text)
    _check(token.key == key, "it is another token's")
    _check_times(token.created, token.expires)
    return token


def _session(key: str, text: bytes) -> SessionRecord:
    session = _read_session(text)
    _check(session.key == key, "it is another session's")
    _check_times(session.begun, session.used or 0.0, session.expires or 0.0)
    _check(session.bearer is None or session.expires is not None, "it says nothing of its end")
    return session


def _check_times(*times: float) -> None:
    _check(all(map(is_date, times)), "its times make no sense")


def _check(is_right: bool, otherwise: str) -> None:
    if not is_right:
        raise UnreadableError(otherwise)

"""The errors of the store, with messages for the administrator.

A temporary fault is an sqlite3.OperationalError, after which a write is tried again. Others end the server.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator


class StoreError(Exception):
    """The store can't be used; the message says which file, and why, in one line."""

    def __init__(self, message: str) -> None:
        # SQLite quotes text that it can't parse, which may have several lines.
        super().__init__(" ".join(message.splitlines()))


class InUseError(StoreError):
    """Another server uses the store."""


class MisplacedError(sqlite3.OperationalError):
    """The database's file is gone or replaced, so nothing may be written until it is back."""


def damaged(name: str, why: object) -> StoreError:
    """Return the error for a damaged file."""
    return StoreError(
        f"{name} is damaged ({why}); put back a backup with spalloc-server restore, or start with "
        "--set-aside-unreadable to go on with what can be read"
    )


def is_damage(error: BaseException) -> bool:
    """Return whether an error means that the file is damaged, so that trying again does not help."""
    if isinstance(error, UnicodeDecodeError):
        # It comes from bytes of a damaged file that SQLite quotes.
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextlib.contextmanager
def telling_of_damage(say: Callable[[object], str]) -> Iterator[None]:
    """Turn an error of SQLite about a damaged file into a StoreError, whose message `say` makes of it."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not is_damage(error):
            raise
        raise StoreError(say(error)) from error

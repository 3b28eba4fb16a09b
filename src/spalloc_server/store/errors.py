"""What can be wrong with the records, in words for whoever runs the server.

Faults that may pass are sqlite3.OperationalError, so that a write is tried again; others end the server.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator


class StoreError(Exception):
    """The store can't be used; the message says which file, and why, in one line."""

    def __init__(self, message: str) -> None:
        # SQLite quotes what it can't make sense of, and that may have several.
        super().__init__(" ".join(message.splitlines()))


class InUseError(StoreError):
    """Another server uses the store."""


class MisplacedError(sqlite3.OperationalError):
    """The database's file is not in its place, so nothing may be written until it is."""


def damaged(name: str, why: object) -> StoreError:
    """Return what to say of a file that SQLite can't make sense of."""
    return StoreError(
        f"{name} is damaged ({why}); put back a backup with spalloc-server restore, or start with "
        "--set-aside-unreadable to go on with what can be read"
    )


def is_damage(error: BaseException) -> bool:
    """Return whether an error says that the file is not as SQLite left it, which trying again does not change."""
    if isinstance(error, UnicodeDecodeError):
        # SQLite quotes what it can't make sense of.
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextlib.contextmanager
def telling_of_damage(say: Callable[[object], str]) -> Iterator[None]:
    """Turn what SQLite says of a damaged file within the block into a StoreError, with what `say` makes of it."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not is_damage(error):
            raise
        raise StoreError(say(error)) from error

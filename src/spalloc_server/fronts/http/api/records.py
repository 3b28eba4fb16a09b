"""Reads what is on disk for clients of HTTP, in fair turns, and says so when it can't be read."""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import TypeVar

from spalloc_server.engine import Engine, EngineStoppingError
from spalloc_server.fronts.http.api.answers import later
from spalloc_server.fronts.http.api.refusals import AGAIN_SECONDS
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.readings import Readings

T = TypeVar("T")


class Records:
    """The records of an engine, for clients that have logged in."""

    def __init__(self, door: Engine) -> None:
        """Begin with no questions."""
        self._neighbours = door.site.neighbours
        self._readings = Readings(lambda: door.stopping)

    async def read(self, request: Request, read: Callable[[], Awaitable[T]], *, many: bool = False) -> T:
        """Return what is read when it is this client's turn.

        Args:
            request: Says whose turn it must be.
            read: Reads.
            many: Whether it reads many jobs, which takes longer.

        Raises:
            HttpError: It can't be read now.
        """
        neighbours = self._neighbours.of(request.origin.address)
        account = request.logged_in.login.account
        try:
            return await self._readings.read(read, group=neighbours, owner=account, listing=many)
        except sqlite3.Error as error:
            raise later(
                503, f"the history can't be read just now, try again later: {error}", AGAIN_SECONDS
            ) from error
        except EngineStoppingError as error:
            raise later(503, f"{error}; ask again in a moment", AGAIN_SECONDS) from error

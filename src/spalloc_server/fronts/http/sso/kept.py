"""One answer of an issuer that is kept for as long as it may be, and asked for once at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from spalloc_server.fronts.http.sso.asking import AwayError

_log = logging.getLogger(__name__)

T = TypeVar("T")

KEPT_SECONDS = 600.0
"""For how long an answer is kept that does not say so itself."""
SHORTEST_KEPT_SECONDS = 60.0
LONGEST_KEPT_SECONDS = 86_400.0
"""For how long an answer is kept at most, and used while the issuer can't be asked again."""
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0
"""How long the issuer is not asked again after it did not answer: from the first of these, doubled up to the second."""


class Kept(Generic[T]):
    """An answer, and when it is to be asked for again; lives in one event loop."""

    def __init__(
        self, what: str, ask: Callable[[], Awaitable[tuple[T, float | None]]], now: Callable[[], float]
    ) -> None:
        """Begin without an answer.

        Args:
            what: What is asked for, for the log.
            ask: Returns the answer, and for how many seconds it may be kept, None if nobody says; raises AwayError.
            now: Returns the time in seconds, which only goes forward.
        """
        self._what = what
        self._ask = ask
        self._now = now
        self._answer: T | None = None
        self._asked = 0.0
        self._until = 0.0
        self._wait = 0.0
        self._not_before = 0.0
        self._why = ""
        self._task: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return the answer, asked for again if it is too old.

        Raises:
            AwayError: There is none.
        """
        if self._answer is not None and self._now() < self._until:
            return self._answer
        return await self._renewed()

    async def newer(self) -> T:
        """Return an answer that was asked for within the last minute.

        Raises:
            AwayError: There is none.
        """
        if self._answer is not None and self._now() - self._asked < SHORTEST_KEPT_SECONDS:
            return self._answer
        return await self._renewed()

    def stop(self) -> None:
        """Stop to ask."""
        if self._task is not None:
            self._task.cancel()

    async def _renewed(self) -> T:
        if self._task is None:
            if self._now() < self._not_before:
                return self._old(AwayError(self._why))
            self._task = asyncio.get_running_loop().create_task(self._renew())
            self._task.add_done_callback(self._done)
        try:
            # Whoever waits may leave; others wait for the same.
            return await asyncio.shield(self._task)
        except AwayError as error:
            return self._old(error)

    def _old(self, error: AwayError) -> T:
        if self._answer is None or self._now() - self._asked >= LONGEST_KEPT_SECONDS:
            raise error
        return self._answer

    async def _renew(self) -> T:
        try:
            answer, seconds = await self._ask()
        except AwayError as error:
            self._why = str(error)
            self._wait = min(LONGEST_WAIT_SECONDS, 2 * self._wait or FIRST_WAIT_SECONDS)
            self._not_before = self._now() + self._wait
            _log.warning("%s: the issuer %s", self._what, error)
            raise
        self._wait = self._not_before = 0.0
        kept = KEPT_SECONDS if seconds is None else seconds
        self._answer, self._asked = answer, self._now()
        self._until = self._asked + min(max(kept, SHORTEST_KEPT_SECONDS), LONGEST_KEPT_SECONDS)
        return answer

    def _done(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if not task.cancelled():
            # Nobody may be there any more to hear of it.
            task.exception()

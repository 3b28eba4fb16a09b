"""Reads the history for clients, one question at a time, in fair turns.

Reading takes longer than all other commands, and can't be cut into slices. So these questions have turns of their own,
by the rules of v1/turns.py: first by the group of addresses, then by the owner. A question about one job takes a
hundredth of the time of a listing, so it goes first, unless many have gone before.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")

LOOKS_IN_A_ROW = 16
"""Questions about one job that may go before a listing that waits."""


class _Question:
    """A question, and the future that its client awaits."""

    __slots__ = ("answer", "read")

    def __init__(self, read: Callable[[], Awaitable[Any]]) -> None:
        self.read = read
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class _Queue:
    """Questions of one kind, by group and owner; groups take turns, and so do owners in each."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, OrderedDict[str, OrderedDict[_Question, None]]] = OrderedDict()
        self._served = "", ""
        """The group and the owner who had the last turn."""

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add(self, group: str, owner: str, question: _Question) -> None:
        # A newcomer goes before the client that is being served now.
        last_group, last_owner = self._served
        owners = self._groups.get(group)
        if owners is None:
            owners = self._groups[group] = OrderedDict()
            if last_group in self._groups:
                self._groups.move_to_end(last_group)
        questions = owners.get(owner)
        if questions is None:
            questions = owners[owner] = OrderedDict()
            if group == last_group and last_owner in owners:
                owners.move_to_end(last_owner)
        questions[question] = None

    def take(self) -> _Question:
        group, owners = self._groups.popitem(last=False)
        owner, questions = owners.popitem(last=False)
        question, _ = questions.popitem(last=False)
        if questions:
            owners[owner] = questions
        if owners:
            self._groups[group] = owners
        self._served = group, owner
        return question

    def drop(self, group: str, owner: str, question: _Question) -> None:
        """Forget a question, unless it was taken."""
        owners = self._groups.get(group, OrderedDict())
        questions = owners.get(owner, OrderedDict())
        if question in questions:
            del questions[question]
            if not questions:
                del owners[owner]
            if not owners:
                del self._groups[group]


class Readings:
    """Has one question about the history read at a time."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        """Begin with no questions; while `stopping` returns True, `read` is called at once, to refuse."""
        self._stopping = stopping
        self._looks = _Queue()
        self._listings = _Queue()
        self._in_a_row = 0
        self._reader: asyncio.Task[None] | None = None

    async def read(self, read: Callable[[], Awaitable[T]], *, group: str, owner: str, listing: bool) -> T:
        """Return what `read` returns; it is called when its turn comes, and not at all if this is cancelled before.

        Args:
            read: Reads the answer.
            group: The client's group of addresses.
            owner: The owner of the client's jobs.
            listing: Whether the question is about many jobs.

        Raises:
            Exception: What `read` raised.
        """
        if self._stopping():
            return await read()
        question = _Question(read)
        queue = self._listings if listing else self._looks
        queue.add(group, owner, question)
        if self._reader is None:
            self._reader = asyncio.get_running_loop().create_task(self._read_all())
        try:
            return cast("T", await question.answer)
        finally:
            queue.drop(group, owner, question)

    async def _read_all(self) -> None:
        try:
            while self._looks or self._listings:
                question = self._take()
                try:
                    # Not in the asking task: if its client goes, the reading that has begun still takes its time.
                    reply = await question.read()
                except Exception as error:  # noqa: BLE001 — the client is told, and the others go on
                    if not question.answer.done():
                        question.answer.set_exception(error)
                        # The client may be gone by now: the exception counts as seen.
                        question.answer.exception()
                else:
                    if not question.answer.done():
                        question.answer.set_result(reply)
        finally:
            self._reader = None

    def _take(self) -> _Question:
        if self._looks and not (self._listings and self._in_a_row >= LOOKS_IN_A_ROW):
            self._in_a_row += 1
            return self._looks.take()
        self._in_a_row = 0
        return self._listings.take()

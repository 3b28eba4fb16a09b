"""Gives requests their turns, so that each turn of the event loop stays short, and accounts share what can be done.

The event loop runs whatever is ready before it looks at its sockets again: five hundred requests that come at once
would keep everybody else waiting until the last of them is done. Who has sent many waits for their own.
"""

import asyncio
from collections import OrderedDict, deque

EFFORT_A_TURN = 64
"""How much is done in one turn of the event loop: a few milliseconds."""
CHANGE = 8
"""What a change takes, or to describe a few jobs in a list; other questions take 1."""


class Turns:
    """The turns of all requests; lives in one event loop."""

    def __init__(self) -> None:
        """Begin with nobody waiting."""
        self._left = EFFORT_A_TURN
        self._waiting: OrderedDict[str, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()
        """Who waits, whose turn it is first, and for what efforts."""
        self._next: asyncio.Handle | None = None

    def take(self, whom: str, effort: int) -> asyncio.Future[None] | None:
        """Ask for a turn.

        Args:
            whom: The account, or the group of addresses of somebody who has not logged in.
            effort: What will be done, 1 to `EFFORT_A_TURN`.

        Returns:
            None if it may be done now; else a future that is done when it may.
        """
        loop = asyncio.get_running_loop()
        if self._next is None:
            self._next = loop.call_soon(self._begin)
        if self._left > 0 and not self._waiting:
            self._left -= effort
            return None
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(whom, deque()).append((effort, turn))
        return turn

    def _begin(self) -> None:
        """Let those go on whose turn it is."""
        self._next = None
        self._left = EFFORT_A_TURN
        waiting = self._waiting
        while waiting and self._left > 0:
            whom, theirs = waiting.popitem(last=False)
            effort, turn = theirs.popleft()
            if theirs:
                waiting[whom] = theirs
            if not turn.done():
                self._left -= effort
                turn.set_result(None)
        if self._left < EFFORT_A_TURN:
            self._next = asyncio.get_running_loop().call_soon(self._begin)

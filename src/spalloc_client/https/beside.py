"""The same connection for blocking programs: its event loop runs in a thread beside the program.

One thread serves all connections of a process. Callers sleep until it has something for them, so they can be
interrupted at any moment, and a signal handler may call in the middle of another call.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from spalloc_client.deadline import time_left
from spalloc_client.errors import ProtocolError
from spalloc_client.https import service
from spalloc_client.polling import Sleeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from spalloc_client.conversation import Call, Notification
    from spalloc_client.https.session import Session
    from spalloc_client.wire import Failure, Request, Return

_CLOSING = 2.0
"""Seconds that closing may take."""

_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""The loop of this process, by its number: a copy of the process has no thread, and needs a loop of its own."""
_starting = threading.RLock()
"""Held to start it; by a signal handler as well, which may come just then."""


def _loop() -> asyncio.AbstractEventLoop:
    process = os.getpid()
    with _starting:
        if process not in _loops:
            _loops.clear()
            _loops[process] = asyncio.new_event_loop()
            threading.Thread(target=_loops[process].run_forever, name="spalloc https", daemon=True).start()
        return _loops[process]


class Connection:
    """A service as one connection, shared by the threads of a program."""

    readable = True
    entangled = False
    """No call is ever in the way of a signal handler's."""

    def __init__(self, session: Session, notifications: deque[Notification], within: float | None) -> None:
        """Connect and log in.

        Args:
            session: The session, which may have been used before.
            notifications: Where notifications are put.
            within: Seconds that this may take; None for as long as it takes.

        Raises:
            OSError: The service can't be reached.
            LoginError: It lets nobody in with these credentials.
            ProtocolError: What answers is no spalloc service.
        """
        self._process = os.getpid()
        self._sleepers: deque[Sleeper] = deque()
        self._loop = _loop()
        self._inner = service.Connection(session, notifications, self._wake)
        opening = asyncio.run_coroutine_threadsafe(self._inner.open(within), self._loop)
        try:
            opening.result()
        except BaseException:
            opening.cancel()
            raise

    def _wake(self) -> None:
        for sleeper in list(self._sleepers):
            sleeper.wake()

    @property
    def alive(self) -> bool:
        """Whether no trouble has been met so far, and this process is the one that connected."""
        return self._inner.alive and self._process == os.getpid()

    @property
    def arrived(self) -> int:
        """How many notifications this connection has brought."""
        return self._inner.arrived

    written = staticmethod(service.Connection.written)

    def send(self, call: Call, request: Request, deadline: float | None) -> None:  # noqa: ARG002
        """Begin to do what is asked for.

        Raises:
            ProtocolError: The connection is lost.
        """
        self.check_usable()
        self._loop.call_soon_threadsafe(self._begin, call, request)

    def _begin(self, call: Call, request: Request) -> None:
        try:
            self._inner.begin(call, request)
        except ProtocolError as error:
            from spalloc_client.conversation import Unanswered

            call.outcome = Unanswered(str(error))
            self._wake()

    def wait(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Wait until `done()` or the deadline; whether it is done."""
        while True:
            sleeper = Sleeper()
            self._sleepers.append(sleeper)
            try:
                if done():
                    return True
                left = time_left(deadline, time.monotonic())
                if left == 0.0:
                    return False
                sleeper.sleep(left)
            finally:
                self._sleepers.remove(sleeper)

    def wait_for_news(self, notifications: deque[Notification], deadline: float | None) -> bool:
        """Wait until there is a notification to read, or trouble, or the deadline; whether before that."""
        return self._listen(lambda: bool(notifications) or not self.alive, deadline)

    def wait_for_more(self, seen: int, deadline: float | None) -> bool:
        """Wait until more than `seen` notifications have come, or trouble, or the deadline; whether before that."""
        return self._listen(lambda: self.arrived > seen or not self.alive, deadline)

    def _listen(self, done: Callable[[], bool], deadline: float | None) -> bool:
        waiting = asyncio.run_coroutine_threadsafe(self._news(), self._loop)
        try:
            return self.wait(done, deadline)
        finally:
            waiting.cancel()

    async def _news(self) -> None:
        while self._inner.alive:
            await self._inner.news()

    def outcome(self, call: Call) -> Return | Failure:
        """Return the outcome of a settled call.

        Raises:
            ProtocolError: The connection was lost first.
        """
        return self._inner.outcome(call)

    def check_usable(self) -> None:
        """Raise ProtocolError, saying why, once the connection is over."""
        if self._process != os.getpid():
            raise ProtocolError(
                f"connection to {self._inner.url}: it belongs to process {self._process}, of which this one is a copy; "
                "connect again"
            )
        self._inner.check_usable()

    def close(self, trouble: str = "this client closed the connection") -> None:
        """Close; calls under way in other threads fail with the reason given."""
        if self._process != os.getpid():
            return  # its loop runs in the process that this one was forked from
        closing = asyncio.run_coroutine_threadsafe(self._inner.close(trouble), self._loop)
        if asyncio._get_running_loop() is self._loop:
            return  # called by the collection of garbage, in the loop's thread
        try:
            closing.result(_CLOSING)
        except (TimeoutError, CancelledError):
            return  # it goes on by itself

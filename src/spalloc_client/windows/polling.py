"""`poll` on top of `select`, which is all that Windows has, so it waits for sockets only.

It offers as much of `poll` as this package uses.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class HasNumber(Protocol):
        """A socket."""

        def fileno(self) -> int:
            """Return its number."""


# As on other systems.
POLLIN = 0x1
POLLOUT = 0x4
POLLERR = 0x8
POLLHUP = 0x10

_SLICE = 0.25
"""Seconds of a single wait: nothing can be done about Ctrl-C while Windows waits for sockets."""


class Poll:
    """Sockets, and the events to wait for on each."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: dict[int, int] = {}

    def register(self, socket: int | HasNumber, events: int) -> None:
        """Wait also for `events`, of `POLLIN` and `POLLOUT`, on a socket; they replace earlier ones."""
        self._events[_number(socket)] = events

    def unregister(self, socket: int | HasNumber) -> None:
        """Wait for nothing more on a socket.

        Raises:
            KeyError: Nothing was waited for on it.
        """
        del self._events[_number(socket)]

    def poll(self, milliseconds: float | None = None) -> list[tuple[int, int]]:
        """Wait, at most some time, and return what has come: sockets' numbers, and events of each."""
        deadline = None if milliseconds is None else time.monotonic() + milliseconds / 1000.0
        while True:
            left = _SLICE if deadline is None else max(0.0, deadline - time.monotonic())
            found = self._look(min(left, _SLICE))
            if found or left == 0.0:
                return found

    def _look(self, seconds: float) -> list[tuple[int, int]]:
        reads = [number for number, events in self._events.items() if events & POLLIN]
        writes = [number for number, events in self._events.items() if events & POLLOUT]
        if not reads and not writes:
            # Asked to wait for nothing, Windows refuses to.
            time.sleep(seconds)
            return []
        # An attempt to connect that fails is an exceptional condition there, and nothing else.
        readable, writable, failed = select.select(reads, writes, writes, seconds)
        found = dict.fromkeys(readable, POLLIN)
        for numbers, event in ((writable, POLLOUT), (failed, POLLERR)):
            for number in numbers:
                found[number] = found.get(number, 0) | event
        return list(found.items())


def poll() -> Poll:
    """Return an empty poll object."""
    return Poll()


def _number(socket: int | HasNumber) -> int:
    return socket if isinstance(socket, int) else socket.fileno()

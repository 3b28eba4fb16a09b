"""Wakes the main thread: for other threads, for signals and their handlers, and for descriptors that it names.

A bell is a pair of sockets, since only poll notices a signal that came just before it: the interpreter writes each
signal's number into a socket as the signal arrives (signal.set_wakeup_fd), where it stays until it is read. On
Windows, only sockets can be waited for; elsewhere a pipe would do.
"""

from __future__ import annotations

import math
import signal
import socket
import sys
from collections import deque

from spalloc_client.polling import POLLIN, poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

HEARS_FILES = sys.platform != "win32"
"""Whether a bell hears descriptors that are no sockets."""


class Bell:
    """Wakes the main thread; while entered, every signal that has a handler rings it too."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._poll = poll()
        self._poll.register(self._read, POLLIN)
        self._earlier = -1

    def __enter__(self) -> Self:
        self._earlier = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._earlier, warn_on_full_buffer=False)

    def __del__(self) -> None:
        # Not before: a thread that is no longer waited for may still ring.
        self._read.close()
        self._write.close()

    def ring(self) -> None:
        """Wake the main thread, or keep it awake; for any thread and any signal handler."""
        try:
            self._write.send(b"\0")
        except BlockingIOError:
            # It has not woken up yet since many rings ago, and will.
            return

    def hear(self, descriptor: int, events: int) -> None:
        """Let `wait` end on what poll reports of a descriptor; on errors and a lost reader also without events.

        Only where it `HEARS_FILES`, or for sockets.
        """
        self._poll.register(descriptor, events)

    def ignore(self, descriptor: int) -> None:
        """Let `wait` ignore a descriptor again."""
        self._poll.unregister(descriptor)

    def wait(self, seconds: float | None = None) -> dict[int, int]:
        """Sleep until the bell rings, at most some seconds; return what poll reports of the other descriptors."""
        found = dict(self._poll.poll(None if seconds is None else math.ceil(max(seconds, 0.0) * 1000.0)))
        if found.pop(self._read.fileno(), 0):
            self._read.recv(4096)
        return found


class Letterbox:
    """Signals that another thread wants a wrapped command to get; the main thread sends them."""

    def __init__(self) -> None:
        self._signals: deque[int] = deque()
        self.bell: Bell | None = None
        """What wakes the main thread, while it runs the command."""

    def put(self, number: int) -> None:
        """Have a signal sent, as soon as the command is there."""
        self._signals.append(number)
        if self.bell is not None:
            self.bell.ring()

    def take(self) -> list[int]:
        """Return the signals to send now."""
        return [self._signals.popleft() for _ in range(len(self._signals))]

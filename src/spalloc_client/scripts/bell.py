# What a waiting main thread is woken by: other threads, signal handlers, signals themselves, and descriptors it names.
#
# A pipe, because poll is the one wait that sees a signal which came the moment before: the interpreter writes each
# signal's number into the pipe as it arrives (signal.set_wakeup_fd), and what is written stays until it is read.
"""Wake the main thread."""

from __future__ import annotations

import math
import os
import select
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Bell:
    """Wakes the main thread; while entered, every signal that has a handler rings it too."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)
        self._earlier = -1

    def __enter__(self) -> Self:
        self._earlier = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._earlier, warn_on_full_buffer=False)
        # The pipe is left to the process's end: a thread that nobody waits for any more may still ring.

    def ring(self) -> None:
        """Wake the main thread, or keep it from falling asleep; from any thread and any signal handler."""
        try:
            os.write(self._write, b"\0")
        except BlockingIOError:
            # It has not woken up yet since many rings ago, and will.
            return

    def hear(self, descriptor: int, events: int) -> None:
        """Have `wait` end on what poll reports of a descriptor; on errors and a lost reader also without events."""
        self._poll.register(descriptor, events)

    def ignore(self, descriptor: int) -> None:
        """Have `wait` no longer look at a descriptor."""
        self._poll.unregister(descriptor)

    def wait(self, seconds: float | None = None) -> dict[int, int]:
        """Sleep until the bell rings, at most some seconds; return what poll reports of the other descriptors."""
        found = dict(self._poll.poll(None if seconds is None else math.ceil(max(seconds, 0.0) * 1000.0)))
        if found.pop(self._read, 0):
            os.read(self._read, 4096)
        return found

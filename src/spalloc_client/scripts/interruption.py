"""SIGINT, SIGTERM and SIGHUP (on Windows, SIGBREAK) as one exception, raised only where the main thread waits.

An exception at any moment, as Ctrl-C usually raises it, would sometimes reach the main thread between taking a lock
and noting that it has it; the cleanup would then wait for that lock forever. The caller cleans up. While a wrapped
command runs, wrapped.py handles the signals.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

from spalloc_client.scripts.bell import Bell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Self, TypeVar

    T = TypeVar("T")

if sys.platform == "win32":
    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
else:
    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_ONE_GESTURE = 1.0
"""Seconds in which several signals count as one: some senders tell a process and its group."""


class Stopped(BaseException):
    """This process was told to stop by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interruptions:
    """While entered, a signal to stop is kept until the main thread waits, and raises `Stopped` there.

    A later one does so too, once the first is a while ago: so cleaning up is not cut short by an echo of the signal
    that began it, yet can be by an impatient user.
    """

    def __init__(self) -> None:
        self.bell = Bell()
        """Ends the main thread's wait; other threads ring it when they have news."""
        self._quiet_until = 0.0
        self._number: int | None = None
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> Self:
        self.bell.__enter__()
        for number in _SIGNALS:
            # One that is ignored, as under nohup, stays so.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._earlier[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self.bell.__exit__()

    def clean_up(self) -> None:
        """Begin to clean up: signals so far, and those of the next moment, have no further effect."""
        self._quiet_until = time.monotonic() + _ONE_GESTURE
        self._number = None

    def check(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self._number is not None:
            number = self._number
            self.clean_up()
            raise Stopped(number)

    def wait(self, seconds: float | None = None) -> dict[int, int]:
        """Wait for the bell, as `Bell.wait` does, or raise `Stopped`."""
        self.check()
        found = self.bell.wait(seconds)
        self.check()
        return found

    def outcome_of(self, work: Callable[[], T], begins: Callable[[], object] | None = None) -> T:
        """Run long work in a thread of its own; return or raise what it does.

        Args:
            work: What is done.
            begins: Called first; not if a signal came before, when no work is begun either.

        Raises:
            Stopped: A signal came first. The work goes on, unattended.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:  # noqa: BLE001  # raised again below, by the thread that asked
                errors.append(error)
            self.bell.ring()

        self.check()
        if begins is not None:
            begins()
        threading.Thread(target=run, name="spalloc-work", daemon=True).start()
        while not results and not errors:
            self.wait()
        if errors:
            raise errors[0]
        return results[0]

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._number is None and time.monotonic() >= self._quiet_until:
            self._number = number

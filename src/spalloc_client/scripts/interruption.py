# Being told to stop while a job may be held: signals become one exception, at most once until the job is given back.
#
# What is then cleaned up is the caller's subject. While a wrapped command runs, wrapped.py has the signals.
"""SIGINT, SIGTERM and SIGHUP as an exception."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_ONE_GESTURE = 1.0
"""Seconds in which several signals count as one: some senders tell a process and its group."""


class Stopped(BaseException):
    """This process was told to stop by the signal `number`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Interruptions:
    """While entered, the first signal raises `Stopped`; later ones do too, once the first is a while ago.

    So cleaning up is not cut short by an echo of the signal that began it, yet can be by an impatient user.
    """

    def __init__(self) -> None:
        self._quiet_until = 0.0
        self._deferring = False
        self._deferred: int | None = None
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # One that is ignored, as under nohup, stays so.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._earlier[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def clean_up(self) -> None:
        """Begin to clean up: signals of the next moment change nothing any more."""
        self._quiet_until = time.monotonic() + _ONE_GESTURE

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let what is inside be done before a signal counts; for what is quick and must not be half done."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._deferred is not None:
            number, self._deferred = self._deferred, None
            self._take(number, None)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._deferring:
            self._deferred = number
        elif time.monotonic() >= self._quiet_until:
            self.clean_up()
            raise Stopped(number)

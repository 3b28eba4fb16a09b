"""`select.poll`, with a substitute where there is none, and locks to wait with.

Systems and programs differ in how they wait: code that waits for sockets takes `poll` from here, and code that makes
others wait takes its lock from here.
"""

from __future__ import annotations

import _socket
import _thread
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from spalloc_client.windows.polling import Poll as _InTermsOfSelect

if sys.platform == "win32":
    from spalloc_client.windows.polling import POLLERR, POLLHUP, POLLIN, POLLOUT, Poll, poll

    DO_NOT_WAIT = 0
else:
    import select
    from select import POLLERR, POLLHUP, POLLIN, POLLOUT

    Poll: TypeAlias = "select.poll | _InTermsOfSelect"
    """What `poll` returns."""

    DO_NOT_WAIT = _socket.MSG_DONTWAIT
    """The flag by which one call on a socket that waits otherwise does not; 0 where there is none."""

    def poll() -> Poll:
        """Return an empty poll object, of the kind that the program has at this moment.

        Under green threads (gevent, eventlet) it lets others run: they replace `select.poll`, or take it away and
        replace `select.select`.
        """
        if hasattr(select, "poll"):
            return select.poll()
        from spalloc_client.windows.polling import poll as in_terms_of_select

        return in_terms_of_select()


DOZE = 1.0
"""Seconds after which a sleeping thread looks by itself: one that was to wake it may have been interrupted."""


class Sleeper:
    """A thread that waits for what other threads bring."""

    __slots__ = ("_gate",)

    def __init__(self) -> None:
        self._gate = _thread.allocate_lock()
        self._gate.acquire()

    def sleep(self, seconds: float | None) -> None:
        """Sleep until woken, at most some seconds, and in no case long."""
        self._gate.acquire(timeout=DOZE if seconds is None else min(seconds, DOZE))

    def wake(self) -> None:
        """End the sleep, also one that has not begun."""
        try:
            self._gate.release()
        except RuntimeError:
            return  # it is awake: one that woke it was interrupted before it could take it off the list


def waiting_lock() -> _thread.RLock:
    """Return a lock that may be held while waiting.

    Green threads are told apart only by what their makers put into `threading`, whose import is left to them.
    """
    if "threading" not in sys.modules:
        return _thread.RLock()
    import threading  # also waits for another thread that is in the middle of importing it

    return threading.RLock()


__all__ = [
    "DOZE", "DO_NOT_WAIT", "POLLERR", "POLLHUP", "POLLIN", "POLLOUT", "Poll", "Sleeper", "poll", "waiting_lock",
]  # fmt: skip

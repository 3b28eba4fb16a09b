# Where the system's ways to wait for sockets differ: everything that waits takes `poll` from here.
"""`select.poll`, also where there is none."""

from __future__ import annotations

import _socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

if sys.platform == "win32":
    from spalloc_client.windows.polling import POLLERR, POLLHUP, POLLIN, POLLOUT, Poll, poll

    DO_NOT_WAIT = 0
else:
    from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll

    Poll: TypeAlias = poll
    """What `poll` returns."""

    DO_NOT_WAIT = _socket.MSG_DONTWAIT
    """The flag by which one call on a socket that waits otherwise does not; 0 where there is none."""

__all__ = ["DO_NOT_WAIT", "POLLERR", "POLLHUP", "POLLIN", "POLLOUT", "Poll", "poll"]

# The program that keeps one job alive, run as a process of its own beside the application.
#
# It is run as a file, by an interpreter that has been told to look at nothing else (`python -I -S`), so it
# imports the standard library only, and little of that. Starting and stopping it is keepalive.py's subject.
#
# It is told what to do by one line on its standard input, and ends when that input ends: when the application
# closes it or dies, however it dies.
"""Keep a job alive until standard input ends."""

from __future__ import annotations

import os
import select
import socket
import sys
import time

# A keepalive may be late by two thirds of its period before the job is in danger.
SENDS_PER_KEEPALIVE = 3
# A server that was away for most of a short keepalive must still be found in time.
TRIES_PER_KEEPALIVE = 10
# Seconds of a single wait: systems refuse some weeks.
LONGEST_WAIT = 86_400.0


class Orders:
    """What the application wants, read from the line in which it says so."""

    def __init__(self, line: str) -> None:
        # In the order in which keepalive.py writes them.
        job_id, keepalive, timeout, reconnect_delay, parent, self.hostname, port = line.split()
        self.job_id = int(job_id)
        self.keepalive = float(keepalive)
        """Seconds after which the server gives the job up."""
        self.timeout = self.keepalive if timeout == "None" else float(timeout)
        """Seconds a connection attempt may take."""
        self.reconnect_delay = float(reconnect_delay)
        """Seconds between attempts to connect, at most."""
        self.parent = int(parent)
        """The application's process."""
        self.port = int(port)

    @property
    def period(self) -> float:
        """Seconds between keepalives."""
        return min(self.keepalive / SENDS_PER_KEEPALIVE, LONGEST_WAIT)

    @property
    def retry(self) -> float:
        """Seconds between attempts to connect."""
        return min(self.reconnect_delay, self.keepalive / TRIES_PER_KEEPALIVE, LONGEST_WAIT)

    @property
    def patience(self) -> float:
        """Seconds an attempt to connect may take."""
        return min(self.timeout, self.period)

    @property
    def message(self) -> bytes:
        """What is sent to keep the job alive."""
        return b'{"command":"job_keepalive","args":[%d],"kwargs":{}}\n' % self.job_id


def abandoned(orders: Orders, stdin: int) -> bool:
    """Whether the application is gone, or wants no more keepalives."""
    if select.select([stdin], [], [], 0)[0]:
        return True
    # A copy of the application (a fork) may hold our input open; a changed parent tells all the same. On Windows there
    # are no forks, and the parent may be a launcher (venv's) in between.
    return sys.platform != "win32" and os.getppid() != orders.parent


def keep(orders: Orders, stdin: int) -> None:
    """Send keepalives, on one connection after another, until abandoned."""
    while not abandoned(orders, stdin):
        try:
            with socket.create_connection((orders.hostname, orders.port), orders.patience) as sock:
                keep_over(sock, orders, stdin)
        except (OSError, UnicodeError):
            pass  # the server is away or its network is: exactly what trying again is for
        # Not at once, but soon; standard input cuts the wait short.
        select.select([stdin], [], [], orders.retry)


def keep_over(sock: socket.socket, orders: Orders, stdin: int) -> None:
    """Send keepalives over one connection until it fails (OSError) or this process is abandoned."""
    sock.settimeout(orders.patience)
    while not abandoned(orders, stdin):
        sock.sendall(orders.message)
        answered = False
        due = time.monotonic() + orders.period
        while (left := due - time.monotonic()) > 0:
            readable = select.select([stdin, sock.fileno()], [], [], left)[0]
            if stdin in readable:
                return
            if readable:
                received = sock.recv(4096)
                if not received:
                    raise ConnectionResetError
                answered = answered or b"\n" in received
        if not answered:
            raise TimeoutError


def main() -> None:
    """Close what was inherited, read the orders, and follow them."""
    if sys.platform != "win32":
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    stdin = 0
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(stdin, 4096)
        if not part:
            return
        line += part
    keep(Orders(line.decode()), _selectable(stdin))


def _selectable(stdin: int) -> int:
    """A number that `select` finds readable when `stdin` is, or ends."""
    if sys.platform != "win32":
        return stdin
    # There, select takes sockets only: a thread waits for the input and closes one.
    import threading

    ours, its = socket.socketpair()

    def watch() -> None:
        with its:
            os.read(stdin, 1)

    threading.Thread(target=watch, daemon=True).start()
    return ours.detach()


if __name__ == "__main__":
    main()

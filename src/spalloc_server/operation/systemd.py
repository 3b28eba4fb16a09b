"""Notifies systemd of the server's state, if systemd started it.

The protocol is a datagram of KEY=VALUE lines to the socket that NOTIFY_SOCKET names (sd_notify(3)).
"""

import os
import socket
import time


class Systemd:
    """Sends notifications to systemd; does nothing where there is no systemd."""

    def __init__(self, path: str | None, watchdog_seconds: float | None = None) -> None:
        """Notify the socket at `path`, if any.

        Args:
            path: The socket's path; a leading `@` means an abstract socket of Linux. None sends nothing.
            watchdog_seconds: How often `alive` should be called; None for never.
        """
        self._address = None if path is None else "\0" + path[1:] if path.startswith("@") else path
        self.watchdog_seconds = watchdog_seconds
        """Seconds between calls of `alive`; None for none."""

    @classmethod
    def of_environment(cls) -> "Systemd":
        """Return the notifier that the environment asks for; `alive` is due twice as often as systemd requires."""
        usec = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog = int(usec) / 2e6 if usec.isdecimal() and int(usec) and ours else None
        return cls(os.environ.get("NOTIFY_SOCKET"), watchdog)

    def ready(self, status: str) -> None:
        """Say that the server serves, with a short status."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again, until `ready` is called."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the server is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Say that the server is not stuck."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), self._address)
        except OSError:
            # The site does not depend on this: without notifications, systemd uses its own timeouts.
            pass

"""A server in a process of its own: how it is started, stopped and killed, and what it uses.

The servers themselves are described in the other files of this folder.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.programs.address import Address
from benchmarks.suite.measurement import CannotDoError

# Installers compile what they install, so that nobody's programs compile it each time; and no user's configuration
# or folders of modules are part of what is measured.
_KEPT_OUT = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
ENVIRONMENT: Mapping[str, str] = {
    name: value for name, value in os.environ.items() if name not in _KEPT_OUT
} | {"XDG_CONFIG_HOME": os.devnull, "XDG_CONFIG_DIRS": os.devnull, "COLUMNS": "200"}
"""The variables of installed programs, ours and published ones."""

START_SECONDS = 120.0
STOP_SECONDS = 20.0
STOP_TRIES = 2
IDLE_SHARE = 0.05


class ServerProcess:
    """A server that is started and ended repeatedly, on one port and with one folder."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self._name = name
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._command = [*command, "--port", str(self.port)]
        self._variables: Mapping[str, str] = ENVIRONMENT
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        """Its address, while it runs."""
        assert self._process is not None
        return Address("127.0.0.1", self.port, self._process.pid)

    def start(self) -> None:
        """Start it, and return once it accepts connections.

        Raises:
            CannotDoError: It has ended, or does not accept connections for too long.
        """
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._variables, **quiet)
        until = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            time.sleep(0.005)
        self.kill()
        raise CannotDoError(f"{self._name} did not start within {START_SECONDS:.0f} s, or ended")

    def stop(self) -> None:
        """Stop it as an administrator does with Ctrl-C, who types it again if nothing happens.

        Raises:
            CannotDoError: It did not end for too long, and was killed.
        """
        assert self._process is not None
        for _ in range(STOP_TRIES):
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
                return
        self.kill()
        raise CannotDoError(
            f"{self._name} did not stop when asked {STOP_TRIES} times, {STOP_SECONDS:.0f} s each"
        )

    def kill(self) -> None:
        """Kill it, so that it has no time to write anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextlib.contextmanager
    def running(self) -> Iterator[Address]:
        """Start it, and kill it afterwards; gives its address."""
        self.start()
        try:
            yield self.address
        finally:
            self.kill()


def processor_seconds(pid: int) -> float:
    """Return the processor time that a process's threads have used, to the nanosecond.

    What `/proc/PID/stat` says of it comes in hundredths of a second, which is as long as a thousand commands take.
    """
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) * 1e-9


def resident_bytes(pid: int) -> int:
    """Return the memory that a process uses now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(text.split()[1]) * 1024 for text in status.splitlines() if text.startswith("VmRSS"))


def wait_until_idle(pid: int, *, still_seconds: float = 0.2, at_most: float = 10.0) -> None:
    """Return once a process has used almost no processor time for a while, or after `at_most` seconds."""
    until = time.monotonic() + at_most
    before = processor_seconds(pid)
    while time.monotonic() < until:
        time.sleep(still_seconds)
        now = processor_seconds(pid)
        if now - before <= IDLE_SHARE * still_seconds:
            return
        before = now

# Starts and stops the process that keeps a job alive while the application is busy.
#
# What that process does is _keepalive_process.py's subject. It is a process because nothing inside the
# application can be relied upon: C code may hold the interpreter's lock, a debugger may stop all threads.
# And it must not outlive the application, so it hangs on a pipe whose other end dies with it.
"""The keepalive helper."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spalloc_client.requirements import Requirements

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_keepalive_process.py")  # noqa: PTH100, PTH118, PTH120

if sys.platform == "win32":
    # What a session of its own is elsewhere.
    _APART = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _APART = 0


class Keepalive:
    """A process that keeps one job alive from `adopt` until `stop`, or until this process ends.

    It can be started before there is a job, so that nobody waits for it when there is one.
    """

    def __init__(self) -> None:
        """Start the process, without waiting until it runs.

        Raises:
            OSError: It can't be started.
        """
        self._orders: bytes | None = None
        self._owner = os.getpid()
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        if not sys.executable:
            raise OSError("no process can keep the job alive: sys.executable does not say where Python is")
        return subprocess.Popen(
            [sys.executable, "-I", "-S", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A session of its own: Ctrl-C and Ctrl-Z at the application's terminal don't reach it.
            start_new_session=True,
            creationflags=_APART,
            close_fds=True,
            cwd=os.sep,
            bufsize=0,
        )

    def adopt(self, job_id: int, keepalive: float, requirements: Requirements) -> None:
        """Have this job kept alive.

        Args:
            job_id: The job.
            keepalive: Its keepalive, in seconds.
            requirements: Says where the server is and how patient to be with it.
        """
        self._orders = (
            f"{job_id} {keepalive} {requirements.timeout} {requirements.reconnect_delay} "
            f"{os.getpid()} {requirements.hostname} {requirements.port}\n"
        ).encode()
        self._tell()

    def _tell(self) -> None:
        stdin = self._process.stdin
        if stdin is not None and self._orders is not None:
            try:
                stdin.write(self._orders)
            except BrokenPipeError:
                pass  # it has ended; ensure() will find that and start another
            except OSError as error:
                # What Windows says of a pipe that nobody reads any more.
                if error.errno != errno.EINVAL:
                    raise

    def ensure(self) -> bool:
        """Start another process if somebody has killed this one; whether that was needed."""
        if self._orders is None or os.getpid() != self._owner or self._process.poll() is None:
            return False
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = self._start()
        self._tell()
        return True

    def stop(self) -> None:
        """End the process; once this returns it sends no more keepalives.

        In a copy of the application (a fork) this only lets go of it: the original goes on.
        """
        self._orders = None
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        if os.getpid() != self._owner:
            process.returncode = 0  # the original's child, not ours: nothing to end or to wait for
            return
        process.kill()
        process.wait()

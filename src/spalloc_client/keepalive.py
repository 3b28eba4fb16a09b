"""Starts and stops the process that keeps a job alive while the application is busy.

_keepalive_process.py is that process. Nothing inside the application could do it reliably: C code may hold the
interpreter's lock, and a debugger may stop all threads. The process must not outlive the application, so it reads a
pipe whose other end closes when the application dies. Where no process can be started, a thread does the work.

Only a program that is known to be Python is ever run. In a program that embeds Python, `sys.executable` may be that
program, which would run a second time, create a job of its own, and so on.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

from spalloc_client.logs import log
from spalloc_client.surroundings import without_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from spalloc_client._keepalive_process import Application
    from spalloc_client.requirements import Requirements

_MODULE = "spalloc_client._keepalive_process"
_OVER_HTTPS = "spalloc_client._keepalive_https"

_PYTHON = re.compile(
    r"(python|pypy)w?(\d+(\.\d+)*[a-z]{0,2})?(_d|-dbg|-intel64|-arm64)?(\.exe)?", re.IGNORECASE
)
"""What interpreters are called."""

_AT_ONCE = 5.0
"""Seconds: a helper that ends sooner failed to start."""

_NOT_OURS = 77
"""The status with which the process ends when the server has given the job's ID to another job."""

if sys.platform == "win32":
    # What a session of its own is elsewhere.
    _APART = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _APART = 0


class Keepalive:
    """Keeps one job alive from `adopt` until `stop`, or until the application ends.

    It can be started before there is a job, so that nobody waits for it when there is one.
    """

    def __init__(self) -> None:
        """Start it, without waiting until it runs."""
        self._orders: bytes | None = None
        self._identity = b""
        self._owner = os.getpid()
        self._early_ends = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._say: Callable[[bytes], object] | None = None
        """Sends a line to the helper; None once there is no helper."""
        self._hang_up: Callable[[], None] = _nothing
        self._trouble: str | None = None
        """Why no process does it, as a clause; None while one does."""
        self._start()
        _tell_of_copies(self)

    def _start(self) -> None:
        self._began = time.monotonic()
        if self._trouble is None:
            try:
                self._start_process()
            except OSError as error:
                self._trouble = f"no process can be started for it: {error.strerror or error}"
            else:
                return
        _warn_of_thread(self._trouble)
        self._start_thread(None)

    def _start_process(self) -> None:
        command = [_interpreter(), "-I", "-S", *_program(), str(os.getpid())]
        # Opened here, where the process is sure to be there still, and not in the helper.
        handle = _open_handle()
        try:
            self._process = process = self._run([*command, str(handle)], () if handle is None else (handle,))
        finally:
            if handle is not None:
                os.close(handle)
        assert process.stdin is not None
        if sys.platform != "win32":
            os.set_blocking(process.stdin.fileno(), False)
        self._say, self._hang_up = process.stdin.write, process.stdin.close

    def _run(self, command: list[str], handles: tuple[int, ...]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A session of its own: Ctrl-C and Ctrl-Z at the application's terminal don't reach it.
            start_new_session=True,
            creationflags=_APART,
            close_fds=True,
            pass_fds=handles,
            cwd=os.sep,
            bufsize=0,
            env=without_secrets(),
        )

    def _start_thread(self, original: int | None) -> None:
        """Start a thread, in the application or in a copy of that process."""
        import socket
        import threading

        from spalloc_client._keepalive_process import Application, open_handle

        listening, telling = socket.socketpair()
        telling.setblocking(False)
        self._say, self._hang_up = telling.send, telling.close
        application = Application(
            listening.fileno(),
            original,
            None if original is None else os.getpid(),
            None if original is None else open_handle(original),
            lambda _, size: listening.recv(size),
        )
        threading.Thread(
            target=_serve, args=(application, listening), name="spalloc keepalive", daemon=True
        ).start()

    def adopt(
        self, job_id: int, keepalive: float, requirements: Requirements, start_time: float | None
    ) -> None:
        """Keep this job alive.

        Args:
            job_id: The job.
            keepalive: Its keepalive, in seconds.
            requirements: Says where the server is and how patient to be with it.
            start_time: When the server created the job, by its clock, if that is known.
        """
        owner = requirements.known_owner
        self._orders = (
            f"keep {job_id} {keepalive} {requirements.timeout} {requirements.reconnect_delay} "
            f"{requirements.hostname} {requirements.port} {start_time} "
            f"{None if owner is None else 'x' + str(owner).encode().hex()}{_login(requirements.hostname)}\n"
        ).encode()
        self._tell(self._orders)

    def identify(self, start_time: float) -> None:
        """Tell the helper when the server created the job: another job with its ID must not be kept alive."""
        self._identity = f"started {start_time}\n".encode()
        self._tell(self._identity)

    def _tell(self, line: bytes) -> bool:
        """Send a line to the helper; return whether there is one."""
        if self._say is None:
            return False
        try:
            self._say(line)
        except BlockingIOError:
            pass  # it is stopped, and has more to read than it ever will
        except OSError:
            return False  # it has ended; ensure() will find that and start another
        return True

    def ensure(self) -> None:
        """Start another helper if this one has ended."""
        if self._orders is None or not self._has_ended():
            return
        status = None if self._process is None else self._process.returncode
        if status == _NOT_OURS:
            self._orders = None
            return
        self._early_ends = self._early_ends + 1 if time.monotonic() < self._began + _AT_ONCE else 0
        if self._early_ends > 1:
            self._trouble = f"the process for it ended twice at once, with status {status}"
        else:
            log(
                "job",
                "The process that kept a spalloc job alive was gone; it has been started again.",
                warning=True,
            )
        self._let_go()
        self._owner = os.getpid()
        self._start()
        self._tell(self._orders + self._identity)

    def _has_ended(self) -> bool:
        if os.getpid() == self._owner:
            return self._process is not None and self._process.poll() is not None
        # A copy can't wait for its original's child; and only once the original is gone it is the copy's affair.
        return not _exists(self._owner) and not self._tell(b"\n")

    @property
    def is_this_process_s(self) -> bool:
        """Whether it was started by this process, and not by one of which this is a copy."""
        return self._owner == os.getpid()

    def stop(self) -> None:
        """End it; once this returns no more keepalives are sent.

        In a copy of the application (a fork) this only lets go of it: the original goes on, if there is still one.
        """
        self._orders = None
        process, ours = self._process, os.getpid() == self._owner
        if not ours:
            self._tell(f"leave {os.getpid()}\n".encode())
        self._let_go()
        if self in _KEPT:
            _KEPT.remove(self)
        if process is not None and ours:
            process.kill()
            process.wait()

    def _let_go(self) -> None:
        if self._process is not None and os.getpid() != self._owner:
            self._process.returncode = 0  # the original's child, not ours: nothing to end or to wait for
        self._process = self._say = None
        self._hang_up()

    def report_copy(self, original: int) -> None:
        """Say, in a copy of the application that was just made, that there is one."""
        if self._process is not None:
            self._tell(f"copy {os.getpid()} {original}\n".encode())
        elif self._orders is not None:
            # The thread is not there in the copy, which may have to do without its original.
            self._let_go()
            self._start_thread(original)
            self._tell(self._orders + self._identity)


def _login(hostname: str) -> str:
    """Return who logs in at a service, as the helper's orders say it; nothing for a server of v1."""
    if "://" not in hostname:
        return ""
    import json

    from spalloc_client.https import session_for
    from spalloc_client.https.login import PARTS

    session = session_for(hostname)
    login = {part: getattr(session.login, part) for part in PARTS}
    # The session as well: services check passwords slowly, on purpose.
    return f" {json.dumps({**login, 'session': session.headers}).encode().hex()}"


def _open_handle() -> int | None:
    """What becomes readable when this process ends, where there is such a thing."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(os.getpid())
    except OSError:
        return None


def _interpreter() -> str:
    """The Python that this program is run by; OSError if it is not known to be one."""
    if getattr(sys, "frozen", False) or getattr(sys, "oxidized", False) or "__compiled__" in globals():
        raise OSError("Python is part of this program, not beside it")
    if not sys.executable or not _PYTHON.fullmatch(os.path.basename(sys.executable)):  # noqa: PTH119
        raise OSError(f"sys.executable is {sys.executable!r}, which is not known to be Python")
    return sys.executable


def _program() -> list[str]:
    """What to have the interpreter run: the file, or its text if it does not lie in one."""
    folder = os.path.dirname(os.path.abspath(globals().get("__file__", "")))  # noqa: PTH100, PTH120
    file = os.path.join(folder, "_keepalive_process.py")  # noqa: PTH118
    if os.path.isfile(file):  # noqa: PTH113
        return [file]
    return ["-c", f"{_text(_OVER_HTTPS)}\n{_text(_MODULE)}"]


def _text(module: str) -> str:
    """Return a program that does what a module's text says."""
    from importlib.util import find_spec

    spec = find_spec(module)
    loader: Any = None if spec is None else spec.loader
    code = loader.get_code(module) if hasattr(loader, "get_code") else None
    if code is None:
        raise OSError(f"{loader!r} does not tell the text of {module}")
    import marshal
    import zlib
    from base64 import b64encode

    # Windows takes 32,767 characters of arguments.
    packed = b64encode(zlib.compress(marshal.dumps(code), 9)).decode()
    return f"import marshal, zlib, base64\nexec(marshal.loads(zlib.decompress(base64.b64decode('{packed}'))))"


def _serve(application: Application, listening: socket.socket) -> None:
    from spalloc_client._keepalive_process import NotOursError, serve

    with listening:
        try:
            serve(application)
        except NotOursError:
            pass  # the Job finds out as well, and says so


def _nothing() -> None:
    """Nothing to hang up."""


def is_copy(of: int) -> bool:
    """Whether this process is a copy (a fork) of process `of`, which is still there."""
    return os.getpid() != of and _exists(of)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # the number belongs to another process
    return True


_warned = False


def _warn_of_thread(trouble: str) -> None:
    """Log once how jobs are kept alive."""
    global _warned  # noqa: PLW0603  # what has been said in a process is the process's
    if not _warned:
        _warned = True
        log(
            "job",
            f"A thread of this program keeps its spalloc job alive, since {trouble}. "
            "The job ends if the program holds Python's lock for longer than its keepalive.",
            warning=True,
        )


_KEPT: list[Keepalive] = []
"""Those in this process that have not been stopped."""

_original = 0
"""The process that made the last copy of itself."""


def _tell_of_copies(keepalive: Keepalive) -> None:
    """Tell the helper of every copy that this process makes of itself."""
    if not _KEPT and not _original and hasattr(os, "register_at_fork"):
        _before_copy()
        os.register_at_fork(before=_before_copy, after_in_child=_after_copy)
    _KEPT.append(keepalive)


def _before_copy() -> None:
    global _original  # noqa: PLW0603  # hooks take no arguments
    _original = os.getpid()


def _after_copy() -> None:
    for keepalive in _KEPT:
        keepalive.report_copy(_original)

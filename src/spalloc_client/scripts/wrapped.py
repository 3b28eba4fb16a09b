"""Runs a command on behalf of the user, with a process group of its own and the terminal, as a shell would.

The group lets a signal reach every process that the command started, also those of a shell line. The terminal is
handed to that group, so that Ctrl-C, Ctrl-Z and the keyboard work as if the command had been typed by itself. When
the command is stopped, `spalloc` stops too, and the shell can continue both.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from spalloc_client.scripts.bell import Bell, Letterbox
from spalloc_client.scripts.outcome import Ended
from spalloc_client.surroundings import without_secrets

# Windows has none of this: see windows/command.py.
assert sys.platform != "win32"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Self

_SIGNALLED = 128

_PATIENCE = 5.0
"""Seconds that a command has to end after it was told to, before it is killed."""

_GLANCE = 0.02
"""Seconds between checks for remaining processes of a group that was told to end."""

_PASSED_ON = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def run_wrapped(
    command: Sequence[str],
    environment: Mapping[str, str],
    check: Callable[[], None] = lambda: None,
    letterbox: Letterbox | None = None,
) -> Ended:
    """Run a command until it ends; SIGINT, SIGQUIT, SIGTERM and SIGHUP are passed on to all its processes.

    Args:
        command: With one element, a line for the shell; with several, a program and its arguments.
        environment: Variables that it finds beside those of this process.
        check: Called before the command is started, when signals are already kept for it: raises what is to be
            raised because of one that came earlier.
        letterbox: Where other threads leave signals for it; these are not taken for an order to end.

    Raises:
        FileNotFoundError: There is no such program.
        PermissionError: The program may not be run.
    """
    with _PassOn(letterbox or Letterbox()) as signals, _Terminal() as terminal:
        check()
        process = subprocess.Popen(
            command[0] if len(command) == 1 else list(command),
            shell=len(command) == 1,
            env={**without_secrets(), **environment},
            process_group=0,
        )
        terminal.hand_to(process.pid)
        signals.start(process.pid)
        outcome = _wait(process.pid, terminal, signals)
        # It was waited for here, where being stopped is seen; subprocess need not look for it again.
        process.returncode = os.waitstatus_to_exitcode(outcome)
        if signals.told_to_end:
            _clear_away(process.pid)
        if not os.WIFSIGNALED(outcome):
            return Ended(os.WEXITSTATUS(outcome), interrupted=False)
        killer = os.WTERMSIG(outcome)
        typed = killer == signal.SIGINT and terminal.was_handed and not signals.passed
        return Ended(_SIGNALLED + killer, interrupted=typed)


def end_as_interrupted() -> None:
    """End this process, and what shares its group, by SIGINT.

    Ctrl-C went to the wrapped command alone. A shell loop or script around us stops only when it sees the signal, or
    that it was what ended us.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.killpg(0, signal.SIGINT)


def _wait(pid: int, terminal: _Terminal, signals: _PassOn) -> int:
    while True:
        changed, outcome = os.waitpid(pid, os.WUNTRACED | os.WNOHANG)
        if not changed:
            signals.wait()
            continue
        if not os.WIFSTOPPED(outcome):
            return outcome
        if not terminal.was_handed:
            # Stopped by a user, who will continue it; or in the background, where it wants the terminal.
            if os.WSTOPSIG(outcome) in (signal.SIGTTIN, signal.SIGTTOU) and _in_foreground(pid, terminal):
                _signal_group(pid, signal.SIGCONT)
            continue
        if os.WSTOPSIG(outcome) not in (signal.SIGTTIN, signal.SIGTTOU):
            terminal.take_back()
            # Our whole group, as the terminal would have; a group that no shell looks after is not stopped by it.
            os.killpg(0, signal.SIGTSTP)
            terminal.hand_to(pid)
        # It may also have reached for the terminal in the moment before it was handed over.
        _signal_group(pid, signal.SIGCONT)


def _in_foreground(pid: int, terminal: _Terminal) -> bool:
    """Wait, stopped as a command in the background is, until we have the terminal; hand it on, if that is so now."""
    terminal.hand_to(pid)
    if not terminal.was_handed:
        os.killpg(0, signal.SIGTTIN)
        terminal.hand_to(pid)
    return terminal.was_handed


def _clear_away(group: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while _signal_group(group, 0):
        if time.monotonic() > deadline:
            _signal_group(group, signal.SIGKILL)
            return
        time.sleep(_GLANCE)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class _PassOn:
    """While entered, signals to this process are passed on to a group."""

    def __init__(self, letterbox: Letterbox) -> None:
        self._bell = Bell()
        self._letterbox = letterbox
        self._kill_at: float | None = None
        self._group: int | None = None
        self._early: list[int] = []
        self._earlier: dict[int, object] = {}
        self._blocked: set[signal.Signals] = set()
        self.passed = False
        """Whether a signal has been passed on."""
        self.told_to_end = False
        """Whether the group has been told to end."""

    def __enter__(self) -> Self:
        self._bell.__enter__()
        self._letterbox.bell = self._bell
        for number in _PASSED_ON:
            # One that is ignored, as under nohup, stays so: the command inherits that too.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._earlier[number] = signal.signal(number, self._take)
        # The parent process may have blocked it, and then no signal would announce the command's end.
        self._blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})  # type: ignore[assignment]
        # The handler does nothing, but a signal without a handler does not ring the bell.
        self._earlier[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        self._letterbox.bell = None
        self._bell.__exit__()

    def start(self, group: int) -> None:
        """Pass on to `group` from now on, beginning with what came before it was there."""
        self._group = group
        while self._early:
            self._pass(group, self._early.pop(0))
        self._deliver(group)

    def wait(self) -> None:
        """Wait for a signal; kill a group that was told to end and has not in time."""
        self._bell.wait(None if self._kill_at is None else self._kill_at - time.monotonic())
        if self._group is not None:
            self._deliver(self._group)
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            if self._group is not None:
                _signal_group(self._group, signal.SIGKILL)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._group is None:
            self._early.append(number)
        else:
            self._pass(self._group, number)

    def _deliver(self, group: int) -> None:
        for number in self._letterbox.take():
            self._send(group, number)

    def _send(self, group: int, number: int) -> None:
        self.passed = True
        _signal_group(group, number)
        # A stopped process receives it only when it continues.
        _signal_group(group, signal.SIGCONT)

    def _pass(self, group: int, number: int) -> None:
        self._send(group, number)
        if number in _ENDINGS:
            self.told_to_end = True
            self._kill_at = time.monotonic() + _PATIENCE


class _Terminal:
    """The controlling terminal, if there is one and we are in its foreground."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self.was_handed = False
        """Whether it has been handed to the command."""

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            self._descriptor = None
        return self

    def __exit__(self, *_: object) -> None:
        self.take_back()
        if self._descriptor is not None:
            os.close(self._descriptor)

    def hand_to(self, group: int) -> None:
        """Make `group` the terminal's foreground, if that is us now."""
        if self._descriptor is None:
            return
        try:
            if os.tcgetpgrp(self._descriptor) == os.getpgrp():
                os.tcsetpgrp(self._descriptor, group)
                self.was_handed = True
        except OSError:
            # The terminal has gone, or the group has already ended.
            return

    def take_back(self) -> None:
        """Make our own group the foreground again, if it was."""
        if self._descriptor is None or not self.was_handed:
            return
        # From the background this would stop us, unless the signal for that is blocked.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            os.tcsetpgrp(self._descriptor, os.getpgrp())
        except OSError:
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

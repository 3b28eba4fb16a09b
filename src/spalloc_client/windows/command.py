"""Runs a command on behalf of the user, on Windows, where all processes share a console.

scripts/wrapped.py does the same on other systems, which have process groups and terminals to hand over.
"""

from __future__ import annotations

import signal
import subprocess
import sys

from spalloc_client.surroundings import without_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SLICE = 0.25
"""Seconds of a single wait: nothing can be done about a signal meanwhile."""

_CONTROL_C = 0xC000013A
"""The status of what Ctrl-C ended (`STATUS_CONTROL_C_EXIT`)."""

INTERRUPTED = 128 + signal.SIGINT
"""What is returned for it, as shells elsewhere have it."""


def run_on_console(
    command: Sequence[str], environment: Mapping[str, str], check: Callable[[], None] = lambda: None
) -> int:
    """Run a command until it ends and return its exit status; Ctrl-C is its own, whose console this is, too.

    Args:
        command: With one element, a line for the shell; with several, a program and its arguments.
        environment: Variables that it finds beside those of this process.
        check: Called before the command is started, when signals already leave this process alone: raises what is to
            be raised because of one that came earlier.

    Raises:
        FileNotFoundError: There is no such program.
        PermissionError: The program may not be run.
    """
    numbers = [signal.SIGINT]
    if sys.platform == "win32":
        numbers.append(signal.SIGBREAK)
    earlier = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        check()
        process = subprocess.Popen(
            command[0] if len(command) == 1 else list(command),
            shell=len(command) == 1,
            env={**without_secrets(), **environment},
        )
        while True:
            try:
                return _status(process.wait(_SLICE))
            except subprocess.TimeoutExpired:
                continue
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _status(code: int) -> int:
    """Return an exit status that can be handed on: Windows's have 32 bits without a sign, `sys.exit` takes one."""
    if code == _CONTROL_C:
        return INTERRUPTED
    return code - 2**32 if code >= 2**31 else code

"""The package of the commands. What is done here is done before any command is imported."""

import _signal  # type: ignore[import-not-found,unused-ignore]  # what `signal` is made of; that would import enum
import gc
import sys

COMMANDS = ("spalloc", "spalloc-job", "spalloc-ps", "spalloc-machine", "spalloc-where-is", "spalloc-config")
"""Their names."""


def names_command(program: str) -> bool:
    """Return whether a program's path is one of the commands'; on Windows they are files of the kind `.exe`."""
    if sys.platform == "win32":
        program = program.replace("\\", "/").lower().removesuffix(".exe")
    return program.rpartition("/")[2] in COMMANDS


is_command = sys.argv[:1] != [] and names_command(sys.argv[0])
"""Whether this process was started as one of them, rather than importing them."""


def switch_interruption(*, on: bool) -> None:
    """Let Ctrl-C raise KeyboardInterrupt, as Python does, or end the process silently.

    Changes nothing in other programs, nor where Ctrl-C is ignored or handled otherwise.
    """
    before, after = _signal.SIG_DFL, _signal.default_int_handler
    if not on:
        before, after = after, before
    if is_command and _signal.getsignal(_signal.SIGINT) == before:
        _signal.signal(_signal.SIGINT, after)


if is_command:
    # Importing makes next to no garbage, and looking for it all the while takes a tenth of the time in which a
    # command answers. Those that live longer turn it on again.
    gc.disable()
    # Until a command begins there is nothing to clean up after an interruption.
    switch_interruption(on=False)

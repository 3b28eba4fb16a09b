# Where the lines of a packet log go, for the commands that take its name.
#
# What the lines say is in log.py.
"""A packet log in a file or on the standard output."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

STANDARD_OUTPUT = "-"


@contextmanager
def opened_log(name: str | None) -> Iterator[Callable[[str], None] | None]:
    """Open a log until the block ends; gives what writes a line to it at once, or None for no log.

    Args:
        name: A file, which is written anew; `-` for the standard output; None for no log.

    Raises:
        OSError: The file can't be written.
    """
    if name is None:
        yield None
        return
    with ExitStack() as stack:
        stream = sys.stdout
        if name != STANDARD_OUTPUT:
            stream = stack.enter_context(Path(name).open("w", encoding="utf-8"))
        yield lambda line: print(line, file=stream, flush=True)

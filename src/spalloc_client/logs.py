"""Writes lines to the application's log, under the names that published clients use.

This file decides only whether importing logging is worth it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

teller: Callable[[str], None] | None = None
"""Takes warnings in place of the log, where a command of ours is all that runs; None in programs of others."""


def is_read(name: str) -> bool:
    """Whether messages below warnings are wanted in the log called `spalloc_client.NAME`."""
    if "logging" not in sys.modules:
        return False
    import logging

    return logging.getLogger(f"spalloc_client.{name}").isEnabledFor(logging.INFO)


def log(name: str, message: str, *, warning: bool) -> None:
    """Write a line to the log called `spalloc_client.NAME`."""
    if warning and teller is not None:
        teller(message)
        return
    if not warning and "logging" not in sys.modules:
        return  # nobody can have asked to see it, and importing logging takes longer than most calls
    import logging

    logging.getLogger(f"spalloc_client.{name}").log(logging.WARNING if warning else logging.INFO, message)

"""How what `spalloc` was for ended; running it is wrapped.py's subject."""

from __future__ import annotations

NOT_EXECUTABLE = 126
NOT_FOUND = 127


class Ended:
    """How a wrapped command ended."""

    __slots__ = ("interrupted", "job_is_over", "status")
    status: int
    """Its exit status, or 128 plus the number of the signal that ended it."""
    interrupted: bool
    """Whether Ctrl-C at the terminal, which it had to itself, ended it."""

    job_is_over: bool
    """Whether there is no such job any more."""

    def __init__(self, status: int, *, interrupted: bool, job_is_over: bool = False) -> None:
        self.status = status
        self.interrupted = interrupted
        self.job_is_over = job_is_over

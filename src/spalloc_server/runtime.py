"""The process that the server runs in: its event loop, its open files, its memory."""

import asyncio
import ctypes
import os
import sys
from collections.abc import Coroutine
from typing import TypeVar

try:
    import resource
except ImportError:  # systems without such limits
    resource = None  # type: ignore[assignment]


def allow_descriptors(wanted: int) -> int:
    """Raise the process's limit on open files to `wanted`, as far as the system lets it; never lowers it.

    Returns:
        How many files may be open now.
    """
    if resource is None:
        return sys.maxsize
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)


def is_among_last_descriptors(descriptor: int) -> bool:
    """Return whether a descriptor is in the last quarter of those that the process may have open."""
    if resource is None:
        return False
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft != resource.RLIM_INFINITY and descriptor >= soft - soft // 4


def any_descriptors_left() -> bool:
    """Return whether another file or socket could be opened now."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
    except OSError:
        return False
    return True


T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run `main` in a new event loop: uvloop's if it is installed, else Python's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def give_back_memory() -> None:
    """Return freed memory to the system, if the C library can do that; otherwise it keeps most of it."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)

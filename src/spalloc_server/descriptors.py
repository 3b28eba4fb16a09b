"""How many files and sockets the process may have open."""

import os
import sys

try:
    import resource
except ImportError:  # systems without such limits
    resource = None  # type: ignore[assignment]


def allow_descriptors(wanted: int) -> int:
    """Raise the process's limit on open files to `wanted`, as far as the system lets it; never lowers it.

    Returns:
        How many may be open now.
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


def any_descriptors_left() -> bool:
    """Return whether another file or socket could be opened now."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
    except OSError:
        return False
    return True

# How many files and sockets the process may have open.
"""The limit on file descriptors."""

try:
    import resource
except ImportError:  # systems without such limits
    resource = None  # type: ignore[assignment]


def allow_descriptors(wanted: int) -> None:
    """Raise the process's limit on open files to `wanted`, as far as the system lets it; never lowers it."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

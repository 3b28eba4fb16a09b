# From one configuration to the next: which settings a running server can't follow.
#
# Compares values; following the others is service.py's and operation/running.py's.
"""Changes of a configuration."""

from spalloc_server.config.settings import Configuration, Listening


def needs_restart(started_with: Configuration, now: Configuration) -> list[str]:
    """Return the settings whose change takes effect only when the server is started again, as the file names them.

    Args:
        started_with: What the server was started with, whatever it has been told since: of these settings, it is what
            the server works by.
        now: What it is told now.
    """
    settings = {
        "v1.listen": (started_with.v1.addresses, now.v1.addresses),
        "v1.port": (started_with.v1.port, now.v1.port),
        "metrics": (_place(started_with.metrics), _place(now.metrics)),
        "state.file": (started_with.state, now.state),
    }
    return [name for name, (old, new) in settings.items() if old != new]


def _place(listening: Listening | None) -> object:
    return None if listening is None else (listening.addresses, listening.port)

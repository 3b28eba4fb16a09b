# From one configuration to the next: which settings a running server can't follow.
#
# Compares values; following the others is service.py's and operation/running.py's.
"""Changes of a configuration."""

from spalloc_server.config.settings import Configuration, Listening


def needs_restart(before: Configuration, after: Configuration) -> list[str]:
    """Return the settings whose change takes effect only when the server is started again, as the file names them."""
    settings = {
        "v1.listen": (before.v1.addresses, after.v1.addresses),
        "v1.port": (before.v1.port, after.v1.port),
        "metrics": (_place(before.metrics), _place(after.metrics)),
        "state.file": (before.state, after.state),
    }
    return [name for name, (old, new) in settings.items() if old != new]


def _place(listening: Listening | None) -> object:
    return None if listening is None else (listening.addresses, listening.port)

"""Memory that the process has and does not use. A file of its own, since it knows of one system's library."""

import ctypes


def give_back_memory() -> None:
    """Give back what was freed, where the system's library can: by itself, it keeps all below what is still used."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)

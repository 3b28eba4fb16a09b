"""The address of a server that is measured.

The bare servers, whose memory is measured, import this file too: it has values only.
"""

from typing import NamedTuple


class Address(NamedTuple):
    """A running server."""

    host: str
    port: int
    pid: int
    """Its process."""

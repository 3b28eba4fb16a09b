"""Where a server is that is measured.

Values only, and imported by the bare servers too, whose memory is measured.
"""

from typing import NamedTuple


class Address(NamedTuple):
    """A running server."""

    host: str
    port: int
    pid: int
    """Its process."""

"""The limits on what clients may use of the server: numbers only, set by the configuration.

connection.py and server.py enforce them.
"""

from dataclasses import dataclass

from spalloc_server.core.networks import IPV6_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much clients may use before they are slowed down, refused or cut off."""

    connections: int = 16_384
    """Connections in all, 1 or more."""
    connections_from_one_address: int = 4_096
    """Connections from one address, 1 or more."""
    ipv6_prefix: int = IPV6_PREFIX
    """How many leading bits the IPv6 addresses of a network share, 1 to 128: they count as one address."""
    memory_bytes: int = 96 * 1024 * 1024
    """Bytes that are kept for all clients together, 1 or more: waiting requests, unread replies and notifications,
    watched names. A small amount for each client is not counted."""
    request_bytes: int = 64 * 1024
    """Length of a request's line, 1 or more."""
    first_request_seconds: float = 60.0
    """How long a client may take to send a whole request, from its first byte to its last; for its first request, from
    connecting."""
    idle_seconds: float = 24 * 3600.0
    """How long a client may stay connected without a request, unless it has asked for notifications. Clients that hold
    a job may be quiet for as long as the job runs, so this should be longer than jobs are."""
    slow_reader_seconds: float = 30.0
    """How long a client may leave replies and notifications unread."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in (
            "connections",
            "connections_from_one_address",
            "ipv6_prefix",
            "memory_bytes",
            "request_bytes",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("first_request_seconds", "idle_seconds", "slow_reader_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be more than 0 seconds")

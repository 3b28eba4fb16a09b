"""Finds the addresses of this host.

A host has several addresses, and a server sees only the one that a connection came from. So a user who ends a job by
way of `localhost`, and one who waits for it by way of the host's name, may be on the same host.
"""

from __future__ import annotations

import socket

_LOOPBACK = ("127.0.0.1", "::1")
"""The addresses of connections within a host; virtual boards have the rest of 127.0.0.0/8."""


def is_this_host(address: str, server: str) -> bool:
    """Return whether a server that sees a connection come from `address` sees this host.

    Args:
        address: An IPv4 or IPv6 address.
        server: The server's name or address, as it is known here.
    """
    plain = _plain(address)
    if plain in _LOOPBACK:
        return any(map(_is_own, _addresses(server)))  # the server sees its own host
    return not plain.startswith("127.") and _is_own(plain)


def _plain(address: str) -> str:
    """Return an address without its scope, and IPv4 that came over IPv6 as IPv4."""
    return address.partition("%")[0].lower().removeprefix("::ffff:")


def _addresses(server: str) -> set[str]:
    try:
        return {_plain(str(info[4][0])) for info in socket.getaddrinfo(server, None)}
    except OSError:
        return set()


def _is_own(address: str) -> bool:
    """Return whether this host has an address: no other address can be listened on."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True

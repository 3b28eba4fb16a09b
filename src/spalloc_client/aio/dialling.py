# From a server's name to a connected socket, as dialling.py does it, in the event loop.
#
# The loop's own create_connection is not used: uvloop's tries one address after the other.
# ruff: noqa: ASYNC109  # arguments are those of the blocking twin, `timeout` included
"""Make TCP connections in an event loop."""

import asyncio
import socket
from collections.abc import Sequence

from spalloc_client.deadline import spoken
from spalloc_client.dialling import HEAD_START, Address, interleave, named, not_found, summary


async def dial(hostname: str, port: int, timeout: float | None) -> socket.socket:
    """Connect to a server, whichever of its addresses answers first.

    Args:
        hostname: A name or an IPv4 or IPv6 address.
        port: 1 to 65535.
        timeout: Seconds the whole of it may take, name look-up included; None for as long as it takes.

    Returns:
        A socket that does not block, with Nagle's algorithm off.

    Raises:
        OSError: No address could be connected to; the message names the server.
        TimeoutError: (an OSError) It took too long.
    """
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            try:
                addresses = await loop.getaddrinfo(hostname, port, type=socket.SOCK_STREAM)
            except (socket.gaierror, UnicodeError) as error:
                raise not_found(hostname, error) from error
            sock = await _race(interleave(addresses), f"{hostname}:{port}")
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"could not connect to {hostname}:{port} within {spoken(timeout)}") from None
        raise
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _race(addresses: Sequence[Address], server: str) -> socket.socket:
    """The first socket to be connected; each address has a head start over the next."""
    failures: list[OSError] = []
    attempts: set[asyncio.Task[socket.socket]] = set()
    untried = list(addresses)
    try:
        while untried or attempts:
            if untried:
                attempts.add(asyncio.create_task(_attempt(untried.pop(0))))
            done, attempts = await asyncio.wait(
                attempts, timeout=HEAD_START if untried else None, return_when=asyncio.FIRST_COMPLETED
            )
            winner = None
            for attempt in done:
                error = attempt.exception()
                if isinstance(error, OSError):
                    failures.append(error)
                elif winner is None:
                    winner = attempt.result()
                else:
                    attempt.result().close()
            if winner is not None:
                return winner
    finally:
        for attempt in attempts:
            attempt.cancel()
    raise summary(failures, server)


async def _attempt(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except OSError as error:
        sock.close()
        # Event loops add words of their own, each its own.
        raise (named(error.errno) if error.errno else error) from error
    except BaseException:
        sock.close()
        raise
    return sock

# Opening the ports that clients connect to.
#
# Who may connect, and what is said there, are the fronts' own subjects.
"""Listening for clients."""

import asyncio
import errno
from collections.abc import Callable, Sequence

TRIES = 20
"""How often a port that is free on one address is looked for on the others."""


async def listen(
    protocol: Callable[[], asyncio.Protocol], hosts: str | Sequence[str], port: int, *, backlog: int = 100
) -> tuple[asyncio.Server, tuple[tuple[str, int], ...]]:
    """Listen on all addresses of one host or several, on the same port.

    Args:
        protocol: Makes whoever talks with a client.
        hosts: Names or addresses of this computer.
        port: The port; 0 for any that is free on all of them.
        backlog: How many clients may wait to be taken in, if the system allows it.

    Returns:
        The server, and each address with the port.

    Raises:
        OSError: An address can't be listened on.
    """
    loop = asyncio.get_running_loop()
    wanted = port
    for left in reversed(range(TRIES)):
        try:
            server = await loop.create_server(protocol, hosts, wanted, backlog=backlog)
        except OSError as error:
            # A port that is free on the first address need not be free on the next.
            if port or not wanted or not left or error.errno != errno.EADDRINUSE:
                raise
            wanted = 0
            continue
        addresses = tuple(socket.getsockname()[:2] for socket in server.sockets)
        if len({number for _, number in addresses}) == 1:
            return server, addresses
        # The system gave each address a free port of its own.
        wanted = addresses[0][1]
        server.close()
        await server.wait_closed()
    raise OSError(errno.EADDRINUSE, f"no port is free on all of {hosts}")

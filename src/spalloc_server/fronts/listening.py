"""Opens the ports that clients connect to, for every front.

Access rules and protocols are in each front.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

TRIES = 20
"""How many ports are tried to find one that is free on all addresses."""
_COUNTERS = Path("/proc/self/net/netstat")


async def listen(
    protocol: Callable[[], asyncio.BaseProtocol],
    hosts: str | Sequence[str],
    port: int,
    setting: str,
    *,
    backlog: int = 100,
) -> tuple[asyncio.Server, tuple[tuple[str, int], ...]]:
    """Listen on all addresses of one host or several, on the same port.

    Args:
        protocol: Makes the object that serves one client.
        hosts: Names or addresses of this computer.
        port: The port; 0 for any that is free on all of them.
        setting: The table of the configuration that sets the addresses, for messages.
        backlog: How many connections may wait to be accepted, if the system allows it.

    Returns:
        The server, and each address with the port.

    Raises:
        OSError: An address can't be listened on; the message says why and what to do.
    """
    loop = asyncio.get_running_loop()
    wanted = port
    for left in reversed(range(TRIES)):
        try:
            server = await loop.create_server(protocol, hosts, wanted, backlog=backlog)
        except OSError as error:
            # A port that is free on the first address need not be free on the next.
            if port or not wanted or not left or error.errno != errno.EADDRINUSE:
                raise in_words(error, [hosts] if isinstance(hosts, str) else hosts, port, setting) from error
            wanted = 0
            continue
        addresses = tuple(one.getsockname()[:2] for one in server.sockets)
        if len({number for _, number in addresses}) == 1:
            return server, addresses
        # The system gave each address a free port of its own.
        wanted = addresses[0][1]
        server.close()
        await server.wait_closed()
    raise OSError(errno.EADDRINUSE, f"no port is free on all of {hosts}")


def in_words(error: OSError, hosts: Sequence[str], port: int, setting: str) -> OSError:
    """Return an error of the same kind that says why the server can't listen, and what to do about it."""
    where = f"{', '.join(hosts)} port {port}"
    if isinstance(error, socket.gaierror):
        said = f"can't listen on {where}: this computer knows no such host; mend {setting}.listen"
    elif error.errno == errno.EADDRINUSE:
        said = (
            f"can't listen on {where}: another program listens there already, perhaps another spalloc-server; "
            f"end it, or give another {setting}.port"
        )
    elif error.errno == errno.EADDRNOTAVAIL:
        said = f"can't listen on {where}: this computer has no such address; mend {setting}.listen"
    elif error.errno == errno.EACCES:
        said = f"can't listen on {where}: this user may not; give a {setting}.port from 1024 up"
    else:
        said = f"can't listen on {where}: {error.strerror or error}"
    if setting == "v1":
        said += ", or another --host or --port"
    return OSError(error.errno, said)


class TurnedAway:
    """Counts connections that the system turned away because too many waited to be accepted.

    The system counts them for all programs together. On systems that don't, the count stays 0.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._before = _overflows()

    def more(self) -> int:
        """Return how many there were since the last call."""
        before, self._before = self._before, _overflows()
        return self._before - before


def _overflows() -> int:
    try:
        names, counts = (
            line.split() for line in _COUNTERS.read_text().splitlines() if line.startswith("TcpExt:")
        )
        return int(counts[names.index("ListenOverflows")])
    except (OSError, ValueError, IndexError):
        return 0

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
RAISE_DESCRIPTORS = "raise LimitNOFILE in the service's unit, or `ulimit -n` where it is started"
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


async def bind(
    hosts: Sequence[str], port: int, setting: str, *, backlog: int = 100
) -> tuple[list[socket.socket], tuple[tuple[str, int], ...]]:
    """Return sockets that listen on all addresses of several hosts, on the same port, and each address with the port.

    For fronts that accept connections themselves; the arguments are those of `listen`.

    Raises:
        OSError: An address can't be listened on; the message says why and what to do.
    """
    wanted = port
    for left in reversed(range(TRIES)):
        sockets: list[socket.socket] = []
        try:
            for host in hosts:
                sockets += await _bound(host, wanted, backlog)
                # The system chooses the port once.
                wanted = sockets[0].getsockname()[1]
        except OSError as error:
            for one in sockets:
                one.close()
            if port or not left or not sockets or error.errno != errno.EADDRINUSE:
                raise in_words(error, hosts, port, setting) from error
            wanted = 0
            continue
        return sockets, tuple(one.getsockname()[:2] for one in sockets)
    raise OSError(errno.EADDRINUSE, f"no port is free on all of {', '.join(hosts)}")


async def _bound(host: str, port: int, backlog: int) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.setblocking(False)
            one.bind((address[0], sockets[0].getsockname()[1] if len(sockets) > 1 else port, *address[2:]))
            one.listen(backlog)
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


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
    elif setting == "http":
        said += ", or with --virtual another port after --https"
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
        # Where it can't be read now, as without a descriptor left, the next look tells all.
        before, self._before = self._before, _overflows() or self._before
        return self._before - before


def _overflows() -> int:
    try:
        names, counts = (
            line.split() for line in _COUNTERS.read_text().splitlines() if line.startswith("TcpExt:")
        )
        return int(counts[names.index("ListenOverflows")])
    except (OSError, ValueError, IndexError):
        return 0

"""Finds addresses of this computer for the boards of a tunnel, by binding them.

Each board gets an address of its own in 127.0.0.0/8, with the ports that boards have. Where there is only 127.0.0.1, as
on macOS, each port of each board gets a free port of that.
"""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import IPv4Address

from spalloc_client.tunnel.carrying import Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spalloc_client.tunnel.carrying import Board

ONE_HOST = "127.0.0.1"

_FIRST = IPv4Address("127.128.0.1")
"""Virtual boards take addresses from 127.1.0.0 up."""
_BLOCKS = 1 << 14
_BLOCK = 1 << 8
_RECEIVED_BYTES = 1 << 20
"""Programs that load boards send many datagrams before they look for answers."""


def bound_ports(boards: Sequence[Board], ports: Iterable[int]) -> dict[Port, socket.socket]:
    """Return a bound UDP socket for each port of each board.

    Raises:
        OSError: No addresses are free, or a process may not have as many sockets.
    """
    numbers = list(ports)
    blocks = (len(boards) + _BLOCK - 2) // (_BLOCK - 1)
    # Where to begin differs from process to process: most find their first block free.
    start = os.getpid() * 61 % _BLOCKS
    for attempt in range(0, _BLOCKS, blocks):
        base = (start + attempt) % (_BLOCKS - blocks + 1)
        hosts = [
            str(_FIRST + _BLOCK * (base + number // (_BLOCK - 1)) + number % (_BLOCK - 1))
            for number in range(len(boards))
        ]
        bound, trouble = _bind(
            {
                Port(board, port): (host, port)
                for board, host in zip(boards, hosts, strict=True)
                for port in numbers
            }
        )
        if trouble is None:
            return bound
        if trouble.errno == errno.EADDRNOTAVAIL:
            break
        if trouble.errno != errno.EADDRINUSE:
            raise trouble
    bound, trouble = _bind({Port(board, port): (ONE_HOST, 0) for board in boards for port in numbers})
    if trouble is not None:
        raise trouble
    return bound


def bound_beside(port: Port, host: str) -> socket.socket | None:
    """Return a socket for one more port of a board that has an address of its own; None if there can be none."""
    bound, trouble = _bind({port: (host, port.number)})
    return None if trouble is not None else bound[port]


def _bind(wanted: dict[Port, tuple[str, int]]) -> tuple[dict[Port, socket.socket], OSError | None]:
    bound: dict[Port, socket.socket] = {}
    for port, address in wanted.items():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound[port] = made
        try:
            made.setblocking(False)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED_BYTES)
            made.bind(address)
        except OSError as error:
            for each in bound.values():
                each.close()
            return {}, error
    return bound, None

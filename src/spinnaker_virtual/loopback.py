"""Finds addresses of this computer that no other site uses, by binding them.

Sockets are returned bound: an address that was only checked could be taken a moment later.
"""

import errno
import os
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

from spinnaker_virtual.machine import VirtualMachine
from spinnaker_virtual.network import Network, Socket

# Other programs use 127.0.0.0/16, and 127.255.255.255 is the network's broadcast address.
_FIRST_BASE = IPv4Address("127.1.0.0")
_LAST_ADDRESS = IPv4Address("127.254.255.255")
_FRAME_ADDRESSES = 256
ONE_HOST = "127.0.0.1"
_FIRST_PORT = 20_480
_PORT_STEP = 64
_SOCKETS_A_BOARD = 2
_SPARE_DESCRIPTORS = 256

BoundSockets = dict[Socket, socket.socket]


class AddressError(OSError):
    """An address for a virtual machine is not available; says which, and what to do."""


def _bind(address: Socket) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        bound.setblocking(False)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _bind_all(addresses: Iterable[Socket], bound: BoundSockets) -> OSError | None:
    for address in addresses:
        try:
            bound[address] = _bind(address)
        except OSError as error:
            error.filename = str(address)
            return error
    return None


def _explained(error: OSError, network: Network) -> AddressError:
    advice = ""
    if error.errno == errno.EADDRINUSE:
        advice = "; another site may use it: choose another base address or port"
    elif error.errno in {errno.EMFILE, errno.ENFILE}:
        needed = _descriptors(len(network.bmps), len(network.boards)) + _SPARE_DESCRIPTORS
        advice = (
            f"; each board takes two sockets: raise the limit of open files, as `ulimit -n {needed}` does"
        )
    elif error.errno == errno.EADDRNOTAVAIL:
        advice = (
            f"; this computer does not have that address: choose another base address, or ports of {ONE_HOST}"
        )
    return AddressError(error.errno, f"can't listen on {error.filename}: {error.strerror}{advice}")


def allow_sockets(machine: VirtualMachine) -> None:
    """Raise this process's limit on open files, within what the system allows, to fit the machine's sockets."""
    try:
        import resource
    except ImportError:  # systems without such limits
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path(os.devnull).open() as lowest_free:
        in_use = lowest_free.fileno()
    needed = in_use + _descriptors(len(machine.frames), len(machine.places)) + _SPARE_DESCRIPTORS
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _descriptors(frames: int, boards: int) -> int:
    return frames + _SOCKETS_A_BOARD * boards


def close_all(bound: BoundSockets) -> None:
    """Close all sockets and empty `bound`."""
    for opened in bound.values():
        opened.close()
    bound.clear()


def _sockets(network: Network) -> Iterable[Socket]:
    # BMPs first: a block that another site uses is detected at the first attempt.
    yield from network.bmps.values()
    for board in network.boards.values():
        yield from board


def bind(network: Network) -> BoundSockets:
    """Return bound sockets for all BMPs and boards of `network`.

    Raises:
        AddressError: One of them can't be bound.
    """
    bound: BoundSockets = {}
    error = _bind_all(_sockets(network), bound)
    if error is not None:
        close_all(bound)
        raise _explained(error, network) from error
    return bound


def bind_free(machine: VirtualMachine) -> tuple[Network, BoundSockets]:
    """Return addresses that no other program uses, and sockets that are bound to them.

    The addresses of a standard installation in the first block of 127.0.0.0/8 that is free; on systems that
    have only 127.0.0.1, ports of that address.

    Raises:
        AddressError: Neither is available.
    """
    base = _FIRST_BASE
    blocks = 1 + max((frame.cabinet * 5 + frame.frame for frame in machine.frames), default=0)
    while base + blocks * _FRAME_ADDRESSES <= _LAST_ADDRESS:
        network = Network.standard(machine, base)
        bound: BoundSockets = {}
        error = _bind_all(_sockets(network), bound)
        if error is None:
            return network, bound
        taken = IPv4Address(str(error.filename).partition(":")[0])
        close_all(bound)
        if error.errno == errno.EADDRNOTAVAIL:
            return _bind_free_ports(machine)
        if error.errno != errno.EADDRINUSE:
            raise _explained(error, network) from error
        base += ((int(taken) - int(base)) // _FRAME_ADDRESSES + 1) * _FRAME_ADDRESSES
    raise AddressError(
        errno.EADDRINUSE, f"no free block of {blocks} x 256 addresses in 127.0.0.0/8; stop another site"
    )


def _bind_free_ports(machine: VirtualMachine) -> tuple[Network, BoundSockets]:
    for first_port in range(_FIRST_PORT, 1 << 16, _PORT_STEP):
        try:
            network = Network.one_host(machine, ONE_HOST, first_port)
        except ValueError as error:
            raise AddressError(errno.EADDRINUSE, f"no free ports on {ONE_HOST}: {error}") from error
        bound: BoundSockets = {}
        if _bind_all(_sockets(network), bound) is None:
            return network, bound
        close_all(bound)
    raise AddressError(errno.EADDRINUSE, f"no free ports on {ONE_HOST}; stop another site")

"""Connects to a server by name: tries all of its addresses, IPv4 and IPv6, within one deadline.

connection.py uses the socket. Importing `socket` takes as long as half of this package's modules together, so names
that it only passes on are imported from `_socket`.
"""

from __future__ import annotations

import _socket
import _thread
import os
import sys
import time
from collections import deque

from spalloc_client.deadline import deadline_after, spoken, time_left
from spalloc_client.polling import POLLOUT, poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any, TypeAlias

Address: TypeAlias = "tuple[int, int, int, str, Any]"
"""What `getaddrinfo` tells of one: family, kind, protocol, canonical name, and what `connect` takes."""

HEAD_START = 0.25
"""Seconds an address has to itself before the next one is tried beside it (RFC 8305, section 5)."""

_LONGEST_WAIT = 86_400.0
"""Seconds of a single wait, at most: systems refuse waits of weeks, and infinity."""


LOOKING_UP = 10.0
"""Seconds that looking up a name may take in any case: a name server that is away costs five of them."""

_KEPT_ALIVE = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 10),
    ("IPPROTO_TCP", "TCP_KEEPALIVE", 10),  # what macOS calls it
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 5),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 3),
    ("IPPROTO_TCP", "TCP_USER_TIMEOUT", 20_000),  # milliseconds
)
"""How a silent peer is probed: within 25 s a lost peer or network is noticed."""


def look_up(hostname: str, port: int, timeout: float | None) -> Sequence[Address]:
    """Find a server's addresses.

    Args:
        hostname: A name or an IPv4 or IPv6 address.
        port: 1 to 65535.
        timeout: Seconds that connecting may take; looking up has as many to itself, and `LOOKING_UP` at least.

    Raises:
        OSError: There is no such name.
        TimeoutError: (an OSError) The name service did not answer in time.
    """
    try:
        # An address in digits needs no name service, and so no deadline.
        return _addresses(hostname, port, _socket.AI_NUMERICHOST)
    except (_socket.gaierror, UnicodeError):
        pass  # a name, then, or nothing at all
    limit = look_up_limit(timeout)
    if limit is None:
        return resolve(hostname, port)
    # The system's resolver can't be told how long it may take, so a thread waits for it in our place.
    found: list[Sequence[Address] | Exception] = []
    looking = _thread.allocate_lock()
    looking.acquire()

    def find() -> None:
        try:
            found.append(resolve(hostname, port))
        except Exception as error:  # noqa: BLE001  # what a program's own look-up raises is for who asked, as without a thread
            found.append(error)
        finally:
            looking.release()

    deadline = deadline_after(limit, time.monotonic())
    _thread.start_new_thread(find, ())
    while not looking.acquire(timeout=_one_wait(left := time_left(deadline, time.monotonic()))):
        if left == 0.0:
            raise slow_name_service(hostname, limit)
    (result,) = found
    if isinstance(result, Exception):
        # Raised here, and not by whatever the thread was in.
        raise result.with_traceback(None)
    return result


def look_up_limit(timeout: float | None) -> float | None:
    """Seconds that looking up a name may take."""
    return None if timeout is None else max(timeout, LOOKING_UP)


def slow_name_service(hostname: str, limit: float) -> TimeoutError:
    """Return the message for a name that was not found in time."""
    return TimeoutError(
        f"looking up the name {hostname!r} took longer than {spoken(limit)}: the name server is slow or away"
    )


def connect_to(addresses: Sequence[Address], server: str, timeout: float | None) -> _socket.socket:
    """Connect to a server, whichever of its addresses answers first.

    Args:
        addresses: Where it may be.
        server: What to call it in messages: `name:port`.
        timeout: Seconds this may take; None for as long as it takes.

    Returns:
        A socket that does not block, set up by `prepare`.

    Raises:
        OSError: No address could be connected to; the message names the server.
        TimeoutError: (an OSError) It took too long.
    """
    sock = _race(deque(interleave(addresses)), deadline_after(timeout, time.monotonic()), server)
    if sock is None:
        raise TimeoutError(f"could not connect to {server} within {spoken(timeout)}")
    prepare(sock)
    return sock


def prepare(sock: _socket.socket) -> None:
    """Turn Nagle's algorithm off, and turn probes of a silent peer on."""
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    for level, option, value in _KEPT_ALIVE:
        if hasattr(_socket, option):
            try:
                sock.setsockopt(getattr(_socket, level), getattr(_socket, option), value)
            except OSError:
                return  # a program's own kind of socket, which has no such thing


def resolve(hostname: str, port: int) -> Sequence[Address]:
    """Ask the name service, for as long as it takes; OSError if there is no such name."""
    try:
        return _addresses(hostname, port, 0)
    except (_socket.gaierror, UnicodeError) as error:
        raise not_found(hostname, error) from error


def _addresses(hostname: str, port: int, flags: int) -> Sequence[Address]:
    found: Sequence[Address] = _sockets().getaddrinfo(
        _plain(hostname), port, type=_socket.SOCK_STREAM, flags=flags
    )
    return found


def _sockets() -> ModuleType:
    """Return the module that makes sockets: `socket` as the program has it, if it has been imported.

    Programs replace parts of it, to go through a proxy or to wait in a way of their own.
    """
    if "socket" not in sys.modules:
        return _socket
    import socket  # also waits for another thread that is in the middle of importing it

    return socket


def _plain(hostname: str) -> str | bytes:
    """The name as bytes if it is ASCII: for those Python does not import its rules for other alphabets."""
    return hostname.encode("ascii") if hostname.isascii() else hostname


def not_found(hostname: str, error: _socket.gaierror | UnicodeError) -> OSError:
    """Return the message for a name that could not be looked up."""
    if isinstance(error, UnicodeError):
        return OSError(f"{hostname!r} can't be the name of a server: {error}")
    return _socket.gaierror(error.errno, f"can't find the server {hostname!r}: {error.strerror}")


def interleave(addresses: Sequence[Address]) -> Sequence[Address]:
    """Take families in turn, in the resolver's order within each, so a broken one costs one wait."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    mixed: list[Address] = []
    for index in range(max(len(first), len(others))):
        mixed += first[index : index + 1] + others[index : index + 1]
    return mixed


def _race(untried: deque[Address], deadline: float | None, server: str) -> _socket.socket | None:
    """The first socket to be connected; None when the deadline passes before."""
    failures: list[OSError] = []
    begun: dict[int, _socket.socket] = {}
    attempts = poll()
    try:
        while untried or begun:
            if untried:
                sock = _start(untried.popleft(), failures)
                if sock is None:
                    continue
                begun[sock.fileno()] = sock
                attempts.register(sock, POLLOUT)
            wait = _one_wait(time_left(deadline, time.monotonic()))
            for number, _ in attempts.poll(1000.0 * (min(wait, HEAD_START) if untried else wait)):
                attempts.unregister(number)
                sock = begun.pop(number)
                code = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
                if code == 0:
                    return sock
                sock.close()
                failures.append(named(code))
            if deadline is not None and time.monotonic() >= deadline:
                return None
    finally:
        for sock in begun.values():
            sock.close()
    raise summary(failures, server)


def _one_wait(left: float | None) -> float:
    return _LONGEST_WAIT if left is None else min(left, _LONGEST_WAIT)


def _start(address: Address, failures: list[OSError]) -> _socket.socket | None:
    """Begin to connect, or note why that is impossible."""
    family, kind, protocol, _, where = address
    try:
        sock: _socket.socket = _sockets().socket(family, kind, protocol)
    except OSError as error:
        failures.append(error)
        return None
    sock.setblocking(False)
    try:
        sock.connect(where)
    except BlockingIOError:
        pass
    except OSError as error:
        sock.close()
        failures.append(error)
        return None
    return sock


def named(code: int) -> OSError:
    """The error that the system gives this number."""
    if sys.platform == "win32":
        import ctypes

        # A number of Windows's own; OSError finds the corresponding one of other systems.
        return OSError(0, ctypes.FormatError(code).rstrip(". \r\n"), None, code)
    return OSError(code, os.strerror(code))


def summary(failures: list[OSError], server: str) -> OSError:
    """One error for all addresses: the first one's kind, and each different reason."""
    reasons = list(dict.fromkeys(error.strerror or str(error) for error in failures))
    # OSError picks its subclass, such as ConnectionRefusedError, from the number.
    return OSError(failures[0].errno, f"can't connect to {server}: {'; '.join(reasons)}")

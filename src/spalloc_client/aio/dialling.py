"""Connects to a server by name in the event loop, as the blocking dialling.py does.

The loop's own create_connection is not used, since uvloop's tries one address after the other.
"""

# ruff: noqa: ASYNC109  # arguments are those of the blocking twin, `timeout` included

import asyncio
import socket
from _thread import start_new_thread
from collections.abc import Sequence

from spalloc_client.deadline import spoken
from spalloc_client.dialling import (
    HEAD_START,
    Address,
    interleave,
    look_up_limit,
    named,
    prepare,
    resolve,
    slow_name_service,
    summary,
)


async def look_up(hostname: str, port: int, timeout: float | None) -> Sequence[Address]:
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
        return socket.getaddrinfo(hostname, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass  # a name, then, or nothing at all
    # A thread of its own: the end of the loop would wait for one of the loop's.
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Address]] = loop.create_future()

    def settle(result: Sequence[Address] | Exception) -> None:
        if found.done():
            return
        if isinstance(result, Exception):
            found.set_exception(result)
        else:
            found.set_result(result)

    def find() -> None:
        result: Sequence[Address] | Exception
        try:
            result = resolve(hostname, port)
        except Exception as error:  # noqa: BLE001  # what a program's own look-up raises is for who asked
            result = error
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:
            return  # the loop has ended meanwhile, and nobody waits

    start_new_thread(find, ())
    limit = look_up_limit(timeout)
    clock = asyncio.timeout(limit)
    try:
        async with clock:
            return await found
    except TimeoutError:
        if limit is not None and clock.expired():
            raise slow_name_service(hostname, limit) from None
        raise


async def connect_to(addresses: Sequence[Address], server: str, timeout: float | None) -> socket.socket:
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
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            sock = await _race(interleave(addresses), server)
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"could not connect to {server} within {spoken(timeout)}") from None
        raise
    prepare(sock)
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
            done, _ = await asyncio.wait(
                attempts, timeout=HEAD_START if untried else None, return_when=asyncio.FIRST_COMPLETED
            )
            attempts -= done
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
            # One that has its connection already, or gets it in this moment, is not stopped by being cancelled.
            attempt.add_done_callback(_close)
            attempt.cancel()
    raise summary(failures, server)


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


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

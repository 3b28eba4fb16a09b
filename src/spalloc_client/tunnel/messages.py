"""The messages of a service's websocket to boards: those that clients send, and the reading of those that they get.

Integers are unsigned, of 32 bits, the lowest byte first. No I/O. What the service does with messages, and how long
they may be, is in docs/reference/http-api.md.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from spalloc_client.errors import ProtocolError

MESSAGE_BYTES = 8192
"""The longest message that services take."""

_NUMBER = Struct("<I")
_TWO = Struct("<II")
_THREE = Struct("<III")
_FIVE = Struct("<IIIII")

PREFIX_BYTES = _TWO.size
"""What stands before the payload of a datagram."""


class Operation(IntEnum):
    """What a message is: its first integer."""

    OPEN = 0
    CLOSE = 1
    MESSAGE = 2
    ERROR = 5


class Opened(NamedTuple):
    """A channel is open."""

    correlation: int
    """What the request had."""
    channel: int


class Closed(NamedTuple):
    """A channel is closed."""

    correlation: int


class Failed(NamedTuple):
    """A request is refused."""

    correlation: int
    why: str


class Heard(NamedTuple):
    """A datagram of a board."""

    channel: int
    data: bytes


def opening(correlation: int, x: int, y: int, port: int) -> bytes:
    """Ask for a channel to a UDP port of the board whose Ethernet-connected chip is (x, y) of the job."""
    return _FIVE.pack(Operation.OPEN, correlation, x, y, port)


def closing(correlation: int, channel: int) -> bytes:
    """Ask for the end of a channel."""
    return _THREE.pack(Operation.CLOSE, correlation, channel)


def prefix(channel: int) -> bytes:
    """Return what is put before a datagram's payload to send it over a channel."""
    return _TWO.pack(Operation.MESSAGE, channel)


def read(message: bytes) -> Opened | Closed | Failed | Heard:
    """Return what a message from the service says.

    Raises:
        ProtocolError: It is none that services send.
    """
    size = len(message)
    operation = _NUMBER.unpack_from(message)[0] if size >= _TWO.size else None
    if operation == Operation.MESSAGE:
        return Heard(_TWO.unpack_from(message)[1], message[PREFIX_BYTES:])
    if operation == Operation.OPEN and size == _THREE.size:
        return Opened(*_THREE.unpack(message)[1:])
    if operation == Operation.CLOSE and size == _THREE.size:
        return Closed(_THREE.unpack(message)[1])
    if operation == Operation.ERROR:
        return Failed(_TWO.unpack_from(message)[1], message[PREFIX_BYTES:].decode("utf-8", "replace"))
    raise ProtocolError(f"the service sent a message that is none: {message[:20].hex()}, {size} bytes")

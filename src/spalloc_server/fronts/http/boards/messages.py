"""The messages of the websocket proxy: bytes in, typed messages out, and back.

Each websocket message is one of these. No I/O, and no channel is known here: channels.py says what a message does.
Integers are unsigned, of 32 bits, the lowest byte first.
"""

from enum import IntEnum
from ipaddress import IPv4Address
from struct import Struct
from typing import NamedTuple

MESSAGE_BYTES = 8192
"""The longest message."""
ERROR_BYTES = 1000
"""The longest sentence of a `Failed`, as UTF-8."""
HIGHEST = 0xFFFF_FFFF
"""The largest integer in a message."""

_NUMBER = Struct("<I")
_TWO = Struct("<II")
_THREE = Struct("<III")
_FIVE = Struct("<IIIII")
_LISTENER = Struct("<III4sI")


class Operation(IntEnum):
    """What a message is: its first integer."""

    OPEN = 0
    CLOSE = 1
    MESSAGE = 2
    LISTEN = 3
    MESSAGE_TO = 4
    ERROR = 5


class CloseCode(IntEnum):
    """Why the server closes a websocket."""

    GOING_AWAY = 1001
    NOT_BINARY = 1003
    MALFORMED = 1007
    NOT_ALLOWED = 1008
    TOO_LONG = 1009
    CANNOT = 1011


class MessageError(ValueError):
    """A message that breaks the protocol; its websocket is closed."""

    def __init__(self, code: CloseCode, why: str) -> None:
        """Make the error.

        Args:
            code: With which the websocket is closed.
            why: What is wrong with the message, what is allowed.
        """
        super().__init__(why)
        self.code = code


class Open(NamedTuple):
    """Asks for a channel to one UDP port of one board."""

    correlation: int
    """Chosen by the client; the answer has the same."""
    x: int
    """With `y`, the board's Ethernet-connected chip, as seen from the job."""
    y: int
    port: int

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return _FIVE.pack(Operation.OPEN, *self)


class Close(NamedTuple):
    """Asks for the end of a channel."""

    correlation: int
    channel: int

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return _THREE.pack(Operation.CLOSE, *self)


class Message(NamedTuple):
    """A UDP payload: for the board of a channel, or from a board to it."""

    channel: int
    data: bytes

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return _TWO.pack(Operation.MESSAGE, self.channel) + self.data


class Listen(NamedTuple):
    """Asks for a listener: a channel that hears all boards of the job, and sends to any of them."""

    correlation: int

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return _TWO.pack(Operation.LISTEN, self.correlation)


class MessageTo(NamedTuple):
    """A UDP payload that a listener is to send to a board."""

    channel: int
    x: int
    y: int
    port: int
    data: bytes

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return _FIVE.pack(Operation.MESSAGE_TO, *self[:4]) + self.data


class Opened(NamedTuple):
    """Answers `Open`."""

    correlation: int
    channel: int
    """1 or more."""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return _THREE.pack(Operation.OPEN, *self)


class Closed(NamedTuple):
    """Answers `Close`."""

    correlation: int
    channel: int
    """The channel that was closed; 0 if it was not open."""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        return _THREE.pack(Operation.CLOSE, *self)


class Listening(NamedTuple):
    """Answers `Listen`."""

    correlation: int
    channel: int
    address: IPv4Address
    """Where boards should send to, with `port`."""
    port: int

    def encode(self) -> bytes:
        """Return the message's bytes."""
        correlation, channel, address, port = self
        return _LISTENER.pack(Operation.LISTEN, correlation, channel, address.packed, port)


class Failed(NamedTuple):
    """Answers a request that is understood and refused."""

    correlation: int
    why: str
    """A sentence; what is longer than `ERROR_BYTES` is cut off."""

    def encode(self) -> bytes:
        """Return the message's bytes."""
        text = self.why.encode("utf-8", "replace")[:ERROR_BYTES].decode("utf-8", "ignore")
        return _TWO.pack(Operation.ERROR, self.correlation) + text.encode()


Request = Open | Close | Message | Listen | MessageTo
"""What clients send."""
Answer = Opened | Closed | Message | Listening | Failed
"""What the server sends."""


def decode_request(data: bytes) -> Request:
    """Return the message of a client that some bytes are.

    Raises:
        MessageError: They are none.
    """
    # Nearly all are payloads.
    if data[: _NUMBER.size] == _PAYLOAD and _TWO.size <= len(data) <= MESSAGE_BYTES:
        return Message(_TWO.unpack_from(data)[1], data[_TWO.size :])
    operation = _operation(data)
    match operation:
        case Operation.MESSAGE:
            return Message(_TWO.unpack_from(data)[1], data[_TWO.size :])
        case Operation.OPEN:
            _check_length(data, _FIVE, "a request for a channel")
            return Open(*_FIVE.unpack(data)[1:])
        case Operation.CLOSE:
            _check_length(data, _THREE, "a request to close a channel")
            return Close(*_THREE.unpack(data)[1:])
        case Operation.LISTEN:
            _check_length(data, _TWO, "a request for a listener")
            return Listen(*_TWO.unpack(data)[1:])
        case Operation.MESSAGE_TO:
            if len(data) < _FIVE.size:
                raise MessageError(
                    CloseCode.MALFORMED,
                    f"a message to a chip has {len(data)} bytes; the shortest has {_FIVE.size}",
                )
            _, channel, x, y, port = _FIVE.unpack_from(data)
            return MessageTo(channel, x, y, port, data[_FIVE.size :])
        case Operation.ERROR:
            raise MessageError(CloseCode.MALFORMED, "clients don't send messages of operation 5")


def decode_answer(data: bytes) -> Answer:
    """Return the message of a server that some bytes are.

    Raises:
        MessageError: They are none.
    """
    operation = _operation(data)
    match operation:
        case Operation.MESSAGE:
            return Message(_TWO.unpack_from(data)[1], data[_TWO.size :])
        case Operation.OPEN:
            _check_length(data, _THREE, "the answer to a request for a channel")
            return Opened(*_THREE.unpack(data)[1:])
        case Operation.CLOSE:
            _check_length(data, _THREE, "the answer to a request to close a channel")
            return Closed(*_THREE.unpack(data)[1:])
        case Operation.LISTEN:
            _check_length(data, _LISTENER, "the answer to a request for a listener")
            _, correlation, channel, address, port = _LISTENER.unpack(data)
            return Listening(correlation, channel, IPv4Address(address), port)
        case Operation.ERROR:
            return Failed(_TWO.unpack_from(data)[1], data[_TWO.size :].decode("utf-8", "replace"))
        case Operation.MESSAGE_TO:
            raise MessageError(CloseCode.MALFORMED, "servers don't send messages of operation 4")


def _operation(data: bytes) -> Operation:
    if len(data) > MESSAGE_BYTES:
        raise MessageError(
            CloseCode.TOO_LONG, f"a message has {len(data)} bytes; the longest has {MESSAGE_BYTES}"
        )
    if len(data) < _NUMBER.size:
        raise MessageError(CloseCode.MALFORMED, f"a message of {len(data)} bytes says not what it is")
    number: int = _NUMBER.unpack_from(data)[0]
    if number > Operation.ERROR:
        raise MessageError(CloseCode.CANNOT, f"there is no operation {number}; there are 0 to 5")
    if len(data) < _TWO.size:
        raise MessageError(
            CloseCode.MALFORMED, f"a message has {len(data)} bytes; the shortest has {_TWO.size}"
        )
    return _OPERATIONS[number]


_OPERATIONS = tuple(Operation)
_PAYLOAD = _NUMBER.pack(Operation.MESSAGE)


def _check_length(data: bytes, layout: Struct, what: str) -> None:
    if len(data) != layout.size:
        raise MessageError(CloseCode.MALFORMED, f"{what} has {len(data)} bytes; it must have {layout.size}")

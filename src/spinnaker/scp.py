"""SpiNNaker commands inside SDP: requests, replies, result codes, and what SCAMP and BMPs have in common.

See scamp.py and bmp.py for what the arguments of most commands mean.
"""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple, Self

from spinnaker.sdp import HEADER_BYTES, UDP_PADDING, PacketError, SdpHeader

_START = UDP_PADDING + HEADER_BYTES
_COMMAND = Struct("<HH")
_ARGUMENTS = Struct("<III")
_PADDED_ARGUMENTS = bytes(_ARGUMENTS.size)
REQUEST_BYTES = _START + _COMMAND.size + _ARGUMENTS.size
"""The shortest datagram that processors accept as a request: one with all three arguments."""
_REPLY_DATA = _START + _COMMAND.size
_SEQUENCE_NUMBER = Struct("<H")
_SEQUENCE = _REPLY_DATA - _SEQUENCE_NUMBER.size


class Result(IntEnum):
    """The result code of a reply."""

    OK = 0x80
    LENGTH = 0x81
    CHECKSUM = 0x82
    UNKNOWN_COMMAND = 0x83
    ARGUMENT = 0x84
    PORT = 0x85
    TIMEOUT = 0x86
    NO_ROUTE = 0x87
    CORE = 0x88
    DEAD = 0x89
    NO_BUFFER = 0x8A
    P2P_NO_REPLY = 0x8B
    P2P_REJECTED = 0x8C
    P2P_BUSY = 0x8D
    P2P_TIMEOUT = 0x8E
    TRANSMISSION = 0x8F


class ScpRequest(NamedTuple):
    """A command for a processor: SCAMP on a chip's monitor core, or a board's BMP."""

    header: SdpHeader
    command: int
    sequence: int
    """0 to 65535; echoed by the reply."""
    argument_1: int = 0
    argument_2: int = 0
    argument_3: int = 0
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the request as a UDP datagram."""
        return b"".join(
            (
                self.header.encode(),
                _COMMAND.pack(self.command, self.sequence & 0xFFFF),
                _ARGUMENTS.pack(self.argument_1, self.argument_2, self.argument_3),
                self.data,
            )
        )

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        """Return the request that a UDP datagram carries; arguments that it is too short for are 0.

        Raises:
            PacketError: The datagram is too short to hold a command.
        """
        header = SdpHeader.decode(datagram)
        if len(datagram) < _REPLY_DATA:
            raise PacketError(
                f"a datagram of {len(datagram)} bytes holds no SCP command; the shortest has {_REPLY_DATA}"
            )
        command, sequence = _COMMAND.unpack_from(datagram, _START)
        if len(datagram) < REQUEST_BYTES:
            padded = datagram[_REPLY_DATA:] + _PADDED_ARGUMENTS
            first, second, third = _ARGUMENTS.unpack_from(padded)
            return cls(header, command, sequence, first, second, third)
        first, second, third = _ARGUMENTS.unpack_from(datagram, _REPLY_DATA)
        return cls(header, command, sequence, first, second, third, datagram[REQUEST_BYTES:])

    def reply(self, result: Result = Result.OK, data: bytes = b"") -> "ScpReply":
        """Return an answer to this request."""
        return ScpReply(self.header.reply(), result, self.sequence, data)


class ScpReply(NamedTuple):
    """An answer to a command: its result, the request's sequence number, and data where the arguments were."""

    header: SdpHeader
    result: int
    """A `Result`, or a number that this module does not know."""
    sequence: int
    data: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the command was carried out."""
        return self.result == Result.OK

    def encode(self) -> bytes:
        """Return the reply as a UDP datagram."""
        return b"".join((self.header.encode(), _COMMAND.pack(self.result, self.sequence), self.data))

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        """Return the reply that a UDP datagram carries.

        Raises:
            PacketError: The datagram is too short to hold one.
        """
        header = SdpHeader.decode(datagram)
        if len(datagram) < _REPLY_DATA:
            raise PacketError(
                f"a datagram of {len(datagram)} bytes holds no SCP reply; the shortest has {_REPLY_DATA}"
            )
        result, sequence = _COMMAND.unpack_from(datagram, _START)
        return cls(header, result, sequence, datagram[_REPLY_DATA:])


def describe_result(result: int) -> str:
    """Return a result code in words, such as "timeout (0x86)"."""
    try:
        name = Result(result).name.lower().replace("_", " ").replace("ok", "OK")
    except ValueError:
        name = "unknown result"
    return f"{name} ({result:#x})"


def renumbered(datagram: bytes, sequence: int) -> bytes:
    """Return a request's or reply's datagram with another sequence number, 0 to 65535."""
    return b"".join((datagram[:_SEQUENCE], _SEQUENCE_NUMBER.pack(sequence), datagram[_REPLY_DATA:]))


class SoftwareNumber(NamedTuple):
    """A release's number."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


_VERSION = Struct("<IHHI")
_NUMBER_IN_STRING = 0xFFFF


class SoftwareVersion(NamedTuple):
    """What a processor answers to the version command."""

    place: int
    """The first word: where the processor is. SCAMP and BMPs encode it differently."""
    buffer_bytes: int
    """The most data that the processor accepts in one packet."""
    build: int
    """When the software was built, in seconds since 1970."""
    name: str
    """The software and its hardware, such as `BC&MP/Spin5-BMP`."""
    number: SoftwareNumber

    def encode(self) -> bytes:
        """Return the data of a version reply, with the number as a string, as releases since 3.0 send it."""
        head = _VERSION.pack(self.place, self.buffer_bytes, _NUMBER_IN_STRING, self.build)
        return head + f"{self.name}\0{self.number}\0".encode("ascii")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the version in a reply's data; the number may be in the header or in the string.

        Raises:
            PacketError: The data is not a version.
        """
        if len(data) < _VERSION.size:
            raise PacketError(f"{len(data)} bytes hold no version; the shortest has {_VERSION.size}")
        place, buffer_bytes, number, build = _VERSION.unpack_from(data)
        name, _, rest = data[_VERSION.size :].decode("ascii", "replace").partition("\0")
        if number != _NUMBER_IN_STRING:
            return cls(place, buffer_bytes, build, name, SoftwareNumber(number // 100, number % 100))
        text = rest.partition("\0")[0]
        parts = text.partition("-")[0].split(".")
        if not 2 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
            raise PacketError(
                f"the software's version is {text!r}; expected MAJOR.MINOR or MAJOR.MINOR.PATCH, in decimal numbers"
            )
        return cls(place, buffer_bytes, build, name, SoftwareNumber(*map(int, parts)))


_LED_BITS = 2


def switched_leds(leds: int, actions: int, count: int) -> int:
    """Return the state of LEDs after a command of a BMP or of SCAMP; both encode it the same way.

    Args:
        leds: The LEDs that are lit before it, one bit each.
        actions: Two bits for each LED, the first one's lowest: 0 leaves it, 1 toggles it, 2 turns it off, 3 on.
        count: How many LEDs there are; actions for others are ignored.
    """
    for led in range(count):
        bit = 1 << led
        match actions >> _LED_BITS * led & 3:
            case 1:
                leds ^= bit
            case 2:
                leds &= ~bit
            case 3:
                leds |= bit
    return leds

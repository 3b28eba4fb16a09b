"""The SpiNNaker datagram: its header and how it travels in UDP.

The payload is decoded in scp.py.
"""

from functools import lru_cache
from struct import Struct
from typing import NamedTuple, Self

SDP_PORT = 17893
"""The UDP port on which boards and BMPs take SDP."""

UDP_PADDING = 2
"""Bytes before the SDP header in a UDP datagram; they carry nothing."""

HEADER_BYTES = 8
_END = UDP_PADDING + HEADER_BYTES
MAX_DATA_BYTES = 256
"""The most data that SCAMP and the BMP take in one packet, after the command and its three arguments."""

REPLY_WANTED = 0x87
NO_REPLY = 0x07
_REPLY_BIT = 0x80

HOST_TAG = 0xFF
"""The tag of a packet from a host; the reply goes to the address that the packet came from."""

_HEADER = Struct("<2x8B")
_KNOWN_HEADERS = 1024
"""How many decoded headers are cached; a host talks to few endpoints."""
_CORE_MASK = 0x1F
_PORT_SHIFT = 5


class PacketError(ValueError):
    """A datagram that can't be read, or a field that can't be encoded; says which and why."""


class Endpoint(NamedTuple):
    """One end of an SDP packet: a core of a chip, and one of the core's eight SDP ports."""

    x: int
    y: int
    core: int
    """0 to 31; 31 with port 7 is a host."""
    port: int = 0
    """0 to 7."""


HOST = Endpoint(0, 0, 31, 7)
"""A host on the network, as source or destination of a packet."""


class SdpHeader(NamedTuple):
    """Where a packet comes from, where it goes, and whether the sender waits for a reply."""

    destination: Endpoint
    source: Endpoint = HOST
    flags: int = REPLY_WANTED
    tag: int = HOST_TAG

    @property
    def reply_wanted(self) -> bool:
        """Whether the sender expects an answer."""
        return bool(self.flags & _REPLY_BIT)

    def reply(self) -> Self:
        """Return the header of an answer to this packet."""
        return self._replace(destination=self.source, source=self.destination, flags=NO_REPLY)

    def encode(self) -> bytes:
        """Return the padding and the header, ready to be followed by the payload.

        Raises:
            PacketError: A field is out of its range.
        """
        to, origin = self.destination, self.source
        for end in self.destination, self.source:
            if not (
                0 <= end.core <= _CORE_MASK and 0 <= end.port <= 7 and 0 <= end.x <= 255 and 0 <= end.y <= 255
            ):
                raise PacketError(
                    f"{end} is not an SDP address: x and y are 0 to 255, core 0 to 31, port 0 to 7"
                )
        return _HEADER.pack(
            self.flags,
            self.tag,
            to.port << _PORT_SHIFT | to.core,
            origin.port << _PORT_SHIFT | origin.core,
            to.y,
            to.x,
            origin.y,
            origin.x,
        )

    @staticmethod
    def decode(datagram: bytes) -> "SdpHeader":
        """Return the header of a UDP datagram.

        Raises:
            PacketError: The datagram is too short to hold one.
        """
        if len(datagram) < _END:
            raise PacketError(
                f"a datagram of {len(datagram)} bytes holds no SDP header; the shortest has {_END}"
            )
        return _decoded(datagram[UDP_PADDING:_END])


@lru_cache(maxsize=_KNOWN_HEADERS)
def _decoded(header: bytes) -> SdpHeader:
    flags, tag, to, origin, to_y, to_x, origin_y, origin_x = header
    return SdpHeader(
        Endpoint(to_x, to_y, to & _CORE_MASK, to >> _PORT_SHIFT),
        Endpoint(origin_x, origin_y, origin & _CORE_MASK, origin >> _PORT_SHIFT),
        flags,
        tag,
    )

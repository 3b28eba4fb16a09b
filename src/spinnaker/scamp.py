"""The commands of SCAMP, the monitor software of a SpiNNaker chip: their numbers, and values in requests and replies.

Values and encodings only; see memory_map.py for memory addresses.
"""

from enum import IntEnum, IntFlag
from struct import Struct
from typing import NamedTuple, Self

from spinnaker.geometry import CORES_PER_CHIP, Chip, Link
from spinnaker.sdp import PacketError

SCAMP_NAME = "SC&MP/SpiNNaker"
SARK_NAME = "SARK/SpiNNaker"

NEAREST_CHIP = Chip(255, 255)
"""As a packet's destination: the chip that receives it from the host."""


class ScampCommand(IntEnum):
    """A command that SCAMP knows; application cores know the first four, except COUNT."""

    VERSION = 0
    READ = 2
    WRITE = 3
    FILL = 5
    COUNT = 15
    REMAP = 16
    LINK_READ = 17
    LINK_WRITE = 18
    RESET_APPLICATION = 19
    NEAREST_NEIGHBOUR = 20
    COPY_AND_RUN = 21
    SIGNAL = 22
    FLOOD_DATA = 23
    START_APPLICATION = 24
    LED = 25
    IP_TAG = 26
    SERIAL_ROM = 27
    ALLOCATE = 28
    ROUTER = 29
    INFORMATION = 31
    SYNCHRONISE = 32


class CoreState(IntEnum):
    """What a core is doing."""

    DEAD = 0
    POWERED_DOWN = 1
    RUN_TIME_ERROR = 2
    WATCHDOG = 3
    INITIALISING = 4
    WAITING = 5
    STARTED = 6
    RUNNING = 7
    SYNC_0 = 8
    SYNC_1 = 9
    PAUSED = 10
    EXITED = 11
    IDLE = 15


class Signal(IntEnum):
    """A signal to an application."""

    INITIALISE = 0
    POWER_DOWN = 1
    STOP = 2
    START = 3
    SYNC_0 = 4
    SYNC_1 = 5
    PAUSE = 6
    CONTINUE = 7
    EXIT = 8
    TIMER = 9
    USER_0 = 10
    USER_1 = 11
    USER_2 = 12
    USER_3 = 13


class SignalRoute(IntEnum):
    """How a signal command travels."""

    MULTICAST = 0
    POINT_TO_POINT = 1
    NEAREST_NEIGHBOUR = 2


class TagOperation(IntEnum):
    """What an IP tag command does."""

    NEW = 0
    SET = 1
    GET = 2
    CLEAR = 3
    TIMEOUT = 4


class Allocation(IntEnum):
    """What an allocation command does."""

    ALLOCATE_SDRAM = 0
    FREE_SDRAM = 1
    FREE_SDRAM_OF_APPLICATION = 2
    ALLOCATE_ROUTER = 3
    FREE_ROUTER = 4
    FREE_ROUTER_OF_APPLICATION = 5
    SDRAM_SPACE = 6
    SDRAM_BLOCK_OF_TAG = 7


class RouterOperation(IntEnum):
    """What a router command does."""

    INITIALISE = 0
    CLEAR = 1
    LOAD = 2
    FIXED_ROUTE = 3


FIXED_TAGS = 8
POOL_TAGS = 8
TAGS = FIXED_TAGS + POOL_TAGS
"""IP tags of a chip: first those whose numbers hosts choose, then those that SCAMP allocates."""

NO_TAG = 255


class TagFlag(IntFlag):
    """A property of an IP tag."""

    STRIP = 0x0100
    REVERSE = 0x0200
    SENDER = 0x0400
    RESOLVING = 0x2000
    TRANSIENT = 0x4000
    VALID = 0x8000


_TAG = Struct("<4s6sHHHIHHB7x")
TAG_BYTES = _TAG.size


class IpTag(NamedTuple):
    """An entry of a chip's IP tag table."""

    address: bytes = bytes(4)
    mac: bytes = bytes(6)
    port: int = 0
    """The host's UDP port."""
    timeout: int = 0
    flags: TagFlag = TagFlag(0)
    packets: int = 0
    """How many packets were sent with this tag."""
    reverse_port: int = 0
    """The UDP port on the board from which packets go to `destination`."""
    destination: int = 0
    """256x + y of the destination chip."""
    destination_port: int = 0
    """The SDP port (top 3 bits) and core (low 5)."""

    def encode(self) -> bytes:
        """Return the entry as SCAMP stores and reports it."""
        return _TAG.pack(*self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the entry in a reply's data.

        Raises:
            PacketError: The data is too short.
        """
        if len(data) < _TAG.size:
            raise PacketError(f"an IP tag has {_TAG.size} bytes; the reply has {len(data)}")
        address, mac, port, timeout, flags, *rest = _TAG.unpack_from(data)
        return cls(address, mac, port, timeout, TagFlag(flags), *rest)


_INFORMATION = Struct("<III18sH4sH")


class ChipInformation(NamedTuple):
    """The reply of a chip to an information command."""

    cores: int
    """Working cores, the monitor included."""
    links: frozenset[Link]
    """The links that work."""
    free_router_entries: int
    """In the largest free block."""
    ethernet_up: bool
    free_sdram: int
    """Bytes of the largest free block."""
    free_system_ram: int
    """Bytes of the largest free block."""
    states: tuple[CoreState, ...]
    """Of all 18 cores, by virtual number."""
    ethernet_chip: Chip
    """The Ethernet-connected chip of the same board."""
    address: bytes
    """Four bytes; zeros where there is no Ethernet."""
    parent: int
    """The link towards the chip that the machine was booted from; 7 on that chip itself."""

    def encode(self) -> bytes:
        """Return the data of a reply."""
        links = sum(1 << link for link in self.links)
        return encode_information(
            self.cores | links << 8 | self.free_router_entries << 14 | self.ethernet_up << 25,
            self.free_sdram,
            self.free_system_ram,
            bytes(self.states),
            self.ethernet_chip.x << 8 | self.ethernet_chip.y,
            self.address,
            self.parent,
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the information in a reply's data.

        Raises:
            PacketError: The data is too short, or a core is in an unknown state.
        """
        if len(data) < _INFORMATION.size:
            raise PacketError(f"chip information has {_INFORMATION.size} bytes; the reply has {len(data)}")
        flags, sdram, system_ram, states, ethernet, address, parent = _INFORMATION.unpack_from(data)
        try:
            known = tuple(map(CoreState, states))
        except ValueError as error:
            raise PacketError(f"chip information holds an unknown core state: {error}") from error
        return cls(
            flags & 0x1F,
            frozenset(link for link in Link if flags >> 8 + link & 1),
            flags >> 14 & 0x7FF,
            bool(flags >> 25 & 1),
            sdram,
            system_ram,
            known,
            Chip(ethernet >> 8, ethernet & 0xFF),
            address,
            parent,
        )


def encode_information(
    flags: int,
    free_sdram: int,
    free_system_ram: int,
    states: bytes,
    ethernet: int,
    address: bytes,
    parent: int,
) -> bytes:
    """Return the data of a reply to an information command from its packed fields.

    Args:
        flags: Cores in bits 0 to 4, links in 8 to 13, free router entries in 14 to 24, Ethernet up in 25.
        free_sdram: Bytes of the largest free block.
        free_system_ram: Bytes of the largest free block.
        states: A byte for each of the 18 cores.
        ethernet: 256x + y of the nearest Ethernet-connected chip.
        address: Its IP address, if this is that chip; else four zeros.
        parent: The link towards the root; 7 on the root.
    """
    if len(states) != CORES_PER_CHIP:
        raise PacketError(f"a chip has {CORES_PER_CHIP} cores; {len(states)} states were given")
    return _INFORMATION.pack(flags, free_sdram, free_system_ram, states, ethernet, address, parent)

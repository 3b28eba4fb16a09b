"""Boot packets, boot images, and the system variables in an image.

Encoding and decoding only; when which packet is sent or accepted is not decided here.
"""

import re
from array import array
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import NamedTuple, Self

from spinnaker.memory_map import BOOT_VARIABLES_BYTES, SystemVariable
from spinnaker.scp import SoftwareNumber
from spinnaker.sdp import PacketError

BOOT_PORT = 54321
BLOCK_BYTES = 1024
MAX_BLOCKS = 32
SPINN_5 = 5
_LEDS = 0x1

_VERSION = 1
_HEAD = Struct(">HIIII")
_VARIABLES = slice(384, 384 + BOOT_VARIABLES_BYTES)
_SCAMP = re.compile(rb"SC&MP/SpiNNaker\0+(\d+)\.(\d+)\.(\d+)")
_WORD_BYTES = 4
_BLOCK_WORDS = (BLOCK_BYTES // _WORD_BYTES - 1) << 8


class BootOperation(IntEnum):
    """What a boot packet does."""

    BEGIN = 1
    BLOCK = 3
    END = 5


class BootPacket(NamedTuple):
    """A boot packet."""

    operation: int
    """A `BootOperation`, or another number, which boards ignore."""
    operand_1: int = 0
    operand_2: int = 0
    operand_3: int = 0
    data: bytes = b""

    def encode(self) -> bytes:
        """Return the packet as a UDP datagram."""
        return (
            _HEAD.pack(_VERSION, self.operation, self.operand_1, self.operand_2, self.operand_3) + self.data
        )

    @classmethod
    def decode(cls, datagram: bytes) -> Self:
        """Return the packet that a UDP datagram carries.

        Raises:
            PacketError: It is too short, or of another version of the protocol.
        """
        if len(datagram) < _HEAD.size:
            raise PacketError(
                f"a datagram of {len(datagram)} bytes is not a boot packet; the shortest has {_HEAD.size}"
            )
        version, operation, operand_1, operand_2, operand_3 = _HEAD.unpack_from(datagram)
        if version != _VERSION:
            raise PacketError(f"boot packets have version {_VERSION}; this one has {version}")
        return cls(operation, operand_1, operand_2, operand_3, datagram[_HEAD.size :])


class BootImage(NamedTuple):
    """A boot image."""

    content: bytes

    @property
    def software(self) -> SoftwareNumber | None:
        """The release of SCAMP that the image holds, or None if it holds something else."""
        found = _SCAMP.search(self.content)
        return SoftwareNumber(*map(int, found.groups())) if found else None

    @property
    def variables(self) -> bytes:
        """The initial values of the system variables; fewer than 128 bytes if the image ends within them."""
        return self.content[_VARIABLES]

    def prepared(self, unix_time: int, hardware: int = SPINN_5) -> Self:
        """Return the image with the variables set for the first chip of a machine, ready to be sent.

        The heap gets all SDRAM that SCAMP does not use, as with SpiNNMan.

        Args:
            unix_time: Seconds since 1970, for the chips' clocks.
            hardware: Version of the boards, 5 for SpiNN-5.
        """
        content = bytearray(self.content)
        for variable, value in (
            (SystemVariable.HARDWARE, hardware),
            (SystemVariable.UNIX_TIME, unix_time),
            (SystemVariable.BOOT_SIGNATURE, unix_time),
            (SystemVariable.IS_ROOT, 1),
            (SystemVariable.LED_0, _LEDS),
            (SystemVariable.SDRAM_HEAP, 0),
        ):
            variable.format.pack_into(content, _VARIABLES.start + variable.offset, value)
        return type(self)(bytes(content))

    def packets(self) -> Iterator[BootPacket]:
        """Yield the packets that send the image to a board.

        Raises:
            PacketError: The image is empty, too long, or not a whole number of words.
        """
        size = len(self.content)
        if not 0 < size <= MAX_BLOCKS * BLOCK_BYTES or size % _WORD_BYTES:
            raise PacketError(
                f"a boot image can't have {size} bytes; a multiple of {_WORD_BYTES} from {_WORD_BYTES} to "
                f"{MAX_BLOCKS * BLOCK_BYTES} is allowed"
            )
        blocks = -(-size // BLOCK_BYTES)
        yield BootPacket(BootOperation.BEGIN, operand_3=blocks - 1)
        wire = _swapped(self.content)
        for number in range(blocks):
            block = wire[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]
            yield BootPacket(BootOperation.BLOCK, _BLOCK_WORDS | number, data=block)
        yield BootPacket(BootOperation.END, operand_1=1)

    @classmethod
    def from_blocks(cls, blocks: list[bytes]) -> Self:
        """Return the image made of `blocks`, in order; an incomplete word at the end of a block is dropped."""
        return cls(b"".join(_swapped(block[: len(block) - len(block) % _WORD_BYTES]) for block in blocks))


def _swapped(content: bytes) -> bytes:
    words = array("I", content)
    words.byteswap()
    return words.tobytes()

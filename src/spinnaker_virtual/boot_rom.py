"""Receiving a boot image.

What the ROM of an Ethernet-connected chip does with boot packets: gathers the blocks of an image until it is whole.

Which chips the image then reaches, and what it makes of them, is in region.py and scamp/machine.py.
"""

from spinnaker.boot import BLOCK_BYTES, MAX_BLOCKS, BootImage, BootOperation, BootPacket
from spinnaker.sdp import PacketError

_RUN = 1


class BootRom:
    """A boot image on its way in.

    As on the hardware, blocks may come in any order and more than once, a new beginning drops what came before, and an
    end before the image is whole is ignored: the ROM goes on waiting for the rest.
    """

    def __init__(self) -> None:
        self._expected = 0
        self._blocks: dict[int, bytes] = {}

    def receive(self, datagram: bytes) -> BootImage | None:
        """Take a boot packet; return the image when this packet says that it is whole and to be run."""
        try:
            packet = BootPacket.decode(datagram)
        except PacketError:
            return None
        if packet.operation == BootOperation.BEGIN:
            self._expected = packet.operand_3 + 1 if packet.operand_3 < MAX_BLOCKS else 0
            self._blocks = {}
        elif packet.operation == BootOperation.BLOCK:
            number = packet.operand_1 & 0xFF
            if number < self._expected and len(packet.data) <= BLOCK_BYTES:
                self._blocks.setdefault(number, packet.data)
        elif packet.operation == BootOperation.END and packet.operand_1 == _RUN:
            return self._finish()
        return None

    def _finish(self) -> BootImage | None:
        if not self._expected or len(self._blocks) != self._expected:
            return None
        blocks = [self._blocks[number] for number in range(self._expected)]
        self._expected, self._blocks = 0, {}
        return BootImage.from_blocks(blocks)

"""Allocates SDRAM by size, application and tag.

See heap.py for the structure of the heap.
"""

from spinnaker.memory_map import SDRAM
from spinnaker_virtual.scamp.chip import Chip
from spinnaker_virtual.scamp.heap import Heap

_RETRY_FLAG = 4
_TAGS = 256


class AllocationTags:
    """SCAMP's table of tagged blocks: an address for each application and tag."""

    def __init__(self, chip: Chip) -> None:
        self._sdram = chip.sdram
        self._base = chip.layout.tag_table - SDRAM

    def get(self, application: int, tag: int) -> int:
        """Return the address of the block with a tag; 0 if there is none."""
        return self._sdram.read_word(self._entry(application, tag))

    def set(self, application: int, tag: int, address: int) -> None:
        """Store the address of a block that was allocated with a tag; tag 0 is ignored."""
        if tag:
            self._sdram.write_word(self._entry(application, tag), address)

    def clear(self, application: int, tag: int) -> None:
        """Remove the tag of a block that was freed."""
        self.set(application, tag, 0)

    def _entry(self, application: int, tag: int) -> int:
        return self._base + 4 * (application << 8 | tag)


class SdramHeap:
    """The heap in a chip's SDRAM for applications."""

    def __init__(self, chip: Chip) -> None:
        self.heap = Heap(chip.sdram, chip.layout.sdram_heap)
        self._tags = AllocationTags(chip)

    def allocate(self, size: int, tag: int, application: int, flags: int) -> int:
        """Return the address of a new block; 0 if there is no room or the tag is in use.

        Args:
            size: Bytes.
            tag: 1 to 255, by which the block can be found; 0 for none.
            application: The application that owns it, 0 to 255.
            flags: 4 to return the block that has the tag already, if it has the same size.
        """
        if not 0 <= tag < _TAGS:
            return 0
        known = self._tags.get(application, tag) if tag else 0
        if known:
            return known if flags & _RETRY_FLAG and self.heap.size_of(known) == size else 0
        address = self.heap.allocate(size, application << 8 | tag)
        if address:
            self._tags.set(application, tag, address)
        return address

    def free(self, address: int) -> None:
        """Free a block."""
        for block, _, owner in self.heap.blocks():
            if owner is not None and block + 8 == address:
                self._tags.clear(owner >> 8, owner & 0xFF)
        self.heap.free(address)

    def free_application(self, application: int) -> int:
        """Free all blocks of an application; return how many there were."""
        blocks = self.heap.owned_by(application)
        for address, tag in blocks:
            self._tags.clear(application, tag)
            self.heap.free(address)
        return len(blocks)

    def find(self, tag: int, application: int) -> int:
        """Return the address of the block with a tag; 0 if there is none."""
        return self._tags.get(application, tag & 0xFF)

"""A heap in a chip's memory, with its blocks chained in that memory as SARK chains them, so that hosts can walk it.

The algorithm is first fit, as in SARK. See monitor.py for the commands that use heaps.
"""

from collections.abc import Iterator

from spinnaker.memory_map import HEAP_BLOCK, HEAP_HEAD
from spinnaker_virtual.memory import SparseMemory

_HEAD = HEAP_HEAD.size
_BLOCK = HEAP_BLOCK.size
_OWNED = 0xFFFF_0000
_FREE = 0
_FIRST = 4
_FREE_BYTES = 12
_TAG_MASK = 0xFF


class Heap:
    """A heap that begins at a base address in memory."""

    def __init__(self, memory: SparseMemory, base: int) -> None:
        self._memory = memory
        self._mask = memory.size - 1
        self._base = base

    @classmethod
    def create(cls, memory: SparseMemory, base: int, end: int) -> "Heap":
        """Make an empty heap between two addresses."""
        heap = cls(memory, base)
        first, last = base + _HEAD, end - _BLOCK
        memory.write(base & heap._mask, HEAP_HEAD.pack(first, first, last, last - first - _BLOCK))
        heap._set(first, last, 0)
        heap._set(last, 0, 0)
        return heap

    def allocate(self, size: int, owner: int = 0) -> int:
        """Return the address of a new block of at least `size` bytes; 0 if there is no room.

        Args:
            size: Bytes.
            owner: 256 times the application's number, plus the block's tag.
        """
        if not 0 < size <= self._memory.size:
            return 0
        needed = (size + 3 & ~3) + _BLOCK
        previous = 0
        block = self._word(self._base + _FREE)
        following, next_free = self._get(block) if block else (0, 0)
        while block and block + needed > following:
            previous, block = block, beyond(block, next_free)
            following, next_free = self._get(block) if block else (0, 0)
        if not block:
            return 0
        rest = block + needed
        if rest + _BLOCK < following:
            self._set(rest, following, next_free)
            following, next_free = rest, rest
        self._link_free(previous, next_free)
        self._set(block, following, _OWNED | owner)
        self._add_free(-needed)
        return block + _BLOCK

    def free(self, address: int) -> None:
        """Free the block at `address`; the address of no block is ignored."""
        block = address - _BLOCK
        if not any(block == known and owner is not None for known, _, owner in self.blocks()):
            return
        following, _ = self._get(block)
        self._add_free(following - block)
        previous, after = 0, self._word(self._base + _FREE)
        while after and after < block:
            previous, after = after, beyond(after, self._get(after)[1])
        next_free = after
        if after and following == after:
            following, next_free = self._get(after)
        self._set(block, following, next_free)
        if previous and self._get(previous)[0] == block:
            self._set(previous, following, next_free)
        else:
            self._link_free(previous, block)

    def blocks(self) -> Iterator[tuple[int, int, int | None]]:
        """Yield, for each block, its address, the next block's, and its owner, which is None for a free block."""
        free = set(self._free_blocks())
        block = self._word(self._base + _FIRST)
        while True:
            following, owner = self._get(block)
            if not beyond(block, following):
                return
            yield block, following, None if block in free else owner & 0xFFFF
            block = following

    def owned_by(self, application: int) -> list[tuple[int, int]]:
        """Return address and tag of each block of an application."""
        return [
            (block + _BLOCK, owner & _TAG_MASK)
            for block, _, owner in self.blocks()
            if owner is not None and owner >> 8 == application
        ]

    def size_of(self, address: int) -> int:
        """Return the size in bytes of the block at `address`."""
        return self._get(address - _BLOCK)[0] - address

    @property
    def free_bytes(self) -> int:
        """The number of free bytes."""
        return self._word(self._base + _FREE_BYTES)

    @property
    def largest(self) -> int:
        """Bytes of the largest free block."""
        return max((self._get(block)[0] - block - _BLOCK for block in self._free_blocks()), default=0)

    def _free_blocks(self) -> Iterator[int]:
        block = self._word(self._base + _FREE)
        while block:
            yield block
            block = beyond(block, self._get(block)[1])

    def _word(self, address: int) -> int:
        return self._memory.read_word(address & self._mask)

    def _get(self, block: int) -> tuple[int, int]:
        following, free = HEAP_BLOCK.unpack(self._memory.read(block & self._mask, _BLOCK))
        return following, free

    def _set(self, block: int, following: int, free: int) -> None:
        self._memory.write(block & self._mask, HEAP_BLOCK.pack(following, free))

    def _link_free(self, previous: int, block: int) -> None:
        if previous:
            self._set(previous, self._get(previous)[0], block)
        else:
            self._memory.write_word(self._base + _FREE & self._mask, block)

    def _add_free(self, change: int) -> None:
        self._memory.write_word(self._base + _FREE_BYTES & self._mask, self.free_bytes + change)


def beyond(block: int, following: int) -> int:
    """Return the block that follows another one, or 0 if the chain does not go on, or back, as SARK's never does.

    Whoever writes to the memory may make a circle of it.
    """
    return following if following > block else 0

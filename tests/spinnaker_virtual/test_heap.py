"""Heaps in a chip's memory, which programs may overwrite as they like."""

import pytest

from spinnaker.memory_map import HEAP_BLOCK, HEAP_HEAD
from spinnaker_virtual.memory import SparseMemory
from spinnaker_virtual.scamp.heap import Heap

BASE, END = 0x1000, 0x9000


def test_a_chain_that_a_program_has_made_a_circle_ends() -> None:
    memory = SparseMemory(1 << 20)
    heap = Heap.create(memory, BASE, END)
    first = BASE + HEAP_HEAD.size
    memory.write(first, HEAP_BLOCK.pack(first, first))
    assert heap.allocate(64) == 0
    assert list(heap.blocks()) == []
    assert heap.largest <= 0
    heap.free(first + HEAP_BLOCK.size)


@pytest.mark.parametrize("size", [4, 100])
def test_what_was_freed_is_free_again(size: int) -> None:
    heap = Heap.create(SparseMemory(1 << 20), BASE, END)
    before = heap.free_bytes, heap.largest
    blocks = [heap.allocate(size) for _ in range(3)]
    for block in blocks:
        heap.free(block)
    assert (heap.free_bytes, heap.largest) == before

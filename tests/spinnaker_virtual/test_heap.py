"""Heaps and the router's blocks in a chip's memory, which programs may overwrite as they like."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from spinnaker.memory_map import HEAP_BLOCK, HEAP_HEAD, ROUTER_ENTRY, SDRAM, SystemVariable
from spinnaker_virtual.memory import SparseMemory
from spinnaker_virtual.scamp.heap import Heap
from spinnaker_virtual.scamp.router import RouterTable

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


def test_blocks_of_the_router_that_a_program_has_made_a_circle_end() -> None:
    sdram, variables = SparseMemory(1 << 20), {SystemVariable.ROUTER_FREE: 1}
    sdram.write(ROUTER_ENTRY.size, ROUTER_ENTRY.pack(1, 1, 0, 0, 0))
    chip = SimpleNamespace(
        layout=SimpleNamespace(router_copy=SDRAM),
        sdram=sdram,
        get=variables.__getitem__,
        put=variables.__setitem__,
    )
    table = RouterTable(cast("Any", chip))
    assert table.allocate(10, 16) == 0
    assert table.largest == 0
    table.free(1, clear=False)

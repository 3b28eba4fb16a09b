"""Where SCAMP puts its heaps and tables, computed from the boot-time system variables, and memory after the boot.

The layout is the same for all chips of a booted machine; see chip.py for what differs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from spinnaker.geometry import CORES_PER_CHIP
from spinnaker.memory_map import (
    BOOT_VARIABLES_BYTES,
    CORE_BLOCKS,
    ROUTER_ENTRIES,
    ROUTER_ENTRY,
    SDRAM,
    SDRAM_BYTES,
    SHARED_MESSAGE_BYTES,
    SYSTEM_RAM_BYTES,
    SYSTEM_RAM_USER,
    SYSTEM_RAM_USER_END,
    SYSTEM_VARIABLES_BYTES,
    UNUSED_ROUTE,
    SystemVariable,
)
from spinnaker.scp import SoftwareNumber
from spinnaker_virtual.memory import SparseMemory
from spinnaker_virtual.scamp.heap import Heap

SDRAM_PAGE_BITS = 12
SYSTEM_RAM_PAGE_BITS = 8

_SYSTEM_BLOCK_BYTES = 256 << 10
_TABLE_WORDS = 1 << 16
_UNKNOWN_HOPS = 0x8000_FFFF
_APPLICATION_BYTES = 8
_RANDOM_BYTES = 1024
_ADDRESS_TABLE_BYTES = 32 << 10
_NETWORK_DONE = 0xFF
BROADCAST_ROUTE = 0x40
"""The first entry of the multicast table, SCAMP's own: to the monitor."""
BROADCAST_KEY = 0xFFFF_5554
BROADCAST_MASK = 0xFFFF_FFFE
_SCAMP_OWNER = 0x8000


class LayoutError(ValueError):
    """Boot-time system variables with which SCAMP can't start."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a booted chip's heaps and tables are, and the content of its memory after the boot."""

    sdram_heap: int
    system_ram_heap: int
    system_heap: int
    sdram_system: int
    """Where applications are loaded."""
    router_copy: int
    tag_table: int
    applications: int
    free_sdram: int
    """Bytes of the largest free block after the boot."""
    free_system_ram: int
    sdram: Mapping[int, bytes]
    """Pages of SDRAM that are not zero."""
    system_ram: Mapping[int, bytes]
    """Pages of system RAM that are not zero, without system variables and core blocks."""
    variables: bytes
    """The system variables; chip.py sets those that differ from chip to chip."""

    @classmethod
    def of(cls, boot_variables: bytes, software: SoftwareNumber) -> Self:
        """Compute the layout of a chip's memory.

        Args:
            boot_variables: The first 128 bytes of the system variables, from the boot image.
            software: SCAMP's release.

        Raises:
            LayoutError: The variables leave no room for SCAMP's tables.
        """
        if len(boot_variables) != BOOT_VARIABLES_BYTES:
            raise LayoutError(
                f"boot-time system variables have {BOOT_VARIABLES_BYTES} bytes, not {len(boot_variables)}"
            )
        variables = bytearray(boot_variables.ljust(SYSTEM_VARIABLES_BYTES, b"\0"))

        def get(variable: SystemVariable) -> int:
            value: int = variable.format.unpack_from(variables, variable.offset)[0]
            return value

        system_bytes = get(SystemVariable.SDRAM_BUFFERS)
        buffers_end = SDRAM + CORES_PER_CHIP * 4 * get(SystemVariable.BUFFER_WORDS)
        sdram_heap = buffers_end + 4 * get(SystemVariable.SDRAM_HEAP)
        sdram_system = SDRAM + SDRAM_BYTES - system_bytes
        system_heap = sdram_system + _SYSTEM_BLOCK_BYTES
        system_ram_heap = SYSTEM_RAM_USER + 4 * get(SystemVariable.SYSTEM_RAM_HEAP)
        messages = get(SystemVariable.SHARED_MESSAGES)
        tables = 2 * 4 * _TABLE_WORDS + ROUTER_ENTRY.size * (ROUTER_ENTRIES + 1) + 2 * _ADDRESS_TABLE_BYTES
        if (
            system_bytes < _SYSTEM_BLOCK_BYTES + tables
            or sdram_heap + _SYSTEM_BLOCK_BYTES > sdram_system
            or system_ram_heap + messages * SHARED_MESSAGE_BYTES + 64 > SYSTEM_RAM_USER_END
        ):
            raise LayoutError("the boot-time system variables leave no room for SCAMP's tables")

        sdram = SparseMemory(SDRAM_BYTES, page_bits=SDRAM_PAGE_BITS)
        system_ram = SparseMemory(SYSTEM_RAM_BYTES, page_bits=SYSTEM_RAM_PAGE_BITS)
        user = Heap.create(sdram, sdram_heap, sdram_system)
        system = Heap.create(sdram, system_heap, SDRAM + SDRAM_BYTES)
        shared = Heap.create(system_ram, system_ram_heap, SYSTEM_RAM_USER_END)
        hop_table = system.allocate(4 * _TABLE_WORDS)
        sdram.fill(hop_table - SDRAM, _UNKNOWN_HOPS, _TABLE_WORDS)
        router_copy = system.allocate(ROUTER_ENTRY.size * (ROUTER_ENTRIES + 1))
        tag_table = system.allocate(4 * _TABLE_WORDS)
        applications = system.allocate(256 * _APPLICATION_BYTES)
        system.allocate(_RANDOM_BYTES)
        system.allocate(_ADDRESS_TABLE_BYTES)
        buffers = shared.allocate(messages * SHARED_MESSAGE_BYTES) if messages else 0
        sdram.write(router_copy - SDRAM, fresh_router())

        def put(variable: SystemVariable, value: int) -> None:
            variable.format.pack_into(variables, variable.offset, value)

        put(SystemVariable.P2P_UP, 1)
        put(SystemVariable.NETWORK_PHASE, _NETWORK_DONE)
        put(SystemVariable.IS_ROOT, 0)
        put(SystemVariable.SYSTEM_RAM_HEAP, system_ram_heap)
        put(SystemVariable.SDRAM_HEAP, sdram_heap)
        put(SystemVariable.SDRAM_BUFFERS, SDRAM)
        put(SystemVariable.SHARED_MESSAGES_FREE, buffers)
        put(SystemVariable.SDRAM_USER, buffers_end)
        put(SystemVariable.SYSTEM_RAM_USER, SYSTEM_RAM_USER)
        put(SystemVariable.SDRAM_SYSTEM, sdram_system)
        put(SystemVariable.CORE_BLOCKS, CORE_BLOCKS)
        put(SystemVariable.SYSTEM_HEAP, system_heap)
        put(SystemVariable.ROUTER_COPY, router_copy)
        put(SystemVariable.HOP_TABLE, hop_table)
        put(SystemVariable.TAG_TABLE, tag_table)
        put(SystemVariable.ROUTER_FREE, 1)
        put(SystemVariable.APPLICATIONS, applications)
        put(SystemVariable.SHARED_MESSAGE_BUFFERS, buffers)
        put(SystemVariable.SOFTWARE, software_word(software))
        return cls(
            sdram_heap=sdram_heap,
            system_ram_heap=system_ram_heap,
            system_heap=system_heap,
            sdram_system=sdram_system,
            router_copy=router_copy,
            tag_table=tag_table,
            applications=applications,
            free_sdram=user.largest,
            free_system_ram=shared.largest,
            sdram=sdram.freeze(),
            system_ram=system_ram.freeze(),
            variables=bytes(variables),
        )


def software_word(software: SoftwareNumber) -> int:
    """Return a release's number in one word, as the core blocks hold it."""
    return software.major << 16 | software.minor << 8 | software.patch


def fresh_router() -> bytes:
    """Return SCAMP's copy of a multicast table that holds SCAMP's own entry only."""
    own = ROUTER_ENTRY.pack(0, _SCAMP_OWNER, BROADCAST_ROUTE, BROADCAST_KEY, BROADCAST_MASK)
    first = ROUTER_ENTRY.pack(ROUTER_ENTRIES, 0, UNUSED_ROUTE, 0xFFFF_FFFF, 0)
    unused = ROUTER_ENTRY.pack(0, 0, UNUSED_ROUTE, 0xFFFF_FFFF, 0)
    return own + first + unused * (ROUTER_ENTRIES - 1)

"""A booted chip: its cores, its memories, and what SCAMP stores in them.

See monitor.py for the commands that use them.
"""

from struct import Struct

from spinnaker.geometry import BOARD_CHIPS, CORES_PER_CHIP
from spinnaker.memory_map import (
    CHIP_ID,
    CORE_APPLICATION,
    CORE_BLOCK_BYTES,
    CORE_BLOCKS,
    CORE_LOADED_AT,
    CORE_NAME,
    CORE_STATE,
    DATA_MEMORY,
    DATA_MEMORY_BYTES,
    INSTRUCTION_MEMORY_BYTES,
    ROM_BYTES,
    ROUTER_BYTES,
    SDRAM_BYTES,
    SYSTEM_CONTROLLER_BYTES,
    SYSTEM_RAM,
    SYSTEM_RAM_BYTES,
    SYSTEM_VARIABLES,
    SystemVariable,
)
from spinnaker.scamp import CoreState
from spinnaker_virtual.memory import SparseMemory
from spinnaker_virtual.scamp.layout import (
    BROADCAST_ROUTE,
    SDRAM_PAGE_BITS,
    SYSTEM_RAM_PAGE_BITS,
    Layout,
)
from spinnaker_virtual.scamp.shared import Shared
from spinnaker_virtual.scamp.tags import TagTable

_WORD = Struct("<I")
_SDRAM_MASK = SDRAM_BYTES - 1
_AREA_BITS = 24
_AREA_MASK = (1 << _AREA_BITS) - 1
_SDRAM_AREAS = frozenset((*range(0x60, 0x68), *range(0x70, 0x78)))
_SYSTEM_RAM_AREAS = (0xE5, 0xF5)
_ROUTER_AREAS = (0xE1, 0xF1)
_CONTROLLER_AREAS = (0xE2, 0xF2)
_ROM_AREAS = (0xF6, 0xFF)
_CORE_AREA = 0x00

_VARIABLES_PAGE = (SYSTEM_VARIABLES - SYSTEM_RAM) >> SYSTEM_RAM_PAGE_BITS
_CORES_PAGE = (CORE_BLOCKS - SYSTEM_RAM) >> SYSTEM_RAM_PAGE_BITS
_CORES_A_PAGE = (1 << SYSTEM_RAM_PAGE_BITS) // CORE_BLOCK_BYTES
_CORE_PAGES = range(_CORES_PAGE, _CORES_PAGE + CORES_PER_CHIP // _CORES_A_PAGE)
_VARIABLES = SYSTEM_VARIABLES - SYSTEM_RAM
_CLOCK = slice(SystemVariable.MILLISECONDS.offset, SystemVariable.UNIX_TIME.offset + 4)
_CLOCK_FORMAT = Struct("<QHHI")

_CONTROL_REGISTER = 0x00
_COUNTERS_ENABLED = 0x2C
_ENABLE_MASK = 0xFFFF
_FIXED_ROUTE_REGISTER = 0x84
_FILTERS = 0x200
_MULTICAST_ROUTES = 0x4000
_P2P_TABLE = 0x1_0000
_TABLE_PAGE_BITS = 12
_CONTROL = 0x0040_0001
_DEFAULT_FILTERS = (
    *(0x01FE_7CF0 | kind for kind in (1, 2, 4, 8)),
    *(0x01FE_BCF0 | kind for kind in (1, 2, 4, 8)),
    *(0x0001_FCF0 | kind for kind in (1, 2, 4, 8)),
)
_FILTER_ORDER = (0, 4, 1, 5, 2, 6, 3, 7, 8, 9, 10, 11)

_CONTROLLER_CORES = 0x10
_CONTROLLER_MONITOR = 0x34
_NO_CORE = 255
_MAP_BYTES = 20


class BusError(Exception):
    """An access to an unmapped address."""


class Chip:
    """A chip of a booted machine."""

    __slots__ = (
        "_controller",
        "_core_memories",
        "_router",
        "_shared",
        "_tags",
        "address",
        "cores",
        "leds",
        "local",
        "number",
        "physical",
        "sdram",
        "slot",
        "system_ram",
    )

    def __init__(self, shared: Shared, number: int) -> None:
        """Boot the chip with this number in the region of a booted machine."""
        self._shared = shared
        region = shared.region
        self.number = number
        self.slot, self.local = region.number(number)
        self.address = region.address(number)
        """256x + y."""
        dead = region.boards[self.slot].defects.cores.get(self.local, 0)
        self.physical = [core for core in range(CORES_PER_CHIP) if not dead >> core & 1]
        """For each core that works, by virtual number, its physical number."""
        self.cores = len(self.physical)
        """How many cores work; core 0 is the monitor."""
        self.leds = 0
        self._tags: TagTable | None = None
        self.sdram = SparseMemory(SDRAM_BYTES, shared.layout.sdram.get, SDRAM_PAGE_BITS)
        self.system_ram = SparseMemory(SYSTEM_RAM_BYTES, self._fresh_system_ram, SYSTEM_RAM_PAGE_BITS)
        self._router: SparseMemory | None = None
        self._controller: SparseMemory | None = None
        self._core_memories: dict[tuple[int, int], SparseMemory] | None = None

    @property
    def layout(self) -> Layout:
        """Where SCAMP's heaps and tables are."""
        return self._shared.layout

    @property
    def tags(self) -> TagTable:
        """Its IP tags."""
        if self._tags is None:
            self._tags = TagTable()
        return self._tags

    # Memory.

    def read(self, address: int, length: int, now: float, core: int = 0) -> bytes:
        """Return what a core of this chip reads.

        Raises:
            BusError: Some of the addresses are unmapped.
        """
        area = address >> _AREA_BITS
        if area in _SDRAM_AREAS:
            offset = address & _SDRAM_MASK
            if offset + length > SDRAM_BYTES:
                raise BusError
            return self.sdram.read(offset, length)
        memory, offset = self._locate(address, length, core)
        if memory is self.system_ram and offset + length > _VARIABLES:
            return self._read_variables(offset, length, now)
        return memory.read(offset, length)

    def write(self, address: int, data: bytes, core: int = 0) -> None:
        """Write what a core of this chip writes.

        Raises:
            BusError: Some of the addresses are unmapped.
        """
        memory, offset = self._locate(address, len(data), core)
        memory.write(offset, data)
        if memory is self._router and offset <= _COUNTERS_ENABLED < offset + len(data):
            # The upper half of this register clears the counters, which stay at zero here.
            memory.write_word(_COUNTERS_ENABLED, memory.read_word(_COUNTERS_ENABLED) & _ENABLE_MASK)

    def fill(self, address: int, word: int, length: int, core: int = 0) -> None:
        """Fill `length` bytes with a word, rounded up to whole words.

        Raises:
            BusError: Some of the addresses are unmapped.
        """
        memory, offset = self._locate(address, length, core)
        memory.fill(offset, word, (length + 3) // 4)

    def copy(self, source: "Chip", address: int, length: int) -> None:
        """Copy SDRAM from another chip.

        Raises:
            BusError: Some of the addresses are unmapped.
        """
        memory, offset = self._locate(address, length, 0)
        other, _ = source._locate(address, length, 0)
        memory.copy(other, offset, length)

    def _locate(self, address: int, length: int, core: int) -> tuple[SparseMemory, int]:
        area, offset = address >> _AREA_BITS, address & _AREA_MASK
        if area in _SDRAM_AREAS:
            memory, offset, size = self.sdram, address & _SDRAM_MASK, SDRAM_BYTES
        elif area in _SYSTEM_RAM_AREAS:
            memory, size = self.system_ram, SYSTEM_RAM_BYTES
        elif area in _ROUTER_AREAS:
            memory, size = self.router, ROUTER_BYTES
        elif area in _CONTROLLER_AREAS:
            memory, size = self._system_controller(), SYSTEM_CONTROLLER_BYTES
        elif area in _ROM_AREAS:
            memory, size = self._core_memory(0, address >> _AREA_BITS, ROM_BYTES), ROM_BYTES
        elif area == _CORE_AREA and offset < INSTRUCTION_MEMORY_BYTES:
            size = INSTRUCTION_MEMORY_BYTES
            memory = self._core_memory(core, 0, size)
        elif area == _CORE_AREA and offset >= DATA_MEMORY:
            offset, size = offset - DATA_MEMORY, DATA_MEMORY_BYTES
            memory = self._core_memory(core, DATA_MEMORY, size)
        else:
            raise BusError
        if offset + length > size:
            raise BusError
        return memory, offset

    def _core_memory(self, core: int, base: int, size: int) -> SparseMemory:
        if self._core_memories is None:
            self._core_memories = {}
        key = (core, base)
        if key not in self._core_memories:
            self._core_memories[key] = SparseMemory(size, page_bits=10)
        return self._core_memories[key]

    # System RAM: the system variables and the cores' blocks.

    def get(self, variable: SystemVariable) -> int:
        """Return a system variable that is a number and doesn't change by itself."""
        data = self.system_ram.read(_VARIABLES + variable.offset, variable.format.size)
        value: int = variable.format.unpack(data)[0]
        return value

    def put(self, variable: SystemVariable, value: int) -> None:
        """Set a system variable that is a number."""
        self.system_ram.write(_VARIABLES + variable.offset, variable.format.pack(value))

    def state(self, core: int) -> int:
        """Return a core's state, by virtual number."""
        return self.system_ram.read(_core_block(core) + CORE_STATE, 1)[0]

    def application(self, core: int) -> int:
        """Return the number of the application on a core, by virtual number."""
        return self.system_ram.read(_core_block(core) + CORE_APPLICATION, 1)[0]

    def states(self) -> bytes:
        """Return the states of all 18 cores, by virtual number."""
        blocks = self.system_ram.read(_core_block(0), CORE_BLOCK_BYTES * CORES_PER_CHIP)
        return blocks[CORE_STATE::CORE_BLOCK_BYTES]

    def load(self, core: int, state: CoreState, application: int, unix_time: int) -> None:
        """Set a core, by virtual number, to the state after an application was loaded."""
        block = bytearray(self._fresh_core(core))
        block[CORE_STATE], block[CORE_APPLICATION] = state, application
        _WORD.pack_into(block, CORE_LOADED_AT, unix_time)
        if state != CoreState.IDLE:
            block[CORE_NAME : CORE_NAME + 16] = bytes(16)
        kept = self.system_ram.read(_core_block(core) + CORE_BLOCK_BYTES - 16, 16)
        block[-16:] = kept  # the user words survive a reload, as in SARK
        self.system_ram.write(_core_block(core), bytes(block))

    def set_state(self, core: int, state: CoreState) -> None:
        """Change a core's state, by virtual number."""
        self.system_ram.write(_core_block(core) + CORE_STATE, bytes((state,)))

    def disable(self, physical: int) -> None:
        """Disable a core; the others are renumbered and restarted."""
        self.physical.remove(physical)
        self.cores = len(self.physical)
        start = _VARIABLES + SystemVariable.PHYSICAL_TO_VIRTUAL.offset
        self.system_ram.write(start, self._maps())
        self.put(SystemVariable.CORES, self.cores)
        for core in range(CORES_PER_CHIP):
            self.system_ram.write(_core_block(core), self._fresh_core(core))

    def _read_variables(self, offset: int, length: int, now: float) -> bytes:
        data = bytearray(self.system_ram.read(offset, length))
        clock = _CLOCK_FORMAT.pack(*self._shared.clock(now))
        skipped = offset - _VARIABLES - _CLOCK.start
        for index, byte in enumerate(clock):
            place = index - skipped
            if 0 <= place < length:
                data[place] = byte
        return bytes(data)

    def _fresh_system_ram(self, page: int) -> bytes | None:
        if page == _VARIABLES_PAGE:
            return self._fresh_variables()
        if page in _CORE_PAGES:
            first = (page - _CORES_PAGE) * _CORES_A_PAGE
            return b"".join(map(self._fresh_core, range(first, first + _CORES_A_PAGE)))
        return self._shared.layout.system_ram.get(page)

    def _fresh_variables(self) -> bytes:
        shared, region = self._shared, self._shared.region
        data = bytearray(shared.layout.variables)

        def put(variable: SystemVariable, value: int | bytes) -> None:
            variable.format.pack_into(data, variable.offset, value)

        ethernet = region.ethernet(self.number)
        local = BOARD_CHIPS[self.local]
        put(SystemVariable.ADDRESS, self.address)
        put(SystemVariable.DIMENSIONS, region.width << 8 | region.height)
        put(SystemVariable.ROOT, region.root)
        put(SystemVariable.DEBUG_ADDRESS, ethernet)
        put(SystemVariable.ETHERNET_ADDRESS, ethernet)
        put(SystemVariable.ETHERNET_UP, self.has_ethernet)
        put(SystemVariable.IS_ROOT, self.address == region.root)
        put(SystemVariable.RANDOM, self.address + 1)
        put(SystemVariable.LINKS, region.links_at_boot(self.number))
        start = SystemVariable.PHYSICAL_TO_VIRTUAL.offset
        data[start : start + 2 * _MAP_BYTES] = self._maps()
        put(SystemVariable.CORES, self.cores)
        put(SystemVariable.ROM_CORES, self.cores)
        put(SystemVariable.BOARD_ADDRESS, local.x << 8 | local.y)
        put(SystemVariable.P2P_ACTIVE, len(region.chips))
        put(SystemVariable.IP_ADDRESS, shared.ip_address(self.number))
        return bytes(data)

    def _maps(self) -> bytes:
        to_virtual, to_physical = bytearray([_NO_CORE] * _MAP_BYTES), bytearray([_NO_CORE] * _MAP_BYTES)
        for virtual, physical in enumerate(self.physical):
            to_virtual[physical], to_physical[virtual] = virtual, physical
        return bytes(to_virtual + to_physical)

    def _fresh_core(self, core: int) -> bytes:
        if core >= self.cores:
            return bytes(CORE_BLOCK_BYTES)
        return self._shared.core_after_boot(self.physical[core], monitor=core == 0)

    @property
    def has_ethernet(self) -> bool:
        """Whether this is the Ethernet-connected chip of its board."""
        return self.local == 0

    # Router and system controller.

    @property
    def router(self) -> SparseMemory:
        """The router's registers and tables."""
        if self._router is None:
            self._router = SparseMemory(2 * ROUTER_BYTES, self._fresh_router, _TABLE_PAGE_BITS)
        return self._router

    def set_route(self, entry: int, route: int) -> None:
        """Set the route of a multicast entry in the router itself, where cores have their physical numbers."""
        self.router.write_word(_MULTICAST_ROUTES + 4 * entry, self._to_physical(route))

    def set_fixed_route(self, route: int) -> None:
        """Set the route of fixed-route packets."""
        self.put(SystemVariable.FIXED_ROUTE, route)
        self.router.write_word(_FIXED_ROUTE_REGISTER, self._to_physical(route))

    def _to_physical(self, route: int) -> int:
        links = route & 0x3F
        cores = sum(1 << 6 + self.physical[core] for core in range(self.cores) if route >> 6 + core & 1)
        return route & 0xFF00_0000 | links | cores

    def _fresh_router(self, page: int) -> bytes | None:
        start = page << _TABLE_PAGE_BITS
        if start == 0:
            data = bytearray(1 << _TABLE_PAGE_BITS)
            _WORD.pack_into(data, _CONTROL_REGISTER, _CONTROL | self.physical[0] << 8)
            _WORD.pack_into(data, _COUNTERS_ENABLED, _ENABLE_MASK)
            for place, kind in enumerate(_FILTER_ORDER):
                _WORD.pack_into(data, _FILTERS + 4 * place, _DEFAULT_FILTERS[kind])
            return bytes(data)
        if start == _MULTICAST_ROUTES:
            own = _WORD.pack(self._to_physical(BROADCAST_ROUTE))
            return own + _WORD.pack(0xFF00_0000) * ((1 << _TABLE_PAGE_BITS) // 4 - 1)
        if start >= _P2P_TABLE:
            table = self._shared.p2p_table(self.number)
            return table[start - _P2P_TABLE : start - _P2P_TABLE + (1 << _TABLE_PAGE_BITS)]
        return None

    def _system_controller(self) -> SparseMemory:
        if self._controller is None:
            self._controller = SparseMemory(SYSTEM_CONTROLLER_BYTES, page_bits=10)
            self._controller.write_word(0, CHIP_ID)
            self._controller.write_word(_CONTROLLER_CORES, sum(1 << core for core in self.physical))
            self._controller.write_word(_CONTROLLER_MONITOR, self.physical[0])
        return self._controller


def _core_block(core: int) -> int:
    return CORE_BLOCKS - SYSTEM_RAM + CORE_BLOCK_BYTES * core

"""Where memories, registers and SCAMP's variables are in a chip's address space.

Addresses, sizes and layouts are those published with the hardware's tools (spinnaker.h and sark.h of spinnaker_tools).
"""

from enum import Enum
from struct import Struct

SDRAM = 0x6000_0000
SDRAM_UNBUFFERED = 0x7000_0000
SDRAM_BYTES = 128 << 20

SYSTEM_RAM = 0xE500_0000
SYSTEM_RAM_UNBUFFERED = 0xF500_0000
SYSTEM_RAM_BYTES = 32 << 10
SYSTEM_RAM_USER = SYSTEM_RAM + 0x100
SYSTEM_RAM_USER_END = SYSTEM_RAM + 0x7000

ROUTER = 0xE100_0000
ROUTER_UNBUFFERED = 0xF100_0000
ROUTER_BYTES = 0x1_8000

SYSTEM_CONTROLLER = 0xE200_0000
SYSTEM_CONTROLLER_UNBUFFERED = 0xF200_0000
SYSTEM_CONTROLLER_BYTES = 0x1000
CHIP_ID = 0x5911_1012
"""The value of the system controller's first register."""

ROM = 0xF600_0000
ROM_BYTES = 32 << 10

INSTRUCTION_MEMORY = 0x0000_0000
INSTRUCTION_MEMORY_BYTES = 32 << 10
DATA_MEMORY = 0x0040_0000
DATA_MEMORY_BYTES = 64 << 10

P2P_TABLE = ROUTER + 0x1_0000
"""The peer-to-peer table: eight entries of three bits in each word; the entry of chip (x, y) is number 256x + y."""

P2P_NOWHERE = 6
P2P_HERE = 7

CORE_BLOCKS = SYSTEM_RAM + 0x7000
"""A block for each core, by virtual number."""
CORE_BLOCK_BYTES = 128
CORE_PHYSICAL = 45
CORE_STATE = 46
CORE_APPLICATION = 47
CORE_LOADED_AT = 68
CORE_NAME = 72
CORE_NAME_BYTES = 16
CORE_SOFTWARE = 92

SYSTEM_VARIABLES = SYSTEM_RAM + 0x7F00
SYSTEM_VARIABLES_BYTES = 256
BOOT_VARIABLES_BYTES = 128
"""The part of the system variables that comes with the boot image."""

ROUTER_ENTRIES = 1024
ROUTER_ENTRY = Struct("<HHIII")
"""An entry of SCAMP's copy of the multicast table: next block, free block or owner, route, key, mask."""
UNUSED_ROUTE = 0xFF00_0000

HEAP_BLOCK = Struct("<II")
"""The header of each block of a heap: the next block's address, and the next free block's address or the owner."""
HEAP_HEAD = Struct("<IIII")
"""The header of a heap: first free block, first block, last block, free bytes."""

SHARED_MESSAGE_BYTES = 292


class SystemVariable(Enum):
    """A system variable: its offset from `SYSTEM_VARIABLES` and its format."""

    ADDRESS = 0x00, Struct("<H")
    """256x + y of this chip."""
    DIMENSIONS = 0x02, Struct("<H")
    """256 times the machine's width in chips, plus its height."""
    DEBUG_ADDRESS = 0x04, Struct("<H")
    P2P_UP = 0x06, Struct("<B")
    ETHERNET_ADDRESS = 0x08, Struct("<H")
    """256x + y of the board's Ethernet-connected chip."""
    HARDWARE = 0x0A, Struct("<B")
    ETHERNET_UP = 0x0B, Struct("<B")
    MILLISECONDS = 0x10, Struct("<Q")
    """Since the chip was booted."""
    MILLISECOND = 0x18, Struct("<H")
    """Within the second."""
    UNIX_TIME = 0x1C, Struct("<I")
    NETWORK_PHASE = 0x2D, Struct("<B")
    ROOT = 0x2E, Struct("<H")
    """256x + y of the chip that the machine was booted from."""
    LED_0 = 0x30, Struct("<I")
    RANDOM = 0x3C, Struct("<I")
    IS_ROOT = 0x40, Struct("<B")
    SHARED_MESSAGES = 0x41, Struct("<B")
    SYSTEM_RAM_HEAP = 0x48, Struct("<I")
    """Before SCAMP runs: words to leave below the heap; then the heap's address."""
    SDRAM_HEAP = 0x4C, Struct("<I")
    """Before SCAMP runs: words to leave below the heap; then the heap's address."""
    SDRAM_BUFFERS = 0x54, Struct("<I")
    """Before SCAMP runs: bytes of SDRAM that the system takes; then the buffers' address."""
    BUFFER_WORDS = 0x58, Struct("<I")
    BOOT_SIGNATURE = 0x5C, Struct("<I")
    LINKS = 0x65, Struct("<B")
    SHARED_MESSAGES_FREE = 0x68, Struct("<I")
    PHYSICAL_TO_VIRTUAL = 0x94, Struct("<20s")
    VIRTUAL_TO_PHYSICAL = 0xA8, Struct("<20s")
    CORES = 0xBC, Struct("<B")
    ROM_CORES = 0xBD, Struct("<B")
    BOARD_ADDRESS = 0xBE, Struct("<H")
    """256x + y of this chip on its board."""
    SDRAM_USER = 0xC0, Struct("<I")
    SYSTEM_RAM_USER = 0xC4, Struct("<I")
    SDRAM_SYSTEM = 0xC8, Struct("<I")
    CORE_BLOCKS = 0xCC, Struct("<I")
    SYSTEM_HEAP = 0xD0, Struct("<I")
    ROUTER_COPY = 0xD4, Struct("<I")
    HOP_TABLE = 0xD8, Struct("<I")
    TAG_TABLE = 0xDC, Struct("<I")
    ROUTER_FREE = 0xE0, Struct("<H")
    P2P_ACTIVE = 0xE2, Struct("<H")
    APPLICATIONS = 0xE4, Struct("<I")
    SHARED_MESSAGE_BUFFERS = 0xE8, Struct("<I")
    IP_ADDRESS = 0xF0, Struct("<4s")
    FIXED_ROUTE = 0xF4, Struct("<I")
    SOFTWARE = 0xFC, Struct("<I")

    @property
    def offset(self) -> int:
        """Bytes from the start of the system variables."""
        return self.value[0]

    @property
    def format(self) -> Struct:
        """How the variable is packed."""
        return self.value[1]

    @property
    def address(self) -> int:
        """Where the variable is in the chip's memory."""
        return SYSTEM_VARIABLES + self.offset

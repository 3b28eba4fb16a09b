"""A boot image without SCAMP's code: its name, its number and the system variables of a usual boot."""

from spinnaker.boot import BootImage
from spinnaker.memory_map import SystemVariable

UNIX_TIME = 1_800_000_000

_USUAL = {
    SystemVariable.HARDWARE: 5,
    SystemVariable.UNIX_TIME: UNIX_TIME,
    SystemVariable.LED_0: 1,
    SystemVariable.SHARED_MESSAGES: 7,
    SystemVariable.SYSTEM_RAM_HEAP: 1024,
    SystemVariable.SDRAM_BUFFERS: 8 << 20,
    SystemVariable.BUFFER_WORDS: 32768,
}


def scamp_image(
    changes: dict[SystemVariable, int] | None = None, name: bytes = b"SC&MP/SpiNNaker\x004.0.0\0"
) -> BootImage:
    """Return an image that boots, with some system variables changed, or under another name."""
    variables = bytearray(128)
    for variable, value in (_USUAL | (changes or {})).items():
        variable.format.pack_into(variables, variable.offset, value)
    return BootImage(bytes(384) + bytes(variables) + name.ljust(2048, b"\xa5"))

"""What all chips of a booted machine share: their region, SCAMP's release, the layout of memory and the clock.

See machine.py for which chips there are and whether packets get from one to another, and chip.py for what one chip has
for itself.
"""

from ipaddress import IPv4Address
from struct import Struct

from spinnaker.boot import BootImage
from spinnaker.memory_map import (
    CORE_BLOCK_BYTES,
    CORE_LOADED_AT,
    CORE_NAME,
    CORE_PHYSICAL,
    CORE_SOFTWARE,
    CORE_STATE,
    P2P_NOWHERE,
    SystemVariable,
)
from spinnaker.scamp import CoreState
from spinnaker.scp import SoftwareNumber
from spinnaker_virtual.region import Region
from spinnaker_virtual.scamp.layout import Layout, LayoutError, software_word

_WORD = Struct("<I")
_KEPT_TABLES = 4


class ImageError(ValueError):
    """An image that is not SCAMP or can't start; boards that receive it never answer."""


class Shared:
    """What all chips of a booted machine share."""

    def __init__(self, region: Region, image: BootImage, now: float) -> None:
        """Boot an image.

        Args:
            region: The chips that the image reached.
            image: The boot image.
            now: The time in seconds.

        Raises:
            ImageError: The image does not hold SCAMP, or SCAMP can't start with its variables.
        """
        software = image.software
        if software is None:
            raise ImageError("the boot image does not hold SCAMP")
        try:
            self.layout = Layout.of(image.variables, software)
        except LayoutError as error:
            raise ImageError(str(error)) from error
        self.region = region
        self.software: SoftwareNumber = software
        unix_time = SystemVariable.UNIX_TIME
        self.booted_at_unix: int = unix_time.format.unpack_from(self.layout.variables, unix_time.offset)[0]
        self._booted_at = now
        self._tables: dict[int, bytes] = {}
        self._cores: dict[tuple[int, bool], bytes] = {}

    def core_after_boot(self, physical: int, monitor: bool) -> bytes:
        """Return the block of a core that has just booted.

        Args:
            physical: The core's physical number.
            monitor: Whether it is the monitor; all others are idle.
        """
        key = (physical, monitor)
        if key not in self._cores:
            self._cores[key] = _core_after_boot(
                physical, monitor, self.booted_at_unix, software_word(self.software)
            )
        return self._cores[key]

    def ip_address(self, number: int) -> bytes:
        """Return the IP address of a chip of the region, four bytes; zeros if it has no Ethernet."""
        slot, local = self.region.number(number)
        return bytes(4) if local else IPv4Address(self.region.boards[slot].host).packed

    def clock(self, now: float) -> tuple[int, int, int, int]:
        """Return milliseconds since boot, milliseconds within the second, a period that is 0, and the Unix time."""
        milliseconds = max(0, int((now - self._booted_at) * 1000))
        return milliseconds, milliseconds % 1000, 0, self.unix_time(now)

    def unix_time(self, now: float) -> int:
        """Return the chips' time in seconds since 1970: that of the image, and the seconds since boot."""
        return self.booted_at_unix + max(0, int(now - self._booted_at)) & 0xFFFF_FFFF

    def p2p_table(self, number: int) -> bytes:
        """Return the peer-to-peer table that the router of a chip of the region holds."""
        table = self._tables.get(number)
        if table is None:
            routes = self.region.routes(number)
            table = _pack_p2p({self.region.address(chip): link for chip, link in routes.items()})
            if len(self._tables) >= _KEPT_TABLES:
                self._tables.pop(next(iter(self._tables)))
            self._tables[number] = table
        return table


def _pack_p2p(routes: dict[int, int]) -> bytes:
    """Return a peer-to-peer table: for each address, 256x + y, its link; all other entries lead nowhere."""
    entries = bytearray([P2P_NOWHERE]) * (1 << 16)
    for address, link in routes.items():
        entries[address] = link
    words = bytearray()
    for start in range(0, len(entries), 8):
        word = 0
        for place, entry in enumerate(entries[start : start + 8]):
            word |= entry << 3 * place
        words += _WORD.pack(word)
    return bytes(words)


def _core_after_boot(physical: int, monitor: bool, unix_time: int, software: int) -> bytes:
    """Return the block of a core that has booted: of the monitor, or of one that idles.

    Args:
        physical: Its physical number.
        monitor: Whether it is the monitor.
        unix_time: When it was booted, in seconds since 1970.
        software: SCAMP's release in one word.
    """
    block = bytearray(CORE_BLOCK_BYTES)
    block[CORE_PHYSICAL] = physical
    block[CORE_STATE] = CoreState.RUNNING if monitor else CoreState.IDLE
    name = b"scamp-3" if monitor else b"sark"
    block[CORE_NAME : CORE_NAME + len(name)] = name
    _WORD.pack_into(block, CORE_LOADED_AT, unix_time)
    _WORD.pack_into(block, CORE_SOFTWARE, software)
    return bytes(block)

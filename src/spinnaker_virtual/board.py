"""One board: its power, its FPGAs and the boot ROM of its Ethernet-connected chip.

A board knows whether its chips run anything, not what: software that has booted is in scamp/. Commands to the
board's BMP are decoded in bmp.py.
"""

from collections.abc import Callable, Iterable

from spinnaker.boot import BLOCK_BYTES, MAX_BLOCKS, BootImage, BootOperation, BootPacket
from spinnaker.fpga import FPGAS_PER_BOARD, IDENTITY_REGISTER, FpgaRegister, stop_register
from spinnaker.geometry import Board, Link
from spinnaker.places import Place
from spinnaker.sdp import PacketError
from spinnaker_virtual.machine import ALL_CHIPS, NO_DEFECTS, Defects

_UNPOWERED = 0xFFFF_FFFF  # what a register reads as when nothing drives the wires
_STOP_BIT = 1
_RUN = 1
_STOP = tuple(stop_register(link) for link in Link)


class VirtualBoard:
    """A board's power, FPGAs and chips."""

    def __init__(self, board: Board, place: Place, host: str, defects: Defects = NO_DEFECTS) -> None:
        self.board = board
        self.place = place
        self.host = host
        """The address of the board's Ethernet-connected chip."""
        self.defects = defects
        self.live_chips = ALL_CHIPS & ~sum(1 << number for number in defects.chips)
        """The chips that are not dead, one bit each."""
        self.leds = 0
        """Which of the BMP's eight LEDs are lit, one bit each."""
        self.far_boards: list[VirtualBoard | None] = [None] * len(Link)
        """For each link, the board at the other end; None where the link or the board is dead."""
        self.boot_from = 0.0
        """The earliest time, in seconds, at which the board accepts a boot image."""
        self.stuck = False
        """Whether the chips run something that never answers: a broken image, or nothing after a crash."""
        self.power_ons = 0
        """How often the board has been powered on."""
        self._on = False
        self._loaded = [False] * FPGAS_PER_BOARD
        self._registers: dict[FpgaRegister, int] = {}
        self._flow = 0
        self._on_change: Callable[[], None] | None = None

    @property
    def on(self) -> bool:
        """Whether the board has power and is out of reset."""
        return self._on

    @property
    def flow(self) -> int:
        """The links that let traffic through at this end, one bit each: the FPGA runs and does not stop them."""
        return self._flow

    def power_on(self, boot_from: float, loaded: Iterable[bool] = (True,) * FPGAS_PER_BOARD) -> None:
        """Switch the board on; software that ran on it is lost.

        Args:
            boot_from: The time in seconds from which the board accepts a boot image.
            loaded: For each FPGA, whether its bitfile loads.
        """
        self._reset()
        self._on = True
        self.power_ons += 1
        self.boot_from = boot_from
        self._loaded = list(loaded)
        self._changed()

    def power_off(self) -> None:
        """Switch the board off."""
        self._reset()
        self._changed()

    @property
    def booted(self) -> bool:
        """Whether the chips run software that has booted."""
        return self._on_change is not None

    def boot(self, on_change: Callable[[], None]) -> None:
        """Run booted software on the chips until the board is powered again or crashes.

        Args:
            on_change: Is called when the board's power or the links that it lets traffic through change, for the
                last time when the software has stopped and `booted` is false.
        """
        self._on_change = on_change

    def crash(self) -> None:
        """Stop all chips until the board is powered again; BMP and FPGAs go on."""
        if self._on:
            self.stuck = True
            self._stop_chips()

    def awaits_boot(self, now: float) -> bool:
        """Return whether the chips would accept a boot image at `now`."""
        return self._on and not self.booted and not self.stuck and now >= self.boot_from

    def read_fpga(self, register: FpgaRegister) -> int:
        """Return a register's value, 32 bits; all ones when the FPGA doesn't run."""
        if not self._loaded[register.fpga]:
            return _UNPOWERED
        if register.address == IDENTITY_REGISTER:
            return register.fpga
        return self._registers.get(register, 0)

    def write_fpga(self, register: FpgaRegister, value: int) -> None:
        """Set a register; ignored if the FPGA doesn't run or the register is read-only."""
        if self._loaded[register.fpga] and register.address != IDENTITY_REGISTER:
            self._registers[register] = value
            self._changed()

    @property
    def stopped_links(self) -> frozenset[Link]:
        """The links whose STOP registers are set."""
        return frozenset(link for link in Link if self._registers.get(_STOP[link], 0) & _STOP_BIT)

    def across(self, link: int) -> "VirtualBoard | None":
        """Return the board that packets reach over a link, or None when they can't cross it."""
        other = self.far_boards[link]
        if other is None or not self._flow >> link & 1 or not other.flow >> (link + 3) % 6 & 1:
            return None
        return other

    def _reset(self) -> None:
        self._on = False
        self.stuck = False
        self._loaded = [False] * FPGAS_PER_BOARD
        self._registers.clear()
        self._stop_chips()

    def _stop_chips(self) -> None:
        on_change, self._on_change = self._on_change, None
        if on_change is not None:
            on_change()

    def _changed(self) -> None:
        flow = 0
        for link in Link:
            register = _STOP[link]
            if self._loaded[register.fpga] and not self._registers.get(register, 0) & _STOP_BIT:
                flow |= 1 << link
        self._flow = flow
        if self._on_change is not None:
            self._on_change()


class BootRom:
    """Assembles a boot image from the packets that a board receives.

    As in the hardware, blocks may arrive in any order and more than once, a new BEGIN drops earlier blocks, and an END
    is ignored while blocks are missing.
    """

    def __init__(self) -> None:
        self._expected = 0
        self._blocks: dict[int, bytes] = {}

    def receive(self, datagram: bytes) -> BootImage | None:
        """Take a boot packet; return the image if the packet ends a complete one."""
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

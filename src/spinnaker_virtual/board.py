# One board as its BMP knows it: power and FPGAs.
#
# No packets and no chips: the commands that get here are read in bmp.py.
"""A virtual board's power and FPGAs."""

from spinnaker.fpga import FPGAS_PER_BOARD, IDENTITY_REGISTER, FpgaRegister, stop_register
from spinnaker.geometry import Board, Link
from spinnaker.places import Place

_UNPOWERED = 0xFFFFFFFF  # what a register reads as when nothing drives the wires
_STOP_BIT = 1


class VirtualBoard:
    """A board's power and FPGAs."""

    def __init__(self, board: Board, place: Place) -> None:
        self.board = board
        self.place = place
        self.leds = 0
        """Which of the BMP's eight LEDs are lit, one bit each."""
        self._on = False
        self._loaded = [False] * FPGAS_PER_BOARD
        self._registers: dict[FpgaRegister, int] = {}

    @property
    def on(self) -> bool:
        """Whether the board has power and is out of reset."""
        return self._on

    def power_on(self) -> None:
        """Give the board power and load its FPGAs; whatever ran on it is gone."""
        self.power_off()
        self._on = True
        self._loaded = [True] * FPGAS_PER_BOARD

    def power_off(self) -> None:
        """Take the board's power away."""
        self._on = False
        self._loaded = [False] * FPGAS_PER_BOARD
        self._registers.clear()

    def read_fpga(self, register: FpgaRegister) -> int:
        """Return a register's value, 32 bits; all ones when the FPGA doesn't run."""
        if not self._loaded[register.fpga]:
            return _UNPOWERED
        if register.address == IDENTITY_REGISTER:
            return register.fpga
        return self._registers.get(register, 0)

    def write_fpga(self, register: FpgaRegister, value: int) -> None:
        """Set a register; lost when the FPGA doesn't run, or when the register can't be written."""
        if self._loaded[register.fpga] and register.address != IDENTITY_REGISTER:
            self._registers[register] = value

    def carries(self, link: Link) -> bool:
        """Return whether this end of a link lets traffic through: powered, its FPGA loaded and not stopped."""
        register = stop_register(link)
        return self._loaded[register.fpga] and not self._registers.get(register, 0) & _STOP_BIT

    @property
    def stopped_links(self) -> frozenset[Link]:
        """The links whose STOP registers are set."""
        return frozenset(link for link in Link if self._registers.get(stop_register(link), 0) & _STOP_BIT)

"""The registers of the three FPGAs of a SpiNN-5 board: which identifies an FPGA, and which stops which link.

Addresses only; see bmp.py for the BMP commands that read and write registers.
"""

from typing import NamedTuple

from spinnaker.geometry import Link

FPGAS_PER_BOARD = 3

IDENTITY_REGISTER = 0x40004
"""Holds the FPGA's own number, 0 to 2, in its low bits once its bitfile has loaded."""

_IDENTITY_MASK = 0x3


class FpgaRegister(NamedTuple):
    """A register of one of a board's FPGAs."""

    fpga: int
    """0 to 2."""
    address: int


_STOP_REGISTERS = {
    Link.EAST: FpgaRegister(0, 0x0005C),
    Link.SOUTH: FpgaRegister(0, 0x1005C),
    Link.SOUTH_WEST: FpgaRegister(1, 0x0005C),
    Link.WEST: FpgaRegister(1, 0x1005C),
    Link.NORTH: FpgaRegister(2, 0x0005C),
    Link.NORTH_EAST: FpgaRegister(2, 0x1005C),
}
_LINK_OF = {register: link for link, register in _STOP_REGISTERS.items()}


def stop_register(link: Link) -> FpgaRegister:
    """Return the register that stops a link's traffic when 1 is written to it, and lets it flow with 0."""
    return _STOP_REGISTERS[link]


def stopped_link(register: FpgaRegister) -> Link | None:
    """Return the link that a register stops, or None if it is not a STOP register."""
    return _LINK_OF.get(register)


def identifies(fpga: int, value: int) -> bool:
    """Return whether `value`, read from its identity register, shows that `fpga` has loaded its bitfile."""
    return value & _IDENTITY_MASK == fpga

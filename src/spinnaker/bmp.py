"""The commands of a board management processor: requests are encoded as datagrams, replies are decoded.

One BMP address serves a frame; the core of the SDP destination is the board's number in the frame. No sockets, no
retries.
"""

from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple, Self

from spinnaker.places import BOARDS_PER_FRAME
from spinnaker.scp import ScpReply, ScpRequest, SoftwareVersion
from spinnaker.sdp import Endpoint, PacketError, SdpHeader

BMP_NAME = "BC&MP"

FIRST_MAJOR_WITH_FPGAS = 2
"""BMPs before this major version have no FPGA registers: neither identities nor link stops."""

POWER_ON_TIMEOUT = 10.0
"""Seconds to allow for the reply to a power-on: it comes after the action."""

_WORD = Struct("<I")
_DELAY_SHIFT = 16
_MAX_DELAY_MS = 0xFFFF


class BmpCommand(IntEnum):
    """A command that BMPs know."""

    VERSION = 0
    READ = 2
    READ_FPGA = 17
    WRITE_FPGA = 18
    LED = 25
    INFORMATION = 48
    RESET = 55
    POWER = 57


class Information(IntEnum):
    """What an information command asks for."""

    SERIAL = 0
    CAN_STATUS = 2
    ADC = 3
    ADDRESSES = 4


def _request(
    board: int,
    command: BmpCommand,
    sequence: int,
    arguments: tuple[int, int, int] = (0, 0, 0),
    data: bytes = b"",
) -> bytes:
    if not 0 <= board < BOARDS_PER_FRAME:
        raise PacketError(f"a frame has no board {board}; its boards are 0 to {BOARDS_PER_FRAME - 1}")
    return ScpRequest(SdpHeader(Endpoint(0, 0, board)), command, sequence, *arguments, data).encode()


def version_request(board: int, sequence: int = 0) -> bytes:
    """Return the datagram that asks for the version of a board's BMP; see `version_of`.

    Args:
        board: Its number in the frame, 0 to 23.
        sequence: 0 to 65535.

    Raises:
        PacketError: The board is out of range.
    """
    return _request(board, BmpCommand.VERSION, sequence)


def power_request(boards: Iterable[int], on: bool, delay_ms: int = 0, sequence: int = 0) -> bytes:
    """Return the datagram that powers boards of a frame on or off.

    It always goes to board 0 of the frame, as some others don't forward it. The reply comes when the action is done.

    Args:
        boards: Board numbers in the frame, 0 to 23.
        on: True for on. A board that is on already is reset.
        delay_ms: Milliseconds from each board to the next, 0 to 65535, so that a frame's current rises slowly.
        sequence: 0 to 65535.

    Raises:
        PacketError: A board or the delay is out of range.
    """
    mask = 0
    for board in boards:
        if not 0 <= board < BOARDS_PER_FRAME:
            raise PacketError(f"a frame has no board {board}; its boards are 0 to {BOARDS_PER_FRAME - 1}")
        mask |= 1 << board
    if not 0 <= delay_ms <= _MAX_DELAY_MS:
        raise PacketError(f"a delay of {delay_ms} ms is not allowed; 0 to {_MAX_DELAY_MS} is")
    return _request(0, BmpCommand.POWER, sequence, (delay_ms << _DELAY_SHIFT | on, mask, 0))


def read_fpga_request(board: int, fpga: int, address: int, sequence: int = 0) -> bytes:
    """Return the datagram that reads a register, one word, of a board's FPGA; see `word_of`.

    Args:
        board: Its number in the frame, 0 to 23.
        fpga: 0 to 2.
        address: The register's byte address in the FPGA.
        sequence: 0 to 65535.

    Raises:
        PacketError: The board is out of range.
    """
    return _request(board, BmpCommand.READ_FPGA, sequence, (address, _WORD.size, fpga))


def write_fpga_request(board: int, fpga: int, address: int, value: int, sequence: int = 0) -> bytes:
    """Return the datagram that writes a register, one word, of a board's FPGA.

    Args:
        board: Its number in the frame, 0 to 23.
        fpga: 0 to 2.
        address: The register's byte address in the FPGA.
        value: 32 bits.
        sequence: 0 to 65535.

    Raises:
        PacketError: The board is out of range.
    """
    return _request(board, BmpCommand.WRITE_FPGA, sequence, (address, _WORD.size, fpga), _WORD.pack(value))


def information_request(board: int, what: Information, sequence: int = 0) -> bytes:
    """Return the datagram that asks a board's BMP about itself; see `Adc.decode` and `Serial.decode`.

    Args:
        board: Its number in the frame, 0 to 23.
        what: What about.
        sequence: 0 to 65535.

    Raises:
        PacketError: The board is out of range.
    """
    return _request(board, BmpCommand.INFORMATION, sequence, (what, 0, 0))


def version_of(reply: ScpReply) -> SoftwareVersion:
    """Return the version in the reply to a version request.

    Raises:
        PacketError: The reply holds none.
    """
    return SoftwareVersion.decode(reply.data)


def word_of(reply: ScpReply) -> int:
    """Return the word, 32 bits, in the reply to a register read.

    Raises:
        PacketError: The reply is too short.
    """
    if len(reply.data) < _WORD.size:
        raise PacketError(f"a register's value has {_WORD.size} bytes; the reply has {len(reply.data)}")
    value: int = _WORD.unpack_from(reply.data)[0]
    return value


class Adc(NamedTuple):
    """A board's sensors; temperatures in degrees Celsius, fans in revolutions a minute, None if none is fitted."""

    volts_1_2: tuple[float, float, float]
    """The 1.2 V rails a, b and c."""
    volts_1_8: float
    volts_3_3: float
    volts_supply: float
    """Nominally 12 V."""
    top: float
    bottom: float
    external: tuple[float | None, float | None] = (None, None)
    fans: tuple[int | None, int | None] = (None, None)
    warning: int = 0
    shutdown: int = 0

    def encode(self) -> bytes:
        """Return the data of a reply to an information request for the ADC."""
        a, b, c = (_raw(volts, _SCALE_2_5) for volts in self.volts_1_2)
        voltages = (
            0,
            c,
            b,
            a,
            _raw(self.volts_1_8, _SCALE_2_5),
            0,
            _raw(self.volts_3_3, _SCALE_3_3),
            _raw(self.volts_supply, _SCALE_12),
        )
        external = [
            _NO_TEMPERATURE if value is None else _raw(value, _SCALE_TEMPERATURE) for value in self.external
        ]
        fans = [_NO_FAN if value is None else value for value in self.fans]
        return _ADC.pack(
            *voltages,
            _raw(self.top, _SCALE_TEMPERATURE),
            _raw(self.bottom, _SCALE_TEMPERATURE),
            0,
            0,
            *external,
            _NO_TEMPERATURE,
            _NO_TEMPERATURE,
            *fans,
            _NO_FAN,
            _NO_FAN,
            self.warning,
            self.shutdown,
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the sensors in a reply's data.

        Raises:
            PacketError: The data is too short.
        """
        if len(data) < _ADC.size:
            raise PacketError(f"an ADC report has {_ADC.size} bytes; the reply has {len(data)}")
        (
            _,
            c,
            b,
            a,
            v1_8,
            _,
            v3_3,
            v12,
            top,
            bottom,
            _,
            _,
            ext_0,
            ext_1,
            _,
            _,
            fan_0,
            fan_1,
            _,
            _,
            warn,
            down,
        ) = _ADC.unpack_from(data)
        return cls(
            (a * _SCALE_2_5, b * _SCALE_2_5, c * _SCALE_2_5),
            v1_8 * _SCALE_2_5,
            v3_3 * _SCALE_3_3,
            v12 * _SCALE_12,
            top * _SCALE_TEMPERATURE,
            bottom * _SCALE_TEMPERATURE,
            (_temperature(ext_0), _temperature(ext_1)),
            (None if fan_0 == _NO_FAN else fan_0, None if fan_1 == _NO_FAN else fan_1),
            warn,
            down,
        )


_ADC = Struct("<8H4h4h4h2I")
_ADC_STEPS = 1 << 12
# Volts and degrees for one step of the converter; the board divides its higher voltages down to the
# converter's 2.5 V.
_SCALE_2_5 = 2.5 / _ADC_STEPS
_SCALE_3_3 = 3.75 / _ADC_STEPS
_SCALE_12 = 15.0 / _ADC_STEPS
_SCALE_TEMPERATURE = 1 / 256
_NO_TEMPERATURE = -0x8000
_NO_FAN = -1


def _raw(value: float, scale: float) -> int:
    return round(value / scale)


def _temperature(raw: int) -> float | None:
    return None if raw == _NO_TEMPERATURE else raw * _SCALE_TEMPERATURE


_SERIAL = Struct("<8I")


class Serial(NamedTuple):
    """The hardware that a BMP runs on."""

    hardware: int
    """The board's hardware version, 5 for a SpiNN-5."""
    number: tuple[int, int, int, int]
    """The serial number of the BMP's processor."""
    flash_buffer: int
    board_status: int
    boot_vector: int

    def encode(self) -> bytes:
        """Return the data of a reply to an information request for the serial number."""
        return _SERIAL.pack(
            self.hardware, *self.number, self.flash_buffer, self.board_status, self.boot_vector
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the serial number in a reply's data.

        Raises:
            PacketError: The data is too short.
        """
        if len(data) < _SERIAL.size:
            raise PacketError(f"a serial report has {_SERIAL.size} bytes; the reply has {len(data)}")
        hardware, *rest = _SERIAL.unpack_from(data)
        a, b, c, d, flash_buffer, board_status, boot_vector = rest
        return cls(hardware, (a, b, c, d), flash_buffer, board_status, boot_vector)

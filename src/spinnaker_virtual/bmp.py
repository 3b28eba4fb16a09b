"""A virtual BMP: SCP requests go in, SCP replies come out, at the times at which the hardware would send them.

No sockets and no clock. See board.py for what power and registers do to a board.
"""

from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Address
from struct import Struct

from spinnaker.bmp import BMP_NAME, FIRST_MAJOR_WITH_FPGAS, Adc, BmpCommand, Information, Serial
from spinnaker.fpga import FPGAS_PER_BOARD, FpgaRegister
from spinnaker.places import BOARDS_PER_FRAME, Frame, Place
from spinnaker.scp import (
    REQUEST_BYTES,
    Result,
    ScpReply,
    ScpRequest,
    SoftwareNumber,
    SoftwareVersion,
    switched_leds,
)
from spinnaker.sdp import MAX_DATA_BYTES, PacketError
from spinnaker_virtual.agenda import Agenda
from spinnaker_virtual.board import VirtualBoard
from spinnaker_virtual.faults import FaultSource
from spinnaker_virtual.machine import Timings
from spinnaker_virtual.network import FrameSockets, Socket

Send = Callable[[ScpReply], None]
"""Sends a reply to the sender of the request."""

_BUILD = 1_604_188_800
_FLASH_BUFFER = 0x1000_0000
_BOARD_STATUS = 0x2007_C000
_BOARD_STATUS_BYTES = 48
_BOOT_VECTOR = 0x0001_0000
_HARDWARE = 5
_LEDS = 8

_WORD = Struct("<I")
_ADDRESSES = Struct("<H6s4s4s4sH10x")  # flags, MAC address, address, gateway, mask, UDP port
_MASK = IPv4Address("255.0.0.0")

_SUPPLY_VOLTS = 12.0
_IDLE_DEGREES = 24.0
_RUNNING_DEGREES = 38.0
_FAN_SPEED = 2400


class Bmp:
    """The BMP address of one frame."""

    def __init__(
        self,
        frame: Frame,
        boards: Mapping[int, VirtualBoard],
        sockets: FrameSockets,
        agenda: Agenda,
        timings: Timings,
        version: SoftwareNumber,
        faults: FaultSource,
    ) -> None:
        """Serve the boards of a frame.

        Args:
            frame: The frame's cabinet and number.
            boards: Its boards by their number, 0 to 23; requests to any other board time out.
            sockets: Where the BMP and the boards listen; the BMP reports these addresses.
            agenda: Takes the actions that are due later.
            timings: How long they take.
            version: The software version that the BMP reports.
            faults: Draws the faults.
        """
        self._frame = frame
        self._boards = boards
        self._sockets = sockets
        self._agenda = agenda
        self._timings = timings
        self._version = version
        self._faults = faults
        self._hangs_until = 0.0
        self._free_at = 0.0
        self._commands: dict[int, Callable[[ScpRequest, VirtualBoard], ScpReply]] = {
            BmpCommand.VERSION: self._read_version,
            BmpCommand.LED: self._set_leds,
            BmpCommand.INFORMATION: self._inform,
        }
        if version.major >= FIRST_MAJOR_WITH_FPGAS:
            self._commands[BmpCommand.READ_FPGA] = self._read_fpga
            self._commands[BmpCommand.WRITE_FPGA] = self._write_fpga

    def receive(self, datagram: bytes, now: float, send: Send) -> None:
        """Take a datagram that arrives at `now`; replies go to `send`, at once or from the agenda.

        Requests are carried out one after another: one that arrives while boards are being powered waits.
        """
        try:
            request = ScpRequest.decode(datagram)
        except PacketError:
            return  # the hardware ignores it, too
        if now < self._hangs_until:
            return
        self.hang(now, self._faults.hang(self._frame))
        if now < self._hangs_until:
            return
        if not request.header.reply_wanted:
            send = _nowhere
        whole = len(datagram) >= REQUEST_BYTES
        if whole and request.command == BmpCommand.POWER:
            self._power(request, max(now, self._free_at), send)
        elif now < self._free_at:
            self._agenda.at(self._free_at, lambda _: send(self._answer(request, whole)))
        else:
            send(self._answer(request, whole))

    def power_on_all(self, now: float) -> None:
        """Switch all boards of the frame on at once, ready for a boot image; the usual faults may happen."""
        for board in self._boards.values():
            self._switch_on(board, now, settles=0.0)

    def hang(self, now: float, seconds: float) -> None:
        """Ignore requests for some seconds from `now`; power commands that have begun go on."""
        self._hangs_until = max(self._hangs_until, now + seconds)

    def _answer(self, request: ScpRequest, whole: bool) -> ScpReply:
        board = self._boards.get(request.header.destination.core)
        if board is None:
            return request.reply(Result.TIMEOUT)
        if not whole:
            return request.reply(Result.LENGTH)
        command = self._commands.get(request.command)
        if command is None:
            return request.reply(Result.UNKNOWN_COMMAND)
        return command(request, board)

    def _power(self, request: ScpRequest, start: float, send: Send) -> None:
        action = request.argument_1 & 0xFF
        if action > 1:
            self._agenda.at(start, lambda _: send(request.reply(Result.ARGUMENT)))
            return
        step = (request.argument_1 >> 16) / 1000
        takes = self._timings.power_on if action else self._timings.power_off
        takes += self._faults.power_delay(self._frame)
        end = start
        for number in range(BOARDS_PER_FRAME):
            board = self._boards.get(number)
            if board is None or not request.argument_2 >> number & 1:
                continue
            begin = start + step * number
            end = max(end, begin + takes)
            if self._faults.idles(board.board):
                continue
            if action:
                self._agenda.at(begin, partial(_switch_off, board))
                self._agenda.at(
                    begin + takes, partial(self._switch_on, board, settles=self._timings.boot_ready)
                )
            else:
                self._agenda.at(begin + takes, partial(_switch_off, board))
        self._free_at = end
        self._agenda.at(end, lambda _: send(request.reply()))

    def _switch_on(self, board: VirtualBoard, now: float, settles: float) -> None:
        outcome = self._faults.power(board.board)
        if not outcome.on:
            return
        board.power_on(now + settles, outcome.loaded)
        life = self._faults.life(board.board)
        if life is not None:
            self._agenda.at(now + life, partial(_crash, board, board.power_ons))

    def _read_version(self, request: ScpRequest, board: VirtualBoard) -> ScpReply:
        number = board.place.board
        place = self._frame.frame << 16 | number << 8 | number
        version = SoftwareVersion(place, MAX_DATA_BYTES, _BUILD, f"{BMP_NAME}/Spin5-BMP", self._version)
        return request.reply(data=version.encode())

    def _read_fpga(self, request: ScpRequest, board: VirtualBoard) -> ScpReply:
        address, length, fpga = request.argument_1, request.argument_2, request.argument_3
        if length > MAX_DATA_BYTES or fpga >= FPGAS_PER_BOARD:
            return request.reply(Result.ARGUMENT)
        words = (
            board.read_fpga(FpgaRegister(fpga, address + 4 * index)) for index in range(length // _WORD.size)
        )
        return request.reply(data=b"".join(map(_WORD.pack, words)))

    def _write_fpga(self, request: ScpRequest, board: VirtualBoard) -> ScpReply:
        address, length, fpga = request.argument_1, request.argument_2, request.argument_3
        if length > MAX_DATA_BYTES or fpga >= FPGAS_PER_BOARD or length > len(request.data):
            return request.reply(Result.ARGUMENT)
        if self._faults.idles(board.board):
            return request.reply()
        for offset in range(0, length - length % _WORD.size, _WORD.size):
            board.write_fpga(FpgaRegister(fpga, address + offset), _WORD.unpack_from(request.data, offset)[0])
        return request.reply()

    def _set_leds(self, request: ScpRequest, _: VirtualBoard) -> ScpReply:
        for number, board in self._boards.items():
            if request.argument_2 >> number & 1:
                board.leds = switched_leds(board.leds, request.argument_1, _LEDS)
        return request.reply()

    def _inform(self, request: ScpRequest, board: VirtualBoard) -> ScpReply:
        match request.argument_1:
            case Information.SERIAL:
                return request.reply(data=self._serial(board).encode())
            case Information.CAN_STATUS:
                present = (int(number in self._boards) for number in range(BOARDS_PER_FRAME))
                return request.reply(data=bytes(present))
            case Information.ADC:
                return request.reply(data=_sensors(board).encode())
            case Information.ADDRESSES:
                own = _address_data(self._sockets.bmp, board.place, 0)
                return request.reply(
                    data=own + _address_data(self._sockets.boards[board.place.board], board.place, 1)
                )
            case _:
                return request.reply(Result.ARGUMENT)

    def _serial(self, board: VirtualBoard) -> Serial:
        place = board.place
        number = (place.cabinet << 16 | place.frame << 8 | place.board, 0x5350_494E, 0x4E61_6B65, 0x7256_4952)
        status = _BOARD_STATUS + _BOARD_STATUS_BYTES * place.board
        return Serial(_HARDWARE, number, _FLASH_BUFFER, status, _BOOT_VECTOR)


def _address_data(socket: Socket, place: Place, interface: int) -> bytes:
    mac = bytes((2, place.cabinet, place.frame, place.board, 0, interface))
    host = IPv4Address(socket.host).packed
    return _ADDRESSES.pack(0, mac, host, host, _MASK.packed, socket.port)


def _nowhere(_: ScpReply) -> None:
    """Drop a reply that nobody waits for."""


def _crash(board: VirtualBoard, power_ons: int, _: float) -> None:
    if board.power_ons == power_ons:
        board.crash()


def _switch_off(board: VirtualBoard, _: float) -> None:
    board.power_off()


def _sensors(board: VirtualBoard) -> Adc:
    # Boards differ a little from one another, so that a plot of a frame looks like one.
    spread = (board.place.board % 7 - 3) / 2
    if not board.on:
        return Adc(
            (0.0, 0.0, 0.0),
            0.0,
            3.3,
            _SUPPLY_VOLTS,
            _IDLE_DEGREES + spread,
            _IDLE_DEGREES + spread,
            fans=(0, 0),
        )
    return Adc(
        (1.2, 1.2, 1.2),
        1.8,
        3.3,
        _SUPPLY_VOLTS,
        _RUNNING_DEGREES + spread,
        _RUNNING_DEGREES - 2 + spread,
        fans=(_FAN_SPEED, _FAN_SPEED),
    )

# Packets in words, one line each.
#
# Decodes what hosts, BMPs and boards say to one another; where the lines go is the caller's business.
"""A log of every packet, decoded."""

from collections.abc import Callable
from enum import Enum

from spinnaker.bmp import BmpCommand
from spinnaker.boot import BootOperation, BootPacket
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest, describe_result
from spinnaker.sdp import PacketError
from spinnaker_virtual.network import Address, Network, Socket

_SHOWN_BYTES = 16


class Listener(Enum):
    """Who has a socket of a virtual machine."""

    BMP = "BMP"
    BOARD = "board"
    BOOT = "boot"


class PacketLog:
    """Writes a line for each packet that hosts and a virtual machine exchange."""

    def __init__(self, network: Network, write: Callable[[str], None]) -> None:
        """Begin a log.

        Args:
            network: Whose packets they are.
            write: Takes each line, without its end.
        """
        self._write = write
        self._listeners = dict.fromkeys(network.bmps.values(), Listener.BMP)
        for board in network.boards.values():
            self._listeners[board.sdp], self._listeners[board.boot] = Listener.BOARD, Listener.BOOT
        self._began: float | None = None

    def received(self, local: Socket, host: Address, datagram: bytes, now: float) -> None:
        """Note a packet that came from a host."""
        self._line(
            now, f"{Socket._make(host)} > {local} {describe_request(self._listeners[local], datagram)}"
        )

    def sent(self, local: Socket, host: Address, datagram: bytes, now: float) -> None:
        """Note a packet that goes to a host."""
        self._line(now, f"{Socket._make(host)} < {local} {describe_reply(datagram)}")

    def _line(self, now: float, text: str) -> None:
        if self._began is None:
            self._began = now
        self._write(f"{now - self._began:12.6f} {text}")


def describe_request(listener: Listener, datagram: bytes) -> str:
    """Return in words what a host asks of a BMP or a board."""
    try:
        if listener is Listener.BOOT:
            return _describe_boot(BootPacket.decode(datagram))
        request = ScpRequest.decode(datagram)
    except PacketError as error:
        return f"unreadable: {error}"
    names = BmpCommand if listener is Listener.BMP else ScampCommand
    try:
        command = names(request.command).name.lower().replace("_", " ")
    except ValueError:
        command = f"command {request.command}"
    to = request.header.destination
    where = f"board {to.core}" if listener is Listener.BMP else f"chip ({to.x}, {to.y}) core {to.core}"
    if to.port:
        where += f" port {to.port}"
    arguments = f"{request.argument_1:#x} {request.argument_2:#x} {request.argument_3:#x}"
    return f"#{request.sequence} {command} {where} {arguments}{_data(request.data)}"


def describe_reply(datagram: bytes) -> str:
    """Return in words what a BMP or a board answers."""
    try:
        reply = ScpReply.decode(datagram)
    except PacketError as error:
        return f"unreadable: {error}"
    return f"#{reply.sequence} {describe_result(reply.result)}{_data(reply.data)}"


def _describe_boot(packet: BootPacket) -> str:
    match packet.operation:
        case BootOperation.BEGIN:
            return f"boot: begin an image of {packet.operand_3 + 1} blocks"
        case BootOperation.BLOCK:
            return f"boot: block {packet.operand_1 & 0xFF}, {len(packet.data)} bytes"
        case BootOperation.END:
            return "boot: end"
        case _:
            return f"boot: operation {packet.operation}"


def _data(data: bytes) -> str:
    if not data:
        return ""
    more = "..." if len(data) > _SHOWN_BYTES else ""
    return f" [{len(data)} bytes: {data[:_SHOWN_BYTES].hex(' ')}{more}]"

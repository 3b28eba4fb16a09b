"""Describes packets, one line each.

Decodes packets between hosts, BMPs and boards, and notes packets that cross from board to board. The caller writes the
lines; log_file.py does so for commands.
"""

from collections.abc import Callable, Collection
from enum import Enum
from typing import Self

from spinnaker.bmp import BmpCommand
from spinnaker.boot import BootOperation, BootPacket
from spinnaker.geometry import BoardLink, Size, far_end
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest, describe_result
from spinnaker.sdp import PacketError
from spinnaker_virtual.network import Address, Network, Socket

_SHOWN_BYTES = 16


class Traffic(Enum):
    """A kind of packets."""

    BMP = "bmp"
    """Packets between hosts and BMPs."""
    BOOT = "boot"
    """Boot images."""
    BOARD = "board"
    """Packets between hosts and booted boards."""
    CROSSING = "crossing"
    """Packets between chips that cross from board to board."""

    @classmethod
    def parse(cls, text: str) -> frozenset[Self]:
        """Return the kinds that a string lists, such as `bmp,crossing`.

        Raises:
            ValueError: A kind is unknown.
        """
        known = {kind.value: kind for kind in cls}
        names = [piece.strip() for piece in text.split(",")]
        for name in names:
            if name not in known:
                raise ValueError(f"there is no kind of packets {name!r}; there are {', '.join(known)}")
        return frozenset(known[name] for name in names)


ALL_TRAFFIC = frozenset(Traffic)


class PacketLog:
    """Writes a line for each packet that hosts and a virtual machine exchange, or that goes from board to board."""

    def __init__(
        self,
        network: Network,
        size: Size,
        write: Callable[[str], None],
        traffic: Collection[Traffic] = ALL_TRAFFIC,
    ) -> None:
        """Make a log.

        Args:
            network: The addresses of the machine's BMPs and boards.
            size: The machine's, in triads.
            write: Called with each line, without a line break.
            traffic: The kinds of packets to write down.
        """
        self._size = size
        self._write = write
        self._traffic = frozenset(traffic)
        self._sockets = dict.fromkeys(network.bmps.values(), Traffic.BMP)
        for board in network.boards.values():
            self._sockets[board.sdp], self._sockets[board.boot] = Traffic.BOARD, Traffic.BOOT
        self._began: float | None = None

    def received(self, local: Socket, host: Address, datagram: bytes, now: float) -> None:
        """Note a packet that came from a host."""
        kind = self._sockets[local]
        if kind in self._traffic:
            self._line(now, f"{Socket._make(host)} > {local} {describe_request(kind, datagram)}")

    def sent(self, local: Socket, host: Address, datagram: bytes, now: float) -> None:
        """Note a packet that goes to a host."""
        if self._sockets[local] in self._traffic:
            self._line(now, f"{Socket._make(host)} < {local} {describe_reply(datagram)}")

    def crossed(self, end: BoardLink, now: float) -> None:
        """Note a packet that leaves a board over one of its links."""
        if Traffic.CROSSING in self._traffic:
            link = end.link.name.lower().replace("_", "-")
            self._line(now, f"crossing: board {end.board} {link} to board {far_end(self._size, end).board}")

    def _line(self, now: float, text: str) -> None:
        if self._began is None:
            self._began = now
        self._write(f"{now - self._began:12.6f} {text}")


def describe_request(kind: Traffic, datagram: bytes) -> str:
    """Describe a request of a host to a BMP or a board."""
    try:
        if kind is Traffic.BOOT:
            return _describe_boot(BootPacket.decode(datagram))
        request = ScpRequest.decode(datagram)
    except PacketError as error:
        return f"unreadable: {error}"
    names = BmpCommand if kind is Traffic.BMP else ScampCommand
    try:
        command = names(request.command).name.lower().replace("_", " ")
    except ValueError:
        command = f"command {request.command}"
    to = request.header.destination
    where = f"board {to.core}" if kind is Traffic.BMP else f"chip ({to.x}, {to.y}) core {to.core}"
    if to.port:
        where += f" port {to.port}"
    arguments = f"{request.argument_1:#x} {request.argument_2:#x} {request.argument_3:#x}"
    return f"#{request.sequence} {command} {where} {arguments}{_data(request.data)}"


def describe_reply(datagram: bytes) -> str:
    """Describe the reply of a BMP or a board."""
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

"""The addresses of a virtual machine: an address and a port for each BMP and each board.

Values only; loopback.py finds addresses that are available on this computer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple, Self

from spinnaker.boot import BOOT_PORT
from spinnaker.geometry import Board
from spinnaker.places import FRAMES_PER_CABINET, Frame, Place, bmp_address, board_address
from spinnaker.sdp import SDP_PORT
from spinnaker_virtual.machine import VirtualMachine

_FRAME_PORTS = 64


class Socket(NamedTuple):
    """A UDP socket's address."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


Address = tuple[str, int]
"""A socket's host and port as a pair, which is what the system uses; a `Socket` is one."""


class BoardSockets(NamedTuple):
    """Where a board listens."""

    sdp: Socket
    boot: Socket


class FrameSockets(NamedTuple):
    """Where the BMP and the boards, by their number, of one frame take SDP."""

    bmp: Socket
    boards: Mapping[int, Socket]


@dataclass(frozen=True, slots=True)
class Network:
    """Where each frame's BMP and each live board of a virtual machine listens."""

    bmps: Mapping[Frame, Socket]
    boards: Mapping[Board, BoardSockets]

    @classmethod
    def standard(cls, machine: VirtualMachine, base: IPv4Address) -> Self:
        """Give each BMP and board the address of a standard installation at `base`, on the standard ports."""

        def sockets(place: Place) -> BoardSockets:
            host = str(board_address(base, place))
            return BoardSockets(Socket(host, SDP_PORT), Socket(host, BOOT_PORT))

        return cls(
            {frame: Socket(str(bmp_address(base, frame)), SDP_PORT) for frame in machine.frames},
            {board: sockets(place) for board, place in machine.places.items()},
        )

    @classmethod
    def one_host(cls, machine: VirtualMachine, host: str, first_port: int) -> Self:
        """Give all BMPs and boards one address and different ports, for systems that have only 127.0.0.1.

        Each frame takes 64 ports: one for the BMP, an unused one, then two for each board, SDP and boot.

        Raises:
            ValueError: There are not enough ports above `first_port`.
        """
        end = first_port + _FRAME_PORTS * (1 + max(map(_frame_index, machine.frames), default=0))
        if not 0 < first_port < end <= 1 << 16:
            raise ValueError(
                f"{len(machine.frames)} frames from port {first_port} would need ports up to {end - 1}"
            )

        def first(frame: Frame) -> int:
            return first_port + _FRAME_PORTS * _frame_index(frame)

        def sockets(place: Place) -> BoardSockets:
            port = first(place.in_frame) + 2 + 2 * place.board
            return BoardSockets(Socket(host, port), Socket(host, port + 1))

        return cls(
            {frame: Socket(host, first(frame)) for frame in machine.frames},
            {board: sockets(place) for board, place in machine.places.items()},
        )


def _frame_index(frame: Frame) -> int:
    return frame.cabinet * FRAMES_PER_CABINET + frame.frame

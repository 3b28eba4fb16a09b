# A whole virtual machine without its sockets: datagrams and the time go in, datagrams come out.
#
# Puts BMPs and boards together. No clock, no sockets; those are in udp.py and site.py.
"""The virtual hardware: all BMPs and boards of a machine."""

from collections.abc import Callable

from spinnaker.geometry import Board, BoardLink, Link, far_end
from spinnaker.places import Frame
from spinnaker.scp import ScpReply
from spinnaker_virtual.agenda import Agenda
from spinnaker_virtual.bmp import Bmp
from spinnaker_virtual.board import VirtualBoard
from spinnaker_virtual.machine import VirtualMachine
from spinnaker_virtual.network import FrameSockets, Network, Socket

Transmit = Callable[[Socket, Socket, bytes], None]
"""Sends a datagram from the first socket, one of the machine's, to the second."""

Receiver = Callable[[bytes, Socket, float], None]
"""Takes a datagram, its sender and the time."""


class Hardware:
    """The BMPs and boards of a machine, and their agenda."""

    def __init__(self, machine: VirtualMachine, network: Network, transmit: Transmit) -> None:
        self.machine = machine
        self.agenda = Agenda()
        self._transmit = transmit
        self._boards = {board: VirtualBoard(board, place) for board, place in machine.places.items()}
        self.receivers: dict[Socket, Receiver] = {}
        """Who takes the datagrams that arrive at each socket."""
        by_frame: dict[Frame, dict[int, VirtualBoard]] = {frame: {} for frame in machine.frames}
        for board in self._boards.values():
            by_frame[board.place.in_frame][board.place.board] = board
        for frame, boards in by_frame.items():
            sockets = {number: network.boards[board.board].sdp for number, board in boards.items()}
            bmp = Bmp(
                frame,
                boards,
                FrameSockets(network.bmps[frame], sockets),
                self.agenda,
                machine.timings,
                machine.bmp_version,
            )
            self.receivers[network.bmps[frame]] = self._bmp_receiver(bmp, network.bmps[frame])

    def _bmp_receiver(self, bmp: Bmp, local: Socket) -> Receiver:
        def receive(datagram: bytes, sender: Socket, now: float) -> None:
            def send(reply: ScpReply) -> None:
                self._transmit(local, sender, reply.encode())

            bmp.receive(datagram, now, send)

        return receive

    def board(self, board: Board) -> VirtualBoard:
        """Return a live board.

        Raises:
            KeyError: The machine has no such board, or it is dead.
        """
        return self._boards[board]

    def link_works(self, end: BoardLink) -> bool:
        """Return whether packets can cross a link: it is not dead, and both ends let them through."""
        if end in self.machine.dead_links:
            return False
        other = far_end(self.machine.size, end)
        return all(
            near.board in self._boards and self._boards[near.board].carries(Link(near.link))
            for near in (end, other)
        )

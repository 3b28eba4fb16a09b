"""A whole virtual machine without sockets and clock: datagrams and the time go in, datagrams come out.

Connects BMPs, boards and booted machines; udp.py and site.py add the sockets and the clock.
"""

from collections.abc import Callable

from spinnaker.boot import BootImage
from spinnaker.geometry import Board, BoardLink, Link, far_end
from spinnaker.places import Frame
from spinnaker.scp import ScpReply
from spinnaker_virtual.agenda import Agenda, Direction
from spinnaker_virtual.bmp import Bmp
from spinnaker_virtual.board import BootRom, VirtualBoard
from spinnaker_virtual.faults import FaultSource
from spinnaker_virtual.machine import NO_DEFECTS, VirtualMachine
from spinnaker_virtual.network import Address, FrameSockets, Network, Socket
from spinnaker_virtual.region import Region
from spinnaker_virtual.scamp.machine import BootedMachine, Crossed, Running
from spinnaker_virtual.scamp.monitor import answer
from spinnaker_virtual.scamp.shared import ImageError

Transmit = Callable[[Socket, Address, bytes], None]
"""Sends a datagram from the first socket, one of the machine's, to the second."""

Receiver = Callable[[bytes, Address, float], None]
"""Takes a datagram, its sender and the time."""

NotStarted = Callable[[Board, str], None]
"""Called with the board that received an image that does not start, and with the reason."""


class Hardware:
    """The BMPs and boards of a machine, and their agenda."""

    def __init__(
        self,
        machine: VirtualMachine,
        network: Network,
        transmit: Transmit,
        crossed: Crossed | None = None,
        not_started: NotStarted | None = None,
    ) -> None:
        """Build a machine's hardware; all boards are off.

        Args:
            machine: The machine's description.
            network: The addresses of BMPs and boards.
            transmit: Sends their datagrams.
            crossed: Called for each packet between chips that leaves a board over one of its links.
            not_started: Called for boot images that do not start; real boards do not report them.
        """
        self.machine = machine
        self.agenda = Agenda()
        self.faults = FaultSource(machine.faults, machine.seed)
        self._running: Running = {}
        self._transmit = transmit
        self._crossed = crossed
        self._not_started = not_started
        self._boards = {
            board: VirtualBoard(
                board, place, network.boards[board].sdp.host, machine.defects.get(board, NO_DEFECTS)
            )
            for board, place in machine.places.items()
        }
        self.receivers: dict[Socket, Receiver] = {}
        """The receiver of the datagrams that arrive at each socket."""
        for board in self._boards.values():
            board.far_boards = [self._far_board(board, link) for link in Link]
            self.receivers[network.boards[board.board].sdp] = self._sdp_receiver(board, network)
            self.receivers[network.boards[board.board].boot] = self._boot_receiver(board)
        self.bmps: dict[Frame, Bmp] = {}
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
                self.faults,
            )
            self.bmps[frame] = bmp
            self.receivers[network.bmps[frame]] = self._bmp_receiver(bmp, network.bmps[frame])
        if machine.faults.of_network:
            self._disturb(network)

    def _disturb(self, network: Network) -> None:
        """Apply the network's faults to all datagrams, received and sent."""
        transmit = self._transmit
        # Not by address: addresses differ from run to run, and the faults must not.
        names = {socket: f"BMP of {frame}" for frame, socket in network.bmps.items()}
        names |= {sockets.sdp: f"board {board}" for board, sockets in network.boards.items()}
        names |= {sockets.boot: f"boot of board {board}" for board, sockets in network.boards.items()}
        outward = {
            local: Direction(f"from {names[local]}", self.faults, self.agenda.at) for local in self.receivers
        }

        def disturbed(source: Socket, destination: Address, datagram: bytes) -> None:
            outward[source].pass_on(lambda _: transmit(source, destination, datagram), self.agenda.now)

        self._transmit = disturbed
        for local, receive in self.receivers.items():
            direction = Direction(f"to {names[local]}", self.faults, self.agenda.at)
            self.receivers[local] = self._disturbed(receive, direction)

    def _disturbed(self, receive: Receiver, direction: Direction) -> Receiver:
        def disturbed(datagram: bytes, sender: Address, now: float) -> None:
            def deliver(then: float) -> None:
                self.agenda.now = max(then, self.agenda.now)
                receive(datagram, sender, then)

            direction.pass_on(deliver, now)

        return disturbed

    def _bmp_receiver(self, bmp: Bmp, local: Socket) -> Receiver:
        def receive(datagram: bytes, sender: Address, now: float) -> None:
            def send(reply: ScpReply) -> None:
                self._transmit(local, sender, reply.encode())

            bmp.receive(datagram, now, send)

        return receive

    def _far_board(self, board: VirtualBoard, link: Link) -> VirtualBoard | None:
        end = BoardLink(board.board, link)
        if end in self.machine.dead_links:
            return None
        return self._boards.get(far_end(self.machine.size, end).board)

    def _sdp_receiver(self, board: VirtualBoard, network: Network) -> Receiver:
        local = network.boards[board.board].sdp

        def receive(datagram: bytes, sender: Address, now: float) -> None:
            machine = self._running.get(board)
            reply = answer(machine, board, datagram, sender, now) if machine is not None else None
            if reply is not None:
                self._transmit(local, sender, reply)

        return receive

    def _boot_receiver(self, board: VirtualBoard) -> Receiver:
        rom = BootRom()

        def receive(datagram: bytes, _: Address, now: float) -> None:
            nonlocal rom
            if not board.awaits_boot(now) or not board.live_chips & 1:
                rom = BootRom()
                return
            image = rom.receive(datagram)
            if image is not None:
                self._boot(board, image, now)

        return receive

    def _boot(self, board: VirtualBoard, image: BootImage, now: float) -> None:
        region = Region(board, self.machine.size, now)
        if self._crossed is not None:
            for end in region.crossed:
                self._crossed(end)
        try:
            BootedMachine(region, image, now, now + self.machine.timings.boot, self._running, self._crossed)
        except ImageError as error:
            for reached in region.boards:
                reached.crash()
            if self._not_started is not None:
                self._not_started(board.board, str(error))

    def board(self, board: Board) -> VirtualBoard:
        """Return a live board.

        Raises:
            KeyError: The machine has no such board, or it is dead.
        """
        return self._boards[board]

    def booted(self, board: Board) -> BootedMachine | None:
        """Return the machine that a live board is part of since it was booted; None if it is not booted.

        Raises:
            KeyError: The machine has no such board, or it is dead.
        """
        return self._running.get(self._boards[board])

    def link_works(self, end: BoardLink) -> bool:
        """Return whether packets can cross a link: it is not dead, and both ends let them through."""
        board = self._boards.get(end.board)
        return board is not None and board.across(end.link) is not None

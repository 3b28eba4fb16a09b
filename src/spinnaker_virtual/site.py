"""Runs a virtual machine: connects the hardware to sockets and to the event loop.

This is the package's interface to Python programs. See hardware.py, and what that imports, for behaviour.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from spinnaker.fpga import FPGAS_PER_BOARD
from spinnaker.geometry import Board, BoardLink, Link
from spinnaker.places import Frame
from spinnaker.sdp import SDP_PORT
from spinnaker_virtual.faults import PowerOutcome
from spinnaker_virtual.hardware import Hardware
from spinnaker_virtual.log import ALL_TRAFFIC, PacketLog, Traffic
from spinnaker_virtual.loopback import ONE_HOST, BoundSockets, allow_sockets, bind, bind_free
from spinnaker_virtual.machine import VirtualMachine
from spinnaker_virtual.network import Network, Socket
from spinnaker_virtual.scamp.machine import Crossed
from spinnaker_virtual.udp import UdpPump

_log = logging.getLogger(__name__)


class VirtualSite:
    """A machine of virtual boards that answers on loopback addresses, in the running event loop.

    `async with VirtualSite(VirtualMachine(size=Size(1, 1))) as site:` starts and stops it.
    """

    def __init__(
        self,
        machine: VirtualMachine,
        base: IPv4Address | None = None,
        *,
        first_port: int | None = None,
        log: Callable[[str], None] | None = None,
        log_only: Collection[Traffic] = ALL_TRAFFIC,
        crossed: Crossed | None = None,
    ) -> None:
        """Prepare a site; `start` binds its addresses.

        Args:
            machine: The machine's description.
            base: The first address of a standard installation, such as 127.1.0.0; None to find an available block.
            first_port: Use 127.0.0.1 for all boards and BMPs, with ports from this one on.
            log: Called with a line for each packet, including those that cross from board to board.
            log_only: The kinds of packets to log.
            crossed: Called for each packet between chips that leaves a board over one of its links.
        """
        self.machine = machine
        self._base = base
        self._first_port = first_port
        self._log = log
        self._logged_kinds = log_only
        self._crossed = crossed
        self._network: Network | None = None
        self._hardware: Hardware | None = None
        self._pump: UdpPump | None = None

    async def start(self) -> None:
        """Bind all addresses and start answering.

        Raises:
            AddressError: An address is not available.
        """
        if self._pump is not None:
            raise RuntimeError("the site has been started already")
        allow_sockets(self.machine)
        sockets: BoundSockets
        if self._first_port is not None:
            network = Network.one_host(self.machine, ONE_HOST, self._first_port)
            sockets = bind(network)
        elif self._base is not None:
            network = Network.standard(self.machine, self._base)
            sockets = bind(network)
        else:
            network, sockets = bind_free(self.machine)
        self._network = network
        log = None
        if self._log is not None:
            log = PacketLog(network, self.machine.size, self._log, self._logged_kinds)
        self._pump = UdpPump(sockets, log)
        try:
            self._hardware = Hardware(
                self.machine, network, self._pump.transmit, self._crossing_callback(log), _warn_of_image
            )
            self._pump.start(self._hardware.receivers, self._hardware.agenda)
        except BaseException:
            await self.stop()
            raise

    def _crossing_callback(self, log: PacketLog | None) -> Crossed | None:
        """Return what to call for each packet between boards: the log, the caller's callback, or both."""
        callers = self._crossed
        if log is None or Traffic.CROSSING not in self._logged_kinds:
            return callers

        def crossed(end: BoardLink) -> None:
            log.crossed(end, self._now())
            if callers is not None:
                callers(end)

        return crossed

    async def stop(self) -> None:
        """Stop answering and release the addresses; does nothing if the site is not running."""
        if self._pump is not None:
            self._pump.stop()
        self._pump = self._hardware = self._network = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def network(self) -> Network:
        """The addresses of BMPs and boards; only while the site runs."""
        if self._network is None:
            raise RuntimeError("the site has no addresses until it is started")
        return self._network

    @property
    def hardware(self) -> Hardware:
        """The BMPs and boards themselves; only while the site runs."""
        if self._hardware is None:
            raise RuntimeError("the site has no boards until it is started")
        return self._hardware

    @property
    def addresses(self) -> Mapping[Board, str]:
        """The address of each live board's Ethernet-connected chip, with `:port` if it is not the standard one."""
        return {board: _text(sockets.sdp) for board, sockets in self.network.boards.items()}

    @property
    def bmps(self) -> Mapping[Frame, str]:
        """The address of each frame's BMP, with `:port` if it is not the standard one."""
        return {frame: _text(socket) for frame, socket in self.network.bmps.items()}

    def is_on(self, board: Board) -> bool:
        """Return whether a live board has power.

        Raises:
            KeyError: The machine has no such board, or it is dead.
        """
        return self.hardware.board(board).on

    def stopped_links(self, board: Board) -> frozenset[Link]:
        """Return the links of a live board whose STOP registers are set.

        Raises:
            KeyError: The machine has no such board, or it is dead.
        """
        return self.hardware.board(board).stopped_links

    def power_on_all(self) -> None:
        """Power all live boards on at once, as their BMPs do on one command."""
        for bmp in self.hardware.bmps.values():
            bmp.power_on_all(self._now())
        if self._pump is not None:
            self._pump.run_due()

    def fail_power(self, board: Board, times: int = 1) -> None:
        """Make the board's next power-ons leave it without power, although its BMP reports success."""
        self.hardware.faults.plan_power(board, PowerOutcome(on=False), times)

    def fail_fpgas(self, board: Board, fpgas: Iterable[int] = (0,), times: int = 1) -> None:
        """Make some FPGAs fail to load at the board's next power-ons."""
        failing = frozenset(fpgas)
        loaded = tuple(number not in failing for number in range(FPGAS_PER_BOARD))
        self.hardware.faults.plan_power(board, PowerOutcome(loaded=loaded), times)

    def hang_bmp(self, frame: Frame, seconds: float) -> None:
        """Make a frame's BMP ignore all requests for some seconds."""
        self.hardware.bmps[frame].hang(self._now(), seconds)

    def crash(self, board: Board) -> None:
        """Stop all chips of a board until it is powered on again; its BMP goes on."""
        self.hardware.board(board).crash()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def link_works(self, board: Board, link: Link) -> bool:
        """Return whether packets can cross a link of a board: not dead, not stopped, and both boards are on."""
        return self.hardware.link_works(BoardLink(board, link))


def _warn_of_image(board: Board, why: str) -> None:
    _log.warning(
        "board %s was sent an image that does not start: %s; until it is powered on again it answers nothing",
        board,
        why,
    )


def _text(socket: Socket) -> str:
    return socket.host if socket.port == SDP_PORT else str(socket)

"""Virtual hardware on a test bench: no sockets, and a clock that only the test moves."""

from collections.abc import Iterable
from ipaddress import IPv4Address

from spinnaker import bmp
from spinnaker.boot import BootImage
from spinnaker.fpga import stop_register
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker.places import Frame
from spinnaker.scamp import ChipInformation, ScampCommand
from spinnaker.scp import ScpReply, ScpRequest
from spinnaker.sdp import Endpoint, SdpHeader
from spinnaker_virtual import Timings, VirtualMachine
from spinnaker_virtual.hardware import Hardware
from spinnaker_virtual.network import Network, Socket
from tests.spinnaker_virtual.images import scamp_image

HOST = Socket("127.0.0.1", 40_000)
FIRST_FRAME = Frame(0, 0)
HERE = 255
ROOT = Board(0, 0, 0)


class Bench:
    """Hardware, and whatever it has sent since one last listened."""

    def __init__(self, machine: VirtualMachine, watched: bool = True, base: str = "127.9.0.0") -> None:
        self.machine = machine
        self.network = Network.standard(machine, IPv4Address(base))
        self.crossings: list[BoardLink] = []
        self.replies: list[ScpReply] = []
        self.hardware = Hardware(
            machine,
            self.network,
            lambda _, __, datagram: self.replies.append(ScpReply.decode(datagram)),
            self.crossings.append if watched else None,
        )
        self.now = 0.0

    @classmethod
    def of(cls, width: int = 1, height: int = 1, watched: bool = True, **details: object) -> "Bench":
        """Make a machine that takes no time for anything, unless told otherwise."""
        details.setdefault("timings", Timings.instant())
        return cls(VirtualMachine(size=Size(width, height), **details), watched)  # type: ignore[arg-type]

    def pass_time(self, seconds: float) -> list[ScpReply]:
        self.now += seconds
        self.hardware.agenda.run(self.now)
        heard, self.replies = self.replies, []
        return heard

    def _tell(self, socket: Socket, datagram: bytes) -> list[ScpReply]:
        self.hardware.receivers[socket](datagram, HOST, self.now)
        return self.pass_time(0.0)

    # BMPs.

    def tell(self, datagram: bytes, frame: Frame = FIRST_FRAME) -> list[ScpReply]:
        return self._tell(self.network.bmps[frame], datagram)

    def ask(self, datagram: bytes, frame: Frame = FIRST_FRAME) -> ScpReply:
        (reply,) = self.tell(datagram, frame)
        return reply

    def on(self, board: Board) -> bool:
        return self.hardware.board(board).on

    def power(self, on: bool = True, boards: Iterable[Board] | None = None) -> None:
        for board in boards if boards is not None else self.machine.places:
            place = self.machine.places[board]
            self.tell(bmp.power_request([place.board], on), place.in_frame)

    def stop(self, board: Board, links: Iterable[Link], stopped: bool = True) -> None:
        place = self.machine.places[board]
        for link in links:
            request = bmp.write_fpga_request(place.board, *stop_register(link), int(stopped))
            assert self.ask(request, place.in_frame).ok

    # Boards.

    def boot(self, board: Board = ROOT, image: BootImage | None = None) -> None:
        for packet in (image or scamp_image()).packets():
            self.tell_boot(packet.encode(), board)

    def tell_boot(self, datagram: bytes, board: Board = ROOT) -> None:
        assert self._tell(self.network.boards[board].boot, datagram) == []

    def tell_board(self, datagram: bytes, board: Board = ROOT) -> list[ScpReply]:
        return self._tell(self.network.boards[board].sdp, datagram)

    def send(
        self,
        command: int,
        *arguments: int,
        x: int = HERE,
        y: int = HERE,
        core: int = 0,
        data: bytes = b"",
        board: Board = ROOT,
    ) -> list[ScpReply]:
        header = SdpHeader(Endpoint(x, y, core))
        padded = (*arguments, 0, 0, 0)[:3]
        return self.tell_board(ScpRequest(header, command, 7, *padded, data).encode(), board)

    def command(self, command: int, *arguments: int, **where: object) -> ScpReply:
        (reply,) = self.send(command, *arguments, **where)  # type: ignore[arg-type]
        return reply

    def read(self, address: int, length: int, **where: object) -> bytes:
        reply = self.command(ScampCommand.READ, address, length, 0, **where)
        assert reply.ok, reply
        return reply.data

    def write(self, address: int, data: bytes, **where: object) -> None:
        reply = self.command(ScampCommand.WRITE, address, len(data), 0, data=data, **where)
        assert reply.ok, reply

    def information(self, x: int = HERE, y: int = HERE, board: Board = ROOT) -> ChipInformation:
        reply = self.command(ScampCommand.INFORMATION, x=x, y=y, board=board)
        assert reply.ok, reply
        return ChipInformation.decode(reply.data)

    def answers(self, board: Board) -> bool:
        return bool(self.send(ScampCommand.VERSION, board=board))


def booted(width: int = 1, height: int = 1, watched: bool = True, **details: object) -> Bench:
    """A machine whose boards are all on and booted from board (0, 0, 0)."""
    bench = Bench.of(width, height, watched, **details)
    bench.power()
    bench.boot()
    return bench

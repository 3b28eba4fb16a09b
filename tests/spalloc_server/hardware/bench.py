"""A frame's driver and its BMP in a world of their own, in simulated time."""

from collections.abc import Callable, Mapping
from itertools import count

from spalloc_server.hardware.frame import FrameDriver, Piece
from spinnaker.bmp import Adc, BmpCommand
from spinnaker.fpga import IDENTITY_REGISTER, FpgaRegister, stop_register
from spinnaker.geometry import Link
from spinnaker.scp import ScpReply, ScpRequest, SoftwareNumber, SoftwareVersion
from spinnaker_virtual.network import Socket
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.world import World

ADDRESS = "127.1.0.0"
MINUTES = 600.0
CHECK_SECONDS = 30.0
NEW, OLD = SoftwareNumber(2, 1, 1), SoftwareNumber(1, 3, 6)


class ScriptedBmp:
    """A BMP that answers everything well, unless `misbehave` says otherwise."""

    def __init__(self, network: Network, version: SoftwareNumber = NEW) -> None:
        self.requests: list[ScpRequest] = []
        self.way_back: tuple[Socket, Socket] | None = None
        """From where, and to whom, answers go."""
        self.misbehave: Callable[[ScpRequest], ScpReply | bytes | None] = self.well
        self.registers: dict[tuple[int, FpgaRegister], int] = {}
        self.on: set[int] = set()
        self._network = network
        self._version = version
        self._dice = network.world.dice("bmp")
        network.to_hardware = self._take

    def _take(self, datagram: bytes, sender: Socket, to: Socket) -> None:
        request = ScpRequest.decode(datagram)
        self.requests.append(request)
        self.way_back = to, sender
        self.hear(request)

    def hear(self, request: ScpRequest, *, answered: bool = True) -> None:
        """Do what is asked; also when the network brings it once more, and perhaps loses the answer."""
        assert self.way_back is not None
        to, sender = self.way_back
        reply = self.misbehave(request)
        if reply is not None and answered:
            data = reply.encode() if isinstance(reply, ScpReply) else reply
            self._network.reply(data, to, sender, self._dice)

    def well(self, request: ScpRequest) -> ScpReply:
        match request.command:
            case BmpCommand.VERSION:
                return request.reply(
                    data=SoftwareVersion(0, 256, 0, "BC&MP/Spin5-BMP", self._version).encode()
                )
            case BmpCommand.READ_FPGA:
                return request.reply(data=self._register(request).to_bytes(4, "little"))
            case BmpCommand.WRITE_FPGA:
                self.registers[_register(request)] = int.from_bytes(request.data, "little")
                return request.reply()
            case BmpCommand.INFORMATION:
                return request.reply(data=self._sensors(request.header.destination.core))
            case BmpCommand.POWER:
                self._power(request)
                return request.reply()
            case _:
                return request.reply()

    def _register(self, request: ScpRequest) -> int:
        slot, (fpga, address) = _register(request)
        if slot not in self.on:
            return 0xFFFFFFFF
        return (
            fpga
            if address == IDENTITY_REGISTER
            else self.registers.get((slot, FpgaRegister(fpga, address)), 0)
        )

    def _sensors(self, slot: int) -> bytes:
        volts = 1.2 if slot in self.on else 0.0
        return Adc((volts, volts, volts), 1.8, 3.3, 12.0, 24.0, 24.0).encode()

    def _power(self, request: ScpRequest) -> None:
        slots = {slot for slot in range(24) if request.argument_2 >> slot & 1}
        self.registers = {end: value for end, value in self.registers.items() if end[0] not in slots}
        self.on = self.on | slots if request.argument_1 & 1 else self.on - slots

    def stopped(self, slot: int) -> set[Link]:
        return {link for link in Link if self.registers.get((slot, stop_register(link)), 0)}

    def of(self, command: BmpCommand) -> list[ScpRequest]:
        return [request for request in self.requests if request.command == command]

    def powers(self) -> list[tuple[int, int]]:
        """On or off, and the mask of boards, of each power command."""
        return [(request.argument_1 & 1, request.argument_2) for request in self.of(BmpCommand.POWER)]


def _register(request: ScpRequest) -> tuple[int, FpgaRegister]:
    return request.header.destination.core, FpgaRegister(request.argument_3, request.argument_1)


class Bench:
    """A driver and its BMP in a world of their own."""

    def __init__(self, version: SoftwareNumber = NEW, seed: int = 1) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.bmp = ScriptedBmp(self.network, version)
        self.process = Process(self.world, self.network, "driver")
        self.silences: list[str | None] = []
        self.retries: list[tuple[int, str]] = []
        self.repairs: list[tuple[int, str]] = []
        self.lost: list[tuple[int, Mapping[int, str]]] = []
        self.orders = count(1)
        self.driver = FrameDriver(ADDRESS, range(24), self, CHECK_SECONDS)
        self.done: dict[str, Mapping[int, str]] = {}

    def ask(
        self, name: str, slots: set[int], *, on: bool = True, cut: set[tuple[int, Link]] | None = None
    ) -> None:
        missing, failed = set(slots), dict[int, str]()

        def resolve(slot: int, failure: str | None) -> None:
            if slot in missing:
                missing.remove(slot)
                failed.update({} if failure is None else {slot: failure})
                if not missing:
                    self.done[name] = failed

        stopped = {slot: frozenset(link for where, link in cut or () if where == slot) for slot in slots}
        piece = Piece(next(self.orders), on, stopped, resolve)
        self.process.enter(self.driver.add, piece)

    def silent(self, why: str | None) -> None:
        self.silences.append(why)

    def retried(self, slot: int, why: str) -> None:
        self.retries.append((slot, why))

    def corrected(self, slot: int, why: str) -> None:
        self.repairs.append((slot, why))

    def strayed(self, order: int, slots: Mapping[int, str]) -> None:
        self.lost.append((order, slots))

    def wait(self, *names: str, limit: float = MINUTES) -> None:
        assert self.world.run(until=lambda: set(names) <= self.done.keys(), limit=limit), (
            f"no answer: {self.done}"
        )

    def pass_time(self, seconds: float) -> None:
        self.world.run(until=lambda: False, limit=seconds)

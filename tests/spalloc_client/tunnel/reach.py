"""A job of the Java service's double, whose boards a tunnel brings within reach."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from spalloc_client.tunnel import beside, running
from spalloc_client.tunnel.running import Door
from spinnaker.boot import BOOT_PORT
from spinnaker.geometry import Board, Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.doubles.caller import Caller, number_of
from tests.doubles.jobs import State
from tests.doubles.service import JavaService
from tests.spalloc_server.fronts.http.site import VERSION
from tests.spinnaker_virtual.conversation import Conversation
from tests.spinnaker_virtual.images import scamp_image


@dataclass
class Reached:
    """The job, and what a tunnel to it needs."""

    service: JavaService
    user: Caller
    number: int
    boards: Mapping[tuple[int, int], str]
    knocks: list[bool]

    def door(self, again: bool) -> Door:
        self.knocks.append(again)
        if again:
            self.user.log_in(self.service.user, self.service.password)
        url = f"wss://{self.service.host}:{self.service.port}/spalloc/proxy/{self.number}"
        return Door(url, {"Cookie": f"JSESSIONID={self.user.cookie}"}, self.user.trust)

    async def knock(self, again: bool) -> Door:
        return self.door(again)

    def tunnel(self, **options: Any) -> running.Tunnel:
        async def boards() -> Mapping[tuple[int, int], str]:
            return self.boards

        return running.Tunnel(self.knock, boards, **options)

    def blocking_tunnel(self, **options: Any) -> beside.Tunnel:
        return beside.Tunnel(self.door, lambda: self.boards, **options)

    def board(self, chip: tuple[int, int]) -> Board:
        got = self.service.job(self.number).allocation
        assert got is not None
        return next(board for board in got.boards if got.chip_of(board) == chip)

    def sends(self, chip: tuple[int, int], to: tuple[str, int], data: bytes) -> None:
        """Have a board send a packet of its own."""
        site = self.service.jobs.machines["big"].site
        socket = site.network.boards[self.board(chip)].sdp
        assert site._pump is not None
        pump = site._pump
        self.service.call(lambda: pump.transmit(socket, to, data))

    def break_connections(self) -> None:
        """Cut every websocket, as a network does."""

        def cut() -> None:
            for websocket in list(self.service.websockets.live):
                websocket.close(1011)

        self.service.call(cut)


@contextmanager
def reached(boards: int = 3, size: Size = Size(2, 2)) -> Iterator[Reached]:  # noqa: B008 - a value
    machine = VirtualMachine(size=size, timings=Timings.instant())
    with JavaService(machines={"big": machine}) as service, Caller.user(service) as user:
        address = user.create(num_boards=boards)
        service.until(number_of(address), State.READY)
        told = user.ask("GET", f"{address}/machine").json()["connections"]
        yield Reached(service, user, number_of(address), {(x, y): host for (x, y), host in told}, [])


async def boot(
    host: str, boot_host: str | None = None, port: int = 17893, boot_port: int = BOOT_PORT
) -> None:
    """Boot boards at an address, and wait until they answer."""
    with Conversation(boot_host or host, boot_port) as rom, Conversation(host, port) as root:
        for _ in range(20):
            for packet in scamp_image().packets():
                await rom.tell(packet.encode())
            with suppress(TimeoutError):
                await root.ask(VERSION, patience=1.0)
                return
        raise AssertionError("the boards do not boot")

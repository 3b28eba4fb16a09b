"""A front in simulated time: what it does when, and in which order, whatever else the computer does meanwhile.

The network is the simulation's. Real sockets are test_front.py's subject.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spalloc_server.core.machine import Machine
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.server import V1Server
from spalloc_server.store.database import Store
from spinnaker.geometry import Size
from spinnaker.places import sequential_places
from tests.simulation.network import Network, StreamTransport
from tests.simulation.process import Process
from tests.simulation.site import SimulatedClock
from tests.simulation.world import World
from tests.spalloc_server.fronts.fuzz import InstantHardware

SOON = 5.0
"""Simulated seconds within which everything is answered that is not waited for on purpose."""


class NoFailures:
    def random(self) -> float:
        return 1.0


class Peer(asyncio.Protocol):
    """A client."""

    def __init__(self) -> None:
        self.transport: StreamTransport
        self.lines: list[Any] = []
        """All whole lines it got."""
        self._rest = b""
        self.gone = False
        """Whether the server has ended the connection."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += map(json.loads, lines)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True

    def send(self, data: bytes) -> None:
        self.transport.write(data)

    def ask(self, command: str, *args: object, **kwargs: object) -> None:
        self.send(request(command, *args, **kwargs))


def request(command: str, *args: object, **kwargs: object) -> bytes:
    return json.dumps({"command": command, "args": args, "kwargs": kwargs}).encode() + b"\n"


class SimulatedFront:
    """A server's process, and a process for all clients."""

    def __init__(self, limits: Limits, seed: int, size: Size) -> None:
        self.world = World(seed)
        self.network = Network(self.world)
        self.server = Process(self.world, self.network, "server")
        self.clients = Process(self.world, self.network, "clients")
        self.limits = limits
        self.size = size
        self.server.enter(self._begin)

    def _begin(self) -> None:
        places = sequential_places(self.size)
        addresses = {board: f"board-{index}" for index, board in enumerate(places)}
        machine = Machine(name="m", size=self.size, places=places, addresses=addresses, settle_seconds=0.0)
        hardware = InstantHardware(NoFailures())  # type: ignore[arg-type]
        self.store = Store(None)
        self.engine = Engine(Site([machine]), self.store, hardware, SimulatedClock(self.world))
        self.front = V1Server(self.engine, self.limits)
        self.engine.start()
        self.server.start(self.front.start("10.0.0.1", 22244))

    def connect(self, host: str = "10.0.1.1") -> Peer:
        peer = Peer()
        self.network.connect(self.clients, peer, host)
        return peer

    def pass_time(self, seconds: float = SOON) -> None:
        self.world.pass_time(seconds)

    def call(self, peer: Peer, command: str, *args: object, **kwargs: object) -> Any:
        """Ask, and return what a peer that asked nothing else is answered."""
        before = len(peer.lines)
        peer.ask(command, *args, **kwargs)
        assert self.world.run(until=lambda: len(peer.lines) > before, limit=60.0), (
            f"{command} is not answered"
        )
        return peer.lines[before]["return"]


@contextmanager
def simulated_front(*, seed: int = 0, **limits: Any) -> Iterator[SimulatedFront]:
    """Run a front in simulated time."""
    front = SimulatedFront(Limits(**limits), seed, Size(2, 2))
    front.pass_time(1.0)
    try:
        yield front
        assert not front.server.faults, front.server.faults
    finally:
        for process in (front.clients, front.server):
            process.kill()
        front.pass_time(1.0)
        front.store.close()

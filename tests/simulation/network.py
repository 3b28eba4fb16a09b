"""The simulated network: streams that arrive late and in pieces, datagrams that are lost, duplicated and reordered.

It knows nothing of what they carry.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spinnaker_virtual.network import Socket
from tests.simulation.world import World

HIGH_WATER = 64 * 1024
LOW_WATER = 16 * 1024
LATENCY = 0.002
LATEST_COPY_SECONDS = 2.9
"""How late a datagram is that arrives once more, at most: later than boards take to change their power."""


@dataclass
class Weather:
    """How bad the network to the BMPs is."""

    loss: float = 0.0
    doubling: float = 0.0
    jitter: float = 0.0
    """Seconds by which a datagram may be later than another."""
    late_copies: float = 0.0
    """Share of datagrams that arrive once more after 50 ms or longer, when others have long followed."""


@dataclass
class Trouble:
    """What is wrong with one BMP."""

    dead: bool = False
    idle_power: bool = False
    """Whether it acknowledges power commands without doing anything."""
    idle_writes: bool = False
    """Whether it acknowledges writes to registers without doing anything."""
    slow: float = 0.0
    """Seconds by which everything it does takes longer."""
    last: float = 0.0
    """When the last request reached it: a slow one keeps their order."""


@dataclass
class Counts:
    """Counts of what happened, to check that there were faults."""

    lost: int = 0
    doubled: int = 0
    late_copies: int = 0
    swallowed: int = 0
    streams: int = 0


class Network:
    """Everything that is on its way."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.weather = Weather()
        self.troubles: defaultdict[Socket, Trouble] = defaultdict(Trouble)
        self.counts = Counts()
        self.to_hardware: Callable[[bytes, Socket, Socket], None] = lambda data, sender, to: None
        self.late_copy: Callable[[bytes, Socket], None] = lambda data, to: None
        """Called just before a late copy of a datagram reaches a BMP."""
        self._listener: tuple[Any, Any] | None = None
        self._endpoints: dict[Socket, DatagramTransport] = {}
        self._numbers = 0

    # Streams

    def listen(self, process: Any, factory: Callable[[], asyncio.Protocol]) -> "Listener":
        self._listener = (process, factory)
        return Listener(self, process)

    def stop_listening(self, process: Any) -> None:
        if self._listener is not None and self._listener[0] is process:
            self._listener = None

    def connect(self, client: Any, protocol: asyncio.Protocol, host: str) -> "StreamTransport":
        """Connect a client at `host` to the listening server.

        Raises:
            ConnectionRefusedError: There is none.
        """
        if self._listener is None or not self._listener[0].alive or not self._listener[0].reachable:
            raise ConnectionRefusedError("nobody listens")
        process, factory = self._listener
        self._numbers += 1
        self.counts.streams += 1
        dice = self.world.dice("stream", self._numbers)
        near = StreamTransport(self.world, client, dice)
        far = StreamTransport(self.world, process, dice)
        near.peer, far.peer = far, near
        far.peer_host = host
        near.protocol = protocol
        far.protocol = factory()
        client.enter(near.begin)
        self.world.after(LATENCY, process.enter, far.begin)
        process.on_death.append(far.die)
        return near

    def cut_off(self, process: Any) -> None:
        """End all streams of a process, which learns of it when it goes on; no client can connect until then."""
        process.reachable = False
        for tell in process.on_death:
            stream = getattr(tell, "__self__", None)
            if isinstance(stream, StreamTransport):
                stream.abort()

    # Datagrams

    def udp(self, process: Any, protocol: Any, remote: tuple[str, int]) -> "DatagramTransport":
        self._numbers += 1
        local = Socket("10.0.0.1", self._numbers)
        transport = DatagramTransport(self, process, protocol, local, Socket(*remote))
        self._endpoints[local] = transport
        return transport

    def request(self, data: bytes, sender: Socket, to: Socket, dice: Any) -> None:
        """Carry a datagram to a BMP."""
        for delay in self._journeys(dice):
            self._approach(delay, self._arrive, data, sender, to)
        late = self._lateness(dice)
        if late:
            self.world.after(late, self._approach, 0.0, self._arrive_late, data, sender, to)

    def _approach(
        self, delay: float, arrive: Callable[..., None], data: bytes, sender: Socket, to: Socket
    ) -> None:
        trouble = self.troubles[to]
        arrival = self.world.now + delay
        if trouble.slow or trouble.last > arrival:
            arrival = trouble.last = max(trouble.last, arrival + trouble.slow)
        self.world.at(arrival, arrive, data, sender, to)

    def _arrive_late(self, data: bytes, sender: Socket, to: Socket) -> None:
        self.counts.late_copies += 1
        self.late_copy(data, to)
        self._arrive(data, sender, to)

    def _arrive(self, data: bytes, sender: Socket, to: Socket) -> None:
        if self.troubles[to].dead:
            self.counts.swallowed += 1
        else:
            self.to_hardware(data, sender, to)

    def reply(self, data: bytes, sender: Socket, to: Socket, dice: Any) -> None:
        """Carry a datagram back from a BMP."""
        endpoint = self._endpoints.get(to)
        if endpoint is None:
            return
        for delay in self._journeys(dice):
            self.world.after(delay, endpoint.deliver, data, sender)
        late = self._lateness(dice)
        if late:
            self.world.after(late, endpoint.deliver, data, sender)

    def _lateness(self, dice: Any) -> float:
        """Return how many seconds later a datagram arrives once more; 0 for not at all."""
        share = self.weather.late_copies
        if not share or dice.random() >= share:
            return 0.0
        return float(dice.uniform(0.05, dice.choice((0.5, LATEST_COPY_SECONDS))))

    def _journeys(self, dice: Any) -> list[float]:
        weather = self.weather
        if dice.random() < weather.loss:
            self.counts.lost += 1
            return []
        journeys = 1
        if dice.random() < weather.doubling:
            self.counts.doubled += 1
            journeys = 2
        return [0.0002 + dice.uniform(0, weather.jitter) for _ in range(journeys)]


class Listener:
    """What `create_server` returns."""

    def __init__(self, network: Network, process: Any) -> None:
        self._network = network
        self._process = process
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return ("10.0.0.1", 22244)

    def close(self) -> None:
        self._network.stop_listening(self._process)


class StreamTransport(asyncio.Transport):
    """One end of a connection."""

    peer: "StreamTransport"
    peer_host = "10.0.0.1"
    protocol: Any

    def __init__(self, world: World, process: Any, dice: Any) -> None:
        super().__init__()
        self._world = world
        self.process = process
        self._dice = dice
        self._closing = False
        self._gone = False
        self._reading = True
        self._unread: list[bytes] = []
        self._ended = False
        self._arrival = 0.0
        self._in_flight = 0
        self._paused = False
        self.begun = False

    def begin(self) -> None:
        self.begun = True
        self.protocol.connection_made(self)
        if self._gone:
            # It was lost while its process stood still: that comes afterwards, as everything else.
            self.protocol.connection_lost(ConnectionResetError())
        self._pass_on()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.peer_host, 1) if name == "peername" else default

    # Out

    def write(self, data: Any) -> None:
        if self._gone or not self.process.alive:
            return
        pieces = [bytes(data)]
        if len(data) > 1 and self._dice.random() < 0.3:
            cut = self._dice.randrange(1, len(data))
            pieces = [pieces[0][:cut], pieces[0][cut:]]
        for piece in pieces:
            self._send(piece)
        if self._in_flight > HIGH_WATER and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._in_flight

    def _send(self, piece: bytes | None) -> None:
        """Send bytes, or with None the end."""
        self._in_flight += len(piece or b"")
        self._arrival = max(self._arrival, self._world.now) + self._dice.uniform(0, LATENCY)
        self._world.at(self._arrival, self._deliver, piece)

    def _deliver(self, piece: bytes | None) -> None:
        if self.peer.process.alive and not self.peer._gone:
            self.peer.process.enter(self.peer._take, piece)
        else:
            # There is no reader, and the sender is told so.
            self._world.after(LATENCY, self.process.enter, self._lose, ConnectionResetError())

    def _note_read(self, size: int) -> None:
        """The other side has read `size` more bytes."""
        self._in_flight -= size
        if self._paused or self._closing:
            # Not now: what follows happens in the process of this side.
            self._world.at(self._world.now, self.process.enter, self._make_room)

    def _make_room(self) -> None:
        if self._paused and self._in_flight <= LOW_WATER and not self._gone:
            self._paused = False
            self.protocol.resume_writing()
        if self._closing and self._in_flight <= 0:
            self._lose(None)

    def write_eof(self) -> None:
        self._send(None)

    def close(self) -> None:
        if not self._closing and not self._gone:
            self._closing = True
            self._send(None)
            if not self._in_flight:
                self._world.at(self._world.now, self.process.enter, self._lose, None)

    def abort(self) -> None:
        self._closing = True
        self._world.at(self._world.now, self.process.enter, self._lose, None)
        self._world.after(LATENCY, self.peer.process.enter, self.peer._lose, ConnectionResetError())

    def die(self) -> None:
        """End with the process: the other side is told, in time."""
        if not self._gone:
            self._gone = True
            self._world.after(LATENCY, self.peer.process.enter, self.peer._lose, ConnectionResetError())

    def _lose(self, error: Exception | None) -> None:
        if not self._gone:
            self._gone = self._closing = True
            if self.begun:
                self.protocol.connection_lost(error)

    def is_closing(self) -> bool:
        return self._closing

    # In

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._world.at(self._world.now, self.process.enter, self._pass_on)

    def _take(self, piece: bytes | None) -> None:
        if piece is None:
            self._ended = True
        else:
            self._unread.append(piece)
        if self.begun:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._unread and self._reading and not self._gone:
            piece = self._unread.pop(0)
            self.peer._note_read(len(piece))
            if not self._closing:
                self.protocol.data_received(piece)
        if self._ended and not self._unread and not self._gone:
            self._ended = False
            if not self._closing and not self.protocol.eof_received():
                self.close()


class DatagramTransport(asyncio.DatagramTransport):
    """A UDP socket that is connected to one BMP."""

    def __init__(self, network: Network, process: Any, protocol: Any, local: Socket, remote: Socket) -> None:
        super().__init__()
        self._network = network
        self._process = process
        self._protocol = protocol
        self._local = local
        self._remote = remote
        self._dice = network.world.dice("udp", local.port)
        self._closed = False

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not self._closed and self._process.alive:
            self._network.request(bytes(data), self._local, self._remote, self._dice)

    def deliver(self, data: bytes, sender: Socket) -> None:
        if not self._closed:
            self._process.enter(self._protocol.datagram_received, data, sender)

    def close(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed

"""One whole site in the simulated world: the real server over virtual boards, and everything that goes wrong.

Here things only happen; invariants.py checks what must hold.
"""

import asyncio
import dataclasses
import random
import sqlite3
from collections import Counter
from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from spalloc_server.core.administration import ClearReports, Drain, PutBack, Reserve, Unreserve
from spalloc_server.core.admission import JobLimits
from spalloc_server.core.askers import SERVER
from spalloc_server.core.commands import RefusedError as NotDoneError
from spalloc_server.core.commands import SetRules
from spalloc_server.core.machine import Machine
from spalloc_server.core.networks import EVERYWHERE, NOWHERE
from spalloc_server.core.share_rules import ShareRules
from spalloc_server.core.site import Site
from spalloc_server.engine import Engine
from spalloc_server.fronts.v1.limits import Limits
from spalloc_server.fronts.v1.server import V1Server
from spalloc_server.hardware.bmps import Bmps
from spalloc_server.store.database import Store
from spinnaker.bmp import BmpCommand
from spinnaker.fpga import FpgaRegister
from spinnaker.geometry import Board, Link, Size, neighbour
from spinnaker.places import Frame, Place
from spinnaker.scp import ScpRequest, SoftwareNumber
from spinnaker_virtual import Timings, VirtualMachine
from spinnaker_virtual.hardware import Hardware
from spinnaker_virtual.network import Network as Addresses
from spinnaker_virtual.network import Socket
from tests.simulation.accounts import People
from tests.simulation.administrator import Administrator, Word
from tests.simulation.client import Client, GoneError, RefusedError
from tests.simulation.disk import Disk
from tests.simulation.groups import Payers
from tests.simulation.keeper import KEEPALIVE, Keeper
from tests.simulation.limits import Limits as TimeLimits
from tests.simulation.network import LATENCY, Network, Trouble, Weather
from tests.simulation.process import Process
from tests.simulation.world import EPOCH, World

SIZES = (Size(1, 1), Size(2, 1), Size(2, 2), Size(3, 2))
EXCUSE_SECONDS = 10.0
"""How long a board may differ from its orders after a late copy of a command; see the top of invariants.py."""
LOSSY_EXCUSE_SECONDS = 100.0
"""The same where answers get lost: only the next regular look may tell of it, and turns take long."""
BOARDS_IN_A_FRAME = 5
"""Few, so that jobs span frames."""

EXCUSES = {
    "the server stops before": ("clean restart", "server failed"),
    "record": ("disk full", "disk broken", "server's mistake"),
    "the history can't be read": ("disk full", "disk broken", "server's mistake"),
}
"""The reasons for which the server may refuse a valid command, and what must have happened before it does."""


class SimulatedClock:
    """The world's time, for the server."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.now

    def suspended(self) -> float:
        return 0.0

    def wall(self) -> float:
        return EPOCH + self._world.now


@dataclasses.dataclass
class Promises:
    """What clients were told, which must hold."""

    created: set[int] = dataclasses.field(default_factory=set)
    destroyed: set[int] = dataclasses.field(default_factory=set)
    maybe_destroyed: set[int] = dataclasses.field(default_factory=set)
    """Jobs that a client asked to be destroyed, or that are not kept alive any more: they may end at any time."""
    drained: dict[Board, int | None] = dataclasses.field(default_factory=dict)
    """Boards that go to no job until they are put back, each with the job that may have it still."""
    reserved: set[str] = dataclasses.field(default_factory=set)
    """Reservations that hold until they are over or removed."""
    deserted: set[int] = dataclasses.field(default_factory=set)
    """Jobs with a keepalive that are not kept alive any more: they must end."""


def _shares(dice: random.Random) -> ShareRules:
    """Return how jobs are moved in the queue: on half of the sites not at all."""
    if dice.random() < 0.5:
        return ShareRules()
    return ShareRules(
        enabled=dice.random() < 0.8,
        half_life=dice.choice((5.0, 60.0, 86_400.0)),
        most_moved=dice.choice((1.0, 60.0, 86_400.0)),
        shared_hosts=dice.choice((NOWHERE, EVERYWHERE)),
        priority_of_owners={"a": dice.choice((-30.0, 0.0, 30.0))},
        groups=dice.random() < 0.5,
        priority_of_groups={"lab": dice.choice((-30.0, 0.0, 30.0))},
    )


class SimulatedSite:
    """The server's process, its disk, the hardware and the clients."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.dice = self.world.dice("site")
        self.network = Network(self.world)
        self.disk = Disk()
        self.clock = SimulatedClock(self.world)
        self.promises = Promises()
        self.limits = TimeLimits(self)
        self.shares = _shares(self.world.dice("shares"))
        self.happened: Counter[str] = Counter()
        """How often each kind of thing happened, to check that it did."""
        self.engine: Engine | None = None
        self.server: Process | None = None
        self.front: V1Server | None = None
        self.bmps: Bmps | None = None
        self.stopping = False
        self.hardware_changes = 0
        self._agenda_planned: float | None = None
        self.stirred: set[Board] = set()
        """Boards that were switched, or whose links were, since the last check."""
        self._latest_words: dict[Board, Drain | PutBack] = {}
        """The administrator's last order for each board."""
        self.reserved_since: dict[str, float] = {}
        """When the server was told of each reservation."""
        self._excuses: dict[Board, float] = {}
        """Until when boards may not be as ordered, because something that came late has changed them."""
        self.booted = 0.0
        """When the server was started last."""
        self.last_trouble = 0.0
        """When something last kept the server from seeing to boards."""
        self.crowd = Process(self.world, self.network, "clients")
        self.tasks: list[asyncio.Task[Any]] = []
        self.keepers: dict[int, Keeper] = {}
        self.longest_pause = 0.0
        self._borders: dict[frozenset[Board], dict[Board, frozenset[Link]]] = {}
        self._make_hardware()

    # Hardware

    def _make_hardware(self) -> None:
        dice = self.dice
        size = dice.choice(SIZES)
        boards = [Board(x, y, z) for x in range(size.width) for y in range(size.height) for z in range(3)]
        dead = frozenset(dice.sample(boards, dice.choice((0, 0, 1))))
        places = {
            board: Place(0, index // BOARDS_IN_A_FRAME, index % BOARDS_IN_A_FRAME)
            for index, board in enumerate(boards)
            if board not in dead
        }
        self.old = dice.random() < 0.15
        instant = dice.random() < 0.3
        self.virtual = VirtualMachine(
            size=size,
            places=places,
            dead_boards=dead,
            timings=Timings.instant()
            if instant
            else Timings(power_on=dice.choice((0.3, 1.5)), power_off=0.1),
            bmp_version=SoftwareNumber(1, 3, 6) if self.old else SoftwareNumber(2, 1, 1),
        )
        if not instant:
            # But for late copies, no datagram is later than another by as much as a board takes to change its power.
            self.network.weather = Weather(
                loss=dice.choice((0, 0, 0.1, 0.3)),
                doubling=dice.choice((0, 0.1, 0.3)),
                jitter=dice.choice((0, 0.001, 0.05)),
            )
        if not self.old:
            # Nothing can be checked of BMPs without FPGA registers: their answers are trusted.
            self.network.weather.late_copies = dice.choice((0, 0, 0.01, 0.1))
        addresses = Addresses.standard(self.virtual, IPv4Address("127.1.0.0"))
        self.hardware = Hardware(self.virtual, addresses, self._from_hardware)
        self.network.to_hardware = self._to_hardware
        self.network.late_copy = self._late_copy
        self._hardware_dice = self.world.dice("hardware")
        self.bad_boards: set[Board] = set()
        """Boards whose FPGAs fail to load now."""
        self.hardware_boards = {board: self.hardware.board(board) for board in places}
        for board in places:
            self._watch(board)
        self.machine = Machine(
            name="m",
            size=size,
            dead_boards=dead,
            places=places,
            addresses={board: str(sockets.sdp.host) for board, sockets in addresses.boards.items()},
            bmps={frame: socket.host for frame, socket in addresses.bmps.items()},
            settle_seconds=dice.choice((0.0, 5.0)),
            cool_down_seconds=dice.choice((0.0, 2.0)),
            board_retry_seconds=5.0,
            reports_to_set_aside=dice.choice((1, 2)),
            report_rest_seconds=dice.choice((3.0, 30.0)),
            bmp_check_seconds=dice.choice((5.0, 30.0)),
        )
        self._bmp_of: dict[Frame, Socket] = dict(addresses.bmps)
        self.administrator = Administrator(self.world, self.machine, self._reload, self._say)
        self.people = People(self)
        self.payers = Payers(self)

    def _watch(self, board: Board) -> None:
        virtual = self.hardware.board(board)
        really_on, really_off, really_write = virtual.power_on, virtual.power_off, virtual.write_fpga

        def note() -> None:
            self.hardware_changes += 1
            self.stirred.add(board)

        frame = virtual.place.in_frame

        def power_on(boot_from: float, loaded: Iterable[bool]) -> None:
            if self._trouble_of(frame).idle_power:
                return
            note()
            really_on(boot_from, [False] * 3 if board in self.bad_boards else loaded)

        def power_off() -> None:
            if self._trouble_of(frame).idle_power:
                return
            note()
            really_off()

        def write_fpga(register: FpgaRegister, value: int) -> None:
            if self._trouble_of(frame).idle_writes:
                return
            note()
            really_write(register, value)

        virtual.power_on, virtual.power_off = power_on, power_off  # type: ignore[method-assign]
        virtual.write_fpga = write_fpga  # type: ignore[method-assign]

    def _trouble_of(self, frame: Frame) -> Trouble:
        return self.network.troubles[self._bmp_of[frame]]

    def _late_copy(self, data: bytes, to: Socket) -> None:
        """Excuse the boards that a command changes which has come once more."""
        request = ScpRequest.decode(data)
        for board, place in self.machine.places.items():
            number = place.board
            if self._bmp_of[place.in_frame] == to and (
                (request.command == BmpCommand.POWER and request.argument_2 >> number & 1)
                or (request.command == BmpCommand.WRITE_FPGA and request.header.destination.core == number)
            ):
                self.happened["late copy of a command"] += 1
                lossy = self.network.weather.loss > 0
                self._excuses[board] = self.world.now + (LOSSY_EXCUSE_SECONDS if lossy else EXCUSE_SECONDS)
                self._look_again_at(self._excuses[board], board)

    def _look_again_at(self, when: float, board: Board) -> None:
        def look() -> None:
            if self.is_excused(board):
                self._look_again_at(self.world.now + EXCUSE_SECONDS, board)
            else:
                self._excuses.pop(board, None)
                self.stirred.add(board)
                self.hardware_changes += 1

        self.world.at(when + 0.001, look)

    def is_excused(self, board: Board) -> bool:
        """Whether a board may differ from its orders now; see the top of invariants.py."""
        until = self._excuses.get(board)
        if until is None:
            return False
        trouble = self._trouble_of(self.machine.places[board].in_frame)
        engine = self.engine
        # What can't be recorded can't be done, and is forgotten if the server dies meanwhile.
        absent = engine is None or engine.trouble is not None or self.server is None or self.server.paused
        away = absent or trouble.dead or trouble.slow > 0 or not self._is_in_service(board)
        return away or self.world.now <= max(until, self.last_trouble + EXCUSE_SECONDS)

    def _is_in_service(self, board: Board) -> bool:
        machine = None if self.engine is None else self.engine.site.machines.get("m")
        return machine is not None and board in machine.places

    def _note_trouble(self) -> None:
        self.last_trouble = self.world.now

    @property
    def has_excuses(self) -> bool:
        """Whether any board may differ from its orders."""
        return bool(self._excuses)

    def _to_hardware(self, data: bytes, sender: Socket, to: Socket) -> None:
        self.hardware.receivers[to](data, sender, self.world.now)
        self._run_agenda()

    def _from_hardware(self, sender: Socket, to: Socket, data: bytes) -> None:
        self.network.reply(data, sender, to, self._hardware_dice)

    def _run_agenda(self) -> None:
        agenda = self.hardware.agenda
        agenda.run(self.world.now)
        if agenda.next is not None and agenda.next != self._agenda_planned:
            self._agenda_planned = agenda.next
            self.world.at(agenda.next, self._run_agenda)

    def cut_links(self, board: Board) -> frozenset[Link]:
        return self.hardware.board(board).stopped_links

    def border(self, boards: frozenset[Board]) -> dict[Board, frozenset[Link]]:
        """The links by which boards could reach others, computed once for each set of boards."""
        if boards not in self._borders:
            self._borders[boards] = {
                board: frozenset(
                    link for link in Link if neighbour(self.machine.size, board, link) not in boards
                )
                for board in boards
            }
        return self._borders[boards]

    # The server's process

    @property
    def is_hampered(self) -> bool:
        """Whether the server can't do what it should: it is away, stopping, paused, or its disk takes nothing."""
        server = self.server
        is_up = server is not None and server.alive and not server.paused and not self.stopping
        return not is_up or self.engine is None or self.disk.full or self.disk.broken

    def boot(self) -> None:
        """Start the server, as it would be after whatever happened before."""
        self.happened["boot"] += 1
        self.booted = self.world.now
        self._note_trouble()
        self.stopping = False
        process = Process(self.world, self.network, f"server-{self.happened['boot']}")
        self.server = process
        self.database = self.disk.open("/state")
        process.on_death.append(self._died)
        process.enter(self._begin, process)

    def _begin(self, process: Process) -> None:
        store = Store(None, self.database)  # type: ignore[arg-type]
        machines = self.administrator.machines
        bmps = Bmps(machines)
        engine = Engine(Site(machines), store, bmps, self.clock)
        engine.do(
            SetRules(JobLimits(), self.payers.trust, shares=self.shares, groups=self.payers.rules), SERVER
        )
        self.front = V1Server(engine, Limits(connections=50, slow_reader_seconds=20.0))
        engine.on_failure = self._failed
        cold = self.happened["boot"] > 1 and self.administrator.wants_cold_start()
        engine.start(cold=cold)
        if cold:
            self._started_cold(engine)
        self.engine, self.bmps = engine, bmps
        self.front_up = process.start(self.front.start("10.0.0.1", 22244))

    def _started_cold(self, engine: Engine) -> None:
        """Note that all jobs have ended, and are ended for good once that is recorded."""
        self.happened["cold start"] += 1
        ended = frozenset(self.promises.created)
        self.promises.maybe_destroyed |= ended
        engine.when_recorded(lambda recorded: recorded and self.promises.destroyed.update(ended))

    def _reload(self) -> None:
        """Make the server read its configuration again if it runs; else it will do so when it starts."""
        if self.server is None or not self.server.alive or self.engine is None or self.stopping:
            return
        self.happened["reload"] += 1
        self._note_trouble()
        self.server.enter(self.engine.reconfigure, self.administrator.machines)

    def _say(self, word: Word) -> None:
        """Send an administrator's order over the control socket, if the server runs."""
        if self.server is not None and self.server.alive and self.engine is not None and not self.stopping:
            self.server.enter(
                self._hear_of_time if isinstance(word, Reserve | Unreserve) else self._hear, word
            )

    def _hear_of_time(self, word: Reserve | Unreserve) -> None:
        engine = self.engine
        if engine is None:
            return
        if isinstance(word, Unreserve):
            self.promises.reserved.difference_update(word.names)
        try:
            engine.do(word, SERVER)
        except NotDoneError:
            self.happened["administrator refused"] += 1
            return
        self.happened[type(word).__name__] += 1
        if isinstance(word, Reserve):
            name = word.reservation.name
            self.reserved_since[name] = self.world.now
            engine.when_recorded(lambda recorded: self._promise_reservation(name) if recorded else None)

    def _promise_reservation(self, name: str) -> None:
        """Note that a reservation holds, unless it was removed before it was recorded."""
        if self.engine is not None and name in self.engine.site.reserving.added:
            self.promises.reserved.add(name)

    def _remove_reservations(self) -> None:
        """Remove all reservations, as soon as the server runs and accepts that."""
        engine = self.engine
        if engine is not None and not self.stopping:
            there = list(engine.site.reserving.added)
            if not there:
                return
            self._say(Unreserve(there, "jane"))
        self.world.after(1.0, self._remove_reservations)

    @property
    def last_hindrance(self) -> float:
        """When something last kept the server from doing what was due."""
        engine, server = self.engine, self.server
        if self.disk.full or self.disk.broken or engine is None or engine.trouble is not None:
            return self.world.now
        if server is None or server.paused or engine._is_stalled():
            return self.world.now
        return max(self.last_trouble, self.limits.disturbed)

    def _hear(self, word: Drain | PutBack | ClearReports) -> None:
        engine = self.engine
        if engine is None:
            return
        core = engine.site
        keys = [key for key in word.boards if core.boards.knows(key)]
        if isinstance(word, PutBack):
            for key in keys:
                self.promises.drained.pop(key.board, None)
        if not isinstance(word, ClearReports):
            self._latest_words.update({key.board: word for key in keys})
        try:
            engine.do(dataclasses.replace(word, boards=keys), SERVER)
        except NotDoneError:
            self.happened["administrator refused"] += 1
            return
        self.happened["out" if isinstance(word, Drain) and word.moves_jobs else type(word).__name__] += 1
        if isinstance(word, Drain):
            holders = {key.board: core.boards.holder(key) for key in keys}
            engine.when_recorded(lambda recorded: self._promise(word, holders) if recorded else None)

    def _promise(self, word: Drain, holders: dict[Board, int | None]) -> None:
        """Note that boards are drained, except those with a later order."""
        for board, holder in holders.items():
            if self._latest_words[board] is word:
                self.promises.drained[board] = holder

    def _put_all_back(self) -> None:
        """Return all boards to service, as soon as the server runs and accepts that."""
        engine = self.engine
        if engine is not None and not self.stopping:
            drained = engine.site.boards.all_drained()
            if not drained:
                return
            self._say(PutBack(sorted(drained), "jane"))
        self.world.after(1.0, self._put_all_back)

    def _died(self) -> None:
        self.engine = self.front = None

    def pause(self, seconds: float, *, whole_computer: bool) -> None:
        """Stop the server for a while, alone or with its whole computer, which loses its connections then."""
        if self.server is not None and self.server.alive and not self.server.paused:
            self.happened["pause"] += 1
            self.longest_pause = max(self.longest_pause, seconds)
            self.server.pause(seconds)
            self.world.after(seconds, self._note_trouble)
            if whole_computer:
                self.network.cut_off(self.server)

    def crash(self, *, power_loss: bool) -> None:
        """End the server without warning, and start it again a little later."""
        if self.server is None or not self.server.alive:
            return
        self.happened["power loss" if power_loss else "kill"] += 1
        server, database = self.server, self.database
        self.disk.die(power_loss=power_loss, dice=self.world.dice("disk", self.happened["boot"]))
        server.kill()
        self.check_no_faults(server)
        # Not now: SQLite may be at work further up in this very call.
        self.world.after(0.0, lambda: close(database))
        self.world.after(self.dice.choice((0.01, 0.5, 20.0)), self.boot)

    def restart(self) -> None:
        """Stop the server cleanly, and start it again."""
        if self.server is None or not self.server.alive or self.engine is None or self.stopping:
            return
        self.happened["clean restart"] += 1
        self._stop_and_boot()

    def _failed(self) -> None:
        self.happened["server failed"] += 1
        if not self.stopping:
            self._stop_and_boot()

    def _stop_and_boot(self) -> None:
        assert self.server is not None
        self.stopping = True
        self.server.enter(self._stop_cleanly, self.server)

    def _stop_cleanly(self, process: Process) -> None:
        engine, front, database = self.engine, self.front, self.database
        assert engine is not None
        assert front is not None

        async def stop() -> None:
            front.stop_listening()
            await engine.stop()
            await front.stop()

        def ended(task: "asyncio.Task[None]") -> None:
            task.result()
            if not process.alive:
                return
            process.kill()
            self.check_no_faults(process)
            close(database)
            self.disk.die(power_loss=False, dice=self.dice)
            self.world.after(0.1, self.boot)

        process.start(stop()).add_done_callback(ended)

    def check_no_faults(self, process: Process) -> None:
        if process.faults:
            raise AssertionError(f"nobody caught this in {process.name}: {process.faults[0]}")

    # Misfortunes

    def plan_misfortunes(self, seconds: float) -> None:
        """Make things go wrong within the next `seconds`, by whose end everything works again."""
        self.administrator.plan(seconds)
        self.people.plan(seconds)
        self.payers.plan(seconds)
        dice = self.world.dice("misfortunes")
        for _ in range(dice.choice((0, 1, 2, 3))):
            when = dice.uniform(0, seconds)
            power_loss = dice.random() < 0.5
            if dice.random() < 0.5:
                self.world.after(when, partial(self.crash, power_loss=power_loss))
            else:
                self.world.after(when, partial(self._crash_at, dice.randint(1, 25), power_loss))
        if dice.random() < 0.2:
            self.world.after(dice.uniform(0, seconds), self.restart)
        self._plan_pauses(seconds)
        self._plan_bmps_misfortunes(dice, seconds)
        for board in sorted(self.machine.places):
            if dice.random() < 0.15:
                begin = dice.uniform(0, seconds)
                self.world.after(begin, lambda board=board: self._spoil(board))
                self.world.after(begin + 60.0, lambda board=board: self.bad_boards.discard(board))
        if dice.random() < 0.3:
            self.world.after(dice.uniform(0, seconds), self._blunder)
        for fault in ("full", "broken"):
            if dice.random() < 0.15:
                begin = dice.uniform(0, seconds)
                self.world.after(begin, lambda fault=fault: self._ail_disk(fault, True))
                self.world.after(
                    begin + dice.uniform(0.1, 20), lambda fault=fault: self._ail_disk(fault, False)
                )

    def _plan_pauses(self, seconds: float) -> None:
        dice = self.world.dice("pauses")
        for _ in range(dice.choice((0, 0, 1, 1, 2, 10))):
            length, whole = dice.choice((0.3, 1.0, 5.0, 20.0, 40.0, 70.0)), dice.random() < 0.5
            self.world.after(dice.uniform(0, seconds), partial(self.pause, length, whole_computer=whole))

    def _plan_bmps_misfortunes(self, dice: random.Random, seconds: float) -> None:
        for socket in sorted(self._bmp_of.values()):
            if dice.random() < 0.25:
                self._ail(socket, "dead", True, False, dice.uniform(0, seconds), 60.0)
            if dice.random() < 0.2:
                self._ail(socket, "slow", 8.0, 0.0, dice.uniform(0, seconds), 60.0)
            for idle in ("idle_power", "idle_writes"):
                if dice.random() < 0.15 and not self.old:
                    self._ail(socket, idle, True, False, dice.uniform(0, seconds), dice.choice((2.0, 60.0)))

    def mend(self) -> None:
        """End all misfortunes."""
        if self.server is not None:
            self.server.go_on()
        self.network.weather = Weather()
        for trouble in self.network.troubles.values():
            trouble.dead, trouble.slow = False, 0.0
            trouble.idle_power = trouble.idle_writes = False
        self._note_trouble()
        self.bad_boards.clear()
        self.disk.full = self.disk.broken = False
        self.database.fault = None
        self.disk.before_each = lambda: None
        self.administrator.restore()
        self._put_all_back()
        self._remove_reservations()

    def _crash_at(self, operation: int, power_loss: bool) -> None:
        """Crash just before the disk is changed for the n-th time from now."""
        target = self.disk.operations + operation

        def look() -> None:
            if self.disk.operations >= target:
                self.disk.before_each = lambda: None
                self.happened["crash in a write"] += 1
                self.crash(power_loss=power_loss)

        self.disk.before_each = look

    def _blunder(self) -> None:
        """Trigger a bug in the server."""
        if self.server is not None and self.server.alive:
            self.happened["server's mistake"] += 1
            self.database.fault = ValueError("nobody foresaw this")

    def _spoil(self, board: Board) -> None:
        self.happened["board that won't come up"] += 1
        self.bad_boards.add(board)

    def _ail(self, socket: Socket, what: str, ill: Any, well: Any, begin: float, seconds: float) -> None:
        def set_to(value: Any) -> None:
            self.happened[f"BMP {what}"] += bool(value)
            self._note_trouble()
            setattr(self.network.troubles.setdefault(socket, Trouble()), what, value)

        self.world.after(begin, lambda: set_to(ill))
        self.world.after(begin + seconds, lambda: set_to(well))

    def _ail_disk(self, fault: str, ill: bool) -> None:
        self.limits.disturbed = self.world.now
        self.happened[f"disk {fault}"] += ill
        setattr(self.disk, fault, ill)

    # Clients

    def open_to_users(self, users: int, seconds: float) -> None:
        """Let users come."""
        self.busy_seconds = seconds
        self.end = self.world.now + seconds
        for number in range(users):
            self.crowd.enter(self._begin_user, number)
        self.crowd.enter(lambda: self.tasks.append(self.crowd.start(self.limits.wait_for_ends("10.0.2.1"))))
        for host in ("10.0.3.1", "10.0.3.2"):
            self.crowd.enter(lambda host=host: self.tasks.append(self.crowd.start(self.payers.use(host))))

    def _begin_user(self, number: int) -> None:
        self.tasks.append(self.crowd.start(self._user(number, self.world.dice("user", number))))

    async def _user(self, number: int, dice: random.Random) -> None:
        mine: list[int] = []
        host = f"10.0.1.{number}"
        self.keepers[number] = keeper = Keeper(self.crowd, self.network, host)
        if dice.random() < 0.3:
            self.world.after(dice.uniform(0, self.busy_seconds), self._desert, keeper, mine)
        while self.world.now < self.end:
            try:
                client = Client.connect(self.crowd, self.network, host)
            except ConnectionRefusedError:
                await self.crowd.passing(dice.uniform(0.1, 1.0))
                continue
            try:
                await self._session(client, mine, keeper, dice)
            except GoneError:
                self.happened["connection lost"] += 1
            except RefusedError as refusal:
                self.excuse(refusal)

    async def _session(self, client: Client, mine: list[int], keeper: Keeper, dice: random.Random) -> None:
        if dice.random() < 0.3:
            await client.call("notify_job")
        while self.world.now < self.end:
            await self.crowd.passing(dice.choice((0.0, 0.01, 1.0, 10.0, 20.0)) * dice.random())
            if mine and self.limits.wants_to_extend():
                await self.limits.extend(client, dice.choice(mine))
            action = dice.random()
            if action < 0.35 or not mine:
                await self._create(client, mine, keeper, dice)
            elif action < 0.6:
                await self._destroy(client, mine.pop(dice.randrange(len(mine))))
            elif action < 0.7:
                command = dice.choice(("power_on_job_boards", "power_off_job_boards"))
                await self._switch(client, command, dice.choice(mine))
            elif action < 0.8:
                for job in mine:
                    await client.call("job_keepalive", job)
            elif action < 0.88:
                await self._look(client, dice.choice(mine))
            elif action < 0.9:
                await self._report(client, mine, dice)
            elif action < 0.95:
                await self._misbehave(client, dice)
            else:
                client.transport.abort()
                return

    async def _create(self, client: Client, mine: list[int], keeper: Keeper, dice: random.Random) -> None:
        wishes: list[tuple[int, ...]] = [(), (1,), (2,), (3,), (1, 1), (0, 0, 1), (2, 1), (6,), (999,)]
        keepalive = dice.choice((None, None, KEEPALIVE))
        limit = self.limits.wish()
        pipelined = [
            client.send(
                "create_job", *dice.choice(wishes), owner=dice.choice("abc"), keepalive=keepalive, **limit
            )
            for _ in range(dice.choice((1, 1, 3)))
        ]
        for reply in pipelined:
            try:
                job = await reply
            except RefusedError as refusal:
                self.excuse(refusal)
                continue
            except GoneError:
                for other in pipelined:
                    other.exception() if other.done() else other.cancel()
                raise
            assert job not in self.promises.created, f"job {job} was created twice"
            self.promises.created.add(job)
            self.limits.created(job, limit)
            if keepalive is not None and not keeper.alive:
                self._nobody_keeps([job])
                continue
            if keepalive is not None:
                keeper.keep(job)
            mine.append(job)

    def _desert(self, keeper: Keeper, mine: list[int]) -> None:
        """Kill a user's keeper of jobs; the user does not ask for these jobs any more either."""
        self.happened["keeper died"] += 1
        keeper.die()
        mine[:] = [job for job in mine if job not in keeper.jobs]
        self._nobody_keeps(keeper.jobs)

    def _nobody_keeps(self, jobs: Iterable[int]) -> None:
        self.promises.deserted.update(jobs)
        self.promises.maybe_destroyed.update(jobs)

    async def _destroy(self, client: Client, job: int) -> None:
        self.promises.maybe_destroyed.add(job)
        try:
            await client.call("destroy_job", job, "enough")
        except RefusedError as refusal:
            self.excuse(refusal)
        else:
            self.promises.destroyed.add(job)

    def excuse(self, refusal: RefusedError) -> None:
        """A valid command may be refused only while the server can't record it, or stops before it could answer."""
        self.happened["refused"] += 1
        said = str(refusal)
        excuses = [excuse for words, excuse in EXCUSES.items() if words in said]
        assert excuses, f"a client that did nothing wrong was refused: {said}"
        assert any(self.happened[excuse] for excuse in excuses[0]), f"{said}, and nothing had gone wrong"

    async def _switch(self, client: Client, command: str, job: int) -> None:
        try:
            await client.call(command, job)
        except RefusedError as refusal:
            self.excuse(refusal)

    async def _look(self, client: Client, job: int) -> None:
        state = await client.call("get_job_state", job)
        assert state["state"] != 0, f"job {job} was created and is unknown"
        info = await client.call("get_job_machine_info", job)
        assert (info["boards"] is None) == (info["machine_name"] is None)
        jobs = await client.call("list_jobs")
        assert len({entry["job_id"] for entry in jobs}) == len(jobs)
        destroyed = frozenset(self.promises.destroyed)
        ended = {entry["job_id"] for entry in await client.call("list_ended_jobs", limit=1000)}
        assert destroyed <= ended, f"jobs {sorted(destroyed - ended)} have ended, and the history lacks them"

    async def _report(self, client: Client, mine: list[int], dice: random.Random) -> None:
        self.happened["report"] += 1
        board = dice.choice(sorted(self.machine.places))
        if dice.random() < 0.8:
            # A report of another job's board does not count.
            info = await client.call("get_job_machine_info", dice.choice(mine))
            board = Board(*dice.choice(info["boards"])) if info["boards"] else board
        try:
            await client.call("report_problem", self.machine.addresses[board], description="it is sick")
        except RefusedError as refusal:
            if board not in self.administrator.taken_out:
                self.excuse(refusal)

    async def _misbehave(self, client: Client, dice: random.Random) -> None:
        self.happened["bad input"] += 1
        try:
            await client.call("create_job", "three", owner=3)
        except RefusedError:
            pass
        client.transport.write(dice.choice((b"{}\n", b"\xff\n", b"[" * 70_000, b'{"command":' * 99 + b"\n")))
        client.transport.write_eof()
        # Whatever the server answers, it ends the connection; a reply may be late.
        while not client.gone:
            await self.crowd.passing(LATENCY * 50)


def close(database: Any) -> None:
    try:
        database.close()
    except sqlite3.Error:
        pass

"""A site in simulated time: carries out the core's effects at once, in the order that the engine promises.

No sockets, disks or clocks: records are kept in dictionaries, and the hardware answers when a test says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from spalloc_server.core.accounts import AccountNews
from spalloc_server.core.askers import SERVER, Asker
from spalloc_server.core.charges import Charge
from spalloc_server.core.commands import Command
from spalloc_server.core.effects import BoardKey, BoardRecord, Notice, PowerOrder, Remembered, Share, Standing
from spalloc_server.core.groups import Group
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.lengths import Length
from spalloc_server.core.machine import Machine
from spalloc_server.core.reconfiguration import reconfigure
from spalloc_server.core.requests import BoardAt, JobRequest, args_of
from spalloc_server.core.reservations import Reservation
from spalloc_server.core.restart import recall, start_cold
from spalloc_server.core.site import Site
from spalloc_server.core.timekeeping import Moment
from spinnaker.geometry import Board, BoardLink, Link, Size, boards_of, far_end
from spinnaker.places import sequential_places

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

HOST = "198.51.100.7"


def machine(
    width: int = 2,
    height: int = 2,
    *,
    name: str = "m",
    dead_boards: frozenset[Board] = frozenset(),
    settle_seconds: float = 0.0,
    cool_down_seconds: float = 0.0,
) -> Machine:
    size = Size(width, height)
    places = {board: place for board, place in sequential_places(size).items() if board not in dead_boards}
    return Machine(
        name,
        size,
        dead_boards=dead_boards,
        places=places,
        addresses={board: f"{name}-{board.x}-{board.y}-{board.z}" for board in places},
        bmps={place.in_frame: f"{name}-bmp-{place.cabinet}-{place.frame}" for place in places.values()},
        settle_seconds=settle_seconds,
        cool_down_seconds=cool_down_seconds,
        board_retry_seconds=60.0,
    )


@dataclass(slots=True)
class Hardware:
    """What boards really do, as far as power orders go."""

    on: dict[BoardKey, int] = field(default_factory=dict)
    """Boards that are on, and the number of the order that did it."""
    cut: dict[BoardKey, frozenset[Link]] = field(default_factory=dict)

    def obey(self, order: PowerOrder, failed: Mapping[Board, str]) -> None:
        for board in order.boards - failed.keys():
            key = BoardKey(order.machine, board)
            if order.on:
                self.on[key] = order.number
                self.cut[key] = frozenset(end.link for end in order.cut if end.board == board)
            else:
                self.on.pop(key, None)


class World:
    """A site, its records, its hardware and a clock that only tests move."""

    def __init__(self, *machines: Machine, slice_steps: int | None = None) -> None:
        """Begin with no jobs; with `slice_steps`, whatever happens comes between two slices of a decision."""
        self.machines = machines or (machine(),)
        self.slice_steps = slice_steps
        self.now = 0.0
        self.hardware = Hardware()
        self.job_records: dict[int, JobRecord] = {}
        self.board_records: dict[BoardKey, BoardRecord] = {}
        self.charges: list[Charge] = []
        self.lengths: list[Length] = []
        self.share_records: dict[str, Share] = {}
        self.memory: bytes | None = None
        """What the scheduler is to remember."""
        self.reservation_records: dict[str, Reservation] = {}
        self.account_records = AccountNews()
        """All accounts, tokens and sessions that are recorded, and all sessions that were told to have ended."""
        self.group_records: dict[str, Group] = {}
        self.configured: list[Reservation] = []
        """The reservations of the configuration."""
        self.skew = 0.0
        """By how much the wall clock was corrected."""
        self.orders: list[PowerOrder] = []
        self.standing: list[PowerOrder] = []
        """What the hardware is to watch."""
        self.jobs_told: list[set[int]] = []
        self.machines_told: list[set[str]] = []
        self.endings_told: list[tuple[float, int]] = []
        """When clients were told of which job's ending."""
        self.notices: list[Notice] = []
        self.site = Site(self.machines, slice_steps=slice_steps)

    @property
    def warnings(self) -> list[Notice]:
        """What was told that calls for an administrator, which the ends and beginnings of jobs don't."""
        return [notice for notice in self.notices if notice.serious]

    def settle(self) -> bool:
        """End the batch: decide, and carry out what came of it; return whether all is decided."""
        settled = self.site.decide(self.at)
        effects = self.site.take_effects()
        self.job_records.update(effects.jobs)
        _keep(self.board_records, effects.boards)
        self.lengths += effects.lengths
        _keep(self.share_records, effects.shares)
        self.charges += effects.charges
        if effects.scheduler is not None:
            self.memory = effects.scheduler
        _keep(self.reservation_records, effects.reservations)
        _keep(self.group_records, effects.groups)
        if effects.accounts is not None:
            self.account_records = effects.accounts.after(self.account_records)
        self.orders += [order for order in effects.orders if isinstance(order, PowerOrder)]
        self.standing += [order.order for order in effects.orders if isinstance(order, Standing)]
        self.notices += effects.notices
        self.endings_told += [(self.now, job) for job in sorted(effects.endings)]
        if effects.jobs_changed:
            self.jobs_told.append(effects.jobs_changed)
        if effects.machines_changed:
            self.machines_told.append(effects.machines_changed)
        return settled

    def do(self, command: Command[T], by: Asker | str = SERVER) -> T:
        """Have the site do what somebody asks for, or a client at an address that has not logged in."""
        asker = Asker(by) if isinstance(by, str) else by
        assert command.refusal(self.site, asker) is None
        value = command.apply(self.site, asker, self.at)
        self.settle()
        return value

    def create(
        self,
        request: JobRequest,
        *,
        keepalive: float | None = 60.0,
        owner: str = "me",
        host: str = HOST,
        time_limit: float | None = None,
    ) -> int:
        asked = Asked(args_of(request.shape), {})
        number = self.site.create_job(
            request,
            asked,
            owner=owner,
            keepalive=keepalive,
            by=Asker(host),
            at=self.at,
            time_limit=time_limit,
        )
        self.settle()
        return number

    def lend(self, board: BoardKey, *hosts: str) -> None:
        """Let a job of each host have a board for a moment."""
        for host in hosts:
            job = self.create(JobRequest(BoardAt(board.board), machine=board.machine), host=host)
            assert self.record(job).allocation is not None, f"{board} can't be lent"
            self.answer_all()
            self.destroy(job)
            self.answer_all()

    def destroy(self, number: int, reason: str | None = None) -> None:
        self.site.destroy_job(number, reason, self.at)
        self.settle()

    def power(self, number: int, *, on: bool) -> None:
        self.site.set_power(number, on=on)
        self.settle()

    def answer(self, order: PowerOrder, failed: Mapping[Board, str] | None = None) -> None:
        """Let the hardware carry out an order, but for the boards that fail."""
        self.orders.remove(order)
        self.hardware.obey(order, failed or {})
        self.site.power_done(order.number, failed or {}, self.at)
        self.settle()

    def answer_all(self) -> None:
        """Let the hardware carry out all orders, and those that follow from them."""
        while self.orders:
            self.answer(self.orders[0])

    def wait(self, seconds: float) -> None:
        """Let time pass, ringing whenever the site wants to be rung."""
        end = self.now + seconds
        while (deadline := self.site.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.site.tick(self.at)
            self.settle()
        self.now = end

    def reconfigure(self, *machines: Machine) -> None:
        """Change the configuration while the site runs."""
        self.machines = machines
        reconfigure(self.site, machines, self.at)
        self.settle()

    def _start(self) -> None:
        self.site = Site(self.machines, slice_steps=self.slice_steps)
        self.site.reserving.configure(self.configured)
        self.site.groups.recall(list(self.group_records.values()))
        self.site.reserving.recall(self.reservation_records.values(), self.now)
        records = self.account_records
        self.site.accounts.recall(
            [record for record in records.accounts.values() if record is not None],
            [record for record in records.tokens.values() if record is not None],
            [record for record in records.sessions.values() if record is not None],
            self.at,
        )
        self.orders.clear()

    def start_cold(self) -> None:
        """Lose the process, and start another that is to forget everything."""
        self._start()
        next_job = max(self.job_records, default=0) + 1
        start_cold(self.site, list(self.job_records.values()), dict(self.board_records), next_job, at=self.at)
        self.settle()

    def restart(self, *machines: Machine, all_off: bool = False, doubtful: bool = False) -> None:
        """Lose the process: all that is left is what was recorded, and what the hardware does."""
        self.machines = machines or self.machines
        rules = self.site.shares.rules
        self._start()
        self.site.share_by(rules, self.at)
        self.site.remembered = Remembered(list(self.lengths), dict(self.share_records), self.memory)
        next_job = max(self.job_records, default=0) + 1
        recall(
            self.site,
            self.job_records.values(),
            dict(self.board_records),
            next_job,
            at=self.at,
            all_off=all_off,
            doubtful=doubtful,
        )
        self.settle()

    @property
    def wall(self) -> float:
        return 1_000_000.0 + self.now + self.skew

    @property
    def at(self) -> Moment:
        return Moment(self.now, self.wall)

    def record(self, number: int) -> JobRecord:
        job = self.site.jobs.get(number)
        return job.record if job is not None else self.site.ended[number]


def _keep(records: dict[K, V], changes: Mapping[K, V | None]) -> None:
    for key, record in changes.items():
        if record is None:
            records.pop(key, None)
        else:
            records[key] = record


def all_boards(*machines: Machine) -> set[BoardKey]:
    return {
        BoardKey(machine.name, board)
        for machine in machines
        for board in boards_of(machine.size)
        if board in machine.places
    }


def is_carrying(world: World, key: BoardKey, link: Link) -> bool:
    """Return whether packets could pass over a link: both ends are on and neither is stopped."""
    size = next(machine.size for machine in world.machines if machine.name == key.machine)
    other = far_end(size, BoardLink(key.board, link))
    far = BoardKey(key.machine, other.board)
    return (
        key in world.hardware.on
        and far in world.hardware.on
        and link not in world.hardware.cut[key]
        and other.link not in world.hardware.cut[far]
    )

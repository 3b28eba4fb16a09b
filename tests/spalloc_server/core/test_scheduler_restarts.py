"""A scheduler that goes on from what was recorded decides as if nothing had happened, whatever came before.

Histories are made with dice, on one or two small machines: jobs come, end, leave and get other limits; boards are set
aside and put back; reservations begin and are over.
"""

from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Zone
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spalloc_server.core.scheduler import PATIENCE, Scheduler
from spinnaker.geometry import Board, Size, boards_of
from tests.examples import examples
from tests.spalloc_server.core.packing import naive

AHEAD = 1e6
"""By how many seconds Unix time is ahead of the core's time."""
OWNERS = ("jane", "joe", "")

WHAT = (
    ("submit",) * 6 + ("end",) * 3 + ("withdraw", "reserve", "limit", "aside", "back", "back", "pass", "pass")
)
EVENTS = 60


class _Event(NamedTuple):
    what: str
    which: int
    """Chooses among whatever it happens to."""
    request: JobRequest
    limit: float | None
    wait: float
    """Seconds since the event before."""
    moved_back: float


def _event(dice: Random) -> _Event:
    shapes = (
        AnyBoard(),
        Boards(dice.randint(2, 9)),
        Boards(dice.randint(6, 27)),
        Rectangle(Size(dice.randint(1, 3), dice.randint(1, 3))),
        BoardAt(Board(dice.randrange(3), dice.randrange(3), dice.randrange(3))),
    )
    return _Event(
        dice.choice(WHAT),
        dice.randrange(1000),
        JobRequest(dice.choice(shapes)),
        dice.choice((None, None, 600.0, 5000.0, 90_000.0)),
        dice.choice((0.0, 0.0, 30.0, 700.0, PATIENCE, 4 * PATIENCE)),
        dice.choice((0.0, 0.0, 0.0, 3000.0, -2000.0)),
    )


def _machines(dice: Random) -> list[Machine]:
    names = dice.choice(("m", "mn"))
    return [Machine(name, Size(dice.randint(1, 3), dice.randint(1, 3))) for name in names]


@dataclass
class _Job:
    request: JobRequest
    owner: str
    limit: float | None
    submitted: float
    moved_back: float
    started: float = inf
    number: int = 0
    allocation: Allocation | None = None

    @property
    def boards(self) -> frozenset[Board]:
        assert self.allocation is not None
        return self.allocation.boards

    @property
    def machine(self) -> str:
        assert self.allocation is not None
        return self.allocation.machine


@dataclass
class _World:
    """A scheduler, what has happened to it, and what it has decided."""

    machines: list[Machine]
    scheduler: Scheduler
    now: float = 0.0
    queued: dict[int, _Job] = field(default_factory=dict)
    running: dict[int, _Job] = field(default_factory=dict)
    zones: dict[str, list[Zone]] = field(default_factory=dict)
    aside: set[tuple[str, Board]] = field(default_factory=set)
    memory: bytes | None = None
    log: list[object] = field(default_factory=list)

    def happen(self, number: int, event: _Event) -> None:
        what, which, request, limit, wait, moved_back = event
        self.now += wait
        for job, one in list(self.running.items()):
            if one.limit is not None and one.started + one.limit <= self.now:
                self._end(job)
        owner = OWNERS[which % len(OWNERS)]
        machine = self.machines[which % len(self.machines)]
        if what == "submit":
            self.queued[number] = _Job(request, owner, limit, self.now, moved_back)
            self._submit(number)
        elif what == "end" and self.running:
            self._end(sorted(self.running)[which % len(self.running)])
        elif what == "withdraw" and self.queued:
            gone = sorted(self.queued)[which % len(self.queued)]
            del self.queued[gone]
            self.scheduler.withdraw(gone)
        elif what == "limit" and limit is not None and (self.queued or self.running):
            self._limit(which, limit)
        elif what in ("aside", "back"):
            self._take_out(machine, which, back=what == "back")
        elif what == "reserve":
            some = frozenset(boards_of(machine.size)[which % len(boards_of(machine.size)) :: 2])
            begins = self.now + which % 3 * 2500.0
            zone = Zone(f"r{number}", some, begins, begins + 2000.0, frozenset({owner} - {""}))
            self.zones.setdefault(machine.name, []).append(zone)
            self.scheduler.set_zones(machine.name, self._zones(machine.name))
        for name, zones in self.zones.items():
            if any(zone.ends <= self.now for zone in zones):
                self.zones[name] = self._zones(name)
                self.scheduler.set_zones(name, self.zones[name])
        self.decide()

    def _zones(self, machine: str) -> list[Zone]:
        return [zone for zone in self.zones.get(machine, ()) if zone.ends > self.now]

    def _submit(self, job: int) -> None:
        one = self.queued[job]
        self.scheduler.submit(
            job, one.request, one.submitted, owner=one.owner, limit=one.limit, moved_back=one.moved_back
        )

    def _end(self, job: int) -> None:
        one = self.running.pop(job)
        self.scheduler.ended(job, self.now, counts=True)
        self.scheduler.release(one.machine, one.boards)

    def _limit(self, which: int, limit: float) -> None:
        jobs = self.queued | self.running
        job = sorted(jobs)[which % len(jobs)]
        jobs[job].limit = limit if job in self.queued else self.now - jobs[job].started + limit
        self.scheduler.limit(job, jobs[job].limit)

    def _take_out(self, machine: Machine, which: int, *, back: bool) -> None:
        boards = sorted(naive.live_boards(machine))
        if boards:
            board = boards[which % len(boards)]
            if back:
                self.aside.discard((machine.name, board))
                self.scheduler.put_back(machine.name, board)
            else:
                self.aside.add((machine.name, board))
                self.scheduler.set_aside(machine.name, board)

    def decide(self) -> None:
        starts = self.scheduler.decide(self.now)
        refused = self.scheduler.take_refused()
        kept = [self.scheduler.kept_spot(machine.name) for machine in self.machines]
        self.log.append(([(start.job, start.allocation) for start in starts], refused, kept))
        for job, _ in refused:
            del self.queued[job]
        for start in starts:
            one = self.running[start.job] = self.queued.pop(start.job)
            one.started, one.allocation, one.number = self.now, start.allocation, start.number
        self.memory = self.scheduler.memory(AHEAD) or self.memory

    def restart(self) -> None:
        """Have another scheduler go on from what was recorded."""
        expected, lengths = self.scheduler.expected_ends(), self.scheduler.lengths
        self.scheduler = Scheduler(self.machines)
        self.scheduler.learn(lengths)
        for name, board in sorted(self.aside):
            self.scheduler.set_aside(name, board)
        for job in sorted(self.queued):
            self._submit(job)
        for job, one in sorted(self.running.items(), key=lambda item: (item[1].started, item[1].number)):
            self.scheduler.begin(
                job,
                one.machine,
                one.boards,
                request=one.request,
                owner=one.owner,
                limit=one.limit,
                started=one.started,
                until=expected[job],
            )
        for name in self.zones:
            self.scheduler.set_zones(name, self._zones(name))
        if self.memory is not None:
            self.scheduler.recall(self.memory, AHEAD, self.now)


@given(st.integers(0, 1 << 32))
@examples(40)
def test_a_restart_after_each_event_changes_no_decision(seed: int) -> None:
    """Not even which spot is kept, and until when."""
    dice = Random(seed)
    machines = _machines(dice)
    undisturbed, restarted = (_World(machines, Scheduler(machines)) for _ in range(2))
    for number in range(EVENTS):
        event = _event(dice)
        for world in (undisturbed, restarted):
            world.happen(number, event)
        restarted.restart()
        for world in (undisturbed, restarted):
            world.decide()
        assert restarted.log == undisturbed.log


@given(st.integers(0, 1 << 32))
@examples(40)
def test_no_job_gets_a_board_that_is_set_aside(seed: int) -> None:
    dice = Random(seed)
    machines = _machines(dice)
    world = _World(machines, Scheduler(machines))
    for number in range(EVENTS):
        before = set(world.running)
        world.happen(number, _event(dice))
        for job in world.running.keys() - before:
            one = world.running[job]
            assert world.aside.isdisjoint((one.machine, board) for board in one.boards)

"""Spots that are kept for jobs that have waited long, and reservations: who may use them, and for how long.

A naive second implementation looks at every rectangle and every end; histories are random, on small machines.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.keeping import IDLE_SHARE, SAVED_SECONDS, SHUT_FACTOR
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.demand import every_rectangle
from spalloc_server.core.packing.occupancy import AT_ONCE
from spalloc_server.core.packing.packer import Packer, Zone
from spalloc_server.core.packing.steps import whole
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle, RectangleAt
from spalloc_server.core.scheduler import PATIENCE, PATIENCE_WITH_LIMIT, Scheduler
from spinnaker.geometry import Board, Size, boards_of
from tests.examples import examples
from tests.spalloc_server.core.packing import naive

_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "end", "end", "withdraw", "reserve"]),
        st.integers(0, 99),
        naive.requests(largest=3),
        st.sampled_from([None, None, 60.0, 600.0, 5000.0]),
        st.sampled_from([0.0, 30.0, 700.0, PATIENCE]),
    ),
    max_size=40,
)
_OWNERS = ("jane", "joe", "")


@dataclass
class _Job:
    request: JobRequest
    owner: str
    limit: float | None
    submitted: float
    started: float = inf
    allocation: Allocation | None = None
    until: float = inf


@dataclass
class _World:
    """A scheduler, and what it has done."""

    machine: Machine
    scheduler: Scheduler
    now: float = 0.0
    queued: dict[int, _Job] = field(default_factory=dict)
    running: dict[int, _Job] = field(default_factory=dict)
    zones: list[Zone] = field(default_factory=list)
    log: list[object] = field(default_factory=list)
    started: list[_Job] = field(default_factory=list)
    """The jobs that the last decision has started."""

    def happen(self, number: int, event: tuple[str, int, JobRequest, float | None, float]) -> None:
        what, which, request, limit, wait = event
        self.now += wait
        for job in [job for job, one in self.running.items() if one.limit is not None]:
            if self.running[job].started + (self.running[job].limit or 0.0) <= self.now:
                self.end(job)
        owner = _OWNERS[which % len(_OWNERS)]
        if what == "submit":
            self.scheduler.submit(number, request, self.now, owner=owner, limit=limit)
            self.queued[number] = _Job(request, owner, limit, self.now)
        elif what == "end" and self.running:
            self.end(sorted(self.running)[which % len(self.running)])
        elif what == "withdraw" and self.queued:
            gone = sorted(self.queued)[which % len(self.queued)]
            del self.queued[gone]
            self.scheduler.withdraw(gone)
        elif what == "reserve":
            boards = boards_of(self.machine.size)
            some = frozenset(boards[which % len(boards) :: 2])
            begins = self.now + wait
            self.zones.append(Zone(f"r{number}", some, begins, begins + 2000.0, frozenset({owner} - {""})))
        self.zones = [zone for zone in self.zones if zone.ends > self.now]
        self.scheduler.set_zones("m", self.zones)
        self.decide()

    def end(self, job: int) -> None:
        allocation = self.running.pop(job).allocation
        assert allocation is not None
        self.scheduler.ended(job, self.now, counts=True)
        self.scheduler.release("m", allocation.boards)

    def decide(self) -> None:
        starts = self.scheduler.decide(self.now)
        refused = self.scheduler.take_refused()
        self.log += [starts, refused]
        for job, _ in refused:
            del self.queued[job]
        self.started = [self.queued[start.job] for start in starts]
        for start in starts:
            one = self.running[start.job] = self.queued.pop(start.job)
            one.started, one.allocation = self.now, start.allocation
            expectation = self.scheduler.expectation(start.job, self.now)
            assert expectation is not None
            one.until = self.now + expectation.seconds

    def free(self) -> set[Board]:
        held = [one.allocation.boards for one in self.running.values() if one.allocation is not None]
        return naive.live_boards(self.machine).difference(*held)


def _world(machine: Machine) -> _World:
    return _World(machine, Scheduler([machine]))


def _sizes(machine: Machine, request: JobRequest) -> list[Size]:
    match request.shape:
        case Rectangle(size) | RectangleAt(_, size):
            return [size] if size.width <= machine.size.width and size.height <= machine.size.height else []
        case Boards(count):
            return every_rectangle(-(-count // 3), request.min_ratio, machine.size)
        case _:
            return []


def _has_spot(machine: Machine, request: JobRequest, free: set[Board]) -> bool:
    match request.shape:
        case AnyBoard():
            return bool(free)
        case BoardAt(board):
            return board in free
        case _:
            return naive.has_spot(machine, request, _sizes(machine, request), free)


@given(naive.machines(largest=3), _EVENTS)
@examples(150)
def test_nobody_starts_in_a_reservation_that_it_is_expected_to_run_into(
    machine: Machine, events: list[tuple[str, int, JobRequest, float | None, float]]
) -> None:
    world = _world(machine)
    for number, event in enumerate(events):
        world.happen(number, event)
        for one in world.started:
            assert one.allocation is not None
            for zone in world.zones:
                if one.owner not in zone.owners and one.until > zone.begins:
                    assert not one.allocation.boards & zone.boards


@given(naive.machines(largest=3), _EVENTS)
@examples(150)
def test_nobody_starts_in_the_kept_spot_who_is_not_expected_to_end_before_it_is_free(
    machine: Machine, events: list[tuple[str, int, JobRequest, float | None, float]]
) -> None:
    world = _world(machine)
    for number, event in enumerate(events):
        world.happen(number, event)
        kept = world.scheduler.kept_spot("m")
        if kept is not None:
            assert kept.job in world.queued
            for one in world.started:
                assert one.allocation is not None
                assert not one.allocation.boards & kept.boards or one.until <= kept.when


@given(naive.machines(largest=3), _EVENTS)
@examples(100)
def test_whoever_can_start_starts(
    machine: Machine, events: list[tuple[str, int, JobRequest, float | None, float]]
) -> None:
    """Outside the kept spot and all reservations, where everybody may start; only small rectangles are asked for."""
    world = _world(machine)
    for number, event in enumerate(events):
        world.happen(number, event)
        kept = world.scheduler.kept_spot("m")
        free = world.free() - (kept.boards if kept is not None else frozenset())
        free = free.difference(*(zone.boards for zone in world.zones))
        for one in world.queued.values():
            if not isinstance(one.request.shape, Boards):
                assert not _has_spot(machine, one.request, free)


@given(
    naive.machines(largest=3),
    st.lists(st.tuples(naive.requests(largest=3), st.floats(1.0, 100.0)), max_size=12),
    naive.requests(largest=3),
)
@examples(150)
def test_the_spot_is_kept_that_is_expected_to_be_free_soonest(
    machine: Machine, jobs: list[tuple[JobRequest, float]], request: JobRequest
) -> None:
    packer, ends = Packer(machine), []
    for one, until in jobs:
        wish = whole(packer.wishes.of(one))
        packer.look()
        found = None if wish is None else whole(packer.find(wish))
        if isinstance(found, Allocation):
            packer.take(found.boards, until)
            ends.append((until, found.boards))
    wish = whole(packer.wishes.of(request))
    if wish is None:
        return
    packer.look()
    spot = whole(packer.soonest(wish, "me", now=0.0, seconds=10.0))
    if isinstance(request.shape, Boards):
        # The search samples the sizes; what it finds is free then, and no naive spot of the smallest size sooner.
        assert spot is not None
        sizes = every_rectangle(-(-request.shape.count // 3), request.min_ratio, machine.size)[:1]
    else:
        sizes = _sizes(machine, request)
    free = naive.live_boards(machine).difference(*(boards for _, boards in ends))
    for until, boards in [(AT_ONCE, frozenset[Board]()), *sorted(ends, key=lambda end: end[0])]:
        assert spot is not None
        if until >= spot.when:
            break
        free |= boards
        if isinstance(request.shape, Boards):
            assert not naive.has_spot(machine, request, sizes, free) or spot.when <= until
        else:
            assert not _has_spot(machine, request, free)


def _longest_first(seed: int, *, limits: bool) -> float:
    """Return how long a job was first in the queue before it started, at most, over thousands of jobs.

    Small jobs keep a machine full, and every now and then somebody wants all of it.
    """
    dice = Random(seed)
    size = Size(4, 4)
    scheduler = Scheduler([Machine("m", size)])
    ends: list[tuple[float, int]] = []
    held: dict[int, Allocation] = {}
    came: dict[int, float] = {}
    first: dict[int, float] = {}
    longest = now = 0.0
    for job in range(1, 2500):
        now += dice.expovariate(1 / 40.0)
        while ends and ends[0][0] <= now:
            at, ended = heappop(ends)
            scheduler.ended(ended, at, counts=True)
            scheduler.release("m", held.pop(ended).boards)
            longest = max(longest, _start(scheduler, dice, at, ends, held, came, first))
        boards = 48 if job % 60 == 0 else dice.choice((1, 3, 6, 9))
        request = JobRequest(AnyBoard()) if boards == 1 else JobRequest(Boards(boards))
        came[job] = now
        scheduler.submit(job, request, now, owner=str(job % 3), limit=LONGEST if limits else None)
        longest = max(longest, _start(scheduler, dice, now, ends, held, came, first))
    return longest


LONGEST = 900.0
"""How long a job of these runs takes at most, in seconds."""


def _start(
    scheduler: Scheduler,
    dice: Random,
    now: float,
    ends: list[tuple[float, int]],
    held: dict[int, Allocation],
    came: dict[int, float],
    first: dict[int, float],
) -> float:
    longest = 0.0
    for start in scheduler.decide(now):
        held[start.job] = start.allocation
        heappush(ends, (now + dice.choice((20.0, 60.0, 300.0, LONGEST)), start.job))
        del came[start.job]
        longest = max(longest, now - first.pop(start.job, now))
    if came:
        first.setdefault(next(iter(came)), now)
        longest = max(longest, now - first[next(iter(came))])
    return longest


@pytest.mark.parametrize("seed", range(3))
def test_with_limits_the_first_job_starts_within_the_bound_of_the_guide(seed: int) -> None:
    bound = max(PATIENCE_WITH_LIMIT, min(LONGEST / IDLE_SHARE, SAVED_SECONDS)) + LONGEST
    assert _longest_first(seed, limits=True) <= bound


@pytest.mark.parametrize("seed", range(3))
def test_without_limits_the_first_job_starts_within_the_bound_of_the_guide(seed: int) -> None:
    shut = SHUT_FACTOR * LONGEST
    bound = max(PATIENCE, min((shut + LONGEST) / IDLE_SHARE, SAVED_SECONDS)) + shut + LONGEST
    assert _longest_first(seed, limits=False) <= bound


def _in_debt() -> Scheduler:
    """A scheduler that keeps a spot for job 9, and has kept more idle for it than it should."""
    scheduler = Scheduler([Machine("m", Size(2, 2)), Machine("other", Size(1, 1))])
    here = {"machine": "m", "tags": frozenset[str]()}
    scheduler.submit(1, JobRequest(AnyBoard(), **here), 0.0, limit=1e6)  # type: ignore[arg-type]
    scheduler.decide(0.0)
    scheduler.submit(9, JobRequest(Rectangle(Size(2, 2)), **here), 0.0)  # type: ignore[arg-type]
    scheduler.submit(10, JobRequest(Boards(9), **here), 1.0, limit=1e6)  # type: ignore[arg-type]
    for now in (PATIENCE, 2 * PATIENCE, 1e5, 2e5):
        assert scheduler.decide(now) == []
    assert scheduler.kept_spot("m") is not None
    return scheduler


def _holder(scheduler: Scheduler) -> int | None:
    scheduler.decide(2e5 + 1.0)
    kept = scheduler.kept_spot("m")
    return None if kept is None else kept.job


def test_a_spot_is_kept_on_when_other_machines_change() -> None:
    scheduler = _in_debt()
    scheduler.reconfigure([Machine("m", Size(2, 2)), Machine("new", Size(1, 1))])
    assert _holder(scheduler) == 9


def test_a_spot_is_kept_on_when_its_jobs_limit_changes() -> None:
    scheduler = _in_debt()
    scheduler.limit(9, 60.0)
    assert _holder(scheduler) == 9


def test_another_spot_is_kept_for_a_job_when_a_board_of_its_own_was_set_aside_for_a_moment() -> None:
    scheduler = _in_debt()
    scheduler.set_aside("m", Board(0, 0, 0))
    scheduler.put_back("m", Board(0, 0, 0))
    assert _holder(scheduler) == 9

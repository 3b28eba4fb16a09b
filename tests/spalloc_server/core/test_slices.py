"""Decisions that are made in slices: what holds of them whatever happens in between, and how long each slice is."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.grids import Grids
from spalloc_server.core.packing.packer import Packer, Zone
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.topology import Topology
from spalloc_server.core.request_groups import Line, Stage
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.core.scheduler import PATIENCE, Scheduler, Start
from spinnaker.geometry import Board, BoardLink, Link, Size, boards_of, far_end
from tests.examples import examples
from tests.spalloc_server.core.packing import naive

T = TypeVar("T")


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "end", "end", "nothing"]), st.integers(0, 99), naive.requests()
    ),
    max_size=40,
)


class _Watched(Scheduler):
    """A scheduler that tells when it begins a decision."""

    def __init__(self, machines: list[Machine], slice_steps: int) -> None:
        super().__init__(machines, patience=inf, slice_steps=slice_steps)
        self.begins: Callable[[], None] = lambda: None

    def _decide(self) -> Steps[None]:
        self.begins()
        yield from super()._decide()

    def has_checked(self, request: JobRequest) -> bool:
        group = self._groups.get(request)
        return group is not None and group.stage is not Stage.UNCHECKED


@given(naive.machines(largest=5), _STEPS, st.integers(1, 9))
@examples(100)
def test_a_decision_in_slices_is_the_one_that_would_have_been_made_at_once_when_it_began(
    machine: Machine, steps: list[tuple[str, int, JobRequest]], slice_steps: int
) -> None:
    """What happens between its slices counts from the next decision, and what is found to be possible meanwhile.

    But for jobs that end in the decision in which they begin: it may give their boards to others, too.
    """
    sliced, whole = _Watched([machine], slice_steps), Scheduler([machine], patience=inf)
    in_slices: list[Start] = []
    at_once: list[Start] = []
    running: dict[int, Allocation] = {}
    older: set[int] = set()
    freed: list[Allocation] = []
    came: dict[int, JobRequest] = {}

    def decide_at_once() -> None:
        older.update(running)
        for job, request in list(came.items()):
            if sliced.has_checked(request):
                whole.submit(job, came.pop(job), float(job))
        for allocation in freed:
            whole.release("m", allocation.boards)
        freed.clear()
        at_once.extend(whole.decide(0.0))

    def decide_a_slice() -> None:
        for start in sliced.decide(0.0):
            in_slices.append(start)
            running[start.job] = start.allocation
        for job, _ in sliced.take_refused():
            del came[job]

    sliced.begins = decide_at_once
    for job, (what, which, request) in enumerate(steps):
        if what == "submit":
            came[job] = request
            sliced.submit(job, request, float(job))
        elif what == "end" and older:
            ending = sorted(older)[which % len(older)]
            older.discard(ending)
            freed.append(running.pop(ending))
            sliced.release("m", freed[-1].boards)
        decide_a_slice()
    while not sliced.is_done:
        decide_a_slice()
    assert in_slices == at_once
    assert not came


def _end(scheduler: Scheduler, start: Start) -> None:
    scheduler.release(start.allocation.machine, start.allocation.boards)


class _Counting:
    """How often anything was done that takes long on a large machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = 0
        for owner, name in ((Topology, "connected"), (Topology, "cluster"), (Grids, "up")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, work: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object) -> object:
            self.done += 1
            return work(*args)

        return counted


_ODD = st.builds(
    JobRequest,
    st.builds(Boards, st.integers(2, 108)),
    min_ratio=st.sampled_from([0.0, 0.333, 1.0]),
    max_dead_boards=st.sampled_from([0, 1, 10, 50, None]),
    max_dead_links=st.sampled_from([None, 0, 1, 2, 6]),
    require_torus=st.sampled_from([False] * 5 + [True]),
)


@given(naive.machines(largest=6), st.lists(st.tuples(st.booleans(), _ODD), min_size=1, max_size=30))
@examples(60)
def test_no_call_does_much_more_work_than_a_slice_has(
    machine: Machine, steps: list[tuple[bool, JobRequest]]
) -> None:
    slice_steps = 5
    # for checks and for searches a slice each, steps of two pieces of work, and twice all sizes that fit into no other.
    most = 2 * (2 * slice_steps + 2 * 2 * sum(machine.size))
    with pytest.MonkeyPatch.context() as monkeypatch:
        work = _Counting(monkeypatch)

        def bounded(call: Callable[[], T]) -> T:
            work.done = 0
            result = call()
            assert work.done <= most
            return result

        scheduler = bounded(lambda: Scheduler([machine], slice_steps=slice_steps))
        running: list[Start] = []
        now = 0.0
        for job, (ends, request) in enumerate(steps):
            now += PATIENCE / 3
            bounded(lambda job=job, request=request, now=now: scheduler.submit(job, request, now))  # type: ignore[misc]
            if ends and running:
                _end(scheduler, running.pop(0))
            while not scheduler.is_done:
                running += bounded(lambda now=now: scheduler.decide(now))  # type: ignore[misc]
        bounded(lambda: scheduler.reconfigure([replace(machine, tags=frozenset({"default", "new"}))]))
        while not scheduler.is_done:
            bounded(lambda: scheduler.decide(now))


def _a_machine_with_faults() -> Machine:
    size = Size(8, 8)
    dead = frozenset(board for board in boards_of(size) if board.x % 3 == board.y % 3 == board.z == 1)
    ends = {BoardLink(Board(x, y, 0), Link(0)) for x in range(0, 8, 2) for y in range(0, 8, 3)}
    return Machine("m", size, dead_boards=dead, dead_links=frozenset(ends | {far_end(size, e) for e in ends}))


def _an_odd_request(number: int) -> JobRequest:
    """Return one that takes long to check, and is like none of another number."""
    boards = Boards(90 + number % 50)
    return JobRequest(boards, min_ratio=number / 1e6, max_dead_boards=80, max_dead_links=0)


def test_a_request_that_takes_long_to_check_delays_nobody_elses() -> None:
    scheduler = Scheduler([_a_machine_with_faults()], slice_steps=20)
    for job in range(50):
        scheduler.submit(job, _an_odd_request(job), 0.0)
    scheduler.submit(99, JobRequest(AnyBoard()), 1.0)
    slices = 0
    while 99 not in [start.job for start in scheduler.decide(1.0)]:
        slices += 1
    assert not scheduler.is_done
    assert slices <= 50 * 4 / 3 + 2, "each of the others had one turn at most, the oldest one of four"


def test_a_request_that_takes_long_is_checked_however_many_come_that_take_as_long() -> None:
    scheduler = Scheduler([_a_machine_with_faults()], slice_steps=20)
    scheduler.submit(0, _an_odd_request(0), 0.0)
    last, slices, over = 0, 0, False
    while not over:
        slices += 1
        for _ in range(3):
            last += 1
            scheduler.submit(last, _an_odd_request(last), 0.0)
            scheduler.withdraw(last - 100 if last > 100 else -1)
        starts = [start.job for start in scheduler.decide(1.0)]
        over = 0 in starts or 0 in [job for job, _ in scheduler.take_refused()]
        assert slices < 300, "it waits as long as others come"


def test_many_owners_limits_and_reservations_are_gone_through_in_slices() -> None:
    """Of 6,000 jobs that ask for the same, no two have the same owner and limit; 100 reservations lie ahead."""
    slice_steps, jobs = 25, 6000
    scheduler = Scheduler([Machine("m", Size(8, 8))], slice_steps=slice_steps)
    every = boards_of(Size(8, 8))
    scheduler.set_zones(
        "m",
        [
            Zone(f"z{number}", frozenset(every[number::7]), 300.0 + number, 1e6, frozenset({f"o{number}"}))
            for number in range(100)
        ],
    )
    scheduler.submit(0, JobRequest(Boards(190)), 0.0, owner="o", limit=200.0)
    assert [start.job for start in scheduler.decide(0.0)] == [0]
    for job in range(1, jobs + 1):
        limit = 60.0 * (1 + job % 20)
        scheduler.submit(job, JobRequest(Boards(3)), float(job) / jobs, owner=f"o{job // 20}", limit=limit)
    with pytest.MonkeyPatch.context() as monkeypatch:
        looks = _Looking(monkeypatch)
        for now in (1.0, 100.0, 2.0 * PATIENCE):
            if now == 100.0:
                scheduler.ended(0, now, counts=True)
                scheduler.release("m", every)
            slices = 0
            while not scheduler.is_done or not slices:
                looks.at = 0
                scheduler.decide(now)
                slices += 1
                # A step looks at 64 jobs, twice at most: may it use a zone, and is it the next of its line?
                assert looks.at <= 2 * 64 * slice_steps
            assert slices > 1


class _Looking:
    """How often a job was looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 0
        for owner, name in ((Packer, "closed"), (Line, "advance")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, look: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object) -> object:
            self.at += 1
            return look(*args)

        return counted

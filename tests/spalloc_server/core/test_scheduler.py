"""Whose turn it is: the rule of the guide, one promise at a time."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.demand import LOOSENESS
from spalloc_server.core.request_groups import Stage
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spalloc_server.core.scheduler import PATIENCE, Scheduler, Start
from spinnaker.geometry import Board, BoardLink, Link, Size, boards_of, neighbour
from tests.examples import examples
from tests.spalloc_server.core.packing import naive

ONE = JobRequest(AnyBoard())
TRIAD = JobRequest(Boards(3))
WHOLE = JobRequest(Rectangle(Size(4, 4)))


def started(starts: list[Start]) -> list[int]:
    return [start.job for start in starts]


LONG = 1e6
"""A limit in seconds that lets no job into a kept spot."""


def free_all(scheduler: Scheduler, start: Start) -> None:
    scheduler.release(start.allocation.machine, start.allocation.boards)


def test_a_job_that_does_not_fit_does_not_hold_up_those_behind_it() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.submit(1, JobRequest(Rectangle(Size(4, 2))), 0.0)
    scheduler.submit(2, WHOLE, 0.0)
    scheduler.submit(3, ONE, 0.0)
    assert started(scheduler.decide(0.0)) == [1, 3]


def test_of_equal_jobs_the_one_that_came_first_starts_first() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    for job in range(1, 6):
        scheduler.submit(job, WHOLE, float(job))
    order = []
    starts = scheduler.decide(6.0)
    while starts:
        order += started(starts)
        free_all(scheduler, starts[0])
        starts = scheduler.decide(6.0)
    assert order == [1, 2, 3, 4, 5]


def test_one_board_is_said_in_the_singular() -> None:
    scheduler = Scheduler([Machine("m", Size(1, 1))])
    for job in range(1, 4):
        scheduler.submit(job, ONE, 0.0)
    scheduler.submit(4, JobRequest(Boards(1)), 0.0)
    scheduler.submit(5, TRIAD, 0.0)
    first, *_ = scheduler.decide(0.0)
    assert "it needs 1 board, and 0 are free on m" in scheduler.waiting(4).sentence
    scheduler.withdraw(4)
    free_all(scheduler, first)
    scheduler.decide(1.0)
    assert "it needs 3 boards, and 1 is free on m" in scheduler.waiting(5).sentence


def test_a_job_goes_to_the_machine_of_highest_priority_that_has_a_place() -> None:
    scheduler = Scheduler([Machine("first", Size(2, 2)), Machine("second", Size(4, 4))])
    for job in (1, 2):
        scheduler.submit(job, JobRequest(Rectangle(Size(2, 2))), 0.0)
    assert [start.allocation.machine for start in scheduler.decide(0.0)] == ["first", "second"]


def test_a_job_goes_only_to_a_machine_that_it_names_or_that_has_all_its_tags() -> None:
    machines = [Machine("a", Size(2, 2)), Machine("b", Size(2, 2), tags=frozenset({"x", "y"}))]
    scheduler = Scheduler(machines)
    assert scheduler.submit(1, JobRequest(AnyBoard(), tags=frozenset({"x"})), 0.0) is None
    assert scheduler.submit(2, JobRequest(AnyBoard(), machine="b", tags=frozenset()), 0.0) is None
    assert scheduler.submit(3, ONE, 0.0) is None
    assert [start.allocation.machine for start in scheduler.decide(0.0)] == ["b", "b", "a"]


TOO_FEW = "too few of the 47 live boards of m are connected in one rectangle"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (JobRequest(Boards(49)), "A rectangle with 49 boards can never be allocated: m has only 48 boards."),
        (
            JobRequest(Boards(48)),
            f"A rectangle with 48 boards can never be allocated: {TOO_FEW} (min_ratio 0.333, max_dead_boards 0).",
        ),
        (
            JobRequest(Rectangle(Size(5, 1))),
            "A rectangle of 5x1 triads can never be allocated: m has only 4x4 triads.",
        ),
        (JobRequest(BoardAt(Board(0, 0, 1))), "Board (0, 0, 1) can never be allocated: on m it is dead."),
        (
            JobRequest(BoardAt(Board(4, 0, 1))),
            "Board (4, 0, 1) can never be allocated: m has only 4x4 triads.",
        ),
        (
            JobRequest(Rectangle(Size(2, 2)), require_torus=True),
            "A torus of 2x2 triads can never be allocated: only the whole of m, 4x4 triads, can be a torus.",
        ),
        (
            JobRequest(Rectangle(Size(4, 4)), require_torus=True),
            f"A torus of 4x4 triads can never be allocated: {TOO_FEW} (max_dead_boards 0, require_torus).",
        ),
        (JobRequest(AnyBoard(), machine="n"), "There is no machine named 'n'; there are: m."),
        (
            JobRequest(AnyBoard(), tags=frozenset({"big", "fast"})),
            "No machine has all of the tags big, fast.",
        ),
    ],
)
def test_a_job_that_can_never_run_is_told_what_and_why(request_: JobRequest, said: str) -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4), dead_boards=frozenset([Board(0, 0, 1)]))])
    scheduler.submit(1, request_, 0.0)
    assert scheduler.decide(0.0) == []
    assert scheduler.take_refused() == [(1, said)]


def test_a_queued_job_can_be_told_where_it_stands_and_what_it_waits_for() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.submit(1, JobRequest(Rectangle(Size(4, 3))), 0.0)
    starts = scheduler.decide(0.0)
    scheduler.submit(2, WHOLE, 0.0)
    scheduler.submit(3, JobRequest(Rectangle(Size(2, 2))), 0.0)
    assert scheduler.waiting(3).sentence == "Number 2 of 2 in the queue; about to be considered."
    scheduler.decide(0.0)
    second, third = scheduler.waiting(2), scheduler.waiting(3)
    assert (second.position, second.queued) == (1, 2)
    assert "it needs 48 boards, and 12 are free on m" in second.sentence
    assert (third.position, third.queued) == (2, 2)
    assert "12 boards are free on m, but not together as it needs them" in third.sentence
    scheduler.decide(PATIENCE)
    assert "on m 48 boards are kept for it, 36 of which are still in use" in scheduler.waiting(2).sentence
    assert "or kept for job 2" in scheduler.waiting(3).sentence
    free_all(scheduler, starts[0])
    assert started(scheduler.decide(PATIENCE)) == [2]


def test_a_job_for_one_board_can_be_told_whether_it_is_in_use_or_set_aside_or_kept() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    board = Board(3, 3, 1)
    scheduler.set_aside("m", board)
    scheduler.submit(1, JobRequest(BoardAt(board)), 0.0)
    scheduler.decide(0.0)
    assert "set aside" in scheduler.waiting(1).sentence
    assert "in use" not in scheduler.waiting(1).sentence
    scheduler.put_back("m", board)
    assert started(scheduler.decide(1.0)) == [1]
    scheduler.submit(2, JobRequest(BoardAt(board)), 2.0)
    scheduler.decide(2.0)
    assert "in use" in scheduler.waiting(2).sentence
    scheduler.withdraw(2)
    scheduler.submit(3, WHOLE, 3.0)
    scheduler.decide(3.0 + PATIENCE)
    other = Board(0, 0, 0)
    scheduler.submit(4, JobRequest(BoardAt(other)), 4.0 + PATIENCE, limit=LONG)
    assert started(scheduler.decide(4.0 + PATIENCE)) == []
    assert "kept for job 3" in scheduler.waiting(4).sentence


def test_a_job_that_waits_for_boards_is_told_how_many_are_set_aside() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.set_aside("m", Board(1, 1, 2))
    scheduler.submit(1, WHOLE, 0.0)
    scheduler.decide(0.0)
    assert "47 are free on m, where 1 is set aside" in scheduler.waiting(1).sentence


def test_a_withdrawn_job_never_starts_and_what_was_kept_for_it_is_available_again() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.submit(1, ONE, 0.0)
    scheduler.decide(0.0)
    scheduler.submit(2, WHOLE, 0.0)
    scheduler.decide(PATIENCE)
    scheduler.submit(3, ONE, PATIENCE, limit=LONG)
    assert scheduler.decide(PATIENCE) == []
    scheduler.withdraw(2)
    assert started(scheduler.decide(PATIENCE)) == [3]


def two_machines() -> Scheduler:
    """Two of four triads each: one board of `a` is in use, and all of `b`."""
    scheduler = Scheduler([Machine("a", Size(2, 2)), Machine("b", Size(2, 2))])
    scheduler.submit(1, JobRequest(AnyBoard(), machine="a", tags=frozenset()), 0.0)
    scheduler.submit(2, JobRequest(Rectangle(Size(2, 2)), machine="b", tags=frozenset()), 0.0)
    assert started(scheduler.decide(0.0)) == [1, 2]
    return scheduler


def test_a_spot_is_kept_for_a_job_on_one_machine_and_the_others_are_open_to_all() -> None:
    scheduler = two_machines()
    scheduler.submit(3, JobRequest(Rectangle(Size(2, 2))), 0.0)
    scheduler.decide(PATIENCE)
    scheduler.release("b", [Board(0, 0, 0)])
    scheduler.submit(4, ONE, PATIENCE)
    (start,) = scheduler.decide(PATIENCE)
    assert (start.job, start.allocation.machine) == (4, "b")


def test_kept_boards_are_available_at_once_when_their_job_starts_elsewhere() -> None:
    scheduler = two_machines()
    scheduler.submit(3, JobRequest(Rectangle(Size(2, 2))), 0.0)
    scheduler.decide(PATIENCE)
    scheduler.submit(4, JobRequest(AnyBoard(), machine="a", tags=frozenset()), PATIENCE, limit=LONG)
    assert scheduler.decide(PATIENCE) == [], "all free boards of a are kept for job 3"
    scheduler.release("b", boards_of(Size(2, 2)))
    assert [(start.job, start.allocation.machine) for start in scheduler.decide(PATIENCE)] == [
        (3, "b"),
        (4, "a"),
    ]
    assert scheduler.is_done


def test_a_kept_spot_moves_when_freed_boards_make_a_better_one() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    for job in range(1, 5):
        scheduler.submit(job, JobRequest(Rectangle(Size(4, 1))), float(job))
    rows = {start.job: start for start in scheduler.decide(5.0)}
    scheduler.submit(5, JobRequest(Rectangle(Size(4, 1))), 6.0)
    scheduler.decide(6.0 + PATIENCE)
    free_all(scheduler, rows[1])
    assert started(scheduler.decide(7.0 + PATIENCE)) == [5], "it need not wait for the boards kept first"


def _small_jobs(machine: Machine, load: float) -> Iterator[tuple[float, float, int]]:
    """Submissions for ever, from a simple counter: time, duration and boards of small jobs."""
    state, time = 1, 0.0
    while True:
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        boards, duration = (1, 3, 6, 9)[state >> 16 & 3], 60.0 + (state >> 18) % 600
        yield time, duration, boards
        time += boards * duration / (load * machine.size.boards)


def test_a_job_for_the_whole_machine_starts_while_small_jobs_keep_arriving_for_ever() -> None:
    """The bound of the guide: patience, and then the longest time that a job runs that has started before."""
    machine = Machine("m", Size(8, 8))
    longest = 660.0
    scheduler = Scheduler([machine])
    ends: dict[int, float] = {}
    held: dict[int, Start] = {}
    submitted, whole = 10_000.0, 0
    for job, (now, duration, boards) in enumerate(_small_jobs(machine, 0.95), 1):
        for ended in sorted((j for j in ends if ends[j] <= now), key=lambda j: (ends[j], j)):
            at = ends.pop(ended)
            free_all(scheduler, held.pop(ended))
            _begin(scheduler.decide(at), at, ends, held, duration)
        if not whole and now >= submitted:
            whole = -1
            scheduler.submit(whole, JobRequest(Rectangle(Size(8, 8))), now)
            submitted = now
        scheduler.submit(job, ONE if boards == 1 else JobRequest(Boards(boards)), now)
        _begin(scheduler.decide(now), now, ends, held, duration)
        if whole in held:
            break
        assert not whole or now <= submitted + PATIENCE + 2 * longest, "the whole machine was never given"
    assert len(held[-1].allocation.boards) == 192


def _begin(
    starts: list[Start], now: float, ends: dict[int, float], held: dict[int, Start], duration: float
) -> None:
    for start in starts:
        held[start.job] = start
        ends[start.job] = now + duration


def test_a_kept_spot_that_loses_a_board_is_given_up_and_its_job_still_starts() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.submit(1, ONE, 0.0)
    (first,) = scheduler.decide(0.0)
    scheduler.submit(2, WHOLE, 0.0)
    scheduler.decide(0.0)
    scheduler.decide(PATIENCE + 1.0)
    assert "kept for it" in scheduler.waiting(2).sentence
    sick = Board(3, 3, 2)
    scheduler.set_aside("m", sick)
    assert scheduler.decide(PATIENCE + 2.0) == []
    free_all(scheduler, first)
    assert scheduler.decide(PATIENCE + 3.0) == []
    scheduler.put_back("m", sick)
    assert started(scheduler.decide(PATIENCE + 4.0)) == [2]


def test_a_job_whose_kept_spot_loses_a_board_starts_at_once_where_others_end_at_that_moment() -> None:
    row = JobRequest(Rectangle(Size(4, 1)))
    scheduler = Scheduler([Machine("m", Size(4, 2))])
    scheduler.submit(1, row, 0.0)
    scheduler.submit(2, row, 0.0)
    first, second = scheduler.decide(0.0)
    scheduler.submit(3, row, 0.0)
    scheduler.decide(PATIENCE)
    scheduler.set_aside("m", second.allocation.origin)
    free_all(scheduler, first)
    assert started(scheduler.decide(PATIENCE)) == [3]


def test_a_spot_is_kept_for_the_next_job_while_none_can_be_for_the_first() -> None:
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.submit(1, ONE, 0.0)
    scheduler.decide(0.0)
    scheduler.set_aside("m", Board(3, 3, 2))
    scheduler.submit(2, WHOLE, 0.0)
    scheduler.submit(3, JobRequest(Boards(47)), 0.0)
    scheduler.decide(PATIENCE)
    assert "it needs 48 boards" in scheduler.waiting(2).sentence
    assert "kept for it" in scheduler.waiting(3).sentence


@pytest.mark.parametrize(
    ("size", "alone", "held", "request_"),
    [
        (Size(2, 2), Board(1, 1, 1), [Board(0, 0, 2)], JobRequest(Boards(3), require_torus=True)),
        (Size(2, 2), Board(1, 1, 1), [Board(0, 0, 2)], JobRequest(Boards(12), max_dead_boards=1)),
        (Size(2, 2), Board(1, 1, 1), [Board(0, 0, 2)], JobRequest(Rectangle(Size(2, 2)), max_dead_boards=1)),
        (
            Size(2, 1),
            Board(0, 0, 1),
            [Board(0, 0, 0), Board(0, 0, 2), Board(1, 0, 2), Board(1, 0, 1)],
            JobRequest(Boards(3), max_dead_boards=None, min_ratio=0.0),
        ),
    ],
    ids=["torus", "boards", "rectangle", "larger rectangle"],
)
def test_a_job_starts_when_another_leaves_the_one_board_that_no_link_connects_to_its_own(
    size: Size, alone: Board, held: list[Board], request_: JobRequest
) -> None:
    scheduler = Scheduler([Machine("m", size, dead_links=frozenset(BoardLink(alone, link) for link in Link))])
    for job, board in enumerate([alone, *held], 1):
        scheduler.submit(job, JobRequest(BoardAt(board)), 0.0)
    first, second, *_ = scheduler.decide(0.0)
    scheduler.submit(9, request_, 0.0)
    assert scheduler.decide(0.0) == []
    free_all(scheduler, second)
    assert scheduler.decide(1.0) == []
    free_all(scheduler, first)
    assert started(scheduler.decide(2.0)) == [9]


def test_running_jobs_keep_their_boards_through_a_restart() -> None:
    machine = Machine("m", Size(4, 4))
    before = Scheduler([machine])
    before.submit(1, JobRequest(Rectangle(Size(4, 3))), 0.0)
    (start,) = before.decide(0.0)
    after = Scheduler([machine])
    after.occupy("m", start.allocation.boards)
    assert after.free_boards("m") == 12
    after.submit(2, JobRequest(Rectangle(Size(4, 1))), 0.0)
    (second,) = after.decide(0.0)
    assert not second.allocation.boards & start.allocation.boards


def test_a_change_of_configuration_examines_the_queue_again() -> None:
    small, large = Machine("small", Size(2, 2)), Machine("large", Size(4, 4))
    scheduler = Scheduler([small, large])
    scheduler.submit(1, WHOLE, 0.0)
    scheduler.decide(0.0)
    scheduler.submit(2, WHOLE, 1.0)
    scheduler.submit(3, JobRequest(Rectangle(Size(2, 2))), 1.0)
    scheduler.submit(4, JobRequest(Rectangle(Size(2, 2))), 1.0)
    assert started(scheduler.decide(1.0)) == [3]
    scheduler.reconfigure([small])
    assert scheduler.decide(2.0) == []
    ((job, why),) = scheduler.take_refused()
    assert job == 2
    assert "4x4" in why
    scheduler.reconfigure([small, Machine("new", Size(2, 2))])
    assert started(scheduler.decide(3.0)) == [4]
    assert scheduler.take_refused() == []


def test_boards_of_running_jobs_and_boards_set_aside_stay_so_through_a_change_of_configuration() -> None:
    machine = Machine("m", Size(1, 1))
    scheduler = Scheduler([machine])
    scheduler.submit(1, ONE, 0.0)
    (start,) = scheduler.decide(0.0)
    aside = next(board for board in boards_of(machine.size) if board not in start.allocation.boards)
    scheduler.set_aside("m", aside)
    scheduler.reconfigure([Machine("m", Size(1, 1), tags=frozenset({"default", "more"}))])
    assert scheduler.free_boards("m") == 1
    free_all(scheduler, start)
    scheduler.put_back("m", aside)
    assert scheduler.free_boards("m") == 3


class _World:
    """A scheduler, and beside it what it has done, checked after each step."""

    def __init__(
        self, machines: list[Machine], kind: type[Scheduler] = Scheduler, slice_steps: int | None = None
    ) -> None:
        self.machines = {machine.name: machine for machine in machines}
        self.scheduler = kind(machines, slice_steps=slice_steps)
        self.running: dict[int, tuple[JobRequest, Allocation]] = {}
        self.queued: dict[int, JobRequest] = {}
        self.aside: set[tuple[str, Board]] = set()
        self.log: list[object] = []

    def free(self, machine: str) -> set[Board]:
        used = (a.boards for _, a in self.running.values() if a.machine == machine)
        aside = {board for name, board in self.aside if name == machine}
        return naive.live_boards(self.machines[machine]).difference(aside, *used)

    def set_aside(self, which: int) -> None:
        name = sorted(self.machines)[which % len(self.machines)]
        boards = sorted(boards_of(self.machines[name].size))
        board = boards[which % len(boards)]
        self.aside.add((name, board))
        self.scheduler.set_aside(name, board)

    def put_back(self) -> None:
        for name, board in sorted(self.aside):
            self.scheduler.put_back(name, board)
        self.aside.clear()

    def submit(self, job: int, request: JobRequest, now: float) -> None:
        self.scheduler.submit(job, request, now)
        self.queued[job] = request

    def end(self, job: int) -> None:
        _, allocation = self.running.pop(job)
        self.scheduler.release(allocation.machine, allocation.boards)

    def decide(self, now: float) -> None:
        starts = self.scheduler.decide(now)
        refused = self.scheduler.take_refused()
        self.log += [starts, refused]
        for job, _ in refused:
            del self.queued[job]
        for start in starts:
            request, given = self.queued.pop(start.job), start.allocation
            machine = self.machines[given.machine]
            assert naive.faults(machine, request, given, self.free(given.machine)) == []
            self.running[start.job] = request, given
        for name in self.machines:
            assert self.scheduler.free_boards(name) == len(self.free(name))
        told = [self.scheduler.waiting(job) for job in self.queued]
        assert sorted(waiting.position for waiting in told) == list(range(1, len(self.queued) + 1))
        assert all(waiting.sentence for waiting in told)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "end", "end", "withdraw", "wait", "aside", "back"]),
        st.integers(0, 99),
        naive.requests(),
    ),
    max_size=40,
)


def _live(
    machines: list[Machine],
    steps: list[tuple[str, int, JobRequest]],
    kind: type[Scheduler] = Scheduler,
    slice_steps: int | None = None,
) -> _World:
    world = _World(machines, kind, slice_steps)
    now = 0.0
    for job, (what, which, request) in enumerate(steps):
        now += 1.0
        if what == "submit":
            world.submit(job, request, now)
        elif what == "end" and world.running:
            world.end(sorted(world.running)[which % len(world.running)])
        elif what == "withdraw" and world.queued:
            gone = sorted(world.queued)[which % len(world.queued)]
            del world.queued[gone]
            world.scheduler.withdraw(gone)
        elif what == "wait":
            now += PATIENCE / 2
        elif what == "aside":
            world.set_aside(which)
        elif what == "back":
            world.put_back()
        world.decide(now)
    return world


@given(st.lists(naive.machines(), min_size=1, max_size=2), _STEPS, st.sampled_from([None, None, 1, 2, 5, 20]))
@examples(120)
def test_every_history_gives_each_job_what_it_asked_for_and_no_board_to_two(
    machines: list[Machine], steps: list[tuple[str, int, JobRequest]], slice_steps: int | None
) -> None:
    """Whatever happens, it happens between two slices of a decision, if decisions are made in slices."""
    named = [
        Machine(f"m{i}", m.size, dead_boards=m.dead_boards, dead_links=m.dead_links)
        for i, m in enumerate(machines)
    ]
    world = _live(named, steps, slice_steps=slice_steps)
    assert _live(named, steps, slice_steps=slice_steps).log == world.log, (
        "the same events give the same decisions"
    )
    now = 1e9
    world.put_back()
    while world.running or not world.scheduler.is_done:
        for job in list(world.running):
            world.end(job)
        world.decide(now)
    assert not world.queued, "all that was queued could run, and did"
    for machine in named:
        assert world.free(machine.name) == naive.live_boards(machine), "what is freed is whole again"


class _Forgetful(Scheduler):
    """A scheduler that does not remember which searches have failed."""

    def decide(self, now: float) -> list[Start]:
        for group in self._groups:
            if group.stage is Stage.NO_SPOT:
                self._groups.freshen(group)
            for option in group.options:
                option.next_version = 0
                option.inside.clear()
        return super().decide(now)


@given(st.lists(naive.machines(), min_size=1, max_size=2), _STEPS)
@examples(100)
def test_remembering_which_searches_have_failed_changes_no_decision(
    machines: list[Machine], steps: list[tuple[str, int, JobRequest]]
) -> None:
    named = [
        Machine(f"m{i}", m.size, dead_boards=m.dead_boards, dead_links=m.dead_links)
        for i, m in enumerate(machines)
    ]
    assert _live(named, steps).log == _live(named, steps, _Forgetful).log


@given(naive.machines(), _STEPS)
@examples(60)
def test_no_job_waits_for_which_the_naive_search_finds_a_spot(
    machine: Machine, steps: list[tuple[str, int, JobRequest]]
) -> None:
    world = _live([machine], [step for step in steps if step[0] != "wait"])
    free = world.free(machine.name)
    for request in world.queued.values():
        match request.shape:
            case AnyBoard():
                assert not free
            case BoardAt(board):
                assert board not in free
            case Rectangle(size):
                assert not naive.has_spot(machine, request, [size], free)
            case Boards(count):
                whole = Size(machine.size.width, machine.size.height)
                tight = [
                    Size(w, h)
                    for w in range(1, whole.width + 1)
                    for h in [next((h for h in range(1, whole.height + 1) if _fits(w, h, count, request)), 0)]
                    if h
                ]
                # A rectangle out of proportion to what is asked for is not used.
                most = LOOSENESS[-1] * min((w * h for w, h in tight), default=0)
                tight = [size for size in tight if size.width * size.height <= most]
                possible = [
                    size
                    for size in tight
                    if naive.has_spot(machine, request, [size], naive.live_boards(machine))
                ]
                if request.max_dead_links is None and possible == tight:
                    assert not naive.has_spot(machine, request, tight, free)


def _fits(width: int, height: int, count: int, request: JobRequest) -> bool:
    return 3 * width * height >= count and min(width, height) / max(width, height) >= request.min_ratio


def test_links_that_leave_a_job_are_never_links_of_its_own() -> None:
    """The surplus that others have is cut off: no board of another job is needed on the way between two of ours."""
    scheduler = Scheduler([Machine("m", Size(4, 4))])
    scheduler.submit(1, ONE, 0.0)
    (single,) = scheduler.decide(0.0)
    taken = {
        board for board in boards_of(Size(4, 4)) if board.x > 1 or board.y > 0
    } - single.allocation.boards
    scheduler.occupy("m", taken)
    scheduler.submit(2, JobRequest(Boards(5)), 1.0)
    starts = scheduler.decide(1.0)
    boards = starts[0].allocation.boards
    assert len(boards) == 5
    assert all(any(neighbour(Size(4, 4), board, link) in boards for link in Link) for board in boards)

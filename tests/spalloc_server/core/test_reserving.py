"""What reservations do to a site: who gets their boards when, and which jobs end for them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.states import JobState
from spalloc_server.core.administration import Reserve, SetReservations, Unreserve
from spalloc_server.core.askers import SERVER, Asker
from spalloc_server.core.lengths import UNKNOWN_SECONDS
from spalloc_server.core.limits import HOW_TO_GET_MORE
from spalloc_server.core.outlook import Outlook
from spalloc_server.core.packing.steps import whole
from spalloc_server.core.questions import job_times
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest
from spalloc_server.core.reservations import MOST_RESERVATIONS, WARNING_SECONDS, Reservation
from spalloc_server.core.scheduler import PATIENCE_WITH_LIMIT, Expectation
from spinnaker.geometry import Board
from tests.examples import examples
from tests.spalloc_server.core.driver import HOST, World, machine

ONE = JobRequest(AnyBoard())
WHOLE = JobRequest(Boards(12))
BOARD = Board(0, 0, 1)
HERE = JobRequest(BoardAt(BOARD))
HOUR = 3600.0
START = 1_000_000.0
"""What the wall clock says when a world begins."""


def reservation(
    begins: float, seconds: float = HOUR, owner: str = "jane", name: str = "course", *, ends_jobs: bool = True
) -> Reservation:
    """Reserve one board, from this many seconds after the world has begun."""
    return Reservation(
        name,
        START + begins,
        START + begins + seconds,
        "a course",
        boards=frozenset({("m", BOARD)}),
        owners=frozenset({owner} if owner else ()),
        ends_jobs=ends_jobs,
        by="mary",
    )


def reserve(world: World, *args: object, **kwargs: object) -> Reservation:
    made = reservation(*args, **kwargs)  # type: ignore[arg-type]
    world.do(Reserve(made))
    return made


def has_it(world: World, job: int) -> bool:
    allocation = world.record(job).allocation
    return allocation is not None and BOARD in allocation.boards and world.record(job).ended is None


def test_only_the_owners_of_a_reservation_get_its_boards_between_its_begin_and_its_end() -> None:
    world = World()
    reserve(world, 0.0)
    others, hers = world.create(HERE, owner="joe", keepalive=None), world.create(HERE, owner="jane")
    assert has_it(world, hers)
    world.destroy(hers)
    world.answer_all()
    world.wait(HOUR - 1.0)
    assert not has_it(world, others)
    world.wait(2.0)
    assert has_it(world, others)


def test_nobody_gets_boards_that_are_reserved_for_maintenance() -> None:
    world = World()
    reserve(world, 0.0, owner="")
    job = world.create(HERE, owner="jane", keepalive=None)
    world.wait(HOUR - 1.0)
    assert not has_it(world, job)
    world.do(Unreserve(["course"], "mary"))
    assert has_it(world, job)


def test_a_job_does_not_start_where_its_limit_runs_into_a_reservation() -> None:
    world = World()
    reserve(world, 1000.0)
    long = world.create(HERE, owner="joe", keepalive=None, time_limit=2000.0)
    short = world.create(HERE, owner="joe", keepalive=None, time_limit=900.0)
    assert not has_it(world, long)
    assert has_it(world, short)
    hers = world.create(HERE, owner="jane", keepalive=None, time_limit=2000.0)
    world.destroy(short)
    world.answer_all()
    assert not has_it(world, long)
    assert has_it(world, hers)


def test_a_waiting_job_that_is_expected_to_take_longer_than_it_was_keeps_out_of_a_reservation() -> None:
    world = World()
    took = 3 * UNKNOWN_SECONDS
    reserve(world, took + 2 * UNKNOWN_SECONDS)
    alike = [world.create(request, owner="joe", keepalive=None) for request in (HERE, *[ONE] * 5)]
    world.answer_all()
    second = world.create(HERE, owner="joe", keepalive=None)
    world.wait(took)
    for job in alike:
        world.site.destroy_job(job, "done", world.at, by=Asker(HOST))
    world.settle()
    world.answer_all()
    assert not has_it(world, second)


def test_other_boards_are_given_as_ever() -> None:
    world = World()
    reserve(world, 1000.0)
    jobs = [world.create(ONE, owner="joe", keepalive=None, time_limit=HOUR) for _ in range(12)]
    assert sum(world.record(job).state is JobState.power for job in jobs) == 11


def test_a_job_that_is_there_is_told_ten_minutes_before_and_ends_when_the_reservation_begins() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    made = reserve(world, 2000.0)
    world.wait(1399.0)
    assert not world.site.is_ending_soon(job)
    world.wait(2.0)
    assert world.site.is_ending_soon(job)
    ending = world.site.ending(job)
    assert ending is not None
    assert (ending.at, ending.why) == (2000.0, made.why)
    world.wait(598.0)
    assert world.record(job).state is JobState.ready
    world.wait(2.0)
    assert world.record(job).state is JobState.destroyed
    assert world.record(job).reason == (
        "Its boards are reserved for jane from 1970-01-12 at 14:20:00 UTC (course): a course"
    )


def test_a_job_of_an_owner_goes_on_through_the_whole_reservation_and_is_told_nothing() -> None:
    world = World()
    job = world.create(HERE, owner="jane", keepalive=None)
    world.answer_all()
    reserve(world, 1000.0)
    world.wait(3 * HOUR)
    assert world.record(job).state is JobState.ready
    assert world.site.ending(job) is None


def test_a_reservation_that_ends_no_jobs_waits_for_those_that_are_there() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    reserve(world, 1000.0, ends_jobs=False)
    others, hers = world.create(HERE, owner="joe", keepalive=None), world.create(HERE, owner="jane")
    world.wait(1100.0)
    world.site.keep_alive(hers, SERVER, world.at)
    assert world.record(job).state is JobState.ready
    world.destroy(job)
    world.answer_all()
    assert not has_it(world, others)


def test_a_job_that_lost_its_boards_is_not_ended_for_a_reservation_of_those() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    reserve(world, 1000.0)
    world.power(job, on=True)
    world.answer(world.orders[0], {BOARD: "it is on fire"})
    assert world.record(job).state is JobState.queued
    assert world.site.ending(job) is None
    world.wait(1100.0)
    assert world.record(job).state is JobState.queued


def test_a_job_is_told_again_when_the_reservation_is_removed() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    reserve(world, 300.0)
    assert world.site.is_ending_soon(job)
    world.do(Unreserve(["course"], "mary"))
    assert not world.site.is_ending_soon(job)
    world.wait(HOUR)
    assert world.record(job).state is JobState.ready


def test_the_sooner_of_limit_and_reservation_ends_a_job() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None, time_limit=500.0)
    world.answer_all()
    reserve(world, 1000.0)
    ending = world.site.ending(job)
    assert ending is not None
    assert ending.at == 500.0


def test_a_job_ends_once_at_its_limit_when_a_reservation_that_was_sooner_is_removed() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None, time_limit=50.0)
    world.answer_all()
    reserve(world, 10.0)
    world.do(Unreserve(["course"], "mary"))
    world.wait(60.0)
    assert world.record(job).reason == f"Its time limit is 50 seconds; {HOW_TO_GET_MORE}."


def test_reservations_follow_the_wall_clock_when_it_is_corrected() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    reserve(world, 2000.0)
    world.wait(1000.0)
    world.skew = -500.0
    world.wait(1400.0)
    assert world.record(job).state is JobState.ready
    world.skew = 0.0
    world.wait(31.0)
    assert world.record(job).state is JobState.destroyed


def test_reservations_and_what_they_mean_for_jobs_stay_through_a_restart_warm_or_cold() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    made = reserve(world, 2000.0)
    world.restart()
    ending = world.site.ending(job)
    assert ending is not None
    assert (ending.at, ending.why) == (2000.0, made.why)
    world.wait(2100.0)
    assert world.record(job).reason == made.why
    world.start_cold()
    world.answer_all()
    late = world.create(HERE, owner="joe", keepalive=None)
    assert not has_it(world, late)


def test_jobs_whose_reservation_began_while_the_server_was_down_are_told_ten_minutes_before_they_end() -> (
    None
):
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    made = reserve(world, 2000.0)
    world.now = 3000.0
    world.restart()
    assert world.endings_told == [(3000.0, job)]
    world.wait(599.0)
    assert world.record(job).state is JobState.ready
    world.wait(1.0)
    assert world.record(job).reason == made.why


def test_a_reservation_that_is_made_just_after_a_start_need_not_wait() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    world.restart()
    reserve(world, 1.0)
    world.wait(1.0)
    assert world.record(job).state is JobState.destroyed


def test_a_job_is_expected_to_end_when_a_reservation_ends_it_and_as_before_when_that_is_removed() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None, time_limit=2 * HOUR)
    world.answer_all()

    def expected() -> tuple[float | None, str | None, float | None]:
        times = job_times(world.site, job, world.now)
        assert times is not None
        return times.expected_seconds, times.expected_by, world.job_records[job].expected_end

    reserve(world, HOUR)
    assert expected() == (HOUR, "reservation", START + HOUR)
    world.restart()
    assert expected() == (HOUR, "reservation", START + HOUR)
    world.do(Unreserve(["course"], "mary"))
    assert expected() == (2 * HOUR, "limit", START + 2 * HOUR)
    reserve(world, HOUR, ends_jobs=False, name="patient")
    assert expected() == (2 * HOUR, "limit", START + 2 * HOUR)


def test_a_run_ahead_knows_which_jobs_a_reservation_ends() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None, time_limit=9 * HOUR)
    world.answer_all()
    reserve(world, HOUR)
    ahead = whole(world.site.scheduler.copy(100))
    assert (
        ahead.expectation(job, 0.0)
        == world.site.scheduler.expectation(job, 0.0)
        == (Expectation(HOUR, "reservation"))
    )


@pytest.mark.parametrize(("ends_jobs", "when"), [(True, HOUR), (False, 9 * HOUR)])
def test_the_spot_that_is_kept_for_an_owner_of_a_reservation_is_free_when_jobs_of_others_end_for_it(
    ends_jobs: bool, when: float
) -> None:
    world = World()
    world.create(HERE, owner="joe", keepalive=None, time_limit=9 * HOUR)
    world.answer_all()
    reserve(world, HOUR, seconds=20 * HOUR, ends_jobs=ends_jobs)
    hers = world.create(WHOLE, owner="jane", keepalive=None, time_limit=60.0)
    world.wait(PATIENCE_WITH_LIMIT + 1.0)
    world.settle()
    kept = world.site.scheduler.kept_spot("m")
    assert kept is not None
    assert (kept.job, kept.when) == (hers, when)


@pytest.mark.parametrize(("ends_jobs", "sooner"), [(True, True), (False, False)])
def test_a_forecast_expects_jobs_to_end_with_the_reservation_that_ends_them(
    ends_jobs: bool, sooner: bool
) -> None:
    world = World()
    world.create(HERE, owner="joe", keepalive=None, time_limit=200 * HOUR)
    world.answer_all()
    reserve(world, HOUR, seconds=300 * HOUR, ends_jobs=ends_jobs)
    hers = world.create(WHOLE, owner="jane", keepalive=None, time_limit=60.0)
    told = whole(world.site.forecast(world.now)).ranges[hers]
    assert (told.latest <= 2 * HOUR) == sooner


def test_a_reservation_that_is_over_is_forgotten_an_hour_later_but_not_because_the_clock_was_wrong() -> None:
    world = World()
    reserve(world, 2000.0)
    world.skew = 365 * 86_400.0
    world.wait(60.0)
    assert world.reservation_records
    world.skew = 0.0
    world.wait(3 * HOUR)
    assert not world.reservation_records
    assert list(world.site.reserving) == []
    told = [notice.text for notice in world.notices if "course" in notice.text]
    assert told[-1] == "reservation course is over"


def test_configured_reservations_are_replaced_with_the_configuration_and_are_not_recorded() -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    world.do(SetReservations([replace(reservation(1000.0), by=None)]))
    assert world.site.ending(job) is not None
    world.reconfigure(machine(cool_down_seconds=1.0))
    assert world.site.ending(job) is not None
    world.do(SetReservations([]))
    assert world.site.ending(job) is None
    assert world.reservation_records == {}


def test_a_reservation_holds_on_a_machine_that_is_configured_later() -> None:
    world = World(machine(name="n"))
    made = Reservation(
        "all", START, START + HOUR, "x", tags=frozenset({"default"}), boards=frozenset({("m", BOARD)})
    )
    world.do(Reserve(made))
    world.reconfigure(machine())
    job = world.create(HERE, owner="joe", keepalive=None)
    assert not has_it(world, job)
    assert world.site.reserving.boards_now("m", world.wall) == frozenset(machine().places)


@pytest.mark.parametrize("seconds", [0.0, 599.0])
def test_a_reload_says_which_jobs_would_end_for_a_new_reservation_too_soon_to_be_told(seconds: float) -> None:
    world = World()
    job = world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    soon = reservation(seconds)
    (ending,) = Outlook(world.machines, [soon]).endings(world.site, world.wall)
    assert (ending.job, ending.owner, ending.why) == (job, "joe", soon.why)
    assert ending.when == (START + seconds if seconds else None)
    for harmless in (reservation(601.0), reservation(seconds, owner="joe"), replace(soon, ends_jobs=False)):
        assert Outlook(world.machines, [harmless]).endings(world.site, world.wall) == []


def test_a_reload_does_not_count_jobs_that_end_for_a_reservation_in_any_case() -> None:
    world = World()
    world.create(HERE, owner="joe", keepalive=None)
    world.answer_all()
    reserve(world, 300.0)
    assert Outlook(world.machines, [reservation(400.0, name="other")]).endings(world.site, world.wall) == []


def test_a_reload_is_refused_whose_reservation_overlaps_one_that_was_made_by_command() -> None:
    world = World()
    reserve(world, 1000.0)
    why = Outlook(world.machines, [reservation(1500.0, owner="joe", name="other")]).clash(world.site)
    assert why is not None
    assert why.startswith(
        "reservation other overlaps the reservation course, which has 1 board of m for jane"
    )
    assert Outlook(world.machines, [reservation(1500.0, name="other")]).clash(world.site) is None


def test_a_start_tells_of_a_configured_reservation_that_overlaps_a_recorded_one_and_both_hold() -> None:
    world = World()
    reserve(world, 1000.0)
    world.configured = [replace(reservation(1500.0, owner="joe", name="other"), by=None)]
    world.restart()
    (told,) = world.warnings
    assert told.text.startswith(
        "reservation other of the configuration overlaps the reservation course, which has "
    )
    assert told.text.endswith("; until then, both hold")
    world.wait(2000.0)
    jobs = [world.create(HERE, owner=owner, keepalive=None) for owner in ("joe", "jane")]
    assert not any(has_it(world, job) for job in jobs)


def test_what_administrators_may_not_do_is_said() -> None:
    world = World()
    reserve(world, 1000.0)
    world.site.reserving.configure([reservation(HOUR * 5, name="fixed")])
    for name, why in (
        ("fixed", "reservation fixed is in the configuration: take it out there, and reload"),
        ("other", "no reservation 'other' was made by command; the list has course"),
    ):
        assert Unreserve(["course", name], "mary").refusal(world.site, SERVER) == why
    for number in range(MOST_RESERVATIONS - 1):
        reserve(world, HOUR * 9, name=str(number))
    full = Reserve(reservation(HOUR * 9, name="one more")).refusal(world.site, SERVER)
    assert full == "there are 100 reservations made by command, and no more are allowed: remove some"


def test_the_log_tells_when_reservations_are_made_begin_and_are_over() -> None:
    world = World()
    reserve(world, 1000.0)
    world.wait(2 * HOUR)
    assert [notice.text for notice in world.notices] == [
        (
            "from 1970-01-12 at 14:03:20 UTC to 1970-01-12 at 15:03:20 UTC, mary has reserved course: 1 board of m for "
            "jane; ends jobs of others: a course"
        ),
        "reservation course holds until 1970-01-12 at 15:03:20 UTC, for jane: a course",
        "reservation course is over",
    ]


@pytest.mark.parametrize(
    ("begins", "owner", "request_", "why"),
    [
        (
            0.0,
            "jane",
            HERE,
            "it needs board (0, 0, 1): on m it is reserved for jane for another 1 hour (course)",
        ),
        (
            0.0,
            "",
            WHOLE,
            "12 boards are free on m, but some are reserved for maintenance for another 1 hour (course)",
        ),
        (
            600.0,
            "jane",
            HERE,
            (
                "it needs board (0, 0, 1): on m it is reserved for jane in 10 minutes, before the job is expected to "
                "end (course)"
            ),
        ),
    ],
)
def test_a_waiting_job_is_told_of_the_reservation_that_it_waits_for(
    begins: float, owner: str, request_: JobRequest, why: str
) -> None:
    world = World()
    reserve(world, begins, owner=owner)
    job = world.create(request_, owner="joe", keepalive=None, time_limit=2 * HOUR)
    waiting = world.site.waiting(job)
    assert waiting is not None
    assert waiting.sentence == f"Number 1 of 1 in the queue; {why}."


def test_a_waiting_job_that_a_reservation_does_not_keep_from_boards_is_not_told_of_it() -> None:
    world = World()
    reserve(world, 0.0)
    world.create(HERE, owner="jane", keepalive=None)
    job = world.create(HERE, owner="jane", keepalive=None)
    waiting = world.site.waiting(job)
    assert waiting is not None
    assert waiting.sentence.endswith("on m it is in use.")


OWNERS = ("jane", "joe")
BOARDS = sorted(machine(1, 1).places)
SECONDS = st.sampled_from((50.0, 200.0, 1000.0))


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[str, tuple[object, ...]]]:
    """What happens to a site of three boards."""
    any_board = st.just(None)
    each = {
        "create": st.tuples(st.sampled_from(OWNERS), st.one_of(any_board, st.sampled_from(BOARDS)), SECONDS),
        "destroy": st.tuples(st.integers(0, 20)),
        "reserve": st.tuples(
            st.sets(st.sampled_from(BOARDS), min_size=1),
            st.sampled_from((0.0, 30.0, 100.0, 500.0)),
            SECONDS,
            st.sets(st.sampled_from(OWNERS)),
            st.booleans(),
        ),
        "unreserve": st.tuples(st.integers(0, 5)),
        "wait": st.tuples(st.sampled_from((1.0, 40.0, 300.0))),
        "restart": st.tuples(),
    }
    names = draw(
        st.lists(st.sampled_from(["create", "create", "reserve", "wait", *each]), min_size=8, max_size=30)
    )
    return [(name, draw(each[name])) for name in names]


class Story:
    """A site, and all that was ever reserved."""

    def __init__(self) -> None:
        self.world = World(machine(1, 1))
        self.made: list[tuple[frozenset[int], Reservation]] = []
        """Each reservation, with the jobs that had boards before."""
        self.jobs: list[int] = []
        self.started = 0.0
        """When the server was started last."""
        self.recalled: set[Reservation] = set()
        """What was reserved then."""

    def create(self, owner: str, board: Board | None, limit: float) -> None:
        request = JobRequest(AnyBoard() if board is None else BoardAt(board))
        self.jobs.append(self.world.create(request, owner=owner, keepalive=None, time_limit=limit))

    def destroy(self, index: int) -> None:
        if self.jobs:
            self.world.destroy(self.jobs[index % len(self.jobs)])

    def reserve(
        self, boards: set[Board], begins: float, seconds: float, owners: set[str], ends_jobs: bool
    ) -> None:
        begins += self.world.wall
        new = Reservation(
            f"r{len(self.made)}", begins, begins + seconds, "x", frozenset(("m", board) for board in boards),
            owners=frozenset(owners), ends_jobs=ends_jobs, by="mary",
        )  # fmt: skip
        if Reserve(new).refusal(self.world.site, SERVER) is None:
            jobs = self.world.site.jobs.values()
            before = frozenset(job.id for job in jobs if job.record.allocation is not None)
            self.made.append((before, new))
            self.world.do(Reserve(new))

    def unreserve(self, index: int) -> None:
        names = list(self.world.site.reserving.added)
        if names:
            self.world.do(Unreserve([names[index % len(names)]], "mary"))

    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    def restart(self) -> None:
        self.world.restart()
        self.started = self.world.wall
        self.recalled = set(self.world.site.reserving.added.values())

    def check(self) -> None:
        world, wall = self.world, self.world.wall
        world.answer_all()
        there = [(before, one) for before, one in self.made if one.name in world.site.reserving.added]
        holders = set()
        for job in world.site.jobs.values():
            record = job.record
            if record.allocation is None or record.allocated is None or record.time_limit is None:
                continue
            holders |= record.allocation.boards
            for before, one in there:
                if one.lets(record.owner) or record.allocation.boards.isdisjoint(
                    one.boards_on(machine(1, 1))
                ):
                    continue
                if job.id not in before and record.allocated < one.ends:
                    assert record.allocated + record.time_limit <= one.begins + 0.01
                told = self.started + WARNING_SECONDS if one in self.recalled else 0.0
                if one.ends_jobs and max(one.begins, told) + 0.01 < wall < one.ends:
                    raise AssertionError(f"job {job.id} has boards of {one.name}")
        for job in world.site.jobs.values():
            waiting = world.site.waiting(job.id)
            if waiting is None or waiting.position > 1:
                continue
            record, limit = job.record, job.record.time_limit or 0.0
            shape = record.request.shape
            asked = {shape.board} if isinstance(shape, BoardAt) else set(BOARDS)
            kept = {
                board
                for _, one in there
                for board in one.boards_on(machine(1, 1))
                if not one.lets(record.owner) and one.begins < wall + limit - 0.01 and one.ends > wall
            }
            assert not asked - holders - kept, f"job {job.id} waits, and could start"


@given(steps())
@examples(200)
def test_nobody_is_in_a_reservation_of_others_and_whoever_can_start_beside_them_starts(
    story: list[tuple[str, tuple[object, ...]]],
) -> None:
    told = Story()
    for name, arguments in story:
        getattr(told, name)(*arguments)
        told.check()

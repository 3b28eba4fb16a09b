"""What a scheduler remembers over a restart stays sensible however the computer's clock was set meanwhile."""

from math import inf

import pytest

from spalloc_server.core.keeping import (
    COUNT_SECONDS,
    IDLE_SHARE,
    LOOK_SECONDS,
    SAVED_SECONDS,
    IdleBudget,
    Keeper,
)
from spalloc_server.core.lengths import Lengths
from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.packer import Packer
from spalloc_server.core.packing.steps import whole
from spalloc_server.core.questions import job_times
from spalloc_server.core.remembering import recall, written
from spalloc_server.core.request_groups import Alike, Arrivals, Queued, RequestGroups
from spalloc_server.core.requests import AnyBoard, Boards, JobRequest
from spalloc_server.core.scheduler import PATIENCE
from spinnaker.geometry import Board, Size
from tests.spalloc_server.core.driver import World

DAY = 86_400.0
NOW, WALL = 5000.0, 1e6
JUMPS = (0.0, 1800.0, 30 * DAY, -1800.0, -30 * DAY)
WHOLE = JobRequest(Boards(12))
MOST_SAVED = IDLE_SHARE * SAVED_SECONDS * 12


def _keeper() -> Keeper:
    return Keeper(Packer(Machine("m", Size(2, 2))), Lengths())


def _with_a_kept_spot(queued: Queued) -> Keeper:
    """A machine that has kept all of its boards for a job since 1000 s ago, for 1000 s more."""
    keeper = _keeper()
    keeper.packer.take([Board(0, 0, 0)], NOW + 1000.0)
    wish = whole(keeper.packer.wishes.of(WHOLE))
    assert wish is not None
    spot = whole(keeper.soonest(queued, wish, NOW - 1000.0))
    assert spot is not None
    keeper.budget = IdleBudget(left=1.0, idle=11, next_count=NOW + COUNT_SECONDS, charged=NOW)
    keeper.keep(queued, spot, NOW - 1000.0)
    assert keeper.kept is not None
    keeper.kept.next_look = NOW + LOOK_SECONDS
    return keeper


@pytest.mark.parametrize("jump", JUMPS)
def test_however_the_clock_was_set_while_the_server_was_down_nothing_is_later_than_it_was(
    jump: float,
) -> None:
    queue = Arrivals()
    queue.add(Queued(7, Alike(RequestGroups().begin(WHOLE), "me", None), (0.0, 7), 1))
    text = written({"m": _with_a_kept_spot(queue[7])}, 60.0, WALL)
    keeper = _keeper()
    assert recall(text, {"m": keeper}, queue, WALL + jump, NOW) == ({7: "m"}, 60.0)
    kept, budget = keeper.kept, keeper.budget
    assert kept is not None
    passed = max(0.0, jump)
    assert kept.since == NOW - 1000.0 - passed
    assert kept.when == NOW + 1000.0 - passed
    assert kept.next_look == NOW + LOOK_SECONDS - passed
    assert budget.charged == NOW - passed
    assert budget.next_count == NOW + COUNT_SECONDS - passed
    # What was kept idle while the server was down counts, as far as the clock tells, and no more than a day of it.
    budget.charge(NOW, 12)
    assert -MOST_SAVED - 0.1 <= budget.left <= 1.0


@pytest.mark.parametrize(("idle", "left"), [(0, MOST_SAVED), (12, -MOST_SAVED)])
def test_a_machine_saves_up_or_owes_a_day_at_most_however_long_nothing_was_decided(
    idle: int, left: float
) -> None:
    budget = IdleBudget(idle=idle, charged=0.0)
    budget.charge(1000 * DAY, 12)
    assert budget.left == pytest.approx(left)
    budget.charge(DAY, 12)
    assert budget.left == pytest.approx(left), "time does not run backwards"


def test_what_a_machine_owes_is_paid_back_at_the_time_that_is_told() -> None:
    budget = IdleBudget(left=-120.0, charged=50.0)
    when = budget.paid_back(12)
    assert when == 50.0 + 100.0
    budget.charge(when - 1.0, 12)
    assert budget.left < 0
    budget.charge(when, 12)
    assert budget.left >= 0


@pytest.mark.parametrize("jump", JUMPS)
def test_a_spot_stays_kept_and_its_job_gets_it_however_the_clock_was_set_at_a_restart(jump: float) -> None:
    world = World()
    short = world.create(JobRequest(AnyBoard()), keepalive=None, time_limit=7200.0)
    world.answer_all()
    job = world.create(WHOLE, keepalive=None, time_limit=600.0)
    world.wait(PATIENCE)
    world.skew = jump
    world.restart()
    kept = world.site.scheduler.kept_spot("m")
    assert kept is not None
    assert kept.job == job
    assert kept.when < inf
    world.wait(20_000.0)
    world.answer_all()
    assert short not in world.site.jobs
    assert world.record(job).allocation is not None


@pytest.mark.parametrize("jump", [2 * DAY, 365 * DAY, -1800.0, -30 * DAY])
def test_a_job_is_expected_to_end_as_long_after_its_begin_as_before_whatever_an_unlikely_clock_says(
    jump: float,
) -> None:
    world = World()
    job = world.create(JobRequest(AnyBoard()), keepalive=None, time_limit=7200.0)
    world.answer_all()
    world.wait(1000.0)
    world.create(JobRequest(AnyBoard()), keepalive=None)  # so that the records tell of this moment
    world.skew = jump
    world.restart()
    times = job_times(world.site, job, world.now)
    assert times is not None
    assert times.expected_seconds == 6200.0

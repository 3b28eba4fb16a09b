"""The decisions in a job's life, played through on a simulated clock against a simulated server that may vanish."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client import job_ends, job_steps, step_kinds
from spalloc_client.config import read_config
from spalloc_client.errors import (
    JobDestroyedError,
    ProtocolError,
    ProtocolTimeoutError,
    SpallocServerException,
    StateChangeTimeoutError,
)
from spalloc_client.job_steps import JobSteps
from spalloc_client.requirements import gather
from spalloc_client.states import JobState
from spalloc_client.step_kinds import Step


class World:
    """A clock, a network that is up at some times and down at others, and a server that knows one job."""

    def __init__(self, *, up: Callable[[float], bool] = lambda now: True) -> None:
        self.now = 100.0
        self.began = self.now
        self.up = up
        self.connected = False
        self.states = [(0.0, JobState.ready)]
        """From when on, in seconds since the beginning, the job is in which state."""
        self.answers: dict[str, Any] = {"version": "1.0.0", "create_job": 7}
        self.reason: str | None = None
        self.asked: list[tuple[float, str]] = []
        self.dialled: list[float] = []
        self.log: list[str] = []
        self.helper = "none"
        self.interrupt: BaseException | None = None
        """Raised by the next command, once."""
        self.creation: Any = None
        self.start_time = 1000.0
        self.silent = 0
        """How many commands are not answered, each with all that follow over the same connection."""
        self.dead = False
        self.listened = False
        """Whether somebody wants to know how the job comes on."""
        self.told: list[str] = []
        self.refuses_to_be_told: BaseException | None = None

    @property
    def elapsed(self) -> float:
        return self.now - self.began

    def state(self) -> JobState:
        return [state for since, state in self.states if since <= self.elapsed][-1]

    def run(self, steps: step_kinds.Steps[Any]) -> Any:
        result: Any = None
        error: BaseException | None = None
        try:
            while True:
                step = steps.send(result) if error is None else steps.throw(error)
                result = error = None
                try:
                    result = self.perform(step)
                except BaseException as raised:  # noqa: BLE001  # the steps decide
                    error = raised
        except StopIteration as stop:
            return stop.value

    def perform(self, step: Step) -> Any:  # noqa: C901  # one case a step
        within = getattr(step, "within", None)
        assert within is None or within >= 0.0
        match step:
            case step_kinds.Now():
                return self.now
            case step_kinds.Connected():
                self.connected = self.connected and self.up(self.elapsed)
                return self.connected
            case step_kinds.Connect():
                self.now += 0.001
                self.dialled.append(self.elapsed)
                new = not self.connected
                if not self.up(self.elapsed):
                    raise ConnectionRefusedError("refused")
                self.connected = True
                self.dead = self.dead and not new
                return new
            case step_kinds.Disconnect():
                self.connected = False
            case step_kinds.Ask():
                return self.answer(step)
            case step_kinds.Watch():
                next_change = min(
                    (since for since, _ in self.states if since > self.elapsed), default=math.inf
                )
                limit = math.inf if step.within is None else step.within
                assert min(next_change, limit) < math.inf, "waits for ever"
                early = next_change - self.elapsed > limit
                self.now += limit if early else next_change - self.elapsed
                if not self.up(self.elapsed):
                    self.connected = False
                    raise ProtocolError("lost")
                if early:
                    raise ProtocolTimeoutError("nothing came")
            case step_kinds.Arrived():
                return 0
            case step_kinds.Sleep():
                assert step.seconds >= 0.0
                self.now += step.seconds
            case step_kinds.StartHelper():
                self.helper = "started"
            case step_kinds.Adopt():
                known = "" if step.start_time is None else f" of {step.start_time}"
                self.helper = f"keeps {step.job_id} every {step.keepalive}{known}"
            case step_kinds.Identify():
                assert self.helper == "none" or " of " not in self.helper
            case step_kinds.StopHelper():
                self.helper = "none"
            case step_kinds.Listened():
                return self.listened
            case step_kinds.Tell():
                self.told.append(str(step.progress))
                if self.refuses_to_be_told is not None:
                    raise self.refuses_to_be_told
            case step_kinds.Log():
                self.log.append(step.message)
            case step_kinds.FinishCreation():
                return self.creation
        return None

    def answer(self, step: step_kinds.Ask) -> Any:
        self.now += 0.001
        if not (self.connected and self.up(self.elapsed)):
            self.connected = False
            raise ProtocolError("lost")
        if self.silent or self.dead:
            self.dead = True
            self.silent = max(0, self.silent - 1)
            assert step.within is not None, "waits for ever"
            self.now += step.within
            raise ProtocolTimeoutError("no reply")
        self.asked.append((self.elapsed, step.command))
        if self.interrupt is not None:
            error, self.interrupt = self.interrupt, None
            raise error
        if step.command == "get_job_state":
            state = self.state()
            return {
                "state": int(state), "power": True, "keepalive": 60.0, "reason": self.reason,
                "start_time": self.start_time,
            }  # fmt: skip
        answer = self.answers.get(step.command)
        if callable(answer):
            answer = answer(self.elapsed)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def commands(self) -> list[str]:
        return [command for _, command in self.asked]


def make(resume: int | None = None, **given: Any) -> JobSteps:
    return JobSteps(gather((), {"hostname": "h", "owner": "me", **given}, read_config([]), resume))


def started(world: World, **given: Any) -> JobSteps:
    job = make(**given)
    world.run(job.start())
    world.asked.clear()
    return job


def test_a_job_is_created_once_the_server_s_version_is_known_and_then_kept_alive() -> None:
    world = World()
    job = make()
    world.run(job.start())
    assert world.commands() == ["version", "create_job"]
    assert world.helper == "keeps 7 every 60.0"
    assert job.job_id == 7


def test_a_job_without_keepalive_needs_no_helper() -> None:
    world = World()
    started(world, keepalive=None)
    assert world.helper == "none"


def test_a_server_of_another_version_is_refused_unless_told_otherwise() -> None:
    world = World()
    world.answers["version"] = "99.0"
    with pytest.raises(
        ValueError, match=r"h:22244: the server's version is 99\.0; this client talks to servers of"
    ):
        world.run(make().start())
    assert not world.connected
    assert "create_job" not in world.commands()
    world.asked.clear()
    world.run(make(ignore_version=True).start())
    assert world.commands() == ["create_job"]


def test_a_job_is_not_asked_for_twice_when_the_connection_is_lost() -> None:
    world = World()
    world.answers["create_job"] = ProtocolError("lost")
    with pytest.raises(ProtocolError):
        world.run(make().start())
    assert world.commands().count("create_job") == 1


def test_a_server_that_is_away_when_a_job_is_requested_is_an_os_error() -> None:
    with pytest.raises(ConnectionRefusedError):
        World(up=lambda now: False).run(make().start())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_a_job_that_was_created_while_its_user_gave_up_is_destroyed(error: BaseException) -> None:
    world = World()
    world.creation = 9
    job = make(ignore_version=True)
    world.interrupt = error
    with pytest.raises(type(error)):
        world.run(job.start())
    world.run(job.abandon())
    assert world.commands() == ["create_job", "destroy_job"]
    assert (world.helper, world.connected) == ("none", False)


@pytest.mark.parametrize("reply", [None, "7", True, [7]])
def test_a_reply_that_is_no_job_id_is_a_protocol_error(reply: Any) -> None:
    world = World()
    world.answers["create_job"] = reply
    with pytest.raises(ProtocolError, match="is not a job's ID"):
        world.run(make().start())


def test_resuming_takes_the_keepalive_that_the_job_was_created_with() -> None:
    world = World()
    job = make(resume=3, keepalive=5.0)
    world.run(job.start())
    assert world.commands() == ["version", "get_job_state"]
    assert world.helper == "keeps 3 every 60.0 of 1000.0"


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        (JobState.unknown, None, "Job 3 does not exist: unknown"),
        (JobState.destroyed, None, "Job 3 does not exist: destroyed"),
        (JobState.destroyed, "Too long.", "Job 3 does not exist: destroyed: Too long."),
    ],
)
def test_a_job_that_is_no_more_can_not_be_resumed(state: JobState, reason: str | None, message: str) -> None:
    world = World()
    world.states = [(0.0, state)]
    world.reason = reason
    job = make(resume=3)
    with pytest.raises(JobDestroyedError) as raised:
        world.run(job.start())
    assert str(raised.value) == message
    world.creation = 9
    world.run(job.abandon())
    assert world.helper == "none"
    assert world.commands() == ["version", "get_job_state"]


def test_waiting_until_ready_follows_the_job_through_its_states() -> None:
    world = World()
    job = started(world)
    world.states = [(0.0, JobState.queued), (50.0, JobState.power), (55.0, JobState.ready)]
    world.run(job.wait_until_ready(None))
    assert 55.0 <= world.elapsed < 55.1
    assert f"Job {job.job_id} has been queued by the spalloc server." in world.log
    assert f"Job {job.job_id}: Waiting for board power commands to complete." in world.log


def test_waiting_until_ready_gives_up_on_time_and_says_how_far_it_came() -> None:
    world = World()
    job = started(world)
    world.states = [(0.0, JobState.queued)]
    began = world.elapsed
    with pytest.raises(
        StateChangeTimeoutError, match=r"job 7 was not ready within 12\.5 s: it is in the state queued"
    ):
        world.run(job.wait_until_ready(12.5))
    assert world.elapsed - began == pytest.approx(12.5, abs=0.01)


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_no_time_to_wait_asks_nothing(timeout: float) -> None:
    world = World()
    job = started(world)
    with pytest.raises(StateChangeTimeoutError):
        world.run(job.wait_until_ready(timeout))
    assert world.run(job.wait_for_state_change(JobState.queued, timeout)) is None
    assert not world.asked


@pytest.mark.parametrize(
    ("state", "reason", "message"),
    [
        (JobState.destroyed, "Cancelled: no such machine.", "Cancelled: no such machine."),
        (JobState.destroyed, None, "job 7 was destroyed, no reason given"),
        (JobState.unknown, None, "The spalloc server no longer recognises job 7."),
    ],
)
def test_waiting_until_ready_ends_when_the_job_ends(
    state: JobState, reason: str | None, message: str
) -> None:
    world = World()
    job = started(world)
    world.states = [(0.0, JobState.queued), (9.0, state)]
    world.reason = reason
    with pytest.raises(JobDestroyedError) as raised:
        world.run(job.wait_until_ready(None))
    assert str(raised.value) == message


def test_a_state_that_has_changed_already_is_returned_at_once() -> None:
    world = World()
    job = started(world)
    status = world.run(job.wait_for_state_change(JobState.queued, None))
    assert status.state is JobState.ready
    assert world.commands() == ["notify_job", "get_job_state"]


def test_waiting_for_a_change_survives_the_server_and_says_so() -> None:
    world = World(up=lambda now: not 10.0 < now < 40.0)
    job = started(world)
    world.states = [(0.0, JobState.queued), (20.0, JobState.power)]
    status = world.run(job.wait_for_state_change(JobState.queued, None))
    assert status.state is JobState.power
    assert 40.0 <= world.elapsed <= 46.0  # found again within a reconnect_delay
    assert any("unreachable" in line and "will keep trying" in line for line in world.log)
    assert world.commands().count("version") == 1


@pytest.mark.parametrize("timeout", [None, 1.0, 7.0])
def test_that_the_server_is_away_and_back_is_said_once_each_with_the_job(timeout: float | None) -> None:
    world = World(up=lambda now: not 10.0 < now < 100.0)
    job = started(world)
    world.states = [(0.0, JobState.queued), (120.0, JobState.power)]
    # As commands wait that show the time: again and again, for moments.
    while world.run(job.wait_for_state_change(JobState.queued, timeout)) is None:
        continue
    away, back = (line for line in world.log if "server" in line and "queued" not in line)
    assert away.startswith(f"Job {job.job_id}: The spalloc server is unreachable (")
    assert back == f"Job {job.job_id}: Connected to the spalloc server again."


def test_waiting_for_a_change_is_bounded_also_while_the_server_is_away() -> None:
    world = World(up=lambda now: now < 1.0)
    job = started(world)
    world.states = [(0.0, JobState.queued)]
    assert world.run(job.wait_for_state_change(JobState.queued, 33.0)) is None
    assert 32.9 <= world.elapsed <= 33.1


def test_a_connection_that_died_unseen_is_found_out_while_waiting() -> None:
    world = World()
    job = started(world)
    world.states = [(0.0, JobState.queued), (1000.0, JobState.ready)]
    world.run(job.wait_for_state_change(JobState.queued, None))
    gaps = [later - earlier for (earlier, _), (later, _) in zip(world.asked, world.asked[1:], strict=False)]
    assert max(gaps) <= job_steps.CHECK_PERIOD + 0.1


def test_a_question_is_asked_again_on_a_new_connection() -> None:
    world = World()
    job = started(world)
    world.connected = False
    assert world.run(job.status()).state is JobState.ready
    assert world.commands() == ["version", "get_job_state"]


def test_a_question_is_given_up_when_no_other_attempt_fits_the_timeout() -> None:
    world = World(up=lambda now: now < 1.0)
    job = started(world, timeout=12.0)
    world.now += 2.0
    with pytest.raises(ProtocolError, match="no answer to get_job_state: refused"):
        world.run(job.status())
    assert world.elapsed < 14.1


def test_without_a_timeout_a_question_is_asked_until_it_is_answered() -> None:
    world = World(up=lambda now: not 1.0 < now < 5000.0)
    job = started(world, timeout=None)
    world.now += 2.0
    assert world.run(job.status()).state is JobState.ready
    assert 5000.0 <= world.elapsed <= 5006.0


@pytest.mark.parametrize("waits", [False, True], ids=["a question", "a wait"])
def test_a_server_that_is_away_is_tried_at_once_again_and_then_after_each_reconnect_delay(
    waits: bool,
) -> None:
    world = World(up=lambda now: not 1.0 < now < 16.0)
    job = started(world, timeout=60.0, reconnect_delay=5.0)
    world.now += 2.0
    world.dialled.clear()
    world.run(job.wait_for_state_change(JobState.queued, None) if waits else job.status())
    lost, *again = world.dialled
    assert [round(at - lost) for at in again] == [0, 5, 10, 15]


NOTHING = dict.fromkeys(("width", "height", "connections", "machine_name", "boards"))
SOME = {
    "width": 16, "height": 16, "connections": [[[0, 0], "a"], [[4, 8], "b"]], "machine_name": "m",
    "boards": [[0, 0, 0], [0, 0, 1]],
}  # fmt: skip


def test_boards_are_those_that_the_server_says_now_and_a_move_is_told() -> None:
    world = World()
    job = started(world)
    world.answers["get_job_machine_info"] = NOTHING
    info = world.run(job.machine_info())
    assert (info.hostname, info.width, info.connections_copy, info.boards_copy) == (None, None, None, None)
    world.answers["get_job_machine_info"] = SOME
    for _ in range(2):
        info = world.run(job.machine_info())
        assert info.connections_copy == {(0, 0): "a", (4, 8): "b"}
        assert info.boards_copy == [[0, 0, 0], [0, 0, 1]]
        assert (info.hostname, info.width, info.height, info.machine_name) == ("a", 16, 16, "m")
    told = len(world.log)
    world.answers["get_job_machine_info"] = {**SOME, "boards": [[3, 3, 0]], "connections": [[[0, 0], "z"]]}
    for _ in range(2):
        assert world.run(job.machine_info()).hostname == "z"
    (line,) = world.log[told:]
    assert line == (
        "Job 7 was moved: its boards are (3, 3, 0) of m, chip (0, 0) being z now, "
        "and were (0, 0, 0), (0, 0, 1) of m, chip (0, 0) being a."
    )


def test_a_move_is_told_when_the_job_is_ready_again() -> None:
    world = World()
    job = started(world)
    world.answers["get_job_machine_info"] = SOME
    world.run(job.machine_info())
    world.run(job.set_power(True))
    world.answers["get_job_machine_info"] = {**SOME, "boards": [[3, 3, 0]]}
    world.run(job.wait_until_ready(None))
    assert "Job 7 was moved" in world.log[-1]


def test_boards_that_can_not_be_asked_for_are_not_told_from_memory() -> None:
    world = World(up=lambda now: now < 1.0)
    job = started(world, timeout=3.0)
    world.answers["get_job_machine_info"] = SOME
    world.run(job.machine_info())
    world.now += 2.0
    with pytest.raises((ProtocolError, ProtocolTimeoutError)):
        world.run(job.machine_info())
    world.run(job.close())
    assert world.run(job.machine_info()).hostname == "a"


def test_after_a_reply_that_did_not_come_another_connection_is_used() -> None:
    world = World()
    job = started(world, timeout=5.0)
    world.silent = 1
    with pytest.raises(ProtocolTimeoutError):
        world.run(job.status())
    assert not world.connected
    assert world.run(job.status()).state is JobState.ready


@pytest.mark.parametrize("silent", range(1, 6))
def test_who_may_wait_forever_asks_again_over_other_connections(silent: int) -> None:
    world = World()
    job = started(world, timeout=None)
    world.silent = silent
    assert world.run(job.status()).state is JobState.ready
    assert world.elapsed < 10.0 * 2**silent + 1.0


@pytest.mark.parametrize("timeout", [None, 5.0, 1000.0])
@pytest.mark.parametrize("silent", [1, 1000])
def test_destroying_over_a_connection_that_is_dead_ends_within_thirty_seconds(
    timeout: float | None, silent: int
) -> None:
    world = World()
    job = started(world, timeout=timeout)
    world.silent = silent
    before = world.elapsed
    world.run(job.destroy("done"))
    assert world.elapsed - before < 30.0
    assert ("destroy_job" in world.commands()) == (silent == 1)


def lose_records(world: World, job: JobSteps) -> None:
    """The server begins again, and gives the job's ID to somebody else."""
    world.run(job.status())
    world.start_time += 1000.0
    world.connected = False
    world.asked.clear()


def test_a_job_that_the_server_made_for_somebody_else_is_left_alone() -> None:
    uses: list[Callable[[JobSteps], step_kinds.Steps[Any]]] = [
        lambda job: job.set_power(True),
        lambda job: job.destroy("done"),
        lambda job: job.machine_info(),
        lambda job: job.wait_until_ready(None),
        lambda job: job.where_is(0, 0),
        lambda job: job.status(),
    ]
    for use in uses:
        world = World()
        job = started(world)
        lose_records(world, job)
        try:
            result = world.run(use(job))
        except (JobDestroyedError, ValueError):
            result = None
        assert set(world.commands()) <= {"version", "get_job_state"}, world.commands()
        assert world.helper == "none"
        assert "has lost its records: job 7 is another one now" in world.log[-1]
        assert result is None or getattr(result, "state", JobState.unknown) is JobState.unknown
        assert world.run(job.status()).state is JobState.unknown


def test_a_resumed_job_is_the_one_that_it_was_when_it_was_resumed() -> None:
    world = World()
    job = make(resume=3)
    world.run(job.start())
    assert world.helper == "keeps 3 every 60.0 of 1000.0"
    lose_records(world, job)
    with pytest.raises(JobDestroyedError, match="no longer recognises job 3"):
        world.run(job.set_power(False))


def test_a_job_whose_age_was_never_asked_is_known_by_its_owner() -> None:
    for owner, ours in (("me", True), ("you", False)):
        world = World()
        job = started(world)
        world.connected = False
        world.answers["list_jobs"] = [{"job_id": 7, "owner": owner, "start_time": 5.0}]
        world.run(job.destroy("done"))
        assert ("destroy_job" in world.commands()) == ours


@pytest.mark.parametrize("reply", [None, [], {}, {"state": 9}, 7, "ready"])
def test_a_state_that_is_not_the_protocol_s_is_a_protocol_error(
    reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    job = started(world)
    monkeypatch.setattr(World, "answer", lambda self, step: reply)
    with pytest.raises(ProtocolError, match="get_job_state is not what the protocol says"):
        world.run(job.status())


@pytest.mark.parametrize(
    "reply", [None, [], {}, {"width": 1, "height": 1, "machine_name": "m", "boards": 3, "connections": None}]
)
def test_machine_info_that_is_not_the_protocol_s_is_a_protocol_error(reply: Any) -> None:
    world = World()
    job = started(world)
    world.answers["get_job_machine_info"] = reply
    with pytest.raises(ProtocolError, match="get_job_machine_info is not what the protocol says"):
        world.run(job.machine_info())


@pytest.mark.parametrize(
    ("state", "power", "reason"),
    [
        (JobState.queued, None, None),
        (JobState.power, True, None),
        (JobState.ready, True, None),
        (JobState.destroyed, None, "why"),
        (JobState.unknown, None, None),
    ],
)
def test_power_is_told_with_boards_only_and_a_reason_after_the_end_only(
    state: JobState, power: bool | None, reason: str | None
) -> None:
    world = World()
    job = started(world)
    world.states = [(0.0, state)]
    world.reason = "why"
    status = world.run(job.status())
    assert (status.power, status.reason) == (power, reason)


@pytest.mark.parametrize("reply", [{"physical": [1, 2]}, {"physical": None}, [1], {"physical": [1, 2, "x"]}])
def test_a_place_that_is_not_the_protocol_s_is_a_protocol_error(reply: Any) -> None:
    world = World()
    job = started(world)
    world.answers["where_is"] = reply
    with pytest.raises(ProtocolError, match="where_is is not what the protocol says"):
        world.run(job.where_is(1, 2))


def test_a_chip_that_the_job_has_not_is_a_value_error() -> None:
    world = World()
    job = started(world)
    with pytest.raises(ValueError, match=r"job 7 has no chip \(99, 2\), or no boards yet"):
        world.run(job.where_is(99, 2))
    world.answers["where_is"] = {"physical": [1, 2, 3]}
    assert world.run(job.where_is(0, 2)) == (1, 2, 3)


def test_destroying_lets_go_of_everything_and_happens_once() -> None:
    world = World()
    job = started(world)
    world.run(job.destroy("done"))
    world.run(job.destroy(None))
    assert world.commands() == ["destroy_job"]
    assert (world.helper, world.connected) == ("none", False)
    with pytest.raises(ProtocolError, match=r"this Job, 7, was closed"):
        world.run(job.status())


@pytest.mark.parametrize(
    "error", [SpallocServerException("no"), ProtocolTimeoutError("late"), ProtocolError("lost")]
)
def test_destroying_logs_what_it_can_not_do_and_still_lets_go(error: Exception) -> None:
    world = World()
    job = started(world, keepalive=None)
    world.answers["destroy_job"] = error
    world.run(job.destroy(None))
    assert "Could not destroy spalloc job 7, which stays until it is destroyed" in world.log[-1]
    assert (world.helper, world.connected) == ("none", False)


def test_destroying_does_not_wait_for_a_server_that_is_away() -> None:
    world = World(up=lambda now: now < 1.0)
    job = started(world, timeout=None)
    world.now += 2.0
    before = world.elapsed
    world.run(job.destroy(None))
    assert world.elapsed - before < 1.0
    assert "ends with its keepalive" in world.log[-1]


def test_destroying_finds_a_new_connection_if_the_old_one_is_lost() -> None:
    world = World()
    job = started(world)
    world.connected = False
    world.run(job.destroy("done"))
    assert world.commands() == ["version", "list_jobs", "destroy_job"]


def test_a_job_that_was_closed_can_still_be_destroyed() -> None:
    world = World()
    job = started(world)
    world.run(job.status())
    world.run(job.close())
    world.run(job.destroy("done"))
    assert world.commands() == ["get_job_state", "version", "get_job_state", "destroy_job"]


@given(st.integers(), st.floats(0.1, 300.0))
def test_waits_end_on_time_whatever_the_network_does(seed: int, timeout: float) -> None:
    """Any pattern of outages: the change is seen if the server is there for a while after it; nothing is late."""
    draw = random.Random(seed)
    turns = sorted(draw.uniform(1.0, 400.0) for _ in range(draw.randrange(8)))
    world = World(up=lambda now: sum(turn < now for turn in turns) % 2 == 0)
    job = started(world, reconnect_delay=draw.choice([0.1, 0.5, 5.0]))
    world.states = [(0.0, JobState.queued), (draw.uniform(0.0, 300.0), JobState.ready)]
    began = world.elapsed
    status = world.run(job.wait_for_state_change(JobState.queued, timeout))
    assert world.elapsed - began <= timeout + 0.1
    if status is None:
        assert world.elapsed - began >= timeout - 1e-6
    else:
        assert status.state is JobState.ready


def test_a_job_tells_its_place_in_the_queue() -> None:
    world = World()
    job = started(world)
    world.answers["job_queue_position"] = {"position": 1, "of": 2, "reason": "It needs a board."}
    assert world.run(job.queue_position())["position"] == 1
    assert world.commands() == ["job_queue_position"]


def test_a_server_that_does_not_tell_places_says_so() -> None:
    world = World()
    job = started(world)
    world.answers["job_queue_position"] = SpallocServerException("no such command")
    with pytest.raises(SpallocServerException, match="no such command"):
        world.run(job.queue_position())


def test_only_boards_of_the_job_are_reported_and_the_only_one_needs_no_name() -> None:
    world = World()
    job = started(world)
    info = {"width": 8, "height": 8, "machine_name": "m", "boards": [[0, 0, 0]]}
    world.answers["get_job_machine_info"] = {**info, "connections": [[[0, 0], "one"]]}
    world.run(job.report_problem("hot", None))
    world.run(job.report_problem("hot", "one"))
    assert world.commands().count("report_problem") == 2
    with pytest.raises(ValueError, match="hostname is 'two'; it must name a board of job 7: it has: one"):
        world.run(job.report_problem("hot", "two"))
    world.answers["get_job_machine_info"] = {**info, "connections": [[[0, 0], "one"], [[8, 4], "two"]]}
    with pytest.raises(ValueError, match="hostname is None"):
        world.run(job.report_problem("hot", None))
    world.answers["get_job_machine_info"] = {**info, "boards": None, "connections": None}
    with pytest.raises(ValueError, match="it has no boards"):
        world.run(job.report_problem("hot", None))
    assert world.commands().count("report_problem") == 2


def place(position: int) -> dict[str, Any]:
    return {
        "position": position,
        "of": 9,
        "reason": f"Number {position} of 9 in the queue; it needs 3 boards.",
    }


def waiting(world: World) -> JobSteps:
    """A job that is ready after two minutes of waiting and a moment of being powered."""
    job = started(world, timeout=None)
    since = world.elapsed
    world.states = [(0.0, JobState.queued), (since + 120.0, JobState.power), (since + 121.0, JobState.ready)]
    return job


def test_who_listens_is_told_each_state_and_place_once_while_a_job_waits() -> None:
    world = World()
    job = waiting(world)
    world.answers["job_queue_position"] = lambda now: place(9 if now < 80.0 else 4)
    world.listened = True
    world.run(job.wait_until_ready(None))
    places = [
        "Job 7: Number 9 of 9 in the queue; it needs 3 boards.",
        "Job 7: Number 4 of 9 in the queue; it needs 3 boards.",
    ]
    assert world.told == [*places, "Job 7 is being powered."]
    assert [line for line in world.log if "Number" in line] == places
    assert world.commands().count("job_queue_position") <= 5, "more than every half a minute"


def test_a_job_that_nobody_listens_for_asks_nothing_more() -> None:
    world = World()
    world.run(waiting(world).wait_until_ready(None))
    assert (world.told, world.commands().count("job_queue_position")) == ([], 0)
    assert world.commands().count("notify_job") == 3, "more than once for each state"


def test_a_server_that_tells_no_places_is_asked_once() -> None:
    world = World()
    job = waiting(world)
    world.answers["job_queue_position"] = SpallocServerException("no such command")
    world.listened = True
    world.run(job.wait_until_ready(None))
    assert world.told == ["Job 7 is waiting in the queue.", "Job 7 is being powered."]
    assert world.commands().count("job_queue_position") == 1


def test_a_place_that_does_not_come_in_time_delays_nobody() -> None:
    world = World()
    job = started(world, timeout=None)
    world.states = [(0.0, JobState.queued)]
    world.listened = True
    asked_at = world.elapsed

    def silence(_: float) -> Any:
        world.now += 2.0
        raise ProtocolTimeoutError("no reply")

    world.answers["job_queue_position"] = silence
    with pytest.raises(StateChangeTimeoutError):
        world.run(job.wait_until_ready(100.0))
    assert world.elapsed == pytest.approx(asked_at + 100.0, abs=2.1)
    assert world.told == ["Job 7 is waiting in the queue."]


@pytest.mark.parametrize("error", [OSError("no more"), ProtocolError("mine"), KeyboardInterrupt()])
def test_what_the_program_raises_when_it_is_told_ends_the_wait(error: BaseException) -> None:
    world = World()
    job = waiting(world)
    world.listened, world.refuses_to_be_told = True, error
    with pytest.raises(type(error)) as raised:
        world.run(job.wait_until_ready(None))
    assert raised.value is error


def with_times(ends_in: Callable[[float], float | None], world: World) -> JobSteps:
    """A job on a server that knows time limits."""
    world.answers["list_machines"] = [{"set_aside_boards": []}]
    world.answers["job_times"] = lambda elapsed: {"ends_in": ends_in(elapsed)}
    return started(world)


def test_the_end_is_waited_for_until_it_is_as_near_as_wanted_and_seldom_asked_for() -> None:
    world = World()
    job = with_times(lambda elapsed: 1000.0 - elapsed, world)
    times = world.run(job_ends.wait_for_ending(job, 300.0, None))
    assert 299.0 < times.ends_in <= 300.0
    assert len(world.asked) < 2 * 700 / 30 + 10


def test_waiting_for_the_end_survives_the_server() -> None:
    world = World(up=lambda now: not 100.0 < now < 150.0)
    job = with_times(lambda elapsed: 1000.0 - elapsed, world)
    assert world.run(job_ends.wait_for_ending(job, 800.0, None)).ends_in <= 800.0
    assert "unreachable" in world.log[1]


def test_waiting_for_an_end_that_is_not_set_ends_with_the_job_or_in_time() -> None:
    world = World()
    job = with_times(lambda _: None, world)
    assert world.run(job_ends.wait_for_ending(job, 300.0, 75.0)) is None
    assert 75.0 <= world.elapsed < 76.0
    world.states.append((400.0, JobState.destroyed))
    world.reason = "Its owner ended it."
    with pytest.raises(JobDestroyedError, match="Its owner ended it"):
        world.run(job_ends.wait_for_ending(job, 300.0, None))
    assert 400.0 <= world.elapsed < 401.0

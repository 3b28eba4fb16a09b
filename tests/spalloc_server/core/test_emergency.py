"""An emergency stop ends all jobs, leaves no board to any, and keeps new jobs out until it is lifted."""

import pytest

from spalloc_client.states import JobState
from spalloc_server.core.askers import SERVER, Asker, Login, Role
from spalloc_server.core.commands import CreateJob
from spalloc_server.core.emergency import EMERGENCY, LiftStop, StopAll
from spalloc_server.core.jobs import Asked
from spalloc_server.core.requests import AnyBoard, JobRequest, Rectangle
from spinnaker.geometry import Size
from tests.spalloc_server.core.driver import HOST, World

BOSS = Asker("10.0.0.9", Login("boss", Role.ADMINISTRATOR))
ANOTHER = CreateJob(JobRequest(AnyBoard()), Asked((), {}), "me", 60.0)


def test_all_jobs_end_at_once_and_their_boards_are_off_and_free() -> None:
    world = World()
    running = world.create(JobRequest(Rectangle(Size(2, 2))))
    world.answer_all()
    queued = [world.create(JobRequest(Rectangle(Size(2, 2)))) for _ in range(3)]
    assert world.do(StopAll("water in the room"), BOSS) == 4
    for number in (running, *queued):
        record = world.record(number)
        assert (record.state, record.reason) == (JobState.destroyed, f"{EMERGENCY}: water in the room")
        assert record.ended_by == BOSS.host
    assert not world.site.boards.holders()
    world.answer_all()
    assert not world.hardware.on
    assert world.warnings[-1].text == f"boss has ended all jobs, 4: {EMERGENCY}: water in the room"


def test_no_jobs_are_taken_until_an_administrator_lifts_the_stop() -> None:
    world = World()
    world.do(StopAll(), BOSS)
    for asker in (Asker(HOST), BOSS):
        refusal = ANOTHER.refusal(world.site, asker)
        assert refusal == f"{EMERGENCY}; no jobs are taken until an administrator lifts the stop"
    assert world.do(LiftStop(), BOSS)
    assert not world.do(LiftStop(), BOSS), "it was lifted already"
    job = world.do(ANOTHER, Asker(HOST))
    assert world.record(job).state is JobState.power


@pytest.mark.parametrize("role", [Role.READER, Role.USER, Role.SERVICE, None])
def test_only_administrators_may_stop_and_lift(role: Role | None) -> None:
    world = World()
    asker = Asker(HOST, None if role is None else Login("somebody", role))
    for command in (StopAll(), LiftStop()):
        assert (
            command.refusal(world.site, asker) == "only an administrator may stop all jobs, or lift the stop"
        )
        assert command.refusal(world.site, SERVER) is None


def test_a_restart_lifts_the_stop() -> None:
    world = World()
    world.do(StopAll(), BOSS)
    world.restart()
    assert world.record(world.do(ANOTHER, Asker(HOST))).state is JobState.power


def test_boards_are_to_be_switched_off_at_once_until_the_stop_is_lifted() -> None:
    world = World()
    assert not StopAll.is_lasting, "it is not refused while records can't be written"
    assert not LiftStop.is_lasting
    for command, is_urgent in ((StopAll(by="mary"), True), (LiftStop(by="mary"), False)):
        command.apply(world.site, SERVER, world.at)
        effects = world.site.take_effects()
        assert effects.is_urgent is is_urgent
        assert effects.notices[-1].text.startswith("mary has ")

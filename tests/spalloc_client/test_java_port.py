"""The v1 port of the Java service, version 5.0.0: clients, Jobs and commands get from it what v1 promises.

Its double answers as the service does: tests/doubles/v1_port.py.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from spalloc_client import Job, JobDestroyedError, JobState, ProtocolError, SpallocServerException
from spalloc_client.java_port import JavaPort
from spalloc_client.wire import Request
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.doubles.jobs import State
from tests.doubles.service import JavaService
from tests.doubles.v1_port import DEADLOCK
from tests.spalloc_client.scripts.conftest import Commands

HOST = "127.0.0.1"
PATIENCE = 20.0
DEAD_LINK = BoardLink(Board(0, 0, 0), Link.NORTH)


@pytest.fixture(scope="module")
def java() -> Iterator[JavaService]:
    machine = VirtualMachine(size=Size(2, 2), timings=Timings.instant(), dead_links=frozenset({DEAD_LINK}))
    with JavaService(machines={"big": machine}, tls=False) as service:
        yield service


@pytest.fixture
def client(java: JavaService, client_class: Any) -> Iterator[Any]:
    """Each client, which has asked for the version, as Jobs and commands do."""
    with client_class(HOST, java.v1_port) as made:
        assert made.version(timeout=PATIENCE) == "5.0.0"
        yield made


@pytest.fixture(autouse=True)
def _nothing_left(java: JavaService) -> Iterator[None]:
    yield
    java.hold(held=False)
    for job in list(java.jobs.all.values()):
        for _ in range(2):
            java.call(lambda job=job: java.jobs.destroy(job, "the test is over"))  # type: ignore[misc]
            java.call(java.jobs.tick)
    java.call(java.settings.failures.clear)


def at(java: JavaService, **more: Any) -> dict[str, Any]:
    return {"hostname": HOST, "port": java.v1_port, "owner": "me", "config_filenames": [], **more}


# Clients


def test_changes_of_all_jobs_are_told(client: Any) -> None:
    client.notify_job()
    job = client.create_job(1, owner="me")
    assert client.wait_for_notification(PATIENCE) == {"jobs_changed": [job]}
    client.no_notify_job()
    client.notify_machine()


def test_the_keepalive_of_a_job_is_its_interval_and_nothing_is_null(java: JavaService, client: Any) -> None:
    java.hold()
    job = client.create_job(1, owner="me", keepalive=45.0)
    said = client.get_job_state(job)
    assert (said["state"], said["keepalive"], said["power"], said["reason"]) == (1, 45.0, None, None)
    assert client.get_job_machine_info(job)["boards"] is None
    (listed,) = client.list_jobs()
    assert (listed["keepalive"], listed["power"], listed["kwargs"]) == (
        45.0,
        None,
        {"owner": "me", "keepalive": 45.0},
    )
    java.hold(held=False)
    java.until(job, State.READY)
    assert client.get_job_state(job)["power"] is True
    client.destroy_job(job, "enough")
    said = client.get_job_state(job)
    assert (said["state"], said["keepalive"], said["reason"]) == (4, None, "enough")
    assert client.get_job_machine_info(job)["connections"] is None


def test_what_there_is_not_is_null_and_no_exception(java: JavaService, client: Any) -> None:
    job = client.create_job(1, owner="me")
    java.until(job, State.READY)
    assert client.get_job_state(999)["state"] == JobState.unknown
    assert client.get_job_machine_info(999)["width"] is None
    for place in (
        {"machine": "big", "x": 5, "y": 0, "z": 0},
        {"machine": "big", "cabinet": 5, "frame": 0, "board": 0},
        {"machine": "big", "chip_x": 99, "chip_y": 0},
        {"machine": "none", "chip_x": 0, "chip_y": 0},
        {"machine": "none", "x": 0, "y": 0, "z": 0},
        {"job_id": job, "chip_x": 200, "chip_y": 200},
    ):
        assert client.where_is(**place) is None, place
    assert client.get_board_position("big", 5, 5, 0) is None
    assert client.get_board_at_position("big", 5, 5, 0) is None
    assert client.get_board_position("big", 1, 0, 2) == list(java.jobs.machines["big"].places[Board(1, 0, 2)])
    assert client.job_keepalive(999) is None
    assert client.notify_job(999) is None
    assert client.destroy_job(999) is None


def test_chips_are_found_on_every_board_and_told_rightly(java: JavaService, client: Any) -> None:
    job = client.create_job(1, 0, 1, owner="me")
    java.until(job, State.READY)
    expected = {"machine": "big", "logical": [1, 0, 1], "chip": [22, 7], "board_chip": [2, 3], "job_id": job}
    for place in ({"machine": "big", "chip_x": 22, "chip_y": 7}, {"job_id": job, "chip_x": 2, "chip_y": 3}):
        found = client.where_is(**place)
        assert {name: found[name] for name in expected} == expected
        assert found["job_chip"] == [2, 3]


def test_dead_links_have_the_numbers_that_links_have_elsewhere(client: Any) -> None:
    (machine,) = client.list_machines()
    assert sorted(machine["dead_links"]) == [[0, 0, 0, Link.NORTH], [0, 0, 2, Link.SOUTH]]


def test_what_met_a_deadlock_is_tried_once_more_and_no_oftener(java: JavaService, client: Any) -> None:
    java.fail("V1", "create_job", words=DEADLOCK)
    job = client.create_job(1, owner="me")
    java.fail("V1", "job_keepalive", 2, words=DEADLOCK)
    with pytest.raises(SpallocServerException, match="Deadlock"):
        client.job_keepalive(job)
    java.fail("V1", "destroy_job", words="something else")
    with pytest.raises(SpallocServerException, match="something else"):
        client.destroy_job(job)
    assert [each["job_id"] for each in client.list_jobs()] == [job]


@pytest.mark.parametrize("answer", [None, 7, [7], [{"job_id": 7}]])
def test_an_answer_that_is_none_is_an_error_of_the_protocol(answer: Any) -> None:
    steps = JavaPort().ask(Request("list_jobs"))
    next(steps)
    with pytest.raises(ProtocolError, match="list_jobs is not what the Java service says"):
        steps.send(answer)


def test_a_server_of_another_version_is_asked_as_always(java: JavaService, client: Any) -> None:
    from tests.doubles import v1_port

    before, v1_port.VERSION = v1_port.VERSION, "5.1.0"
    try:
        client.version()
        with pytest.raises(SpallocServerException, match="intValue"):
            client.notify_job()
    finally:
        v1_port.VERSION = before


# Jobs


def test_a_job_gets_boards_is_powered_and_destroyed(java: JavaService, job_class: Any) -> None:
    with job_class(3, **at(java)) as job:
        assert (job.state, job.power, job.width, job.height) == (JobState.ready, True, 16, 16)
        assert sorted(job.connections) == [(0, 0), (4, 8), (8, 4)]
        assert job.where_is_machine(9, 5) == tuple(java.jobs.machines["big"].places[Board(*job.boards[1])])
        with pytest.raises(ValueError, match="no chip"):
            job.where_is_machine(200, 200)
        job.set_power(False)
        job.wait_until_ready(PATIENCE)
        assert job.power is False
        number = job.id
    assert java.job(number).state is State.DESTROYED


def test_a_job_that_is_taken_on_is_kept_alive_at_its_own_interval(java: JavaService, job_class: Any) -> None:
    first = job_class(1, **at(java, keepalive=45.0))
    first.wait_until_ready(PATIENCE)
    again = job_class(resume_job_id=first.id, **at(java))
    steps = again.awaitable._steps if hasattr(again, "awaitable") else again._steps
    assert steps.keepalive == 45.0
    again.close()
    first.destroy()
    with pytest.raises(JobDestroyedError, match="does not exist: destroyed"):
        job_class(resume_job_id=first.id, **at(java))


def test_a_job_without_a_keepalive_is_kept_alive_all_the_same_and_this_is_said(
    java: JavaService, job_class: Any, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_class(2, 2, **at(java, keepalive=None, require_torus=True))
    kept = java.job(job.id)
    assert kept.interval == 60.0
    # The helper's first keepalive.
    before = kept.kept_alive
    while kept.kept_alive == before:
        pass
    job.destroy()
    assert "ends jobs without a keepalive after 60 seconds: the job is kept alive" in caplog.text
    assert "does not heed require_torus" in caplog.text


# Commands


@pytest.fixture
def commands(java: JavaService) -> Iterator[Commands]:
    made = Commands(HOST, java.v1_port)
    yield made
    made.clean()


@pytest.mark.slow
def test_every_command_works(java: JavaService, commands: Commands) -> None:
    done = commands.run("spalloc", "3", "--owner", "me", "--command", "echo", "is {w} by {h}")
    assert (done.returncode, "is 16 by 16" in done.stdout) == (0, True), done
    with Job(3, **at(java)) as job:
        number, boards = str(job.id), job.boards
        listed = commands.run("spalloc-ps")
        assert number in listed.stdout
        info = json.loads(commands.run("spalloc-job", number, "--info", "--json").stdout)
        assert info["keepalive"] == 60.0
        where = json.loads(commands.run("spalloc-where-is", "--job-chip", number, "9", "5", "--json").stdout)
        assert where["job_chip"] == [9, 5]
        assert where["logical"] in boards
        chip = json.loads(commands.run("spalloc-where-is", "--chip", "big", "22", "7", "--json").stdout)
        assert chip["logical"] == [1, 0, 1]
        nowhere = commands.run("spalloc-where-is", "--board", "big", "9", "9", "0")
        assert (nowhere.returncode, "no boards at the specified location" in nowhere.stderr) == (4, True)
        machine = commands.run("spalloc-machine", "big")
        assert (machine.returncode, f"A:{number}" in machine.stdout) == (0, True), machine
        off = commands.run("spalloc-job", number, "--power-off")
        assert (off.returncode, job.power) == (0, False), off
        ips = commands.run("spalloc-job", number, "--ethernet-ips")
        assert len(ips.stdout.splitlines()) == 4
        unknown = commands.run("spalloc-job", "999")
        assert "unknown" in unknown.stdout.lower()
        resumed = commands.run("spalloc", "--resume", number, "--no-destroy", "--command", "echo", "has {id}")
        assert f"has {number}" in resumed.stdout
        destroyed = commands.run("spalloc-job", number, "--destroy", "enough")
        assert (destroyed.returncode, job.reason) == (0, "enough")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spalloc-ps", "spalloc-machine"])
def test_lists_are_watched(java: JavaService, commands: Commands, name: str) -> None:
    running = commands.start(name, "--watch")
    running.until("Machine" if name == "spalloc-ps" else "big", "output")
    with Job(3, **at(java, owner="somebody-new")):
        running.until("somebody-new" if name == "spalloc-ps" else "big", "output")
    assert running.end(2) == 0


@pytest.mark.slow
def test_a_job_is_watched_to_its_end(java: JavaService, commands: Commands) -> None:
    with Job(3, **at(java)) as job:
        running = commands.start("spalloc-job", str(job.id), "--watch")
        running.until("ready", "output")
    running.until("destroyed", "output")
    running.end()

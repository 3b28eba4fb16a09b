"""Jobs, blocking and asyncio: against a whole site with virtual boards, and against servers that misbehave."""

import asyncio
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from spalloc_client import (
    Job,
    JobDestroyedError,
    JobState,
    Progress,
    ProtocolClient,
    ProtocolError,
    ProtocolTimeoutError,
    SpallocServerException,
    StateChangeTimeoutError,
)
from spalloc_client.wire import Failure, JobsChanged, Request, Return, encode
from spalloc_server.embedded import EmbeddedSite
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.spalloc_client.awaited import AwaitedJob
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.over_https import is_java
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer

QUEUED = {"state": 1, "power": None, "keepalive": 60.0, "reason": None}
READY = {"state": 3, "power": True, "keepalive": 60.0, "reason": None}
IMPOSSIBLE = (JobDestroyedError, SpallocServerException)
"""How a job that no machine can ever hold is refused: at once by a service, by others when it is waited for."""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer({"create_job": 7, "get_job_state": READY}) as server:
        yield server


def state_of(site: EmbeddedSite, job_id: int) -> JobState:
    with ProtocolClient(site.hostname, site.port) as client:
        return JobState(client.get_job_state(job_id)["state"])


# With a whole site.


def test_a_block_has_boards_that_are_on_and_frees_them(job_class: Any, site: EmbeddedSite) -> None:
    with job_class(6, **arguments(site)) as job:
        assert job.state is JobState.ready
        assert job.power is True
        assert job.reason is None
        assert sorted((job.width, job.height)) == [16, 28]
        assert len(job.boards) == len(job.connections) == 6
        assert job.hostname == job.connections[0, 0]
        assert job.machine_name == "virtual"
        assert state_of(site, job.id) is JobState.ready
    assert state_of(site, job.id) is JobState.destroyed


def test_a_job_is_awaited_and_destroyed_by_methods_as_by_a_block(job_class: Any, site: EmbeddedSite) -> None:
    job = job_class(6, **arguments(site))
    job.wait_until_ready()
    assert job.power is True
    job.destroy()
    assert state_of(site, job.id) is JobState.destroyed


def test_attributes_are_none_while_there_are_no_boards(job_class: Any, small_site: EmbeddedSite) -> None:
    with job_class(3, **arguments(small_site)):
        job = job_class(1, **arguments(small_site))
        assert job.state is JobState.queued
        nothing = (job.power, job.reason, job.hostname, job.connections, job.width, job.height)
        assert nothing == (None,) * 6
        assert (job.machine_name, job.boards) == (None, None)
        job.set_power(True)
        job.reset()
        assert job.state is JobState.queued
    job.wait_until_ready(PATIENCE)
    assert (job.width, job.height) == (8, 8)
    assert len(job.boards) == 1
    job.destroy()


def test_boards_can_be_turned_off_on_and_reset(job_class: Any, small_site: EmbeddedSite) -> None:
    with job_class(**arguments(small_site)) as job:
        for power in (False, True):
            job.set_power(power)
            job.wait_until_ready(PATIENCE)
            assert job.power is power
        job.reset()
        assert job.state is JobState.power
        job.wait_until_ready(PATIENCE)
        assert job.power is True


def test_the_place_of_a_chip_is_a_cabinet_a_frame_and_a_board(job_class: Any, site: EmbeddedSite) -> None:
    with job_class(3, **arguments(site)) as job:
        place = job.where_is_machine(8, 4)
        assert isinstance(place, tuple)
        with ProtocolClient(site.hostname, site.port) as client:
            found = client.where_is(job_id=job.id, chip_x=8, chip_y=4)
        assert found is not None
        assert list(place) == found["physical"]
        with pytest.raises(ValueError, match=r"has no chip \(500, 4\)"):
            job.where_is_machine(500, 4)


class OnlyAnIndex:
    """An integer that is equal to no other."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize("chip", [(100, 100), (8, 0), (0, 8), (-1, 0), (48, 0), (7, 0)])
def test_a_chip_outside_of_the_job_has_no_place_in_it(
    job_class: Any, site: EmbeddedSite, chip: tuple[int, int]
) -> None:
    with job_class(1, **arguments(site)) as job:
        with pytest.raises(ValueError, match=re.escape(f"job {job.id} has no chip {chip}")):
            job.where_is_machine(*chip)
        assert job.where_is_machine(np.int64(7), 7) == job.where_is_machine(0, 0)
        assert job.where_is_machine(np.float32(7), OnlyAnIndex()) == job.where_is_machine(0.0, 0)


@pytest.mark.parametrize("autospec", [False, True])
def test_a_program_s_test_can_put_a_mock_in_the_place_of_the_client(autospec: bool) -> None:
    with mock.patch("spalloc_client.job.ProtocolClient", autospec=autospec) as kind:
        client = kind.return_value
        client.version.return_value = "9.0.0"
        with pytest.raises(ValueError, match=r"version is 9\.0\.0"):
            Job(hostname="h", owner="me", config_filenames=[])
        client.version.return_value = "1.0.0"
        client.create_job.return_value = 7
        client.get_job_state.return_value = READY
        client.get_job_machine_info.return_value = {
            "width": 8, "height": 8, "connections": [[[0, 0], "board"]], "machine_name": "m", "boards": [[0, 0, 0]],
        }  # fmt: skip
        with Job(3, hostname="h", owner="me", keepalive=None, config_filenames=[]) as job:
            assert (job.id, job.hostname) == (7, "board")
    assert client.create_job.call_args.args == (3,)
    client.destroy_job.assert_called_once_with(7, None, timeout=mock.ANY)


def test_a_wait_returns_the_new_state_or_after_its_time_the_old_one(
    job_class: Any, small_site: EmbeddedSite
) -> None:
    first = job_class(3, **arguments(small_site))
    first.wait_until_ready(PATIENCE)
    job = job_class(1, **arguments(small_site))
    assert job.wait_for_state_change(JobState.queued, timeout=0.05) is JobState.queued
    with pytest.raises(
        StateChangeTimeoutError,
        match=r"was not ready within 0\.05 s: it( is in the state queued|s state is not known)",
    ):
        job.wait_until_ready(timeout=0.05)
    first.destroy()
    assert job.wait_for_state_change(JobState.queued, PATIENCE) is JobState.power
    assert job.wait_for_state_change(JobState.power) is JobState.ready
    job.destroy()


def test_a_program_is_told_while_its_job_waits_and_so_is_its_log(
    job_class: Any, small_site: EmbeddedSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "spalloc_client.job")
    told: list[Progress] = []
    with job_class(3, **arguments(small_site)) as first:
        second = job_class(1, on_wait=told.append, **arguments(small_site))
        with pytest.raises(StateChangeTimeoutError):
            second.wait_until_ready(0.5)
        assert [(each.state, each.position, each.of) for each in told] == [(JobState.queued, 1, 1)]
        first.destroy()
        second.wait_until_ready(PATIENCE)
        assert told[-1].state == JobState.power
        second.destroy()
    assert f"Job {second.id}: Number 1 of 1 in the queue; " in caplog.text
    assert {each.job_id for each in told} == {second.id}


def test_a_program_of_tasks_may_take_its_time_when_it_is_told(small_site: EmbeddedSite) -> None:
    told: list[str] = []

    async def on_wait(progress: Progress) -> None:
        await asyncio.sleep(0)
        told.append(progress.state.name)

    with AwaitedJob(1, on_wait=on_wait, **arguments(small_site)):
        assert told[-1] == "power"


def test_a_job_that_somebody_destroys_says_why(job_class: Any, small_site: EmbeddedSite) -> None:
    with job_class(3, **arguments(small_site)):
        job = job_class(1, **arguments(small_site))
        with ProtocolClient(small_site.hostname, small_site.port) as client:
            client.destroy_job(job.id, "Your job is taking too long...")
        with pytest.raises(JobDestroyedError, match=r"^Your job is taking too long\.\.\.$"):
            job.wait_until_ready(PATIENCE)
        assert job.state is JobState.destroyed
        assert job.reason == "Your job is taking too long..."
        job.destroy()


def test_a_job_that_no_machine_can_hold_says_so(job_class: Any, site: EmbeddedSite) -> None:
    with pytest.raises(IMPOSSIBLE, match=r"can never be allocated|cannot fit on machine"):
        with job_class(500, **arguments(site)):
            pass


def test_a_job_can_be_left_and_resumed(job_class: Any, site: EmbeddedSite) -> None:
    job = job_class(3, **arguments(site, keepalive=50.0))
    job.wait_until_ready(PATIENCE)
    boards = job.boards
    job.close()
    assert state_of(site, job.id) is JobState.ready
    with job_class(resume_job_id=job.id, **arguments(site)) as resumed:
        assert resumed.id == job.id
        assert resumed.boards == boards
    assert state_of(site, job.id) is JobState.destroyed
    with pytest.raises(JobDestroyedError, match=f"^Job {job.id} does not exist: destroyed"):
        job_class(resume_job_id=job.id, **arguments(site))
    with pytest.raises(JobDestroyedError, match=r"^Job 1000000 does not exist: unknown"):
        job_class(resume_job_id=1_000_000, **arguments(site))


def test_an_ended_job_answers_from_what_it_knows_and_refuses_the_rest(
    job_class: Any, site: EmbeddedSite
) -> None:
    with job_class(3, **arguments(site)) as job:
        boards, connections = job.boards, job.connections
    assert (job.boards, job.connections) == (boards, connections)
    with pytest.raises(ProtocolError, match="was closed"):
        _ = job.state
    job.destroy()
    job.close()


def test_what_is_handed_out_is_the_caller_s_own(job_class: Any, site: EmbeddedSite) -> None:
    with job_class(3, **arguments(site)) as job:
        job.boards.clear()
        job.connections.clear()
        assert len(job.boards) == len(job.connections) == 3


@pytest.mark.parametrize(
    ("args", "given", "size", "count"),
    [
        ((), {}, (8, 8), 1),
        ((1,), {}, (8, 8), 1),
        ((3, 2, 1), {"machine": "virtual"}, (8, 8), 1),
        ((4,), {}, None, 6),
        ((27,), {"min_ratio": 1.0}, (40, 40), 27),
        ((2, 3), {}, (28, 40), 18),
        ((4, 4), {"require_torus": True}, (48, 48), 48),
        ((3,), {"tags": ["default"]}, (16, 16), 3),
    ],
)
def test_each_style_gives_the_boards_that_the_manual_says(
    job_class: Any, site: EmbeddedSite, args: Any, given: Any, size: Any, count: int
) -> None:
    if is_java(site) and (given.get("require_torus") or given.get("min_ratio")):
        # It would not heed them.
        with pytest.raises(SpallocServerException, match="this service knows no"):
            job_class(*args, **arguments(site, **given))
        return
    with job_class(*args, **arguments(site, **given)) as job:
        assert size is None or (job.width, job.height) == size
        assert len(job.boards) == count
        assert len(args) < 3 or job.boards == [list(args)]


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ((4, 2), {"require_torus": True}),
        ((3,), {"tags": ["no-such-tag"]}),
        ((3,), {"machine": "no-such-machine"}),
        ((9, 9, 0), {}),
        ((5, 1), {}),
    ],
)
def test_what_no_machine_has_is_refused_by_name(site: EmbeddedSite, args: Any, given: Any) -> None:
    words = "never be allocated|No machine has|There is no machine|no machine available|cannot fit|knows no require"
    with pytest.raises(IMPOSSIBLE, match=words):
        with Job(*args, **arguments(site, **given)):
            pass


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, None),
        ({"max_dead_boards": 0}, None),
        ({"max_dead_boards": 1}, 2),
        ({"max_dead_boards": None}, 2),
        ({"max_dead_boards": None, "max_dead_links": 0}, None),
        ({"max_dead_boards": None, "max_dead_links": 2}, 2),
    ],
)
def test_dead_boards_and_links_are_put_up_with_as_far_as_asked(given: Any, count: int | None) -> None:
    machine = VirtualMachine(
        size=Size(1, 1),
        dead_boards=frozenset({Board(0, 0, 2)}),
        dead_links=frozenset({BoardLink(Board(0, 0, 0), Link.NORTH_EAST)}),
        timings=Timings.instant(),
    )
    with EmbeddedSite(machine=machine) as site:
        job = Job(1, 1, **arguments(site, **given))
        if count is None:
            with pytest.raises(JobDestroyedError, match=r"^Cancelled:"):
                job.wait_until_ready(PATIENCE)
        else:
            job.wait_until_ready(PATIENCE)
            assert len(job.boards or ()) == count
        job.destroy()


class MishapError(Exception):
    pass


@pytest.mark.parametrize("error", [MishapError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_block_frees_its_boards_on_every_way_out(site: EmbeddedSite, error: type[BaseException]) -> None:
    job = Job(**arguments(site))
    with pytest.raises(error), job:
        raise error
    assert state_of(site, job.id or 0) is JobState.destroyed


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_wait_that_is_interrupted_frees_the_boards_too(error: type[BaseException]) -> None:
    def interrupt(request: Request) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return QUEUED

    def raise_it(*_: object) -> None:
        raise error

    earlier = signal.signal(signal.SIGUSR1, raise_it)
    try:
        with ScriptedServer({"create_job": 7, "get_job_state": interrupt}) as server:
            job = Job(**arguments(server))
            with pytest.raises(error), job:
                pass
            server.wait_for_command("destroy_job")
    finally:
        signal.signal(signal.SIGUSR1, earlier)


def test_ctrl_c_while_the_job_is_created_leaves_no_job_behind() -> None:
    def create(request: Request) -> int:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return 7

    with ScriptedServer({"create_job": create}) as server:
        with pytest.raises(KeyboardInterrupt):
            Job(**arguments(server))
        assert server.requests[-1].command == "destroy_job"
        assert server.requests[-1].args[0] == 7
        server.wait_for_connections(0)


# What is sent.

NOTHING_SPECIAL = {
    "owner": "me", "keepalive": 60.0, "machine": None, "tags": None, "min_ratio": 0.333,
    "max_dead_boards": 0, "max_dead_links": None, "require_torus": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ((), {}),
        ((1,), {}),
        ((4,), {}),
        ((7,), {"min_ratio": 0.5}),
        ((4, 5), {}),
        ((4, 2), {"require_torus": True}),
        ((3, 2, 1), {"machine": "m"}),
        ((5,), {"keepalive": None, "tags": ["a", "b"], "max_dead_boards": None, "max_dead_links": 3}),
    ],
)
def test_each_style_asks_for_what_the_manual_says(
    job_class: Any, server: ScriptedServer, args: tuple[int, ...], given: dict[str, Any]
) -> None:
    job_class(*args, **arguments(server, **given)).close()
    assert server.requests[:2] == [
        Request("version"),
        Request("create_job", args, {**NOTHING_SPECIAL, **given}),
    ]


def test_resuming_asks_for_nothing_but_the_state(job_class: Any, server: ScriptedServer) -> None:
    job_class(resume_job_id=123, **arguments(server)).close()
    assert [request.command for request in server.requests[:2]] == ["version", "get_job_state"]
    assert server.count("create_job") == 0


@pytest.mark.parametrize(
    ("args", "given", "said"),
    [
        ((0,), {}, "number of boards is 0"),
        ((), {"port": "x"}, "port is 'x'"),
        ((), {"owner": None}, "An owner must be specified"),
        ((), {"machine": "m", "tags": ["a"]}, "Only one of tags and machine"),
    ],
)
def test_arguments_that_can_not_be_are_refused_before_anything_is_sent(
    job_class: Any, server: ScriptedServer, args: Any, given: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        job_class(*args, **{**arguments(server), **given})
    assert not server.requests


def test_unknown_arguments_are_refused(job_class: Any) -> None:
    with pytest.raises(TypeError, match="min_ration"):
        job_class(4, min_ration=0.5)


def test_arguments_left_out_come_from_configuration_files(
    job_class: Any, server: ScriptedServer, tmp_path: Path
) -> None:
    system, user = tmp_path / "system", tmp_path / "user"
    system.write_text("[spalloc]\nowner = them\nkeepalive = 30\nmin_ratio = 0.5\ntags = a, b\n")
    user.write_text(f"[spalloc]\nhostname = {server.hostname}\nport = {server.port}\nowner = you\n")
    job_class(5, config_filenames=[str(system), str(user)], min_ratio=0.25).close()
    assert server.requests[1].kwargs == {
        **NOTHING_SPECIAL, "owner": "you", "keepalive": 30.0, "min_ratio": 0.25, "tags": ["a", "b"],
    }  # fmt: skip


@pytest.mark.parametrize("one", [str, Path])
def test_one_configuration_file_needs_no_list(
    job_class: Any, server: ScriptedServer, tmp_path: Path, one: Any
) -> None:
    path = tmp_path / "my.cfg"
    path.write_text(f"[spalloc]\nhostname = {server.hostname}\nport = {server.port}\nowner = you\n")
    job_class(config_filenames=one(path)).close()
    assert server.requests[1].kwargs["owner"] == "you"


def test_without_a_list_of_files_the_default_search_path_is_read(
    job_class: Any, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "user"
    path.write_text(f"[spalloc]\nhostname = {server.hostname}\nport = {server.port}\nowner = you\n")
    monkeypatch.setattr("spalloc_client.config.SEARCH_PATH", [str(path)])
    for given in ({}, {"config_filenames": None}):
        job_class(**given).close()
    with pytest.raises(ValueError, match="A hostname must be specified"):
        job_class(config_filenames=[])


# Servers.


def test_a_server_of_another_version_is_refused_with_both_versions(
    job_class: Any, server: ScriptedServer
) -> None:
    server.answers["version"] = "99.0.0"
    with pytest.raises(
        ValueError, match=r"version is 99\.0\.0; this client talks to servers of versions 0\.1\.0 to"
    ):
        job_class(**arguments(server))
    assert server.count("create_job") == 0
    server.wait_for_connections(0)


def test_the_version_is_not_looked_at_if_argument_or_configuration_say_so(
    job_class: Any, server: ScriptedServer, tmp_path: Path
) -> None:
    server.answers["version"] = "99.0.0"
    job_class(**arguments(server, ignore_version=True)).close()
    path = tmp_path / "a"
    path.write_text("[spalloc]\nignore_version = True\n")
    job_class(**{**arguments(server), "config_filenames": [path]}).close()
    assert server.count("create_job") == 2


def test_a_refusal_is_passed_on_and_leaves_nothing_behind(job_class: Any, server: ScriptedServer) -> None:
    server.answers["create_job"] = Failure("no boards for you")
    with pytest.raises(SpallocServerException, match="no boards for you"):
        job_class(**arguments(server))
    server.wait_for_connections(0)


def test_a_server_that_is_away_is_an_os_error(job_class: Any, server: ScriptedServer) -> None:
    server.stop()
    with pytest.raises(OSError, match=f"can't connect to 127.0.0.1:{server.port}"):
        job_class(**arguments(server))


def test_a_server_that_does_not_answer_is_a_timeout_error(job_class: Any, server: ScriptedServer) -> None:
    server.answers["get_job_state"] = b""
    job = job_class(**arguments(server, timeout=0.2))
    with pytest.raises(ProtocolTimeoutError, match="get_job_state"):
        _ = job.state
    job.close()


def test_attributes_find_a_new_connection(job_class: Any, server: ScriptedServer) -> None:
    job = job_class(**arguments(server))
    server.drop()
    assert job.state is JobState.ready
    job.close()


def test_waiting_survives_a_restart_of_the_server(job_class: Any, server: ScriptedServer) -> None:
    server.answers["get_job_state"] = QUEUED
    job = job_class(**arguments(server, reconnect_delay=0.05))
    waiting = threading.Thread(target=job.wait_until_ready)
    waiting.start()
    server.wait_for_command("get_job_state")
    server.stop()
    with ScriptedServer({"get_job_state": QUEUED}, port=server.port) as again:
        again.wait_for_command("get_job_state")
        assert waiting.is_alive()
        again.answers["get_job_state"] = READY
        again.send(encode(JobsChanged([7])))
        waiting.join(PATIENCE)
        assert not waiting.is_alive()
        job.destroy()
        assert again.count("create_job") == 0
        assert again.count("destroy_job") == 1


def test_all_threads_that_wait_see_a_change(job_class: Any, server: ScriptedServer) -> None:
    server.answers["get_job_state"] = QUEUED
    job = job_class(**arguments(server))
    seen: list[JobState] = []
    threads = [
        threading.Thread(target=lambda: seen.append(job.wait_for_state_change(JobState.queued)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    server.wait_for_command("get_job_state", 5)
    server.answers["get_job_state"] = READY
    server.send(encode(JobsChanged([7])))
    for thread in threads:
        thread.join(PATIENCE)
    assert seen == [JobState.ready] * 5
    job.close()


def test_a_change_between_question_and_wait_is_not_missed(job_class: Any, server: ScriptedServer) -> None:
    def change(request: Request) -> bytes:
        server.answers["get_job_state"] = READY
        return encode(Return(QUEUED)) + encode(JobsChanged([7]))

    server.answers["get_job_state"] = change
    job = job_class(**arguments(server))
    assert job.wait_for_state_change(JobState.queued, PATIENCE) is JobState.ready
    job.close()


def test_destroying_tells_the_server_why(job_class: Any, server: ScriptedServer) -> None:
    job_class(**arguments(server)).destroy("finished")
    assert server.requests[-1] == Request("destroy_job", (7, "finished"))
    server.wait_for_connections(0)


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (KeyError("x"), "'x'"),
        (5, "5"),
        (0, "0"),
        (Path("a"), "a"),
        ({1}, "{1}"),
        (Unspeakable(), "Unspeakable"),
        (ValueError("x" * 1_000_000), "x" * 10_000),
    ],
)
def test_a_job_is_destroyed_whatever_is_given_as_the_reason(
    job_class: Any, server: ScriptedServer, reason: Any, said: str
) -> None:
    job_class(**arguments(server, keepalive=None)).destroy(reason)
    assert server.requests[-1] == Request("destroy_job", (7, said))
    with ProtocolClient(server.hostname, server.port) as client:
        client.destroy_job(7, reason)
        client.call("destroy_job", 7, reason=reason)
    assert server.requests[-2:] == [
        Request("destroy_job", (7, said)),
        Request("destroy_job", (7,), {"reason": said}),
    ]


def test_destroying_without_a_server_is_logged_not_raised(
    job_class: Any, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_class(**arguments(server))
    server.stop()
    job.destroy()
    assert "Could not destroy spalloc job 7, which ends with its keepalive" in caplog.text


def test_several_threads_that_miss_the_connection_make_one(server: ScriptedServer) -> None:
    job = Job(**arguments(server, keepalive=None))
    server.drop()
    server.wait_for_connections(0)
    at_once = threading.Barrier(8)
    states: list[JobState] = []

    def ask() -> None:
        at_once.wait(PATIENCE)
        states.append(job.state)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert states == [JobState.ready] * 8
    server.wait_for_connections(1)
    assert server.count("version") == 2
    job.close()


@pytest.mark.parametrize("show", [repr, str])
def test_what_a_job_is_can_be_seen(
    job_class: Any, server: ScriptedServer, show: Callable[[object], str]
) -> None:
    job = job_class(**arguments(server))
    assert show(getattr(job, "awaitable", job)) == f"<Job 7 on 127.0.0.1:{server.port}>"
    job.close()


def test_a_job_may_wait_forever_and_yet_finds_out_that_its_connection_is_dead(
    job_class: Any, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a router between had forgotten the connection: nothing comes over it, and no error either."""
    monkeypatch.setattr("spalloc_client.job_steps.PATIENCE", 0.2)
    monkeypatch.setattr("spalloc_client.job_steps.LEAVING", 0.2)
    job = job_class(**arguments(server, timeout=None, keepalive=None))
    for use in (lambda: job.state, job.destroy):
        accepted = server.accepted
        server.answers.update(get_job_state=b"", destroy_job=b"")

        def recover(accepted: int = accepted) -> None:
            server.wait_for(lambda: server.accepted > accepted)
            server.answers.update(get_job_state=READY, destroy_job=None)

        thread = threading.Thread(target=recover)
        thread.start()
        assert use() in (JobState.ready, None)
        thread.join(PATIENCE)
    assert server.requests[-1].command == "destroy_job"


def test_one_reply_that_never_comes_fails_one_question(job_class: Any, server: ScriptedServer) -> None:
    job = job_class(**arguments(server, timeout=0.3, keepalive=None))
    server.answers["get_job_state"] = b""
    with pytest.raises(ProtocolTimeoutError):
        _ = job.state
    server.answers["get_job_state"] = READY
    assert job.state is JobState.ready
    job.close()


def test_a_job_that_the_server_moved_tells_its_new_boards(
    job_class: Any, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    info = {
        "width": 8, "height": 8, "connections": [[[0, 0], "old"]], "machine_name": "m", "boards": [[0, 0, 0]],
    }  # fmt: skip
    server.answers["get_job_machine_info"] = info
    job = job_class(**arguments(server, keepalive=None))
    job.wait_until_ready(PATIENCE)
    assert (job.hostname, job.boards) == ("old", [[0, 0, 0]])
    server.answers["get_job_machine_info"] = {
        **info, "width": 16, "connections": [[[0, 0], "new"]], "boards": [[1, 0, 2]],
    }  # fmt: skip
    job.wait_until_ready(PATIENCE)
    assert "Job 7 was moved: its boards are (1, 0, 2) of m, chip (0, 0) being new now" in caplog.text
    assert (job.hostname, job.boards, job.width) == ("new", [[1, 0, 2]], 16)
    assert job.connections == {(0, 0): "new"}
    job.close()


def test_a_job_of_a_server_that_lost_its_records_is_gone_and_nobody_else_s_is_touched(
    job_class: Any, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers["get_job_state"] = {**READY, "start_time": 1.0}
    job = job_class(**arguments(server, keepalive=None))
    assert job.state is JobState.ready
    server.answers["get_job_state"] = {**READY, "start_time": 2.0}
    server.drop()
    with pytest.raises(JobDestroyedError, match="no longer recognises job 7"):
        job.set_power(False)
    assert job.state is JobState.unknown
    assert (job.hostname, job.boards, job.power) == (None, None, None)
    job.destroy()
    assert not {request.command for request in server.requests} & {"power_off_job_boards", "destroy_job"}
    assert "has lost its records: job 7 is another one now, and is left alone" in caplog.text

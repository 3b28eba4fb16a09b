"""Jobs live as long as their applications, whatever those do or suffer: with real processes."""

import itertools
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import Job, JobState, ProtocolClient, ProtocolTimeoutError
from spalloc_client._keepalive_process import Orders
from spalloc_client.keepalive import Keepalive
from spalloc_client.wire import Return, encode
from spalloc_server.embedded import EmbeddedSite
from tests.doubles.jobs import State
from tests.processes import boards, server
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.over_https import JAVA, is_java, served
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer

APPLICATION = Path(__file__).with_name("application.py")
KEEPALIVE = 2.5
"""Seconds: long enough for a loaded machine, short enough to wait for."""


@pytest.fixture(scope="module", params=["v1", JAVA])
def site(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Our server over v1, and the Java service's double over HTTPS, which takes shorter keepalives than services do."""
    with served(request.param) as site:
        if is_java(site):
            site.service.settings.keepalive = (0.1, 300.0)
        yield site


class Application:
    """A process with a job."""

    def __init__(self, what: str, hostname: str, port: int, keepalive: float = KEEPALIVE) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(APPLICATION), what, hostname, str(port), str(keepalive)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        job, helper = self.line().split()
        self.job = int(job)
        self.helper = os.pidfd_open(int(helper))
        self.helper_pid = int(helper)

    def line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the application has ended"
        return line.strip()

    def finish(self) -> str:
        """Let it go on; what it says of its job."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.line()

    def helper_ends(self, timeout: float = PATIENCE) -> bool:
        return bool(select.select([self.helper], [], [], timeout)[0])


@contextmanager
def application(what: str, hostname: str, port: int, keepalive: float = KEEPALIVE) -> Iterator[Application]:
    running = Application(what, hostname, port, keepalive)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.process.pid, signal.SIGKILL)
        for stream in (running.process.stdin, running.process.stdout):
            assert stream is not None
            stream.close()
        running.process.wait(PATIENCE)
        os.close(running.helper)


def _watch_double(site: Any, job: int, seconds: float) -> float | None:
    began = time.monotonic()
    try:
        site.service.until(job, State.DESTROYED, within=seconds)
    except TimeoutError:
        return None
    return time.monotonic() - began


@pytest.fixture
def watch(site: EmbeddedSite) -> Iterator[Callable[[int, float], float | None]]:
    """Wait until a job is destroyed; the seconds that took, or None if it lived on."""
    if is_java(site):
        yield partial(_watch_double, site)
        return
    with ProtocolClient(site.hostname, site.port) as client:
        client.notify_job()

        def wait(job: int, seconds: float) -> float | None:
            began = time.monotonic()
            while True:
                if client.get_job_state(job)["state"] == JobState.destroyed:
                    return time.monotonic() - began
                try:
                    client.wait_for_notification(max(0.0, began + seconds - time.monotonic()))
                except ProtocolTimeoutError:
                    return None

        yield wait


pytestmark = pytest.mark.slow


def test_the_job_of_an_application_that_is_killed_is_gone_within_its_keepalive_and_a_second(
    site: EmbeddedSite, watch: Any
) -> None:
    with application("wait", site.hostname, site.port) as running:
        running.process.kill()
        assert watch(running.job, KEEPALIVE + 1.0) is not None
        assert running.helper_ends()


@pytest.mark.parametrize("what", ["fork", "spawn"])
def test_a_copy_or_child_that_lives_on_does_not_keep_the_job_of_a_killed_application(
    site: EmbeddedSite, watch: Any, what: str
) -> None:
    with application(what, site.hostname, site.port) as running:
        running.process.kill()
        assert watch(running.job, KEEPALIVE + 1.0) is not None
        assert running.helper_ends()


@pytest.mark.parametrize("how", ["", "frozen "])
@pytest.mark.parametrize("what", ["daemon", "daemon of a daemon"])
def test_a_daemon_keeps_the_job_that_it_took_before_it_became_one(
    site: EmbeddedSite, watch: Any, what: str, how: str
) -> None:
    with application(how + what, site.hostname, site.port) as running:
        daemon = os.pidfd_open(int(running.line()))
        assert running.process.wait(PATIENCE) == 0
        assert watch(running.job, 2.5 * KEEPALIVE) is None
        assert running.finish() == "ready"
        assert watch(running.job, PATIENCE) is not None
        assert select.select([daemon], [], [], PATIENCE)[0]
        os.close(daemon)
        assert running.helper_ends()


@pytest.mark.parametrize("what", ["daemon", "daemon of a daemon", "daemon with workers"])
def test_the_job_of_a_daemon_that_is_killed_is_gone_within_its_keepalive_and_a_second(
    site: EmbeddedSite, watch: Any, what: str
) -> None:
    with application(what, site.hostname, site.port) as running:
        daemon = int(running.line())
        assert running.process.wait(PATIENCE) == 0
        if what == "daemon with workers":
            assert running.line() == "works"
        assert watch(running.job, 1.5 * KEEPALIVE) is None
        os.kill(daemon, signal.SIGKILL)
        assert watch(running.job, KEEPALIVE + 1.0) is not None
        assert running.helper_ends()


def test_the_workers_of_a_killed_application_do_not_keep_its_job(site: EmbeddedSite, watch: Any) -> None:
    with application("workers", site.hostname, site.port) as running:
        assert running.line() == "works"
        running.process.kill()
        assert watch(running.job, KEEPALIVE + 1.0) is not None
        assert running.helper_ends()


def test_the_job_of_an_application_that_holds_the_interpreter_s_lock_lives(
    site: EmbeddedSite, watch: Any
) -> None:
    with application("hold", site.hostname, site.port) as running:
        assert watch(running.job, 3 * KEEPALIVE) is None
        assert running.line() == "done"
        assert running.finish() == "ready"


def test_the_job_of_an_application_that_is_stopped_lives(site: EmbeddedSite, watch: Any) -> None:
    with application("wait", site.hostname, site.port) as running:
        running.process.send_signal(signal.SIGSTOP)
        assert watch(running.job, 3 * KEEPALIVE) is None
        running.process.send_signal(signal.SIGCONT)
        assert running.finish() == "ready"


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTSTP, signal.SIGHUP])
def test_what_a_terminal_sends_to_the_application_does_not_reach_its_helper(
    site: EmbeddedSite, signal_: signal.Signals
) -> None:
    with application("catch", site.hostname, site.port) as running:
        os.killpg(running.process.pid, signal_)
        if signal_ == signal.SIGINT:
            assert running.line() == "caught"
        if signal_ == signal.SIGHUP:
            assert running.helper_ends()  # because the application has, and only then
            assert running.process.wait(PATIENCE) == -signal.SIGHUP
        else:
            assert not running.helper_ends(0.0)
            assert Path(f"/proc/{running.helper_pid}/stat").read_text().split()[2] in "SRD"


def test_the_helper_has_none_of_the_application_s_files() -> None:
    ready = {"state": 3, "power": True, "keepalive": KEEPALIVE, "reason": None}
    with (
        ScriptedServer({"create_job": 7, "get_job_state": ready}) as server,
        application("wait", server.hostname, server.port) as running,
    ):
        server.wait_for_command("job_keepalive")
        targets = [path.readlink() for path in Path(f"/proc/{running.helper_pid}/fd").iterdir()]
        assert sorted(str(target).split(":")[0] for target in targets if "pidfd" not in str(target)) == [
            "/dev/null",
            "/dev/null",
            "pipe",
            "socket",
        ]
        assert Path(f"/proc/{running.helper_pid}/cwd").readlink() == Path("/")


def test_an_application_that_ends_its_job_ends_the_helper(site: EmbeddedSite) -> None:
    with application("wait", site.hostname, site.port) as running:
        assert running.finish() == "ready"
        assert running.process.wait(PATIENCE) == 0
        assert running.helper_ends(0.0)


def test_a_server_that_is_away_for_less_than_the_keepalive_is_found_again() -> None:
    answers = {
        "create_job": 7,
        "get_job_state": {"state": 3, "power": True, "keepalive": 2.0, "reason": None},
    }
    with ScriptedServer(answers) as first:
        job = Job(**arguments(first, keepalive=2.0, reconnect_delay=60.0))
        first.wait_for_command("job_keepalive", 2)
        first.stop()
        with ScriptedServer(answers, port=first.port) as second:
            second.wait_for_command("job_keepalive", 2)
            assert second.requests[0].command == "list_jobs"  # is it still the same job?
            assert second.requests[1].args == (7,)
            assert job.state is JobState.ready
            job.destroy()


def test_a_server_that_says_nothing_is_connected_to_again() -> None:
    with ScriptedServer({"create_job": 7, "job_keepalive": b""}) as server:
        job = Job(**arguments(server, keepalive=0.6))
        # A connection that brought no answer in time is of no more use: what is sent on it may go nowhere.
        for connections in range(server.accepted + 1, server.accepted + 3):
            server.wait_for(lambda connections=connections: server.accepted >= connections)
        server.wait_for_command("job_keepalive", 3)
        server.answers["job_keepalive"] = encode(Return(None))
        server.wait_for_command("job_keepalive", 6)
        job.close()


def test_keepalives_come_well_within_their_period() -> None:
    times: list[float] = []

    def note(request: object) -> None:
        times.append(time.monotonic())

    with ScriptedServer({"create_job": 7, "job_keepalive": note}) as server:
        job = Job(**arguments(server, keepalive=KEEPALIVE))
        server.wait_for_command("job_keepalive", 6)
        job.close()
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < KEEPALIVE


def test_no_keepalive_is_sent_once_a_job_is_closed() -> None:
    with ScriptedServer({"create_job": 7}) as server:
        job = Job(**arguments(server, keepalive=0.3))
        server.wait_for_command("job_keepalive", 2)
        job.close()
        server.wait_for_connections(0)
        count = server.count("job_keepalive")
        with pytest.raises(AssertionError):
            server.wait_for(lambda: server.count("job_keepalive") > count, 0.5)


def test_a_helper_that_somebody_killed_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    answers = {
        "create_job": 7,
        "get_job_state": {"state": 3, "power": True, "keepalive": 60.0, "reason": None},
    }
    with ScriptedServer(answers) as server:
        job = Job(**arguments(server))
        server.wait_for_command("job_keepalive")
        assert job._helper is not None
        os.kill(job._helper._process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, job._helper._process.pid, os.WEXITED | os.WNOWAIT)
        assert job.state is JobState.ready
        server.wait_for_command("job_keepalive", 2)
        assert "was gone; it has been started again" in caplog.text
        job.close()


def _use_and_close(job: Job) -> None:
    assert job._helper is not None
    helper = job._helper._process.pid
    assert job.state is JobState.ready
    assert job._helper._process.pid == helper, "another helper was started"
    job.close()


def test_a_copy_of_the_process_that_closes_its_job_does_not_end_the_original_s_helper() -> None:
    answers = {
        "create_job": 7,
        "get_job_state": {"state": 3, "power": True, "keepalive": 0.5, "reason": None},
    }
    with ScriptedServer(answers) as server:
        job = Job(**arguments(server, keepalive=0.5))
        server.wait_for_command("job_keepalive")
        child = multiprocessing.get_context("fork").Process(target=_use_and_close, args=(job,))
        child.start()
        child.join(PATIENCE)
        assert child.exitcode == 0
        server.wait_for_command("job_keepalive", server.count("job_keepalive") + 3)
        assert job._helper is not None
        assert job._helper._process.poll() is None
        job.destroy()
        assert server.requests[-1].command == "destroy_job"


LEAVING = """
import os, sys
from spalloc_client import Job
with Job(hostname=sys.argv[1], port=sys.argv[2], owner="me", config_filenames=[]) as job:
    child = os.fork()
    if sys.argv[3] == "copy" and child == 0:
        sys.exit(3)
    if sys.argv[3] == "daemon" and child != 0:
        os._exit(0)
    if child != 0:
        os.waitpid(child, 0)
    else:
        sys.stdin.read()
    print(job.id, job.state.name, flush=True)
"""


def test_a_copy_of_the_process_that_leaves_the_block_leaves_the_job_to_its_original(
    site: EmbeddedSite,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVING, site.hostname, str(site.port), "copy"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    job, state = done.stdout.split()
    assert (state, done.stderr) == ("ready", "")
    with ProtocolClient(site.hostname, site.port) as client:
        assert client.get_job_state(int(job))["state"] == JobState.destroyed


def test_a_daemon_that_leaves_the_block_frees_the_boards(site: EmbeddedSite, watch: Any) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVING, site.hostname, str(site.port), "daemon"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.wait(PATIENCE) == 0
    out, _ = process.communicate("")
    job, state = out.split()
    assert state == "ready"
    assert watch(int(job), PATIENCE) is not None


def test_nobody_waits_for_the_helper_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Job is there as soon as the server has said so, also if Python never comes up in the helper."""
    never = tmp_path / "python"
    never.write_text("#!/bin/sh\nexec sleep 60\n")
    never.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(never))
    with ScriptedServer({"create_job": 7}) as server:
        job = Job(**arguments(server))
        assert job.id == 7
        job.destroy()


def test_a_helper_without_a_job_ends_with_its_application() -> None:
    helper = Keepalive()
    ended = os.pidfd_open(helper._process.pid)
    assert helper._process.stdin is not None
    helper._process.stdin.close()
    assert select.select([ended], [], [], PATIENCE)[0]
    os.close(ended)
    helper.stop()


def test_the_helper_s_patience_follows_from_the_job_s_keepalive() -> None:
    orders = Orders("7 60.0 None 5.0 ::1 22244 None None")
    assert (orders.job_id, orders.hostname, orders.port) == (7, "::1", 22244)
    assert (orders.period, orders.retry, orders.patience) == (20.0, 5.0, 20.0)
    short = Orders("7 3.0 0.5 5.0 h 1 None None")
    assert (short.period, short.retry, short.patience) == (1.0, 0.3, 0.5)
    endless = Orders("7 1e300 None 1e300 localhost 22244 None None")
    assert max(endless.period, endless.retry, endless.patience) <= 86_400.0


def test_a_job_and_its_application_go_on_when_the_server_is_killed_and_started_again(tmp_path: Path) -> None:
    keepalive = 6.0
    with boards(1, 1) as machine:
        state = tmp_path / "jobs.db"
        with server(machine, state) as first:
            port = first["port"]
            with application("wait", first["host"], port, keepalive) as running:
                os.kill(first["pid"], signal.SIGKILL)
                with server(machine, state, port) as second, ProtocolClient(second["host"], port) as client:
                    assert client.get_job_state(running.job)["state"] in (JobState.power, JobState.ready)
                    client.notify_job(running.job)
                    with pytest.raises(ProtocolTimeoutError):
                        while client.get_job_state(running.job)["state"] != JobState.destroyed:
                            client.wait_for_notification(1.5 * keepalive)
                    assert running.finish() == "ready"
                    assert running.process.wait(PATIENCE) == 0
                    assert client.get_job_state(running.job)["state"] == JobState.destroyed

"""Against our own server over HTTPS: the answers are those of v1, every command works, and no secret is shown."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import Job, JobDestroyedError, ProtocolClient, ProtocolError, SpallocServerException
from spalloc_client.errors import LoginError
from spalloc_client.wire import DEFAULT_PORT
from spalloc_server.embedded import EmbeddedSite
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.doubles.people import Account
from tests.doubles.service import JavaService
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.https.test_login import token_until
from tests.spalloc_client.over_https import OverHttps, OverJava, java, over
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer
from tests.spalloc_client.scripts.conftest import Commands

DEAD = VirtualMachine(
    size=Size(3, 2),
    timings=Timings.instant(),
    dead_boards=frozenset({Board(2, 1, 1)}),
    dead_links=frozenset({BoardLink(Board(0, 0, 0), Link.NORTH), BoardLink(Board(0, 0, 2), Link.SOUTH)}),
)


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedSite]:
    with EmbeddedSite(machine=DEAD, https=True) as site:
        yield site


@pytest.fixture
def secure(running: EmbeddedSite) -> Iterator[Any]:
    with over(running) as site:
        yield site


def less(told: Any, *names: str) -> Any:
    """An answer without what only v1 tells, or what is another thing there."""
    if isinstance(told, list):
        return [less(one, *names) for one in told]
    return {name: value for name, value in told.items() if name not in names}


def test_the_answers_are_those_of_v1(client_class: Any, running: EmbeddedSite, secure: Any) -> None:
    with (
        client_class(secure.hostname) as https,
        ProtocolClient(running.hostname, running.port) as v1,
        Job(2, 1, **arguments(secure, max_dead_boards=1)) as job,
    ):
        questions: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
            ("list_machines", (), {}),
            ("get_job_machine_info", (job.id,), {}),
            ("get_board_position", ("virtual", 1, 1, 2), {}),
            ("get_board_position", ("virtual", 9, 1, 2), {}),
            ("get_board_position", ("none", 1, 1, 2), {}),
            ("get_board_at_position", ("virtual", 0, 0, 4), {}),
            ("get_board_at_position", ("virtual", 0, 9, 4), {}),
            ("where_is", (), {"machine": "virtual", "x": 1, "y": 0, "z": 1}),
            ("where_is", (), {"machine": "virtual", "cabinet": 0, "frame": 0, "board": 3}),
            ("where_is", (), {"machine": "virtual", "chip_x": 13, "chip_y": 2}),
            ("where_is", (), {"machine": "virtual", "chip_x": 35, "chip_y": 23}),
            ("where_is", (), {"job_id": job.id, "chip_x": 9, "chip_y": 5}),
            ("where_is", (), {"job_id": job.id, "chip_x": 500, "chip_y": 5}),
            ("where_is", (), {"job_id": 10**6, "chip_x": 0, "chip_y": 0}),
            ("where_is", (), {"machine": "none", "x": 0, "y": 0, "z": 0}),
            ("job_queue_position", (job.id,), {}),
            ("get_job_machine_info", (10**6,), {}),
            ("job_keepalive", (job.id,), {}),
            ("job_keepalive", (10**6,), {}),
            ("job_times", (10**6,), {}),
        ]
        for command, args, kwargs in questions:
            assert https.call(command, *args, **kwargs) == v1.call(command, *args, **kwargs), (
                command,
                args,
                kwargs,
            )
        for told, really in (
            (https.get_job_state(job.id), v1.get_job_state(job.id)),
            (https.get_job_state(10**6), v1.get_job_state(10**6)),
            (https.list_jobs(), v1.list_jobs()),
        ):
            loose = ("start_time", "allocated", "time_limit", "kwargs", "ended_here", "ended_by")
            assert less(told, *loose) == less(really, *loose)
        assert https.job_times(job.id).keys() == v1.job_times(job.id).keys()


def test_a_whole_machine_has_the_size_in_chips_that_v1_tells(running: EmbeddedSite, secure: Any) -> None:
    with ProtocolClient(running.hostname, running.port) as v1:
        for shape in ((3, 1), (1, 2), (2, 2), (3, 2)):
            with Job(*shape, **arguments(secure, max_dead_boards=None)) as job:
                told = v1.get_job_machine_info(job.id)
                assert (job.width, job.height) == (told["width"], told["height"])


def test_changes_are_notified(client_class: Any, secure: Any) -> None:
    with client_class(secure.hostname) as client, ProtocolClient(secure.hostname) as other:
        client.notify_job()
        job = other.create_job(1, keepalive=60.0)
        assert "jobs_changed" in client.wait_for_notification(PATIENCE)
        client.no_notify_job()
        client.notify_job(job)
        seen = client.arrived
        other.destroy_job(job, "done")
        assert client.wait_for_more(seen, PATIENCE) > seen
        assert {"jobs_changed": [job]} in iter(lambda: client.wait_for_notification(PATIENCE), None)


def test_what_the_server_refuses_is_told_in_its_words(client_class: Any, secure: Any) -> None:
    with client_class(secure.hostname) as client:
        with pytest.raises(SpallocServerException, match="30 to 300 seconds"):
            client.create_job(1, keepalive=5.0)
        with pytest.raises(SpallocServerException, match="can never be allocated"):
            client.create_job(500)
        with pytest.raises(SpallocServerException, match="has nothing for the command"):
            client.call("no_such_command")
        with pytest.raises(ValueError, match="JSON"):
            client.call("get_job_state", object())
    with pytest.raises(ProtocolError, match=r"^not connected to https://"):
        client.version()


def test_a_wrong_password_is_refused_and_not_shown(job_class: Any, secure: Any) -> None:
    wrong = secure.hostname.replace(secure.https.password, "not-the-password")
    with pytest.raises(LoginError, match="does not take the password of user") as raised:
        job_class(hostname=wrong, config_filenames=[])
    assert "not-the-password" not in str(raised.value)


def test_a_service_that_is_not_there_can_not_be_reached(client_class: Any, secure: Any) -> None:
    with pytest.raises(OSError, match=r"https://user.* can't be reached|https://localhost:1/") as raised:
        client_class("https://user:secret@localhost:1/").connect(PATIENCE)
    assert "secret" not in str(raised.value)


def test_a_certificate_that_is_not_believed_is_told_with_what_to_do(
    client_class: Any, running: EmbeddedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        OSError, match="its certificate is not believed: .*; name the file .* in SSL_CERT_FILE"
    ):
        client_class(OverHttps(running).hostname).connect(PATIENCE)


def test_a_job_needs_no_owner_and_whoever_logs_in_owns_it(
    secure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Job(hostname=secure.hostname, config_filenames=[], keepalive=None) as job:
        with ProtocolClient(secure.hostname) as client:
            (listed,) = client.list_jobs()
        assert (listed["owner"], listed["keepalive"]) == ("user", 300.0)
        assert job._helper is not None
    assert "ends jobs of which it hears nothing for 300 s" in caplog.text


def test_a_session_that_ends_is_followed_by_another_under_a_running_job(secure: Any) -> None:
    with Job(**arguments(secure)) as job:
        session: Any = job._client._session
        session._cookies = {"JSESSIONID": "A" * 52}
        assert job.state.name == "ready"
        assert session._cookies["JSESSIONID"] != "A" * 52


# Commands.


@pytest.fixture
def commands(secure: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    """The commands, which find out by the environment who logs in."""
    monkeypatch.setenv("SPALLOC_USER", secure.https.user)
    monkeypatch.setenv("SPALLOC_PASSWORD", secure.https.password)
    made = Commands("", 0)
    made.server = ["--hostname", secure.https.url]
    yield made
    made.clean()


@pytest.mark.slow
def test_every_command_works_over_https(commands: Commands, secure: Any) -> None:
    def says(name: str, *words: str) -> str:
        ended = commands.run(name, *words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    with Job(3, **arguments(secure)) as job:
        number = str(job.id)
        assert "user" in says("spalloc-ps", "--long")
        assert f'"job_id": {number}' in says("spalloc-ps", "--json").replace('":', '": ').replace("  ", " ")
        assert "ready" in says("spalloc-job", number)
        assert "ready" in says("spalloc-job")  # the only one of whoever logs in
        assert "127." in says("spalloc-job", number, "--ethernet-ips")
        assert "virtual" in says("spalloc-machine")
        assert "user" in says("spalloc-machine", "virtual", "--detailed")
        assert "Cabinet 0" in says("spalloc-where-is", "--board", "virtual", "0", "0", "0")
        assert number in says("spalloc-where-is", "--job-chip", number, "0", "0")
        told = says("spalloc-config", "check")
        assert "with the machines: virtual\nlogged in as user, with the role user\n" in told
        assert "no group can be charged for your jobs\n" in told
        says("spalloc-job", number, "--power-off")
        says("spalloc-job", number, "--power-on")
        assert "It may have its boards for 1 hour" in says("spalloc-job", number, "--extend", "1h")
        says("spalloc-job", number, "--destroy", "enough")
        assert "enough" in says("spalloc-ps", "--all")
        with pytest.raises(JobDestroyedError, match="enough"):
            job.wait_until_ready(PATIENCE)


@pytest.fixture
def java_service() -> Iterator[JavaService]:
    """The Java service's double, with all its defects."""
    with JavaService() as service, java(service):
        yield service


@pytest.mark.slow
def test_commands_work_with_the_java_service_and_say_what_it_can_not_do(
    java_service: JavaService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("USER", java_service.user), ("PASSWORD", java_service.password)):
        monkeypatch.setenv(f"SPALLOC_{name}", value)
    commands = Commands("", 0)
    commands.server = ["--hostname", java_service.url]

    def says(name: str, *words: str, status: int = 0) -> str:
        ended = commands.run(name, *words)
        assert ended.returncode == status, ended.stderr
        return ended.stdout + ended.stderr

    admin = java_service.url.replace("://", "://admin:admin%27s%20own%20words@")
    with (
        Job(3, hostname=admin, config_filenames=[]),
        Job(3, hostname=java_service.url, config_filenames=[]) as job,
    ):
        number = str(job.id)
        table = says("spalloc-ps", "--long")
        assert java_service.user in table
        assert "<hidden>" in table
        assert "of 1" not in table
        assert "ready" in says("spalloc-job", number)
        assert "ready" in says("spalloc-job")
        assert "127." in says("spalloc-job", number, "--ethernet-ips")
        assert "In-use: 3 of 12" in says("spalloc-machine", "big")
        assert number in says("spalloc-where-is", "--job-chip", number, "0", "0")
        told = says("spalloc-config", "check")
        assert "version 7.4" in told
        assert "does not tell which groups one is in" in told
        says("spalloc-job", number, "--power-off")
        says("spalloc-job", number, "--power-on")
        assert "knows no time limits" in says("spalloc-job", number, "--extend", "1h", status=1)
        assert "does not tell of jobs that have ended" in says("spalloc-ps", "--all", status=1)
        says("spalloc-job", number, "--destroy", "enough")
        assert "knows no require_torus" in says("spalloc", "2", "2", "--require-torus", status=6)
        told = says("spalloc", "1", "--time", "1h", "--command", "exit 5", status=5)
        assert "knows no time limits: the job is created without one" in told
    commands.clean()


@pytest.mark.slow
def test_a_wrapped_command_finds_its_job_and_no_password(commands: Commands, secure: Any) -> None:
    show = "import os; print(sorted(os.environ.items()))"
    ended = commands.run("spalloc", "3", "--command", sys.executable, "-c", show)
    assert ended.returncode == 0, ended.stderr
    assert f"('SPALLOC_SERVER_HOSTNAME', '{secure.https.url}')" in ended.stdout
    assert "SPALLOC_PASSWORD" not in ended.stdout
    assert secure.https.password not in ended.stdout + ended.stderr
    show = "import os; print(os.environ['SPALLOC_USER'], os.environ['SPALLOC_PASSWORD'])"
    ended = commands.run("spalloc", "3", "--pass-login", "--command", sys.executable, "-c", show)
    assert ended.stdout == f"{secure.https.user} {secure.https.password}\n"


@pytest.mark.slow
def test_a_view_is_watched_over_https(commands: Commands, secure: Any) -> None:
    watching = commands.start("spalloc-ps", "--watch")
    watching.until("Owner", "output")
    with Job(1, **arguments(secure)) as job:
        watching.until(str(job.id), "output")
    watching.end(2)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_no_secret_is_in_any_output_argument_or_environment(secure: Any, tmp_path: Path) -> None:
    password = secure.https.password
    program = f"""
import logging, os, pathlib, sys
logging.basicConfig(level=logging.DEBUG)
from spalloc_client import Job
job = Job(hostname={secure.https.url!r}, username="user", password=sys.stdin.readline().strip(), config_filenames=[])
job.wait_until_ready()
helper = job._helper._process.pid
for process in (os.getpid(), helper):
    for file in ("cmdline", "environ"):
        text = pathlib.Path(f"/proc/{{process}}/{{file}}").read_bytes()
        print(process, file, len(text), {password[:4]!r}.encode() + {password[4:]!r}.encode() in text)
print(repr(job), repr(job._client), repr(vars(job._requirements) if hasattr(job._requirements, "__dict__") else ""))
try:
    job._client.call("create_job", -1)
finally:
    job.destroy()
"""
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "SPALLOC_TOKEN": "", "SPALLOC_PASSWORD": ""}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        input=f"{password}\n", text=True, capture_output=True, timeout=PATIENCE * 3, env=environment,
    )  # fmt: skip
    assert "Traceback" in done.stderr  # which is looked at as well
    assert done.stdout.count("False") == 4, done.stdout + done.stderr
    assert password not in done.stdout + done.stderr


def test_v1_imports_nothing_of_this() -> None:
    program = """
import spalloc_client.job, spalloc_client.scripts.alloc, spalloc_client.scripts.ps, sys
ours = ("spalloc_client.https", "spalloc_client._keepalive_https", "spalloc_client.address", "httpcore", "asyncio")
print([name for name in sys.modules if name.startswith(ours)])
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=PATIENCE)
    assert done.stdout == "[]\n"
    assert DEFAULT_PORT == 22244


class Heard(logging.Handler):
    """Waits for a line of the log that says something."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.told: list[str] = []
        self.heard = threading.Event()
        self._words = words

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.told.append(record.getMessage())
            self.heard.set()


@pytest.fixture
def expiry() -> Iterator[Heard]:
    """What is told of tokens that expire."""
    handler = Heard("the token expires")
    logger = logging.getLogger("spalloc_client.job")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@pytest.mark.parametrize(("left", "tells"), [(1800.0, True), (3600.5, True), (7200.0, False)])
def test_the_end_of_a_token_is_told_an_hour_before_and_once(
    java_service: JavaService,
    client_class: Any,
    monkeypatch: pytest.MonkeyPatch,
    expiry: Heard,
    left: float,
    tells: bool,
) -> None:
    token = token_until(time.time() + left)
    java_service.people.add(Account("bob", "words", token=token))
    monkeypatch.setenv("SPALLOC_TOKEN", token)
    with client_class(java_service.url) as client:
        assert client.version() == "7.4.2"
        assert not tells or expiry.heard.wait(PATIENCE)
        client.connect()
        client.version()
    assert len(expiry.told) == (1 if tells else 0)
    assert token not in "".join(expiry.told)


def test_a_group_pays_that_is_named_and_others_are_refused_in_words(
    java_service: JavaService, job_class: Any
) -> None:
    at = {"hostname": OverJava(java_service).hostname, "config_filenames": []}
    with job_class(1, group="test", **at) as job:
        assert java_service.job(job.id).group == "test"
    with pytest.raises(SpallocServerException, match="^group nengo does not exist or alice is not a member"):
        job_class(1, group="nengo", **at)


def test_a_server_of_the_older_protocol_is_sent_a_group_if_it_is_ours_and_no_collaboration(
    job_class: Any, running: EmbeddedSite, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SpallocServerException, match="group"):
        job_class(1, **arguments(running, group="nengo"))
    with job_class(1, **arguments(running, collab="c")):
        assert "knows no collaborations: the job is created without one" in caplog.text
    published = {
        "create_job": 7,
        "list_machines": [{"name": "m"}],
        "get_job_state": {"state": 3, "keepalive": None},
    }
    with ScriptedServer(published) as server:
        job_class(1, **arguments(server, group="nengo", keepalive=None)).close()
        assert "knows no groups: the job is created without one" in caplog.text
        (asked,) = [request for request in server.requests if request.command == "create_job"]
        assert "group" not in asked.kwargs

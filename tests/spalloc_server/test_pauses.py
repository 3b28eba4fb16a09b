"""A server that is stopped for longer than jobs' keepalives, as a paused virtual machine is: with a real process."""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import tests.processes
from tests.processes import SERVER, ServerProcess, spalloc_server

pytestmark = pytest.mark.slow

KEEPALIVE = 2.5
PAUSE = 4.0
JOBS = 20

WITHOUT_UVLOOP = (
    sys.executable,
    "-c",
    "import sys; sys.modules['uvloop'] = None;" + SERVER[2],
)


class Caller:
    """A client that shows what it got."""

    def __init__(self, server: ServerProcess) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=60)
        self._lines = self.socket.makefile("r")

    def send(self, command: str, *args: object, **kwargs: object) -> None:
        self.socket.sendall(json.dumps({"command": command, "args": args, "kwargs": kwargs}).encode() + b"\n")

    def next(self) -> Any:
        return json.loads(self._lines.readline())

    def ask(self, command: str, *args: object, **kwargs: object) -> Any:
        self.send(command, *args, **kwargs)
        while "return" not in (message := self.next()):
            pass
        return message["return"]

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@contextlib.contextmanager
def callers(server: ServerProcess, count: int) -> Iterator[list[Caller]]:
    made = [Caller(server) for _ in range(count)]
    try:
        yield made
    finally:
        for caller in made:
            caller.close()


@contextlib.contextmanager
def stopped(server: ServerProcess) -> Iterator[None]:
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def says_nothing(caller: Caller, seconds: float) -> bool:
    """Whether nothing comes for so long."""
    return not select.select([caller.socket], [], [], seconds)[0]


@pytest.fixture(params=["the fastest loop there is", "Python's own loop"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    if request.param == "Python's own loop":
        monkeypatch.setattr(tests.processes, "SERVER", WITHOUT_UVLOOP)
    with spalloc_server(["--virtual", "4x4", "--port", "0"]) as running:
        yield running


def test_jobs_outlive_a_pause_of_the_server_and_those_of_the_dead_end_after_it(server: ServerProcess) -> None:
    with callers(server, JOBS + 1) as (watcher, *users), contextlib.ExitStack() as later:
        dead = Caller(server)
        deserted = dead.ask("create_job", 1, owner="dead", keepalive=KEEPALIVE)
        jobs = [user.ask("create_job", 1, owner="me", keepalive=KEEPALIVE) for user in users]
        dead.close()
        watcher.ask("notify_job", deserted)
        with stopped(server):
            for _ in range(4):
                # As the client's helper does when it gets no reply: the system takes the connection for the server.
                for job in jobs:
                    again = later.enter_context(contextlib.closing(Caller(server)))
                    again.send("job_keepalive", job)
                assert says_nothing(watcher, PAUSE / 4)
        # Asking after a job by its number would keep it alive.
        alive = {job["job_id"] for job in watcher.ask("list_jobs")}
        assert alive >= set(jobs)
        while deserted in {job["job_id"] for job in watcher.ask("list_jobs")}:
            for user, job in zip(users, jobs, strict=True):
                user.send("job_keepalive", job)
            says_nothing(watcher, KEEPALIVE / 4)
        assert {job["job_id"] for job in watcher.ask("list_jobs")} == set(jobs)
    _, log = server.end()
    assert "the server waited" in log

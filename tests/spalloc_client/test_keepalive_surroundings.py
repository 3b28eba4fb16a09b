"""Jobs are kept alive wherever the package can be imported, and no program is ever run a second time for it."""

import gc
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import spalloc_client
from spalloc_client import Job, JobState, _keepalive_process, keepalive
from tests.spalloc_client.awaited import LOOP
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.scripted import PATIENCE, ScriptedServer

KEEPALIVE = 0.6
STATE = {"state": 3, "power": True, "keepalive": KEEPALIVE, "reason": None, "start_time": 1.0}
SOURCE = Path(spalloc_client.__file__).parent

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer({"create_job": 7, "get_job_state": STATE}) as server:
        yield server


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "_warned", False)


PROGRAM = """#!{python}
import os, sys
open({log!r}, "a").write("run\\n")
{before}
import logging
logging.basicConfig(format="%(message)s")
from spalloc_client import Job
job = Job(hostname="127.0.0.1", port={port}, owner="me", keepalive={keepalive}, config_filenames=[])
print(job._helper._process is not None, flush=True)
sys.stdin.read()
job.destroy()
print("done")
"""


def run(
    server: ScriptedServer, folder: Path, before: str, name: str = "program", **environment: str
) -> tuple[str, str]:
    """Run a program until its job has been kept for some time; what it prints, and what it logs."""
    program, log = folder / name, folder / "log"
    program.write_text(
        PROGRAM.format(
            python=sys.executable, log=str(log), before=before, port=server.port, keepalive=KEEPALIVE
        )
    )
    program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, str(program)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=folder, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        server.wait_for_command("job_keepalive", 5)
    finally:
        out, err = process.communicate(timeout=PATIENCE)
    assert "done" in out, err
    assert server.requests[-1].command == "destroy_job"
    assert log.read_text() == "run\n", "the program was run a second time"
    assert server.count("create_job") == 1
    return out, err


@pytest.mark.parametrize(
    "before",
    [
        "sys.frozen = True; sys.executable = os.path.abspath(__file__)",
        "sys.executable = os.path.abspath(__file__)",
        "sys.executable = ''",
        "sys.executable = None",
        "sys.executable = '/no/such/python3'",
    ],
    ids=["PyInstaller", "a host program", "no name", "None", "no file"],
)
def test_a_program_that_has_python_inside_keeps_its_job_by_a_thread_and_says_so(
    server: ScriptedServer, tmp_path: Path, before: str
) -> None:
    out, err = run(server, tmp_path, before)
    assert "False" in out
    assert (
        err.count("A thread of this program keeps its spalloc job alive, since no process can be started")
        == 1
    )


def test_the_package_may_lie_in_an_archive(server: ScriptedServer, tmp_path: Path) -> None:
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in SOURCE.rglob("*.py"):
            file.write(path, path.relative_to(SOURCE.parent))
    before = f"sys.path.insert(0, {str(archive)!r}); import spalloc_client; assert '.zip' in spalloc_client.__file__"
    out, err = run(server, tmp_path, before)
    assert ("True" in out, err) == (True, "")


LOADER = """
import importlib.abc, importlib.util
class Loader(importlib.abc.Loader):
    def exec_module(self, module): exec(self.get_code(module.__name__), module.__dict__)
    def get_code(self, name):
        path = os.path.join(SOURCE, *name.split("."))
        path = path + ".py" if os.path.isfile(path + ".py") else os.path.join(path, "__init__.py")
        return compile(open(path).read(), "<hidden>", "exec")
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "spalloc_client":
            return importlib.util.spec_from_loader(name, Loader(), is_package=name == "spalloc_client")
sys.meta_path.insert(0, Finder())
"""


def test_the_package_may_come_from_a_loader_that_has_no_files_and_no_text(
    server: ScriptedServer, tmp_path: Path
) -> None:
    out, err = run(server, tmp_path, f"SOURCE = {str(SOURCE.parent)!r}" + LOADER)
    assert ("True" in out, err) == (True, "")


def test_a_helper_that_ends_twice_at_once_is_told_in_words_and_a_thread_takes_its_place(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    job = Job(**arguments(server, keepalive=KEEPALIVE))
    for _ in range(2):
        assert job._helper is not None
        assert job._helper._process is not None
        os.waitid(os.P_PID, job._helper._process.pid, os.WEXITED | os.WNOWAIT)
        assert job.state is JobState.ready
    assert "since the process for it ended twice at once, with status 3" in caplog.text
    server.wait_for_command("job_keepalive", 3)
    job.close()
    server.wait_for_connections(0)
    count = server.count("job_keepalive")
    with pytest.raises(AssertionError):
        server.wait_for(lambda: server.count("job_keepalive") > count, 2 * KEEPALIVE)


def test_a_limit_of_a_thousand_million_open_files_delays_no_keepalive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = os.pipe()
    os.close(ends[1])
    closed: list[Any] = []
    monkeypatch.setattr(os, "sysconf", lambda name: 1_073_741_816)
    monkeypatch.setattr(os, "closerange", lambda *numbers: closed.append(numbers))
    monkeypatch.setattr(sys, "argv", ["", str(os.getppid()), "None"])
    with os.fdopen(ends[0], "rb"):
        application = _keepalive_process.Application(ends[0], os.getppid())
        monkeypatch.setattr(_keepalive_process, "Application", lambda *args, **more: application)
        _keepalive_process.main()
        assert application.over
    assert not closed


@pytest.mark.parametrize("start_time", [1.0, None])
@pytest.mark.parametrize("asked", [True, False])
def test_the_helper_does_not_keep_the_job_of_somebody_else(
    server: ScriptedServer, asked: bool, start_time: float | None
) -> None:
    job = Job(**arguments(server, keepalive=KEEPALIVE))
    if asked:
        assert job.state is JobState.ready
    server.wait_for_command("job_keepalive", 2)
    helper = job._helper
    assert helper is not None
    assert helper._process is not None
    ended = os.pidfd_open(helper._process.pid)
    # The server has lost its records and made job 7 for another owner.
    server.answers["get_job_state"] = {**STATE, "start_time": 2.0 if start_time else None}
    server.answers["list_jobs"] = [{"job_id": 7, "owner": "you", "start_time": 2.0}] if start_time else []
    server.answers["job_keepalive"] = lambda request: pytest.fail("somebody else's job was kept alive")
    server.drop()
    assert os.waitid(os.P_PIDFD, ended, os.WEXITED | os.WNOWAIT).si_status == 77  # type: ignore[union-attr]
    os.close(ended)
    job.close()


def make_and_forget(job_class: Any, server: ScriptedServer, helpers: list[int]) -> None:
    job = job_class(**arguments(server, keepalive=KEEPALIVE))
    server.wait_for_command("job_keepalive", 2)
    helpers.append(os.pidfd_open(getattr(job, "awaitable", job)._helper._process.pid))


def forget_all(job_class: Any, server: ScriptedServer, helpers: list[int]) -> None:
    make_and_forget(job_class, server, helpers)
    LOOP.run(_nothing())  # the loop's frames hold the last thing that ran
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
def test_a_job_that_nobody_holds_is_not_kept_any_longer_and_that_is_told(
    job_class: Any, server: ScriptedServer
) -> None:
    helpers: list[int] = []
    with pytest.warns(ResourceWarning, match=r"<Job 7 on .*> is held by nobody and was not destroyed"):
        forget_all(job_class, server, helpers)
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_PIDFD, helpers[0], os.WEXITED)  # it has been waited for
    os.close(helpers[0])


async def _nothing() -> None:
    pass

"""`--virtual`: a site that takes its time to start does not keep anybody from stopping the command."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from spalloc_client.scripts import sites
from spalloc_client.scripts.interruption import Interruptions, Stopped
from spalloc_client.scripts.session import _Held
from spalloc_client.scripts.sites import RunningSite
from spalloc_client.scripts.waiting import StatusLine
from spalloc_client.terminal.console import messages
from tests.spalloc_client.scripts.conftest import Commands

PATIENCE = 30.0

# Offers itself under the name by which the client finds the server's, and never stands.
SLOW_SITE = """
import sys, threading

class Site:
    def __init__(self, width, height):
        pass

    def __enter__(self):
        sys.stderr.write("starting\\n")
        sys.stderr.flush()
        threading.Event().wait()
"""


@pytest.fixture
def slow_site(tmp_path: Path) -> dict[str, str]:
    """An environment in which the site of `--virtual` takes for ever to start."""
    modules = tmp_path / "modules"
    (modules / "slow_site-1.dist-info").mkdir(parents=True)
    (modules / "slow_site-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: slow-site\nVersion: 1\n"
    )
    (modules / "slow_site-1.dist-info" / "entry_points.txt").write_text(
        "[spalloc_client.sites]\nvirtual = slow_site:Site\n"
    )
    (modules / "slow_site.py").write_text(SLOW_SITE)
    files = tmp_path / "files"
    files.mkdir()
    return {**os.environ, "PYTHONPATH": str(modules), "TMPDIR": str(files)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.slow
def test_a_signal_ends_the_command_also_while_its_site_starts(
    commands: Commands, slow_site: dict[str, str], number: int
) -> None:
    running = commands.start("spalloc", "--virtual", "40x40", "3", "-c", "true", env=slow_site)
    running.until("starting")
    assert running.end(number) == 128 + number
    assert running.said == {"error": "starting\n", "output": ""}
    assert list(Path(slow_site["TMPDIR"]).iterdir()) == []


class LateSite:
    """A site that stands when it is told to, and notes that it was stopped."""

    def __init__(self) -> None:
        self.starting, self.stands, self.stopped = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        self.starting.set()
        assert self.stands.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Iterator[LateSite]:
    """What `--virtual` starts in this process."""
    site = LateSite()
    monkeypatch.setattr(sites, "virtual_site", lambda _width, _height: site)
    yield site
    site.stands.set()


def test_a_site_that_nobody_waits_for_any_more_is_stopped_once_it_stands(late: LateSite) -> None:
    def interrupt() -> None:
        late.starting.wait(PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)

    with Interruptions() as interruptions:
        threading.Thread(target=interrupt).start()
        with pytest.raises(Stopped), RunningSite(interruptions, 2, 2):
            raise AssertionError("it was entered")
    assert not late.stopped.is_set()
    late.stands.set()
    assert late.stopped.wait(PATIENCE)


def test_a_site_runs_as_long_as_it_is_used(late: LateSite) -> None:
    late.stands.set()
    with Interruptions() as interruptions, RunningSite(interruptions, 2, 2) as running:
        assert running is late
        assert not late.stopped.is_set()
    assert late.stopped.is_set()


def test_a_signal_that_comes_before_a_job_is_asked_for_waits_for_no_server() -> None:
    asked = []
    with Interruptions() as interruptions, pytest.raises(Stopped):
        held = _Held(interruptions, StatusLine(messages(), quiet=True), keep=False)
        with held:
            signal.raise_signal(signal.SIGTERM)
            held.ask(lambda: asked.append("for a job"))  # type: ignore[arg-type, return-value, func-returns-value]
    assert not asked
    assert held._asked.is_set()


def test_a_site_that_can_not_have_its_sockets_says_how_many_files_it_needs(commands: Commands) -> None:
    with_few_files = ["sh", "-c", 'ulimit -n 60; exec "$@"', "sh"]
    words = commands.line("spalloc", ("--owner", "me", "--virtual", "5x5"), server=False)
    ended = subprocess.run([*with_few_files, *words], capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 6
    (line,) = ended.stderr.splitlines()
    assert line.startswith("spalloc: --virtual: can't listen on 127.")
    # 4 BMPs, 75 boards, and some to spare.
    assert line.endswith(
        "each board takes two sockets: raise the limit of open files, as `ulimit -n 410` does"
    )

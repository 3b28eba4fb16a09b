"""Boards are booted with SpiNNMan, where there is one."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import BootError, aio
from spalloc_server.embedded import EmbeddedSite
from tests.peers.environments import PeerEnvironment
from tests.spalloc_client.conftest import arguments
from tests.spalloc_client.scripted import ScriptedServer

NO_BOARDS = dict.fromkeys(("width", "height", "connections", "machine_name", "boards"))


@pytest.mark.slow
@pytest.mark.peer
@pytest.mark.timeout(600)
def test_a_job_s_boards_are_booted_by_spinnman(
    job_class: Any,
    site: EmbeddedSite,
    peer: Callable[[str], PeerEnvironment],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with job_class(3, **arguments(site)) as job:
        monkeypatch.setattr(sys, "executable", str(peer("SpiNNMan==1!7.4.1").python))
        monkeypatch.chdir(tmp_path)
        job.boot()
        monkeypatch.undo()
    assert not list(tmp_path.iterdir()), "SpiNNMan's reports are in the user's way"


def test_without_spinnman_the_error_says_how_to_get_it(
    job_class: Any, site: EmbeddedSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with job_class(1, **arguments(site)) as job:
        # An interpreter that finds nothing but the standard library.
        bare = tmp_path / "python"
        bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
        bare.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(bare))
        with pytest.raises(BootError, match=r"booting needs SpiNNMan .*pip install SpiNNMan"):
            job.boot()
        monkeypatch.undo()


def test_what_can_not_be_booted_is_an_error_with_its_reason(
    job_class: Any, site: EmbeddedSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with job_class(1, **arguments(site)) as job:
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho first >&2\necho 'SpinnmanBootException: no answer' >&2\nexit 1\n")
        broken.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(broken))
        with pytest.raises(
            BootError, match=f"at {job.hostname} could not be booted: SpinnmanBootException: no answer"
        ):
            job.boot()
        monkeypatch.undo()


def test_a_job_without_boards_has_nothing_to_boot(job_class: Any) -> None:
    with ScriptedServer({"create_job": 7, "get_job_machine_info": NO_BOARDS}) as server:
        job = job_class(1, **arguments(server))
        with pytest.raises(BootError, match="the job has no boards yet"):
            job.boot()
        job.close()


def test_booting_can_be_cancelled(
    site: EmbeddedSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    slow = tmp_path / "python"
    never = tmp_path / "never"
    for pipe in (started, never):
        os.mkfifo(pipe)
    slow.write_text(f"#!/bin/sh\necho > {started}\nexec cat {never}\n")
    slow.chmod(0o755)

    async def scenario() -> None:
        async with aio.Job(1, **arguments(site)) as job:
            monkeypatch.setattr(sys, "executable", str(slow))
            booting = asyncio.create_task(job.boot())
            await asyncio.to_thread(started.read_text)
            booting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await booting
            monkeypatch.undo()

    asyncio.run(scenario())

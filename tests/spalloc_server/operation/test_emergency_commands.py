"""The emergency stop, typed on the server's computer."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server import recorded
from spalloc_server.core.emergency import UNRECORDED
from spalloc_server.engine import Engine
from spalloc_server.operation.control.protocol import DONE
from spalloc_server.operation.emergency_commands import UNRECORDED_STATUS, EmergencyCommands
from tests.processes import SERVER, spalloc_server
from tests.spalloc_server.fronts.http.people_bench import Clock, people


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*SERVER, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def tell(story: Callable[[Engine], Awaitable[None]]) -> None:
    async def told() -> None:
        async with people(Clock()) as (engine, _):
            await story(engine)

    asyncio.run(told())


def test_all_jobs_are_stopped_and_taken_again() -> None:
    async def story(engine: Engine) -> None:
        commands = EmergencyCommands(engine).commands
        stopped = await commands["stop-all"]({"reason": "fire"}, "mary")
        assert (stopped.status, stopped.text) == (
            DONE,
            "0 jobs ended, and none are taken until spalloc-server stop-all --lift",
        )
        assert engine.site.stopped is not None
        for text in ("jobs are taken again", "there was no stop: jobs are taken"):
            lifted = await commands["stop-all.lift"]({}, "mary")
            assert (lifted.status, lifted.text) == (DONE, text)
        assert engine.site.stopped is None

    tell(story)


@pytest.mark.parametrize("trouble", ["the disk is full", None], ids=["that is known", "that is not known"])
def test_a_stop_during_trouble_with_the_disk_says_what_is_not_recorded(
    trouble: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "SOON_SECONDS", 0.01)

    async def story(engine: Engine) -> None:
        when_recorded = engine.when_recorded
        monkeypatch.setattr(engine, "when_recorded", lambda _: None)
        engine.trouble = trouble
        stopped = await EmergencyCommands(engine).commands["stop-all"]({"reason": "fire"}, "mary")
        assert stopped.status == UNRECORDED_STATUS
        assert stopped.text.endswith(UNRECORDED)
        assert engine.site.stopped is not None
        monkeypatch.setattr(engine, "when_recorded", when_recorded)

    tell(story)


def test_whoever_types_it_stops_a_running_server(tmp_path: Path) -> None:
    socket = str(tmp_path / "socket")
    with (
        spalloc_server(["--virtual", "1x1", "--port", "0", "--socket", socket]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        job = client.create_job(owner="me")
        assert run("stop-all", "--socket", socket).returncode == 2, "it says that a reason must be given"
        stopped = run("stop-all", "--socket", socket, "--reason", "water")
        assert (stopped.returncode, stopped.stdout) == (
            0,
            "1 job ended, and none are taken until spalloc-server stop-all --lift\n",
        )
        assert client.get_job_state(job)["reason"].endswith("emergency: water")
        with pytest.raises(Exception, match="no jobs are taken until"):
            client.create_job(owner="me")
        lifted = run("stop-all", "--socket", socket, "--lift")
        assert lifted.stdout == "jobs are taken again\n"
        assert client.create_job(owner="me") > job

"""Time limits from end to end: the commands with our server, and with the published one, which knows none."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_client.protocol_client import ProtocolClient
from tests import processes
from tests.peers.environments import PeerEnvironment
from tests.peers.published_server import NAME, published_server
from tests.spalloc_client.scripts.conftest import Commands
from tests.spalloc_client.scripts.test_time_limits import OWNER, WAIT, WAITER, let_go

pytestmark = pytest.mark.slow

KEPT = ("--no-destroy", "--keepalive", "-1")


def test_a_command_is_told_of_its_limit_and_then_why_its_job_has_ended(commands: Commands) -> None:
    running = commands.start("spalloc", *OWNER, "--time", "8s", *WAIT)
    reason = "Its time limit is 8 seconds"
    running.until("Job 1: The server will end it in ")
    running.until(f"Job 1 was revoked: {reason}")
    assert f": {reason}" in running.said["error"].split("will end it in ")[1].splitlines()[0]
    assert let_go(running) == 1


def test_a_command_gets_its_signal_before_its_limit(commands: Commands) -> None:
    program = (sys.executable, "-c", WAITER, "SIGUSR1")
    running = commands.start("spalloc", *OWNER, "--time", "12s", "--signal", "-c", *program)
    assert running.end() == 0
    assert running.said["output"] == "waits\nheard SIGUSR1\n"


def test_a_job_that_is_taken_on_hears_of_its_end_too(commands: Commands) -> None:
    commands.run("spalloc", *OWNER, "--time", "12s", *KEPT, "-c", "true")
    resumed = commands.start("spalloc", "--resume", "1")
    resumed.until("Job 1: The server will end it in ")
    assert resumed.end() == 1
    assert (
        resumed.said["error"].splitlines()[-1].startswith("Job 1 was revoked: Its time limit is 12 seconds")
    )


def test_a_limit_is_shown_and_extended(commands: Commands, client: ProtocolClient) -> None:
    commands.run("spalloc", *OWNER, "--time", "1h", *KEPT, "-c", "true")
    said = commands.run("spalloc-job", "1", "--extend", "2h").stderr
    # However fast or slow this machine is: from nothing to ten minutes have passed.
    in_words = (
        r"Job 1: It may have its boards for 2 hours, of which (2 hours|1 hour 5\d minutes.*) are left\.\n"
    )
    assert re.fullmatch(in_words, said), said
    (listed,) = json.loads(commands.run("spalloc-ps", "--json").stdout)["jobs"]
    assert listed["time_limit"] == 7200.0
    assert abs(listed["allocated"] - listed["start_time"]) < 60.0
    heading, row = commands.run("spalloc-ps", "--columns", "limit,left").stdout.splitlines()
    assert heading.split() == ["Time", "limit", "Time", "left"]
    assert re.fullmatch(r"2h +(2h|1h5\dm.*)", row), row
    shown = json.loads(commands.run("spalloc-job", "1", "--json").stdout)
    assert shown["times"]["time_limit"] == 7200.0
    assert 7000.0 < shown["times"]["ends_in"] < 7200.0
    assert "2 hours" in shown["times"]["why"]
    assert "Time limit: 2 hours\n" in commands.run("spalloc-job", "1").stdout
    refused = commands.run("spalloc-job", "99", "--extend", "2h")
    assert refused.returncode == 1
    assert "refused: job 99 is not live, so its time limit can't be changed\n" in refused.stderr
    client.destroy_job(1)


@pytest.mark.peer
@pytest.mark.timeout(600)
def test_with_the_published_server_the_commands_work_as_without_limits(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    with (
        processes.boards(1, 1) as machine,
        published_server(peer(NAME), machine, tmp_path) as (hostname, port),
    ):
        commands = Commands(hostname, port)
        ended = commands.run("spalloc", *OWNER, "3", "--time", "30m", "--signal", *KEPT, "-c", "sleep 2")
        assert ended.returncode == 0
        first, *rest = ended.stderr.splitlines()
        where = f"{hostname}:{port}"
        assert first == f"spalloc: The server {where} knows no time limits: the job is created without one."
        said = [line for line in rest if "Waiting" not in line]
        number = said[0].split()[1].rstrip(":")
        assert said == [
            f"Job {number}: Ready!",
            f"Job {number}: The server does not tell when a job ends: SIGUSR1 will not be sent.",
            f"Job {number}: Kept; to go on with it: spalloc --resume {number}",
        ]
        with ProtocolClient(hostname, port) as client:
            waiting = client.create_job(1, owner="me", keepalive=None)
        for line in (("spalloc-ps", "--long"), ("spalloc-job", number), ("spalloc-job", str(waiting))):
            shown = commands.run(*line)
            assert (shown.returncode, shown.stderr) == (0, "")
            assert "Time l" not in shown.stdout
        refused = commands.run("spalloc-job", number, "--extend", "2h")
        assert refused.stderr == "spalloc-job: the server knows no time limits, so there is none to extend\n"

"""The clients that others published, unmodified, against our server: their commands and their Job.

Each runs in an environment of its own (tests/peers/); nothing of ours is imported there.
"""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from spalloc_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.peers.environments import PeerEnvironment

PATIENCE = 60.0

USE_A_JOB = """
import sys
try:
    from spalloc_client import Job, JobState
except ImportError:
    from spalloc import Job, JobState
host, port = sys.argv[1], int(sys.argv[2])
with Job(3, hostname=host, port=port, owner="tester") as job:
    assert job.state == JobState.ready, job.state
    assert job.power is True
    assert (job.width, job.height) == (16, 16), (job.width, job.height)
    assert len(job.connections) == 3, job.connections
    assert job.hostname == job.connections[(0, 0)]
    assert job.machine_name == "virtual"
    assert len(job.boards) == 3
    assert job.where_is_machine(chip_x=0, chip_y=0) is not None
    job.reset()
    job.wait_until_ready(timeout=30)
    job.set_power(False)
    job.wait_until_ready(timeout=30)
    assert job.power is False
    number = job.id
job = Job(1, hostname=host, port=port, owner="tester")
job.wait_until_ready(timeout=30)
job.close()
again = Job(resume_job_id=job.id, hostname=host, port=port)
assert again.state == JobState.ready
again.destroy("that will do")
print("used", number)
"""


@pytest.fixture
def site() -> Iterator[EmbeddedSite]:
    with EmbeddedSite(2, 2) as running:
        yield running


def _run(client: PeerEnvironment, site: EmbeddedSite, command: str, *arguments: str, ok: bool = True) -> str:
    place = ["--hostname", site.hostname, "--port", str(site.port)]
    done = subprocess.run(
        [client.command(command), *place, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, "COLUMNS": "200"},
    )
    assert (done.returncode == 0) == ok, f"{command} {arguments}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_a_published_clients_job_gets_boards_and_gives_them_back(
    published_client: PeerEnvironment, site: EmbeddedSite
) -> None:
    done = subprocess.run(
        [published_client.python, "-W", "ignore", "-c", USE_A_JOB, site.hostname, str(site.port)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "used 1"


def test_a_published_clients_spalloc_runs_a_command_with_boards(
    published_client: PeerEnvironment, site: EmbeddedSite
) -> None:
    said = _run(
        published_client, site, "spalloc", "3", "--owner", "tester", "-c", "echo", "is {w} by {h} at {}"
    )
    assert re.search(r"is 16 by 16 at 127\.\d+\.\d+\.\d+", said), said


def test_a_published_clients_commands_show_and_control_jobs(
    published_client: PeerEnvironment, site: EmbeddedSite
) -> None:
    with ProtocolClient(site.hostname, site.port) as client:
        job = str(client.create_job(3, owner="tester", keepalive=None))
    assert "tester" in _run(published_client, site, "spalloc-ps")
    assert "virtual" in _run(published_client, site, "spalloc-machine")
    assert "3 of 12" in _run(published_client, site, "spalloc-machine", "virtual")
    info = _run(published_client, site, "spalloc-job", job, "--info")
    assert "tester" in info
    assert "Hostname" in info
    _run(published_client, site, "spalloc-job", job, "--power-off")
    _run(published_client, site, "spalloc-job", job, "--reset")
    assert "127." in _run(published_client, site, "spalloc-job", job, "--ethernet-ips")
    where = _run(published_client, site, "spalloc-where-is", "--job-chip", job, "0", "0")
    assert "virtual" in where
    _run(published_client, site, "spalloc-job", job, "--destroy", "enough of it")
    assert "enough of it" in _run(published_client, site, "spalloc-job", job, "--info")


def test_a_published_client_is_told_why_a_job_can_never_run(
    published_client: PeerEnvironment, site: EmbeddedSite
) -> None:
    said = _run(published_client, site, "spalloc", "999", "--owner", "tester", "-c", "true", ok=False)
    assert "Cancelled: " in said

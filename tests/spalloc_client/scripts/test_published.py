"""Each command beside the published client's, with the same arguments against the same server with the same jobs.

Differences on purpose are taken away by name before comparing; docs/reference/commands-differences.md has them all.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.embedded import EmbeddedSite
from tests.peers.environments import PeerEnvironment
from tests.spalloc_client.scripts.conftest import Commands

pytestmark = pytest.mark.slow

LABELS = {
    "Physical Location": "Physical location",
    "Board Coordinate": "Board coordinate",
    "Machine Chip Coordinates": "Machine chip coordinates",
}


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    """Commands for a site with four jobs and one that waits; job 3 has its boards off, job 6 is no more."""
    with EmbeddedSite(4, 2) as site, ProtocolClient(site.hostname, site.port, timeout=60) as client:
        jobs: list[tuple[tuple[int, ...], dict[str, object]]] = [
            ((3,), {"owner": "jane@example.org"}),
            ((1,), {"owner": "joe@example.org", "tags": ["default"]}),
            ((2, 1), {"owner": "jane@example.org", "max_dead_boards": None}),
            ((0, 1, 1), {"owner": "jim@example.org", "machine": "virtual"}),
            ((4, 2), {"owner": "jack@example.org", "keepalive": 600.0}),
            ((1,), {"owner": "joe@example.org"}),
        ]
        client.notify_job()
        for what, options in jobs:
            client.create_job(*what, **{"keepalive": None, **options})
        _wait_for(client, 6, 3)
        client.destroy_job(6, "Had its time.")
        _wait_for(client, 3, 3)
        client.power_off_job_boards(3)
        for job in (1, 2, 3, 4):
            _wait_for(client, job, 3)
        yield Commands(site.hostname, site.port)


def _wait_for(client: ProtocolClient, job: int, state: int) -> None:
    while client.get_job_state(job)["state"] != state:
        client.wait_for_notification(timeout=60)


UNKNOWN = ("spalloc-job 99 --destroy", "spalloc-job 99")
"""About a job that the server doesn't know: published clients end with status 0, ours with 3."""


def ours_as_published(text: str) -> str:
    """What we print, without the differences on purpose."""
    for label, published in LABELS.items():
        text = text.replace(label, published)
    text = re.sub(r"Keepalive  Owner$", "Keepalive  Owner (Host)", text, flags=re.MULTILINE)
    text = re.sub(r"^ *(Asks for|Starts): .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^ *Queue: .*\n( +[^ :]+ .*\n)*", "", text, flags=re.MULTILINE)


def information(text: str) -> list[str]:
    """Lines without the spaces that align them."""
    return [re.sub(r"^ +", "", line) if ": " in line else line for line in text.splitlines()]


@pytest.mark.parametrize(
    "line",
    [
        "spalloc-ps",
        "spalloc-ps --owner jane@example.org",
        "spalloc-ps -m virtual -o joe@example.org",
        "spalloc-ps -m nowhere",
        "spalloc-machine",
        "spalloc-machine virtual",
        "spalloc-machine virtual --detailed",
        "spalloc-machine virtual -d",
        "spalloc-machine nowhere",
        "spalloc-machine --detailed",
        "spalloc-job 1",
        "spalloc-job 2 --info",
        "spalloc-job 3 -i",
        "spalloc-job 4",
        "spalloc-job 5",
        "spalloc-job 6",
        "spalloc-job 99",
        "spalloc-job --owner joe@example.org",
        "spalloc-job -o jane@example.org",
        "spalloc-job -o nobody",
        "spalloc-job",
        "spalloc-job 1 --ethernet-ips",
        "spalloc-job 3 -e",
        "spalloc-job 5 -e",
        "spalloc-job 99 -e",
        "spalloc-job 5 --power-on",
        "spalloc-job 1 --reset",
        "spalloc-job 6 --power-off",
        "spalloc-job 99 --destroy",
        "spalloc-job 1 --watch --power-on",
        "spalloc-where-is --board virtual 0 0 0",
        "spalloc-where-is -b virtual 3 1 2",
        "spalloc-where-is --logical virtual 9 9 9",
        "spalloc-where-is -l nowhere 0 0 0",
        "spalloc-where-is --physical virtual 0 0 5",
        "spalloc-where-is -p virtual 9 9 9",
        "spalloc-where-is --chip virtual 30 17",
        "spalloc-where-is -c virtual 1000 1000",
        "spalloc-where-is --job-chip 1 9 5",
        "spalloc-where-is -j 5 0 0",
        "spalloc-where-is -j 99 0 0",
        "spalloc-where-is -j a b c",
        "spalloc-where-is",
    ],
)
def test_the_same_information_and_status(
    line: str, commands: Commands, peer: Callable[[str], PeerEnvironment]
) -> None:
    name, *arguments = line.split()
    published = subprocess.run(
        [peer("spalloc==1!7.0.0").command(name), *commands.server, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = commands.run(name, *arguments)
    assert information(ours_as_published(ours.stdout)) == information(published.stdout)
    if line in UNKNOWN:
        assert (ours.returncode, published.returncode) == (3, 0)
        return
    assert ours.returncode == published.returncode
    assert (ours.stderr == "") == (published.stderr == "")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("spalloc --owner me 3 -c true", 0),
        ("spalloc --owner me 1 -c sh -c 'exit 3'", 3),
        ("spalloc --owner me 3", 0),
        ("spalloc --owner me 1000", 1),
        ("spalloc --owner me -m nowhere", 1),
        ("spalloc --owner me 1 2 3 4", 2),
        ("spalloc", 2),
        ("spalloc --owner me -P 1", 6),
        ("spalloc --owner me 1 --tags nothing -c true", 1),
        ("spalloc --owner me --resume 99", 1),
    ],
)
def test_spalloc_ends_with_the_same_status_and_says_the_same(
    line: str, status: int, commands: Commands, peer: Callable[[str], PeerEnvironment]
) -> None:
    name, *arguments = shlex.split(line)
    published = subprocess.run(
        [peer("spalloc==1!7.0.0").command(name), *commands.server, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    ours = commands.run(name, *arguments)
    assert ours.returncode == published.returncode == status

    def said(text: str) -> list[str]:
        text = re.sub(r"Job \d+", "Job N", re.sub(r"127\.\d+\.\d+\.\d+", "127.x.x.x", text))
        return [line for line in re.sub(r"\S+\.csv", "CSV", text).splitlines() if line.startswith("Job N: ")]

    # How long a state lasts is the boards' doing: one that is over before a command looks is not shown.
    passing = "Job N: Waiting for power on..."
    # What became of the job is said by ours alone.
    done = "Job N: Destroyed, its boards are free."
    assert [line for line in said(ours.stderr) if line not in (passing, done)] == [
        line for line in said(published.stderr) if line != passing
    ]
    assert len(ours.stdout.splitlines()) == len(published.stdout.splitlines())

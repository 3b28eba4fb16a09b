"""SpiNNMan as it is published, told a loopback address alone: it boots, writes, reads and hears through a tunnel."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import Job
from spalloc_server.embedded import EmbeddedSite
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.peers.environments import PeerEnvironment
from tests.spalloc_client.over_https import over
from tests.spalloc_client.tunnel.reach import reached
from tests.spalloc_client.tunnel.test_tunnel import tag_of
from tests.spinnaker_virtual.test_spinnman import SCRIPT, SPINNMAN

LISTENER = Path(__file__).with_name("listener.py")

Peer = Callable[[str], PeerEnvironment]

pytestmark = [pytest.mark.uncounted, pytest.mark.timeout(300)]


def spinnman(peer: Peer, task: str, **arguments: object) -> Any:
    done = subprocess.run(
        [peer(SPINNMAN).python, SCRIPT, task, json.dumps(arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def through_the_double() -> Iterator[Any]:
    with reached() as job, job.blocking_tunnel() as tunnel:
        yield tunnel


@contextmanager
def through_our_server() -> Iterator[Any]:
    machine = VirtualMachine(size=Size(2, 2), timings=Timings.instant())
    with EmbeddedSite(machine=machine, https=True) as running, over(running) as site:
        with Job(3, hostname=site.hostname, config_filenames=[]) as job, job.tunnel() as tunnel:
            yield tunnel


@pytest.mark.parametrize("opened", [through_the_double, through_our_server])
def test_spinnman_boots_discovers_writes_and_reads_three_boards(
    peer: Peer, opened: Callable[[], AbstractContextManager[Any]]
) -> None:
    with opened() as tunnel:
        told = spinnman(peer, "discover", host=tunnel.hostname)
        assert len(told["chips"]) == 144
        # It talks to all boards where the tunnel has them.
        addresses = {tuple(chip["at"]): chip["address"] for chip in told["chips"] if chip["address"]}
        assert addresses == tunnel.connections
        memory = spinnman(peer, "memory", host=tunnel.hostname, chips=[[0, 0], [9, 5], [4, 9]], size=20_000)
        assert memory["different"] == []


def keys(*numbers: int) -> bytes:
    """An EIEIO packet of keys of 16 bits."""
    return bytes((len(numbers), 0)) + b"".join(number.to_bytes(2, "little") for number in numbers)


def test_spinnman_hears_what_boards_send_of_themselves(peer: Peer) -> None:
    with reached() as job, job.blocking_tunnel() as tunnel:
        command = [peer(SPINNMAN).python, LISTENER, tunnel.hostname or ""]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None
            try:
                known = listener.stdout.readline().split()
                assert set(known) == set(tunnel.connections.values())
                assert listener.stdout.readline() == "ready\n"
                for chip, sent in (((0, 0), keys(0x1234, 0x1235)), ((4, 8), keys(0x4321))):
                    job.sends(chip, asyncio.run(tag_of(job, chip, 2)), sent)
                assert sorted(map(int, listener.stdout.readline().split())) == [0x1234, 0x1235, 0x4321]
            finally:
                listener.kill()

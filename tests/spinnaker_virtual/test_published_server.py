"""The published server, unmodified, runs a site of 1,200 boards on virtual BMPs."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from spalloc_client import ProtocolClient
from spalloc_server.embedded import machine_of
from spinnaker.geometry import Board, Link, Size, neighbour
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
from tests.peers.environments import PeerEnvironment
from tests.peers.published_server import NAME, published_server
from tests.processes import described

SIZE = Size(20, 20)
READY, DESTROYED = 3, 4
PATIENCE = 120.0


@pytest.mark.uncounted
@pytest.mark.timeout(600)
def test_the_published_server_runs_1200_boards(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    environment = peer(NAME)

    def use(site: VirtualSite) -> None:
        with (
            published_server(environment, described(machine_of(site)), tmp_path) as (host, port),
            ProtocolClient(host, port, timeout=PATIENCE) as client,
        ):
            client.notify_job()
            # Three jobs have all boards at once.
            sizes = [(2, 3), (18, 20), (2, 17)]
            jobs = [client.create_job(*size, owner="test", keepalive=None) for size in sizes]
            for job in jobs:
                while (state := client.get_job_state(job)["state"]) != READY:
                    assert state != DESTROYED
                    client.wait_for_notification(timeout=PATIENCE)
            owners = {board: job for job in jobs for board in _boards(client, job)}
            assert len(owners) == 1200
            assert all(site.is_on(board) for board in owners)
            for board, job in owners.items():
                inward = {link for link in Link if owners[neighbour(SIZE, board, link)] == job}
                assert site.stopped_links(board) == set(Link) - inward
                assert {link for link in Link if site.link_works(board, link)} == inward

    async def scenario() -> None:
        async with VirtualSite(VirtualMachine(size=SIZE, timings=Timings.instant())) as site:
            await asyncio.to_thread(use, site)

    asyncio.run(scenario())


def _boards(client: ProtocolClient, job: int) -> list[Board]:
    """Return a job's boards, found by asking where its Ethernet-connected chips are."""
    chips = [chip for chip, _ in client.get_job_machine_info(job)["connections"]]
    places = [client.where_is(job_id=job, chip_x=x, chip_y=y) for x, y in chips]
    return [Board(*place["logical"]) for place in places if place]

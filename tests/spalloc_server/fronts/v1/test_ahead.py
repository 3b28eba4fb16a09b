"""The listing of jobs is written before anybody asks for it, and forgets the jobs that have ended."""

import asyncio

import pytest

from spalloc_server.fronts.v1 import listing
from spalloc_server.fronts.v1.server import V1Server
from tests.spalloc_server.fronts.test_front import PATIENCE, Front, Peer, run

JOBS = 300


async def _until_written(server: V1Server, peer: Peer, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(server.commands.listing._parts) != count:
            await peer.call("version")


def test_whoever_asks_first_does_not_wait_until_ten_thousand_jobs_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test(front: Front) -> None:
        peer = await front.connect()
        for _ in range(JOBS):
            await peer.call("create_job", owner="me", keepalive=None)
        await _until_written(front.front, peer, JOBS)
        # All of them are written when a server starts, too.
        restarted = front.another_front()
        await restarted.start("127.0.0.1", 0)
        await _until_written(restarted, peer, JOBS)
        await restarted.stop()
        with monkeypatch.context() as patch:
            patch.delattr(listing, "json_text")
            assert len(await peer.call("list_jobs")) == JOBS
        for job in range(1, JOBS + 1):
            await peer.call("destroy_job", job)
        await _until_written(front.front, peer, 0)
        peer.writer.close()

    run(test)

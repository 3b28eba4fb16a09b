"""The published server, unmodified, runs a site of 1,200 boards on virtual BMPs."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_server.embedded import machine_of
from spinnaker.geometry import Board, Link, Size, neighbour
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
from tests.peers.environments import PeerEnvironment
from tests.peers.published_server import NAME, configuration
from tests.processes import described

SIZE = Size(20, 20)
READY, DESTROYED = 3, 4


class Client:
    """A line in, a line out; notifications are kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._changed: list[Any] = []

    async def call(self, command: str, *args: object, **kwargs: object) -> Any:
        self._writer.write(json.dumps({"command": command, "args": args, "kwargs": kwargs}).encode() + b"\n")
        while True:
            message = json.loads(await self._reader.readline())
            if "return" in message:
                return message["return"]
            assert "exception" not in message, message
            self._changed.append(message)

    async def until(self, job: int, state: int) -> Any:
        await self.call("notify_job", job)
        while True:
            told = await self.call("get_job_state", job)
            if told["state"] == state:
                return told
            assert told["state"] != DESTROYED, told
            if not self._changed:
                self._changed.append(json.loads(await self._reader.readline()))
            self._changed.clear()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def connect(port: int, process: asyncio.subprocess.Process) -> Client:
    """Connect as soon as the server, which says nothing when it is ready, accepts."""
    assert process.stderr is not None
    while process.returncode is None:
        try:
            return Client(*await asyncio.open_connection("127.0.0.1", port))
        except ConnectionRefusedError:
            await asyncio.wait_for(process.stderr.readline(), 60)
    raise AssertionError("the server ended")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


@contextlib.asynccontextmanager
async def published_server(command: Path, file: Path) -> AsyncIterator[Client]:
    """Run the published server with a configuration; gives a client that is connected to it."""
    port = free_port()
    options = ("--port", str(port), "--cold-start")
    process = await asyncio.create_subprocess_exec(
        command, file, *options, stderr=asyncio.subprocess.PIPE, cwd=file.parent
    )
    assert process.stderr is not None
    try:
        client = await connect(port, process)
        draining = asyncio.create_task(drain(process.stderr))
        try:
            yield client
        finally:
            await client.close()
            process.terminate()
            await draining
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.uncounted
@pytest.mark.timeout(600)
def test_the_published_server_runs_1200_boards(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    command = peer(NAME).command("spalloc-server")

    async def scenario() -> None:
        async with VirtualSite(VirtualMachine(size=SIZE, timings=Timings.instant())) as site:
            file = tmp_path / "site.py"
            file.write_text(configuration(described(machine_of(site))))
            async with published_server(command, file) as client:
                # Three jobs have all boards at once: a board that is given back would have to rest for half a minute.
                sizes = [(2, 3), (18, 20), (2, 17)]
                jobs = [
                    await client.call("create_job", *size, owner="test", keepalive=None) for size in sizes
                ]
                for job in jobs:
                    await client.until(job, READY)
                owners = {board: job for job in jobs for board in await _boards(client, job)}
                assert len(owners) == 1200
                assert all(site.is_on(board) for board in owners)
                for board, job in owners.items():
                    inward = {link for link in Link if owners[neighbour(SIZE, board, link)] == job}
                    assert site.stopped_links(board) == set(Link) - inward
                    assert {link for link in Link if site.link_works(board, link)} == inward

    asyncio.run(scenario())


async def _boards(client: Client, job: int) -> list[Board]:
    """Return a job's boards, found by asking where its Ethernet-connected chips are."""
    info = await client.call("get_job_machine_info", job)
    places = [
        await client.call("where_is", job_id=job, chip_x=x, chip_y=y) for (x, y), _ in info["connections"]
    ]
    return [Board(*place["logical"]) for place in places]

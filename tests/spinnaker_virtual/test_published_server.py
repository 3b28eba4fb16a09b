# The published server, unmodified, runs a site of 1,200 boards on virtual BMPs.
import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spinnaker.geometry import Board, Link, Size, neighbour
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
from tests.peers.environments import PeerEnvironment

SIZE = Size(20, 20)
OFF, READY, DESTROYED = 1, 3, 4
CONFIGURATION = """
from spalloc_server.configuration import Configuration, Machine
configuration = Configuration(machines=[Machine(
    name="virtual", width={width}, height={height},
    board_locations={places}, bmp_ips={bmps}, spinnaker_ips={addresses})])
"""


def configuration(site: VirtualSite) -> str:
    return CONFIGURATION.format(
        width=SIZE.width,
        height=SIZE.height,
        places={tuple(board): tuple(place) for board, place in site.machine.places.items()},
        bmps={tuple(frame): address for frame, address in site.bmps.items()},
        addresses={tuple(board): address for board, address in site.addresses.items()},
    )


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

    def close(self) -> None:
        self._writer.close()


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


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_published_server_runs_1200_boards(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    command = peer("spalloc-server==1!7.0.0").command("spalloc-server")

    async def scenario() -> None:
        async with VirtualSite(VirtualMachine(size=SIZE, timings=Timings.instant())) as site:
            file = tmp_path / "site.py"
            file.write_text(configuration(site))
            port = free_port()
            process = await asyncio.create_subprocess_exec(
                command,
                file,
                "--port",
                str(port),
                "--cold-start",
                stderr=asyncio.subprocess.PIPE,
                cwd=tmp_path,
            )
            assert process.stderr is not None
            try:
                client = await connect(port, process)
                draining = asyncio.create_task(drain(process.stderr))
                triads = await client.call("create_job", 2, 3, owner="test", keepalive=None)
                await client.until(triads, READY)
                mine = {Board(*place) for place in (await _boards(client, triads))}
                assert len(mine) == 18
                assert {board for board in site.machine.places if site.is_on(board)} == mine
                for board in mine:
                    outward = {link for link in Link if neighbour(SIZE, board, link) not in mine}
                    assert site.stopped_links(board) == outward
                await client.call("destroy_job", triads)
                whole = await client.call("create_job", 20, 20, owner="test", keepalive=None)
                await client.until(whole, READY)
                assert all(site.is_on(board) for board in site.machine.places)
                assert all(site.link_works(board, link) for board in site.machine.places for link in Link)
                client.close()
                draining.cancel()
            finally:
                process.terminate()
                await process.wait()

    asyncio.run(scenario())


async def _boards(client: Client, job: int) -> list[list[int]]:
    """Return the logical coordinates of a job's boards, found by asking where its chips are."""
    info = await client.call("get_job_machine_info", job)
    found = []
    for (x, y), _ in info["connections"]:
        found.append((await client.call("where_is", job_id=job, chip_x=x, chip_y=y))["logical"])
    return found

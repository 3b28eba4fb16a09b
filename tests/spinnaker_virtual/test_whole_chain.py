# From a job to a machine and back: server, client, boot, discovery, memory, and what is left when the job has gone.
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spalloc_client.aio import Job
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.embedded import machine_of
from spalloc_server.service import Service
from spinnaker.geometry import Board, BoardLink, Size, neighbour
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
from tests.peers.environments import PeerEnvironment
from tests.spinnaker import oracle
from tests.spinnaker_virtual.images import scamp_image

SCRIPT = Path(__file__).parent / "with_spinnman" / "session.py"
SIZE = Size(2, 2)
MEGABYTE = 1 << 20
KEPT = 0x6200_0000
TIMINGS = Timings(power_on=0.05, power_off=0.0, boot_ready=0.0, boot=0.0)


TRY = 0.1  # seconds until a host asks again


class SilenceError(Exception):
    """Nobody answered."""


async def ask(host: str, command: int, *arguments: int, data: bytes = b"", patience: float = 5.0) -> ScpReply:
    """Ask the chip that hears; raise SilenceError if nobody answers."""
    loop = asyncio.get_running_loop()
    replies: asyncio.Queue[bytes] = asyncio.Queue()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, datagram: bytes, _: Any) -> None:
            replies.put_nowait(datagram)

    transport, _ = await loop.create_datagram_endpoint(Listener, remote_addr=(host, SDP_PORT))
    try:
        request = ScpRequest(SdpHeader(Endpoint(255, 255, 0)), command, 1, *(*arguments, 0, 0, 0)[:3], data)
        end = loop.time() + patience
        while loop.time() < end:
            transport.sendto(request.encode())
            with contextlib.suppress(TimeoutError):
                return ScpReply.decode(await asyncio.wait_for(replies.get(), TRY))
        raise SilenceError(host)
    finally:
        transport.close()


async def run(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def boot(host: str) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=(host, 54321)
    )
    for packet in scamp_image().packets():
        transport.sendto(packet.encode())
    transport.close()
    version = await ask(host, ScampCommand.VERSION)
    assert version.ok


@pytest.mark.long
@pytest.mark.timeout(600)
def test_three_boards_are_allocated_booted_discovered_filled_reset_and_freed(
    peer: Callable[[str], PeerEnvironment],
) -> None:
    python = peer("SpiNNMan==1!7.4.1").python

    async def scenario() -> None:
        crossings: list[tuple[BoardLink, bool]] = []

        def crossed(end: BoardLink) -> None:
            crossings.append((end, boards.link_works(*end)))

        machine = VirtualMachine(size=SIZE, timings=TIMINGS)
        async with VirtualSite(machine, crossed=crossed) as boards:
            service = Service(Configuration(state=None, machines=(machine_of(boards),), v1=Listening(0)))
            host, port = await service.start(all_off=True)
            try:
                at = {"hostname": host, "port": port, "owner": "test"}
                async with Job(3, **at) as neighbours:
                    other = await neighbours.hostname
                    await boot(other)
                    assert (await ask(other, ScampCommand.WRITE, KEPT, 8, 2, data=b"neighbor")).ok

                    async with Job(3, **at) as job:
                        mine = {board for board in machine.places if boards.is_on(board)}
                        connections = await job.connections
                        first = await job.hostname
                        assert set(connections) == {(0, 0), (8, 4), (4, 8)}
                        told = json.loads(
                            (await run(python, SCRIPT, "discover", json.dumps({"host": first}))).splitlines()[
                                -1
                            ]
                        )
                        found = {tuple(chip["at"]): chip for chip in told["chips"]}
                        whole = oracle.chips(16, 16)
                        assert {at: chip["links"] for at, chip in found.items()} == {
                            at: sorted(chip.links) for at, chip in whole.items()
                        }
                        assert {at: c["address"] for at, c in found.items() if c["address"]} == connections

                        by_board: dict[tuple[int, int], list[str]] = {}
                        for (x, y), chip in whole.items():
                            by_board.setdefault(chip.ethernet, []).append(f"{x},{y}")
                        for ethernet, chips in by_board.items():
                            script = (sys.executable, "-m", "tests.spinnaker_virtual.megabytes")
                            assert await run(*script, connections[ethernet], str(MEGABYTE), *chips) == ""

                        await job.reset()
                        await job.wait_until_ready()
                        with pytest.raises(SilenceError):
                            await ask(first, ScampCommand.VERSION, patience=0.3)
                        await boot(first)
                        assert (await ask(first, ScampCommand.READ, 0x6000_0000, 8, 2)).data == bytes(8)

                    for address in connections.values():
                        with pytest.raises(SilenceError):
                            await ask(address, ScampCommand.VERSION, patience=0.3)
                    assert (await ask(other, ScampCommand.READ, KEPT, 8, 2)).data == b"neighbor"
                    assert len(mine) == 6
            finally:
                await service.stop()

        assert crossings
        assert all(worked for _, worked in crossings)
        sides = _jobs(end.board for end, _ in crossings)
        assert all(neighbour(SIZE, *end) in sides[end.board] for end, _ in crossings)

    asyncio.run(scenario())


def _jobs(boards: Any) -> dict[Board, set[Board]]:
    """Return, for each board, its triad: what a job of three boards has."""
    return {board: {Board(board.x, board.y, z) for z in range(3)} for board in boards}

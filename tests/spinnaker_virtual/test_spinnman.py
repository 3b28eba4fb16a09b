"""SpiNNMan as it is published, in its own environment, against virtual boards: it takes them for real."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from spinnaker import bmp
from spinnaker.boot import BOOT_PORT
from spinnaker.fpga import stop_register
from spinnaker.geometry import Board, BoardLink, Chip, Link, Size, boards_of, neighbour
from spinnaker.places import Frame
from spinnaker_virtual import DeadChipLink, DeadCore, Timings, VirtualMachine, VirtualSite
from tests.peers.environments import PeerEnvironment
from tests.spinnaker import oracle
from tests.spinnaker_virtual.conversation import Conversation
from tests.spinnaker_virtual.images import scamp_image

SCRIPT = Path(__file__).parent / "with_spinnman" / "session.py"
SPINNMAN = "SpiNNMan==1!7.4.1"
QUICK = Timings.instant()
TRIAD = set(boards_of(Size(1, 1)))
FRAME = Size(4, 2)
CHIP_SDRAM = 123_469_792

Peer = Callable[[str], PeerEnvironment]


async def spinnman(peer: Peer, task: str, **arguments: object) -> Any:
    """Do a task of the script with SpiNNMan; return what it tells."""
    python = peer(SPINNMAN).python
    process = await asyncio.create_subprocess_exec(
        python,
        SCRIPT,
        task,
        json.dumps(arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output.splitlines()[-1])


Task = Callable[[VirtualSite], Awaitable[None]]


async def on_a_site(
    machine: VirtualMachine, boards: set[Board], task: Task, boot_from: Board | None = None
) -> None:
    """Run a task on a site where some boards are on, and cut off from all others.

    Args:
        machine: The site's.
        boards: Those that are on.
        task: What to do.
        boot_from: The board to boot them from beforehand; None leaves that to SpiNNMan, which takes seconds to find out
            that nobody answers yet.
    """
    async with VirtualSite(machine) as site:
        with Conversation(site.bmps[Frame(0, 0)]) as frame:
            numbers = [machine.places[board].board for board in boards]
            assert (await frame.ask(bmp.power_request(numbers, True))).ok
            for board in boards:
                for link in Link:
                    if neighbour(machine.size, board, link) not in boards:
                        number, register = machine.places[board].board, stop_register(link)
                        assert (await frame.ask(bmp.write_fpga_request(number, *register, 1))).ok
        if boot_from is not None:
            with Conversation(site.addresses[boot_from], BOOT_PORT) as root:
                for packet in scamp_image().packets():
                    await root.tell(packet.encode())
        await task(site)


def expected(
    site_addresses: dict[tuple[int, int], str], width: int, height: int
) -> dict[tuple[int, int], dict[str, Any]]:
    return {
        at: {
            "at": list(at),
            "cores": 18,
            "links": sorted(chip.links),
            "address": site_addresses.get(at),
            "ethernet": list(chip.ethernet),
            "sdram": CHIP_SDRAM,
            "routes": 1023,
        }
        for at, chip in oracle.chips(width, height).items()
    }


def found(told: Any) -> dict[tuple[int, int], dict[str, Any]]:
    return {tuple(chip["at"]): chip for chip in told["chips"]}


def test_spinnman_boots_and_discovers_one_board_three_boards_and_a_frame_of_24(peer: Peer) -> None:
    corners = (Chip(0, 0), Chip(8, 4), Chip(4, 8))
    peer(SPINNMAN)

    async def one_board(site: VirtualSite) -> None:
        host = site.addresses[Board(0, 0, 1)]
        told = await spinnman(peer, "discover", host=host)
        assert (told["width"], told["height"]) == (8, 8)
        assert found(told) == expected({(0, 0): host}, 8, 8)

    async def three_boards(site: VirtualSite) -> None:
        told = await spinnman(peer, "discover", host=site.addresses[Board(1, 1, 0)])
        assert (told["width"], told["height"]) == (16, 16)
        addresses = {(at.x, at.y): site.addresses[Board(1, 1, z)] for z, at in enumerate(corners)}
        assert found(told) == expected(addresses, 16, 16)

    async def a_frame(site: VirtualSite) -> None:
        told = await spinnman(peer, "discover", host=site.addresses[Board(0, 0, 0)])
        assert (told["width"], told["height"]) == (48, 24)
        addresses = {
            ((12 * b.x + corners[b.z].x) % 48, (12 * b.y + corners[b.z].y) % 24): site.addresses[b]
            for b in boards_of(FRAME)
        }
        assert found(told) == expected(addresses, 48, 24)

    async def all_at_once() -> None:
        # SpiNNMan mostly waits, for boards that do not answer until they are booted: side by side that is done once.
        triads = VirtualMachine(size=Size(2, 2), timings=QUICK)
        async with asyncio.TaskGroup() as group:
            group.create_task(on_a_site(triads, {Board(0, 0, 1)}, one_board))
            group.create_task(on_a_site(triads, {Board(1, 1, z) for z in range(3)}, three_boards))
            frame = VirtualMachine(size=FRAME, timings=QUICK)
            group.create_task(on_a_site(frame, set(boards_of(FRAME)), a_frame))

    asyncio.run(all_at_once())


def test_spinnman_finds_no_dead_chip_core_or_link(peer: Peer) -> None:
    first, second = Board(0, 0, 0), Board(0, 0, 1)
    machine = VirtualMachine(
        size=Size(1, 1),
        timings=QUICK,
        dead_chips={first: frozenset({Chip(3, 3), Chip(4, 7)})},
        dead_cores={second: frozenset({DeadCore(Chip(1, 1), 0), DeadCore(Chip(1, 1), 9)})},
        dead_chip_links={first: frozenset({DeadChipLink(Chip(1, 0), Link.EAST)})},
        dead_links=frozenset({BoardLink(first, Link.NORTH)}),
    )

    async def task(site: VirtualSite) -> None:
        chips = found(await spinnman(peer, "discover", host=site.addresses[first]))
        assert len(chips) == 142
        assert (3, 3) not in chips
        assert (4, 7) not in chips
        assert chips[9, 5]["cores"] == 16
        whole = oracle.chips(12, 12)
        for at, chip in chips.items():
            missing = set(whole[at].links) - set(chip["links"])
            dead = {link for link in missing if whole[at].links[link] in {(3, 3), (4, 7)}}
            if at in {(1, 0), (2, 0)}:
                assert missing - dead == ({0} if at == (1, 0) else {3})
        north = [
            at for at, chip in chips.items() if set(whole[at].links) - set(chip["links"]) and at[1] in {7, 8}
        ]
        assert north

    asyncio.run(on_a_site(machine, TRIAD, task, boot_from=first))


def test_spinnman_reads_back_what_it_wrote_anywhere(peer: Peer) -> None:
    async def task(site: VirtualSite) -> None:
        chips = [[0, 0], [7, 7], [3, 6], [11, 11], [8, 4], [4, 8]]
        told = await spinnman(peer, "memory", host=site.addresses[Board(0, 0, 0)], chips=chips, size=1 << 18)
        assert told == {"different": [], "bytes": 6 << 18}

    machine = VirtualMachine(size=Size(1, 1), timings=QUICK)
    asyncio.run(on_a_site(machine, TRIAD, task, boot_from=Board(0, 0, 0)))


def test_spinnman_uses_tags_routes_memory_blocks_and_applications(peer: Peer) -> None:
    async def task(site: VirtualSite) -> None:
        told = await spinnman(peer, "exercise", host=site.addresses[Board(0, 0, 0)], remote=[10, 9])
        assert told["tags"] == [["IPTag", 3, 4567, "10.1.2.3"], ["ReverseIPTag", 5, 12345, None]]
        assert told["tags after"] == 0
        assert told["routes"]
        assert told["routes after"] == 0
        assert told["fixed route"]
        assert told["allocated"]
        assert told["heap"] == [[False, 9, 30], [True, None, None]]
        assert told["diagnostics"] == 0
        assert told["waiting"] == told["running"] == told["infos"] == 288
        assert told["copied"]
        assert told["stopped"] == 0
        assert told["freed"] == [True]
        assert told["flooded"]
        assert told["user"] == 0x1234
        assert told["neighbour"] == "00010c0c"

    machine = VirtualMachine(size=Size(1, 1), timings=QUICK)
    asyncio.run(on_a_site(machine, TRIAD, task, boot_from=Board(0, 0, 0)))


def test_spinnman_powers_a_frame_and_reads_its_sensors_and_registers(peer: Peer) -> None:
    async def task(site: VirtualSite) -> None:
        boards = sorted(site.machine.places)
        told = await spinnman(peer, "bmp", host=site.bmps[Frame(0, 0)], boards=list(range(24)))
        assert told["version"] == ["BC&MP", [2, 1, 1]]
        assert told["identities"] == [0, 1, 2]
        assert told["stopped"] == 1
        assert told["adc"] == pytest.approx([1.2, 1.8, 3.3, 12.0, 36.5, 2400], abs=0.01)
        assert told["stumbles"] == ["power on", "write"]
        assert [site.is_on(board) for board in boards] == [False] + [True] * 23
        assert site.stopped_links(boards[-1]) == {Link.SOUTH_WEST}

    asyncio.run(on_a_site(VirtualMachine(size=FRAME, timings=QUICK), set(), task))

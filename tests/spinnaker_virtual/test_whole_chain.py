"""From a job to a machine and back, as users go: the server's command, a client, boot, discovery, memory, and
what is left when the job has gone. What crossed from board to board is read from the log that the command
writes.
"""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from spalloc_client import Job
from spinnaker.boot import BOOT_PORT
from spinnaker.fpga import FpgaRegister, stopped_link
from spinnaker.geometry import Board, BoardLink, Link, Size, far_end, neighbour
from spinnaker.places import Place, sequential_places
from spinnaker.scamp import ScampCommand
from spinnaker.scp import Result, ScpReply, ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from tests.peers.environments import PeerEnvironment
from tests.processes import spalloc_server
from tests.spinnaker import oracle
from tests.spinnaker_virtual.images import scamp_image

SCRIPT = Path(__file__).parent / "with_spinnman" / "session.py"
SIZE = Size(2, 2)
BOARDS = {place: board for board, place in sequential_places(SIZE).items()}
MEGABYTE = 1 << 20
KEPT = 0x6200_0000
FIRST = 0x6000_0000
HERE = (255, 255)

TRY = 0.1  # seconds until a host asks again
TRIES = 50
QUIET = 3  # requests in a row that are not answered, after which a board counts as silent


def ask(
    host: str,
    command: int,
    *arguments: int,
    at: tuple[int, int] = HERE,
    data: bytes = b"",
    tries: int = TRIES,
) -> ScpReply | None:
    """Ask a chip over a board's Ethernet, again and again; None if nobody answers."""
    request = ScpRequest(SdpHeader(Endpoint(*at, 0)), command, 1, *(*arguments, 0, 0, 0)[:3], data)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TRY)
        client.connect((host, SDP_PORT))
        for _ in range(tries):
            client.send(request.encode())
            try:
                return ScpReply.decode(client.recv(1024))
            except TimeoutError:
                pass
    return None


def answered(
    host: str, command: int, *arguments: int, at: tuple[int, int] = HERE, data: bytes = b""
) -> bytes:
    reply = ask(host, command, *arguments, at=at, data=data)
    assert reply is not None, f"{host} does not answer"
    assert reply.ok, reply
    return reply.data


def is_silent(host: str) -> bool:
    return ask(host, ScampCommand.VERSION, tries=QUIET) is None


def wait_until_silent(host: str) -> None:
    """Wait for a board whose power is about to go off; the test's time limit ends the wait for one that stays on."""
    while not is_silent(host):
        pass


def boot(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((host, BOOT_PORT))
        for packet in scamp_image().packets():
            client.send(packet.encode())
    answered(host, ScampCommand.VERSION)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def boards_of(job: Job) -> set[Board]:
    return {BOARDS[Place(*job.where_is_machine(*chip))] for chip in job.connections or ()}


def outward(boards: Iterable[Board]) -> set[BoardLink]:
    """Return the links by which boards of a job lead to others."""
    mine = set(boards)
    return {
        BoardLink(board, link) for board in mine for link in Link if neighbour(SIZE, board, link) not in mine
    }


def across_the_edge(connections: dict[tuple[int, int], str]) -> list[Result | int]:
    """Read and write over each link, of any chip of three boards, that would lead to a board of another job."""
    results: list[Result | int] = []
    for at, chip in oracle.chips(16, 16).items():
        for link in set(Link) - set(chip.links):
            for command, data in ((ScampCommand.LINK_READ, b""), (ScampCommand.LINK_WRITE, b"trespass")):
                reply = ask(connections[chip.ethernet], command, KEPT, 8, link, at=at, data=data)
                assert reply is not None
                results.append(reply.result)
    return results


class LoggedLinks:
    """Which boards are on, and which links are stopped, by what a packet log says that BMPs were told."""

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], None]] = {}
        self.on: set[Board] = set()
        self.stopped: set[BoardLink] = set()
        self.ever_stopped: set[BoardLink] = set()
        self.crossed: set[BoardLink] = set()
        self.wrong: list[str] = []

    def read(self, line: str) -> None:
        """Follow one line: what is stopped counts from the BMP's answer, what is opened from the request."""
        if found := re.search(
            r"(\S+) > (\S+) #(\d+) (power|write fpga) board (\d+) (\S+) (\S+) (\S+)(.*)", line
        ):
            key, board = f"{found[1]} {found[2]} #{found[3]}", int(found[5])
            words = [int(word, 16) for word in (found[6], found[7], found[8])]
            if found[4] == "power":
                self._power(key, bool(words[0] & 1), words[1])
            else:
                self._write(key, board, FpgaRegister(words[2], words[0]), "01 00 00 00" in found[9])
        elif found := re.search(r"(\S+) < (\S+) (#\d+) OK", line):
            self._waiting.pop(f"{found[1]} {found[2]} {found[3]}", lambda: None)()
        elif found := re.search(r"crossing: board \((\d+), (\d+), (\d+)\) (\S+) to ", line):
            link = Link[found[4].replace("-", "_").upper()]
            self._cross(BoardLink(Board(int(found[1]), int(found[2]), int(found[3])), link), line)

    def _power(self, key: str, on: bool, mask: int) -> None:
        boards = {BOARDS[Place(0, 0, number)] for number in range(24) if mask >> number & 1}
        self.on -= boards
        self.stopped = {end for end in self.stopped if end.board not in boards}
        if on:
            self._waiting[key] = lambda: self.on.update(boards)

    def _write(self, key: str, number: int, register: FpgaRegister, stop: bool) -> None:
        link = stopped_link(register)
        assert link is not None
        end = BoardLink(BOARDS[Place(0, 0, number)], link)
        if not stop:
            self.stopped.discard(end)
            return

        def stopped() -> None:
            self.stopped.add(end)
            self.ever_stopped.add(end)

        self._waiting[key] = stopped

    def _cross(self, end: BoardLink, line: str) -> None:
        self.crossed.add(end)
        other = far_end(SIZE, end)
        if {end, other} & self.stopped or not {end.board, other.board} <= self.on:
            self.wrong.append(line)


@pytest.mark.uncounted
@pytest.mark.timeout(600)
def test_three_boards_are_allocated_booted_discovered_filled_reset_and_freed(
    peer: Callable[[str], PeerEnvironment], tmp_path: Path
) -> None:
    python = peer("SpiNNMan==1!7.4.1").python
    log = tmp_path / "packets"
    options = ["--port", "0", "--log-packets", str(log), "--log-only", "bmp,boot,crossing"]
    with spalloc_server(["--virtual", str(SIZE), *options]) as running:
        at = {"hostname": running.host, "port": running.port, "owner": "test"}
        # Of two neighbours one uses its boards, and the other's await an image, which the job's must not bring them.
        with Job(3, **at) as neighbours, Job(3, **at) as waiting:
            theirs = boards_of(neighbours)
            other, unused = neighbours.hostname, waiting.connections
            assert other is not None
            assert unused is not None
            boot(other)
            answered(other, ScampCommand.WRITE, KEPT, 8, 2, data=b"neighbor")

            with Job(3, **at) as job:
                mine = boards_of(job)
                connections, first = job.connections, job.hostname
                assert connections is not None
                assert first is not None
                assert set(connections) == {(0, 0), (8, 4), (4, 8)}
                told = json.loads(
                    run(python, SCRIPT, "discover", json.dumps({"host": first})).splitlines()[-1]
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
                    assert run(*script, connections[ethernet], str(MEGABYTE), *chips) == ""
                assert set(across_the_edge(connections)) == {Result.TIMEOUT}

                job.reset()
                job.wait_until_ready()
                assert is_silent(first)
                boot(first)
                assert answered(first, ScampCommand.READ, FIRST, 8, 2) == bytes(8)

            for address in connections.values():
                wait_until_silent(address)
            assert answered(other, ScampCommand.READ, KEPT, 8, 2) == b"neighbor"
            assert all(map(is_silent, unused.values()))
        status, complaints = running.end()
        assert status == 0, complaints

    links = LoggedLinks()
    for line in log.read_text().splitlines():
        links.read(line)
    assert links.wrong == []
    assert len(mine) == len(theirs) == 3
    assert outward(mine) | outward(theirs) <= links.ever_stopped
    # Packets did go from board to board: those of each boot, within the boards of one job.
    assert {board for end in links.crossed for board in (end.board, neighbour(SIZE, *end))} == mine | theirs
    assert not links.crossed & (outward(mine) | outward(theirs))

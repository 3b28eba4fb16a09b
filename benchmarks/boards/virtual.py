"""What virtual boards cost: reads compared with a bare UDP echo, and the memory of 1,200 booted boards.

The boards and the echo each run in a process of their own; this process only sends requests.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.suite.measurement import OURS, UDP_ECHO, Effort, Measurement, Scene, Take, Unit
from spinnaker.bmp import power_request, write_fpga_request
from spinnaker.boot import BOOT_PORT
from spinnaker.fpga import stop_register
from spinnaker.geometry import BOARD_CHIPS, Link
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from tests.spinnaker_virtual.images import scamp_image

HERE = 255
ROOT = Path(__file__).parents[2]
PATIENCE = 1.0
TRIES = 30

SITE = """
import asyncio, json, sys
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
async def main():
    size = Size(int(sys.argv[1]), int(sys.argv[2]))
    async with VirtualSite(VirtualMachine(size=size, timings=Timings.instant())) as site:
        print(json.dumps([list(site.bmps.values()), list(site.addresses.values())]), flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""

BLOCKING_ECHO = """
import socket, sys
answer = bytes(int(sys.argv[1]))
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("127.0.0.1", 0))
print(echo.getsockname()[1], flush=True)
while True:
    _, sender = echo.recvfrom(2048)
    echo.sendto(answer, sender)
"""


def _full_site(name: str, how: str) -> tuple[Measurement, Measurement, Measurement]:
    what = f"1,200 virtual boards booted {how}"
    declared = [
        Measurement(name=f"boards/{name}{part}", work=f"{what}: {work}", unit=unit, rounds=1, quick_rounds=0)
        for part, work, unit in (
            ("", "from a process's start to the last answer", Unit.SECONDS),
            ("-memory", "memory", Unit.BYTES),
            ("-memory-asked", "memory, once every chip was asked", Unit.BYTES),
        )
    ]
    return declared[0], declared[1], declared[2]


READS = 5_000
DEMO = Measurement(
    name="boards/demo",
    work="`make demo`, once it is installed: three boards of a virtual site allocated, powered, shown, used and freed",
    unit=Unit.SECONDS,
    rounds=3,
    quick_rounds=1,
)
READ = Measurement(
    name="boards/read",
    work="256 bytes read from a virtual board's memory",
    unit=Unit.SECONDS,
    limits=(UDP_ECHO,),
    rounds=11,
    quick_rounds=3,
    reason="All processes share one processor, where waking another one up does not hide the work.",
)
TOGETHER = _full_site("together", "as one machine")
APART = _full_site("apart", "each by itself, without the cutting of their links")


class Host:
    """A blocking client of one board, BMP or echo."""

    def __init__(self, address: str, port: int = SDP_PORT) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.connect((address, port))

    def ask(self, datagram: bytes) -> ScpReply:
        # Asked again when nothing comes, as hosts do: a board may still be at the packets of its boot image.
        for _ in range(TRIES):
            self._socket.send(datagram)
            try:
                return ScpReply.decode(self._socket.recv(1024))
            except TimeoutError:
                pass
        raise TimeoutError("no answer")

    def tell(self, datagram: bytes) -> None:
        self._socket.send(datagram)

    def answer_bytes(self, datagram: bytes) -> int:
        """Ask, and return the length of the answering datagram."""
        self._socket.send(datagram)
        return len(self._socket.recv(1024))

    def seconds_each(self, datagram: bytes, count: int) -> float:
        send, receive = self._socket.send, self._socket.recv
        began = time.perf_counter()
        for _ in range(count):
            send(datagram)
            receive(1024)
        return (time.perf_counter() - began) / count

    def close(self) -> None:
        self._socket.close()


@contextmanager
def process(code: str, *arguments: str) -> Iterator[tuple[int, str]]:
    """Run code until the block ends; give its process ID and its first line of output."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        try:
            yield running.pid, running.stdout.readline()
        finally:
            running.terminate()


@contextmanager
def one_processor() -> Iterator[None]:
    """Keep this process, and those that it starts, on one processor until the block ends."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def peak_bytes(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        return next(float(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def request(x: int, y: int, command: ScampCommand, *arguments: int) -> bytes:
    return ScpRequest(SdpHeader(Endpoint(x, y, 0)), command, 1, *(*arguments, 0, 0, 0)[:3]).encode()


def ask_once(address: str, datagram: bytes) -> ScpReply:
    host = Host(address)
    try:
        reply = host.ask(datagram)
    finally:
        host.close()
    assert reply.ok
    return reply


def boot(board: str) -> None:
    host = Host(board, BOOT_PORT)
    for packet in scamp_image().packets():
        host.tell(packet.encode())
    host.close()


def virtual_boards(effort: Effort) -> Generator[Scene, None, None]:
    """Measure reads beside a bare echo, then 1,200 boards booted as one machine and each by itself."""
    yield DEMO, {OURS: Take(_seconds_of_demo)}
    with (
        one_processor(),
        process(SITE, "1", "1") as (_, site),
    ):
        bmps, boards = json.loads(site)
        ask_once(bmps[0], power_request([0], True))
        boot(boards[0])
        read = request(0, 0, ScampCommand.READ, 0x6000_0000, 256, 2)
        assert len(ask_once(boards[0], read).data) == 256
        board = Host(boards[0])
        with process(BLOCKING_ECHO, str(board.answer_bytes(read))) as (_, echo):
            bare = Host("127.0.0.1", int(echo))
            yield (
                READ,
                {
                    OURS: Take(lambda: board.seconds_each(read, READS)),
                    UDP_ECHO: Take(lambda: bare.seconds_each(read, READS)),
                },
            )
    for together, (seconds, booted, asked) in ((True, TOGETHER), (False, APART)):
        if effort.wants(seconds):
            last = FullSite(together)
            yield seconds, {OURS: Take(last.start)}
            yield booted, {OURS: Take(lambda last=last: last.booted)}
            yield asked, {OURS: Take(lambda last=last: last.asked)}


def _seconds_of_demo() -> float:
    began = time.perf_counter()
    subprocess.run(["make", "--silent", "demo"], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


class FullSite:
    """1,200 boards, booted and asked about every chip, and the cost of the last time."""

    def __init__(self, together: bool) -> None:
        self._together = together
        self.booted = self.asked = 0.0
        """Most bytes used, once all were booted, and once every chip was asked."""

    def start(self) -> float:
        """Start, boot and ask; return the seconds from the process's start to the last board's answer."""
        began = time.perf_counter()
        with process(SITE, "20", "20") as (pid, site):
            bmps, boards = json.loads(site)
            for bmp in bmps:
                ask_once(bmp, power_request(range(24), True))
            if self._together:
                boot(boards[0])
            else:
                apart = time.perf_counter()
                cut_all(bmps)
                began += time.perf_counter() - apart  # a server's work, not the boards'
                for board in boards:
                    boot(board)
            for board in boards:
                ask_once(board, request(HERE, HERE, ScampCommand.VERSION))
            seconds = time.perf_counter() - began
            self.booted = peak_bytes(pid)
            ask_all(boards, self._together)
            self.asked = peak_bytes(pid)
        return seconds


def cut_all(bmps: list[str]) -> None:
    for bmp in bmps:
        host = Host(bmp)
        for board in range(24):
            for link in Link:
                assert host.ask(write_fpga_request(board, *stop_register(link), 1)).ok
        host.close()


def ask_all(boards: list[str], together: bool) -> None:
    corners = [(x, y) for x in range(240) for y in range(240)] if together else BOARD_CHIPS
    for board in boards[:1] if together else boards:
        host = Host(board)
        for x, y in corners:
            assert host.ask(request(x, y, ScampCommand.INFORMATION)).ok
            assert host.ask(request(x, y, ScampCommand.READ, 0xF500_7F00, 256, 2)).ok
        host.close()

# What virtual boards cost: reads beside a bare UDP echo, and 1,200 booted boards beside the bounds they were built to.
#
# Every process that is measured, and the echo, is one of its own; this one only asks.
"""Measure virtual boards: `python -m benchmarks.virtual_boards [--quick] [--json]`."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple

from spinnaker.bmp import power_request, write_fpga_request
from spinnaker.boot import BOOT_PORT
from spinnaker.fpga import stop_register
from spinnaker.geometry import BOARD_CHIPS, Link
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from tests.spinnaker_virtual.images import scamp_image

TITLE = "Virtual boards"
BOOT_SECONDS = 10.0
MEMORY = 1536
HERE = 255
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
import socket
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("127.0.0.1", 0))
print(echo.getsockname()[1], flush=True)
while True:
    datagram, sender = echo.recvfrom(2048)
    echo.sendto(datagram, sender)
"""

ASYNCIO_ECHO = """
import asyncio
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport = transport
    def datagram_received(self, datagram, sender): self.transport.sendto(datagram, sender)
async def main():
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    print(transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


class Row(NamedTuple):
    """A line of the table; a ratio below 1 is better."""

    what: str
    unit: str
    ours: float
    reference: float
    against: str

    @property
    def ratio(self) -> float:
        return self.ours / self.reference


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
    """Run code until the block ends; give its number and the line that it says first."""
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


def peak_megabytes(pid: int) -> float:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


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


def reads(rounds: int, count: int) -> Iterator[Row]:
    """Read 256 bytes of one board's memory over and over, and have as many bytes echoed.

    All processes share one processor meanwhile: on two, waking the other one up takes longer than the answer, and how
    long depends on where the system happened to put each process.
    """
    with (
        one_processor(),
        process(SITE, "1", "1") as (_, site),
        process(BLOCKING_ECHO) as (_, blocking),
        process(ASYNCIO_ECHO) as (_, in_loop),
    ):
        bmps, boards = json.loads(site)
        ask_once(bmps[0], power_request([0], True))
        boot(boards[0])
        read = request(0, 0, ScampCommand.READ, 0x6000_0000, 256, 2)
        assert len(ask_once(boards[0], read).data) == 256
        hosts = [Host(boards[0]), Host("127.0.0.1", int(blocking)), Host("127.0.0.1", int(in_loop))]
        times = [
            [
                host.seconds_each(datagram, count)
                for host, datagram in zip(hosts, (read, bytes(270), bytes(270)), strict=True)
            ]
            for _ in range(rounds)
        ]
        for index, name in ((1, "a bare UDP echo in Python, blocking"), (2, "a UDP echo of asyncio's")):
            ours = median(row[0] for row in times)
            ratio = median(row[0] / row[index] for row in times)
            yield Row("read 256 bytes of a board's memory", "µs", ours * 1e6, ours / ratio * 1e6, name)


def full_site(together: bool, rounds: int) -> Iterator[Row]:
    """Start 1,200 boards, boot them as one machine or each by itself, and ask every chip about itself."""
    what = "1,200 boards booted as one machine" if together else "1,200 boards booted each by itself"
    started, booted, asked = [], [], []
    for _ in range(rounds):
        began = time.perf_counter()
        with process(SITE, "20", "20") as (pid, site):
            bmps, boards = json.loads(site)
            for bmp in bmps:
                ask_once(bmp, power_request(range(24), True))
            if together:
                boot(boards[0])
            else:
                apart = time.perf_counter()
                cut_all(bmps)
                began += time.perf_counter() - apart  # a server's work, not the boards'
                for board in boards:
                    boot(board)
            for board in boards:
                ask_once(board, request(HERE, HERE, ScampCommand.VERSION))
            started.append(time.perf_counter() - began)
            booted.append(peak_megabytes(pid))
            ask_all(boards, together)
            asked.append(peak_megabytes(pid))
    yield Row(
        f"{what}: from a process's start to the last answer", "s", median(started), BOOT_SECONDS, "the bound"
    )
    yield Row(f"{what}: memory", "MB", median(booted), MEMORY, "the bound")
    yield Row(f"{what}: memory, every chip asked", "MB", median(asked), MEMORY, "the bound")


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


def main(arguments: list[str]) -> None:
    """Measure and print a table."""
    quick = "--quick" in arguments
    rounds, count = (3, 5_000) if quick else (9, 20_000)
    rows = [*reads(rounds, count), *full_site(True, 1 if quick else 3), *full_site(False, 1 if quick else 3)]
    if "--json" in arguments:
        shown = [row._asdict() | {"ratio": row.ratio} for row in rows]
        print(json.dumps({"title": TITLE, "rows": shown}))
        return
    print(f"## {TITLE}\n\n| what | ours | reference | ratio | against |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        ours, reference = f"{row.ours:.3g} {row.unit}", f"{row.reference:.4g} {row.unit}"
        print(f"| {row.what} | {ours} | {reference} | {row.ratio:.2f} | {row.against} |")


if __name__ == "__main__":
    main(sys.argv[1:])

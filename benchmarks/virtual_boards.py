# What virtual boards cost: memory, start-up, and reads beside a bare UDP echo on the same machine.
#
# Run by hand: `python benchmarks/virtual_boards.py`. Ratios hold between machines; seconds do not.
"""Measure 1,200 booted virtual boards, and memory reads from one of them beside a bare UDP echo."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from spinnaker.bmp import power_request
from spinnaker.boot import BOOT_PORT, BootImage
from spinnaker.memory_map import SystemVariable
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader

READS = 20_000
ROUNDS = 7


def scamp_image() -> bytes:
    """An image that boots: SCAMP's name and the variables of a usual boot, without its code."""
    variables = bytearray(128)
    for variable, value in (
        (SystemVariable.HARDWARE, 5),
        (SystemVariable.UNIX_TIME, 1_800_000_000),
        (SystemVariable.LED_0, 1),
        (SystemVariable.SHARED_MESSAGES, 7),
        (SystemVariable.SYSTEM_RAM_HEAP, 1024),
        (SystemVariable.SDRAM_BUFFERS, 8 << 20),
        (SystemVariable.BUFFER_WORDS, 32768),
    ):
        variable.format.pack_into(variables, variable.offset, value)
    return bytes(384) + bytes(variables) + b"SC&MP/SpiNNaker\x004.0.0\0".ljust(512, b"\0")


class Host:
    """A blocking client of one board or BMP."""

    def __init__(self, address: str, port: int = SDP_PORT) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(30)
        self._socket.connect((address, port))

    def ask(self, datagram: bytes) -> bytes:
        self._socket.send(datagram)
        return self._socket.recv(1024)

    def tell(self, datagram: bytes) -> None:
        self._socket.send(datagram)

    def reads(self, datagram: bytes, count: int) -> float:
        send, receive = self._socket.send, self._socket.recv
        began = time.perf_counter()
        for _ in range(count):
            send(datagram)
            receive(1024)
        return time.perf_counter() - began


SITE = """
import asyncio, json, sys, time
began = time.perf_counter()
from spinnaker.geometry import Board, Size, boards_of
from spinnaker_virtual import Timings, VirtualMachine, VirtualSite
async def main():
    size = Size(int(sys.argv[1]), int(sys.argv[2]))
    site = VirtualSite(VirtualMachine(size=size, timings=Timings.instant()))
    await site.start()
    print(json.dumps({"bmps": list(site.bmps.values()), "boards": list(site.addresses.values()),
        "seconds": time.perf_counter() - began}), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

ECHO = """
import socket
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
echo.bind(("127.0.0.1", 0))
print(echo.getsockname()[1], flush=True)
while True:
    datagram, sender = echo.recvfrom(2048)
    echo.sendto(datagram, sender)
"""

LOOP_ECHO = """
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


def process(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def resident(pid: int) -> int:
    """Peak bytes of memory of a process."""
    with Path(f"/proc/{pid}/status").open() as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def first_line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline()


def request(x: int, y: int, command: ScampCommand, *arguments: int) -> bytes:
    return ScpRequest(SdpHeader(Endpoint(x, y, 0)), command, 1, *arguments).encode()


def power_all(bmps: list[str]) -> None:
    for bmp in bmps:
        assert ScpReply.decode(Host(bmp).ask(power_request(range(24), True))).ok


def boot(board: str) -> None:
    host = Host(board, BOOT_PORT)
    for packet in BootImage(scamp_image()).packets():
        host.tell(packet.encode())


def full_site(one_machine: bool) -> None:
    running = process(SITE, "20", "20")
    try:
        began = time.perf_counter()
        site = json.loads(first_line(running))
        idle = resident(running.pid)
        power_all(site["bmps"])
        boards = site["boards"]
        for board in boards[:1] if one_machine else boards:
            boot(board)
        for board in boards:
            Host(board).ask(request(255, 255, ScampCommand.VERSION))
        started = time.perf_counter() - began
        booted = resident(running.pid)
        if one_machine:
            host = Host(boards[0])
            chips = [(x, y) for x in range(240) for y in range(240)]
            for x, y in chips:
                assert ScpReply.decode(host.ask(request(x, y, ScampCommand.INFORMATION))).ok
                assert ScpReply.decode(host.ask(request(x, y, ScampCommand.READ, 0xF5007F00, 256, 2))).ok
        else:
            for board in boards:
                host = Host(board)
                for x in range(8):
                    for y in range(max(0, x - 4), min(7, x + 3) + 1):
                        assert ScpReply.decode(host.ask(request(x, y, ScampCommand.INFORMATION))).ok
        kind = "one machine of 240 x 240 chips" if one_machine else "1,200 machines of one board"
        print(f"{kind}: addresses bound after {site['seconds']:.2f} s (with Python's start), all booted and")
        print(
            f"  answering after {started:.2f} s; memory {idle >> 20} MB idle, {booted >> 20} MB booted, ",
            end="",
        )
        print(f"{resident(running.pid) >> 20} MB with every chip asked about itself")
    finally:
        running.terminate()
        running.wait()


def reads() -> None:
    site_process, echo, loop_echo = process(SITE, "1", "1"), process(ECHO), process(LOOP_ECHO)
    try:
        site = json.loads(first_line(site_process))
        power_all(site["bmps"])
        boot(site["boards"][0])
        board = Host(site["boards"][0])
        read = request(0, 0, ScampCommand.READ, 0x6000_0000, 256, 2)
        assert len(board.ask(read)) == 14 + 256
        echo_host, loop_host = (
            Host("127.0.0.1", int(first_line(echo))),
            Host("127.0.0.1", int(first_line(loop_echo))),
        )
        payload = bytes(270)
        ratios, loop_ratios, rates = [], [], []
        for _ in range(ROUNDS):
            taken, bare, loop = (
                board.reads(read, READS),
                echo_host.reads(payload, READS),
                loop_host.reads(payload, READS),
            )
            ratios.append(bare / taken)
            loop_ratios.append(loop / taken)
            rates.append(READS / taken)
        print(
            f"reads of 256 bytes from one board: {median(rates):,.0f} a second, {median(ratios):.2f} of a bare blocking"
        )
        print(
            f"  UDP echo in Python, {median(loop_ratios):.2f} of one in asyncio (medians of {ROUNDS} rounds)"
        )
    finally:
        for running in (site_process, echo, loop_echo):
            running.terminate()
            running.wait()


if __name__ == "__main__":
    reads()
    full_site(one_machine=True)
    full_site(one_machine=False)

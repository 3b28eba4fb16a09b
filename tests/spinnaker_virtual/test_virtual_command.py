"""The `spinnaker-virtual` command as people run it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from spinnaker import bmp
from spinnaker.boot import BOOT_PORT
from spinnaker.scamp import ScampCommand
from spinnaker.scp import ScpReply, ScpRequest
from spinnaker.sdp import SDP_PORT, Endpoint, SdpHeader
from tests.spinnaker_virtual.images import scamp_image

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "spinnaker_virtual.scripts.virtual"]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = []
            while not lines or lines[-1] != "ready":
                line = process.stdout.readline()
                assert line, process.stderr and process.stderr.read()
                lines.append(line.rstrip("\n"))
            yield lines, process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def ask(host: str, datagram: bytes, port: int = SDP_PORT) -> ScpReply:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        for _ in range(50):
            client.sendto(datagram, (host, port))
            with suppress(TimeoutError):
                return ScpReply.decode(client.recv(1024))
    raise TimeoutError(f"{host} does not answer")


def failing(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr


def test_it_says_where_everything_answers_and_ends_quietly_when_interrupted() -> None:
    with running("2x1", "--instant") as (lines, process):
        assert lines[0] == "2x1 triads, 6 boards, 1 BMP"
        match = re.fullmatch(r"BMP of cabinet 0, frame 0: (127\.[\d.]+)", lines[1])
        assert match
        assert ask(match[1], bmp.power_request([0], True)).ok
        assert len([line for line in lines if line.startswith("board (")]) == 6
    assert process.returncode == 0


def test_all_boards_can_be_on_from_the_start_and_every_packet_be_logged(tmp_path: Path) -> None:
    log = tmp_path / "packets"
    with running("1x1", "--on", "--log", str(log)) as (lines, _):
        host = lines[1].rpartition(" ")[2]
        identity = bmp.word_of(ask(host, bmp.read_fpga_request(2, 1, 0x40004)))
        assert identity == 1
    request, reply, *_ = log.read_text().splitlines()
    assert "> " + host + ":17893 #0 read fpga board 2 0x40004" in request
    assert "< " + host + ":17893 #0 OK (0x80) [4 bytes: 01 00 00 00]" in reply


def test_packets_may_be_logged_to_the_terminal_as_they_come() -> None:
    with running("1x1", "--log", "-") as (lines, process):
        assert ask(lines[1].rpartition(" ")[2], bmp.version_request(2)).ok
        assert process.stdout is not None
        assert "version board 2" in process.stdout.readline()
        assert "OK (0x80)" in process.stdout.readline()


def test_only_some_kinds_of_packets_may_be_logged(tmp_path: Path) -> None:
    log = tmp_path / "packets"
    with running("1x1", "--on", "--instant", "--log", str(log), "--log-only", "crossing") as (lines, _):
        ask(lines[1].rpartition(" ")[2], bmp.version_request(0))
        boards = [line.rpartition(" ")[2] for line in lines if line.startswith("board")]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for packet in scamp_image().packets():
                client.sendto(packet.encode(), (boards[0], BOOT_PORT))
        ask(boards[1], ScpRequest(SdpHeader(Endpoint(255, 255, 0)), ScampCommand.VERSION, 1).encode())
    told = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    assert len(told) >= 2
    assert all(line.startswith("crossing: board (0, 0, ") for line in told)


def test_a_machine_may_be_described_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_text("width = 1\ndead_boards = [[0, 0, 2]]\n[timings]\npower_on = 0\n")
    with running(str(file)) as (lines, _):
        assert lines[0] == "1x1 triads, 2 boards, 1 BMP"


def _free_ports(count: int) -> int:
    """Return the first of `count` free ports in a row, below those that the system assigns by itself."""
    begin = 10_000 + os.getpid() % 10_000
    for first in range(begin, 32_000 - count, count):
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(
                    ("127.0.0.1", port)
                )
            return first
    pytest.fail(f"no {count} ports in a row are free on 127.0.0.1")


def test_one_address_and_many_ports_do_too() -> None:
    port = _free_ports(64)
    with running("1x1", "--ports", str(port)) as (lines, _):
        assert lines[1] == f"BMP of cabinet 0, frame 0: 127.0.0.1:{port}"
        assert ask("127.0.0.1", bmp.version_request(1), port).ok


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("0x3",), "'0x3' is neither a size in triads, such as 2x1, nor a file"),
        (("nothing.toml",), "'nothing.toml' is neither a size in triads"),
        (("1x1", "--faults", "lost=2"), "lost can't be 2.0; 0 to 1 is allowed"),
        (("1x1", "--log", "-", "--log-only", "bpm"), "no kind of packets 'bpm'; there are bmp, boot"),
        (("1x1", "--log-only", "bmp"), "--log-only needs a log: add --log FILE"),
        (("1x1", "--base", "10.0.0.1"), "10.0.0.1 is not a loopback address"),
        (("1x1", "--ports", "65530"), "would need ports up to 65593"),
        (("1x1", "--ports", "0"), "'0' is not a port; expected a number from 1 to 65535"),
        (("1x1", "--ports", "3000", "--base", "127.1.0.0"), "not allowed with argument"),
        (("1x1", "--base", "127.255.255.255"), "can't listen on 128.0.0.0:17893"),
        (("9999x9999",), "needs more loopback addresses than there are; they suffice for 1560576 boards"),
        (("1x1", "--log", "/no/such/folder/log"), "/no/such/folder/log: No such file or directory"),
    ],
)
def test_what_can_not_be_done_is_said_in_one_line(arguments: tuple[str, ...], message: str) -> None:
    status, errors = failing(*arguments)
    assert status in {1, 2}
    assert message in errors
    assert "Traceback" not in errors


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_text("width = 1\nheigth = 2\n")
    status, errors = failing(str(file))
    assert status == 1
    assert errors.startswith(f"spinnaker-virtual: {file}: the configuration has no setting 'heigth'")


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "machine.toml"
    file.write_bytes(b"\xff")
    assert failing(str(file)) == (
        1,
        f"spinnaker-virtual: {file}: not UTF-8 text: invalid start byte; save it as UTF-8\n",
    )


def test_the_same_address_is_refused_the_second_time() -> None:
    with running("1x1") as (lines, _):
        base = lines[1].rpartition(" ")[2]
        status, errors = failing("1x1", "--base", base)
        assert status == 1
        assert f"can't listen on {base}:17893" in errors

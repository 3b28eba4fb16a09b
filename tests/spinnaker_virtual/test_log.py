"""Packets in words."""

import re

import pytest

from spinnaker import bmp
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker.scamp import ScampCommand
from spinnaker.scp import Result, ScpRequest
from spinnaker.sdp import Endpoint, SdpHeader
from spinnaker_virtual import VirtualMachine
from spinnaker_virtual.log import PacketLog, Traffic, describe_reply, describe_request
from spinnaker_virtual.network import Network, Socket
from tests.spinnaker_virtual.images import scamp_image


def test_a_bmps_packets_are_told_with_command_board_and_arguments() -> None:
    assert (
        describe_request(Traffic.BMP, bmp.power_request([0, 5], True, 2, 77))
        == "#77 power board 0 0x20001 0x21 0x0"
    )
    write = bmp.write_fpga_request(3, 1, 0x5C, 1, 78)
    assert (
        describe_request(Traffic.BMP, write) == "#78 write fpga board 3 0x5c 0x4 0x1 [4 bytes: 01 00 00 00]"
    )


def test_a_boards_packets_are_told_with_command_chip_and_core() -> None:
    request = ScpRequest(SdpHeader(Endpoint(4, 5, 6)), ScampCommand.READ, 9, 0x60000000, 256, 2)
    told = describe_request(Traffic.BOARD, request.encode())
    assert told == "#9 read chip (4, 5) core 6 0x60000000 0x100 0x2"
    reply = request.reply(Result.OK, bytes(range(32))).encode()
    assert describe_reply(reply) == f"#9 OK (0x80) [32 bytes: {bytes(range(16)).hex(' ')}...]"
    assert describe_reply(request.reply(Result.NO_ROUTE).encode()) == "#9 no route (0x87)"


def test_boot_packets_are_told() -> None:
    begin, block, *_, end = scamp_image().packets()
    assert describe_request(Traffic.BOOT, begin.encode()) == "boot: begin an image of 3 blocks"
    assert describe_request(Traffic.BOOT, block.encode()) == "boot: block 0, 1024 bytes"
    assert describe_request(Traffic.BOOT, end.encode()) == "boot: end"


def test_what_can_not_be_read_is_told_too() -> None:
    assert describe_request(Traffic.BOARD, b"abc").startswith("unreadable: a datagram of 3 bytes")
    assert (
        describe_request(Traffic.BOOT, bytes(18)) == "unreadable: boot packets have version 1; this one has 0"
    )


def test_a_log_has_a_line_for_each_packet_with_time_and_both_ends() -> None:
    lines: list[str] = []
    network = Network.one_host(VirtualMachine(size=Size(1, 1)), "127.0.0.1", 20_480)
    log = PacketLog(network, Size(1, 1), lines.append)
    local, host = next(iter(network.bmps.values())), Socket("127.0.0.1", 5)
    request = bmp.version_request(2, 1)
    log.received(local, host, request, 10.0)
    log.sent(local, host, ScpRequest.decode(request).reply().encode(), 10.25)
    assert re.fullmatch(
        r" +0\.000000 127\.0\.0\.1:5 > 127\.0\.0\.1:20480 #1 version board 2 0x0 0x0 0x0", lines[0]
    )
    assert re.fullmatch(r" +0\.250000 127\.0\.0\.1:5 < 127\.0\.0\.1:20480 #1 OK \(0x80\)", lines[1])


def test_a_packet_that_goes_from_board_to_board_is_told_with_both_boards_and_the_link() -> None:
    lines: list[str] = []
    network = Network.one_host(VirtualMachine(size=Size(2, 2)), "127.0.0.1", 20_480)
    log = PacketLog(network, Size(2, 2), lines.append)
    log.crossed(BoardLink(Board(0, 0, 0), Link.SOUTH_WEST), 3.0)
    assert lines == ["    0.000000 crossing: board (0, 0, 0) south-west to board (1, 1, 2)"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("bmp", ["bmp", "bmp"]),
        ("boot", ["boot"]),
        ("board", ["board", "board"]),
        ("crossing, bmp", ["bmp", "bmp", "crossing"]),
        ("bmp,boot,board,crossing", ["bmp", "bmp", "boot", "board", "board", "crossing"]),
    ],
)
def test_only_the_kinds_of_packets_that_are_asked_for_are_told(wanted: str, told: list[str]) -> None:
    lines: list[str] = []
    network = Network.one_host(VirtualMachine(size=Size(1, 1)), "127.0.0.1", 20_480)
    log = PacketLog(network, Size(1, 1), lines.append, Traffic.parse(wanted))
    host, root = Socket("127.0.0.1", 5), network.boards[Board(0, 0, 0)]
    (bmp_socket,) = network.bmps.values()
    request = bmp.version_request(2, 1)
    reply = ScpRequest.decode(request).reply().encode()
    log.received(bmp_socket, host, request, 0.0)
    log.sent(bmp_socket, host, reply, 0.0)
    log.received(root.boot, host, next(iter(scamp_image().packets())).encode(), 0.0)
    log.received(root.sdp, host, request, 0.0)
    log.sent(root.sdp, host, reply, 0.0)
    log.crossed(BoardLink(Board(0, 0, 0), Link.NORTH), 0.0)
    kinds = {str(bmp_socket): "bmp", str(root.boot): "boot", str(root.sdp): "board"}
    words = [line.split() for line in lines]
    assert ["crossing" if word[1] == "crossing:" else kinds[word[3]] for word in words] == told


def test_a_kind_of_packets_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="no kind of packets 'bpm'; there are bmp, boot, board, crossing"):
        Traffic.parse("bpm,crossing")

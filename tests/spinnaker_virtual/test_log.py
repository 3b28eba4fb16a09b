# Packets in words.
import re

from spinnaker import bmp
from spinnaker.geometry import Size
from spinnaker.scamp import ScampCommand
from spinnaker.scp import Result, ScpRequest
from spinnaker.sdp import Endpoint, SdpHeader
from spinnaker_virtual import VirtualMachine
from spinnaker_virtual.log import Listener, PacketLog, describe_reply, describe_request
from spinnaker_virtual.network import Network, Socket
from tests.spinnaker_virtual.images import scamp_image


def test_a_bmps_packets_are_told_with_command_board_and_arguments() -> None:
    assert (
        describe_request(Listener.BMP, bmp.power_request([0, 5], True, 2, 77))
        == "#77 power board 0 0x20001 0x21 0x0"
    )
    write = bmp.write_fpga_request(3, 1, 0x5C, 1, 78)
    assert (
        describe_request(Listener.BMP, write) == "#78 write fpga board 3 0x5c 0x4 0x1 [4 bytes: 01 00 00 00]"
    )


def test_a_boards_packets_are_told_with_command_chip_and_core() -> None:
    request = ScpRequest(SdpHeader(Endpoint(4, 5, 6)), ScampCommand.READ, 9, 0x60000000, 256, 2)
    told = describe_request(Listener.BOARD, request.encode())
    assert told == "#9 read chip (4, 5) core 6 0x60000000 0x100 0x2"
    reply = request.reply(Result.OK, bytes(range(32))).encode()
    assert describe_reply(reply) == f"#9 OK (0x80) [32 bytes: {bytes(range(16)).hex(' ')}...]"
    assert describe_reply(request.reply(Result.NO_ROUTE).encode()) == "#9 no route (0x87)"


def test_boot_packets_are_told() -> None:
    begin, block, *_, end = scamp_image().packets()
    assert describe_request(Listener.BOOT, begin.encode()) == "boot: begin an image of 3 blocks"
    assert describe_request(Listener.BOOT, block.encode()) == "boot: block 0, 1024 bytes"
    assert describe_request(Listener.BOOT, end.encode()) == "boot: end"


def test_what_can_not_be_read_is_told_too() -> None:
    assert describe_request(Listener.BOARD, b"abc").startswith("unreadable: a datagram of 3 bytes")
    assert (
        describe_request(Listener.BOOT, bytes(18))
        == "unreadable: boot packets have version 1; this one has 0"
    )


def test_a_log_has_a_line_for_each_packet_with_time_and_both_ends() -> None:
    lines: list[str] = []
    network = Network.one_host(VirtualMachine(size=Size(1, 1)), "127.0.0.1", 20_480)
    log = PacketLog(network, lines.append)
    local, host = next(iter(network.bmps.values())), Socket("127.0.0.1", 5)
    request = bmp.version_request(2, 1)
    log.received(local, host, request, 10.0)
    log.sent(local, host, ScpRequest.decode(request).reply().encode(), 10.25)
    assert re.fullmatch(
        r" +0\.000000 127\.0\.0\.1:5 > 127\.0\.0\.1:20480 #1 version board 2 0x0 0x0 0x0", lines[0]
    )
    assert re.fullmatch(r" +0\.250000 127\.0\.0\.1:5 < 127\.0\.0\.1:20480 #1 OK \(0x80\)", lines[1])

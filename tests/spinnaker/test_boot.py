"""Boot packets and images."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinnaker.boot import BLOCK_BYTES, BootImage, BootOperation, BootPacket
from spinnaker.sdp import PacketError

WORDS = st.integers(1, 3000).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words))


def test_a_boot_packet_is_as_the_hardware_reads_it() -> None:
    assert BootPacket(BootOperation.BEGIN, operand_3=29).encode() == bytes.fromhex(
        "0001 00000001 00000000 00000000 0000001d"
    )
    packets = list(BootImage(bytes(range(8)) + bytes(BLOCK_BYTES)).packets())
    assert packets[1].encode()[:26] == bytes.fromhex(
        "0001 00000003 0000ff00 00000000 00000000 0302010007060504"
    )
    assert packets[2].operand_1 == 0xFF01
    assert packets[-1].encode() == bytes.fromhex("0001 00000005 00000001 00000000 00000000")


@given(WORDS)
def test_an_image_comes_out_of_its_packets_as_it_went_in(content: bytes) -> None:
    packets = list(BootImage(content).packets())
    assert all(BootPacket.decode(packet.encode()) == packet for packet in packets)
    begin, *blocks, end = packets
    assert (begin.operation, end.operation) == (BootOperation.BEGIN, BootOperation.END)
    assert begin.operand_3 + 1 == len(blocks)
    assert BootImage.from_blocks([block.data for block in blocks]).content == content


@pytest.mark.parametrize("size", [0, 3, 32 * 1024 + 4])
def test_an_image_that_no_board_takes_is_refused(size: int) -> None:
    with pytest.raises(PacketError, match=f"a boot image can't have {size} bytes"):
        list(BootImage(bytes(size)).packets())


def test_an_image_is_prepared_with_the_time_and_what_the_first_chip_is() -> None:
    plain = BootImage(bytes(range(256)) * 4)
    prepared = plain.prepared(unix_time=0x01020304)
    assert len(prepared.content) == len(plain.content)
    assert prepared.content[:384] == plain.content[:384]
    assert prepared.content[512:] == plain.content[512:]
    assert prepared.variables[0x0A] == 5
    assert prepared.variables[0x1C:0x20] == prepared.variables[0x5C:0x60] == bytes((4, 3, 2, 1))
    assert prepared.variables[0x40] == 1


def test_an_image_says_which_scamp_it_holds() -> None:
    assert BootImage(b"..SC&MP/SpiNNaker\x004.0.1\0").software == (4, 0, 1)
    assert BootImage(b"..PS/MC&rekaNNipS..").software is None

"""SDP, SCP and BMP packets: what is encoded is decoded again, and malformed datagrams are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinnaker import bmp, fpga, scp, sdp
from spinnaker.geometry import Link

ENDPOINTS = st.builds(
    sdp.Endpoint, st.integers(0, 255), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7)
)
HEADERS = st.builds(sdp.SdpHeader, ENDPOINTS, ENDPOINTS, st.sampled_from([0x87, 0x07]), st.integers(0, 255))
WORDS = st.integers(0, 0xFFFFFFFF)


@given(
    st.builds(
        scp.ScpRequest,
        HEADERS,
        st.integers(0, 0xFFFF),
        st.integers(0, 0xFFFF),
        WORDS,
        WORDS,
        WORDS,
        st.binary(max_size=256),
    )
)
def test_a_request_that_is_encoded_is_decoded_to_itself(request: scp.ScpRequest) -> None:
    assert scp.ScpRequest.decode(request.encode()) == request


@given(
    st.builds(scp.ScpReply, HEADERS, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=268))
)
def test_a_reply_that_is_encoded_is_decoded_to_itself(reply: scp.ScpReply) -> None:
    assert scp.ScpReply.decode(reply.encode()) == reply


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_packet_error(datagram: bytes) -> None:
    try:
        scp.ScpRequest.decode(datagram)
    except sdp.PacketError:
        assert len(datagram) < 14


def test_a_reply_goes_back_to_where_the_request_came_from_and_echoes_its_sequence() -> None:
    request = scp.ScpRequest(sdp.SdpHeader(sdp.Endpoint(3, 4, 5, 0)), 0, 77)
    reply = request.reply()
    assert reply.header.destination == sdp.HOST
    assert reply.header.source == sdp.Endpoint(3, 4, 5, 0)
    assert (reply.sequence, reply.ok) == (77, True)


def test_the_power_command_is_as_the_hardware_reads_it() -> None:
    datagram = bmp.power_request([0, 5, 23], True, delay_ms=3, sequence=0x1234)
    assert datagram == bytes.fromhex("0000 87ff00ff00000000 3900 3412 01000300 21008000 00000000")


def test_a_register_read_is_as_the_hardware_reads_it() -> None:
    datagram = bmp.read_fpga_request(7, 2, 0x40004, sequence=1)
    assert datagram == bytes.fromhex("0000 87ff07ff00000000 1100 0100 04000400 04000000 02000000")


def test_a_register_write_is_as_the_hardware_reads_it() -> None:
    datagram = bmp.write_fpga_request(7, 1, 0x1005C, 1, sequence=1)
    assert datagram == bytes.fromhex("0000 87ff07ff00000000 1200 0100 5c000100 04000000 01000000 01000000")


@pytest.mark.parametrize("board", [-1, 24])
def test_a_board_that_no_frame_has_is_refused_by_name(board: int) -> None:
    with pytest.raises(sdp.PacketError, match=f"no board {board}"):
        bmp.version_request(board)
    with pytest.raises(sdp.PacketError, match=f"no board {board}"):
        bmp.power_request([board], False)


def test_every_link_has_a_stop_register_of_its_own() -> None:
    registers = {link: fpga.stop_register(link) for link in Link}
    assert len(set(registers.values())) == 6
    assert {link: fpga.stopped_link(register) for link, register in registers.items()} == {
        link: link for link in Link
    }


def test_sensors_survive_the_converter_to_within_a_step() -> None:
    sensors = bmp.Adc((1.2, 1.19, 1.21), 1.8, 3.3, 12.0, 38.5, 36.0, (None, 20.0), (2400, None), 1, 2)
    again = bmp.Adc.decode(sensors.encode())
    assert again.volts_1_2 == pytest.approx(sensors.volts_1_2, abs=0.001)
    assert again.volts_supply == pytest.approx(12.0, abs=0.005)
    assert (again.top, again.bottom) == (38.5, 36.0)
    assert again[6:] == sensors[6:]


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (bytes.fromhex("00000000 0001 d200 00000000") + b"BC&MP/Spin5-BMP\0", (2, 10, 0)),
        (bytes.fromhex("00000000 0001 ffff 00000000") + b"SC&MP/SpiNNaker\x004.0.1\0", (4, 0, 1)),
        (bytes.fromhex("00000000 0001 ffff 00000000") + b"SC&MP/SpiNNaker\x004.0.0-dev\0", (4, 0, 0)),
    ],
)
def test_versions_before_and_since_release_3_are_read(data: bytes, number: tuple[int, int, int]) -> None:
    assert scp.SoftwareVersion.decode(data).number == number


def test_a_version_that_is_no_number_is_refused_with_the_forms_that_are_allowed() -> None:
    data = bytes.fromhex("00000000 0001 ffff 00000000") + b"SC&MP/SpiNNaker\x00four"
    with pytest.raises(
        sdp.PacketError, match=r"version is 'four'; expected MAJOR\.MINOR or MAJOR\.MINOR\.PATCH"
    ):
        scp.SoftwareVersion.decode(data)


def test_a_result_is_described_by_its_name_and_its_number() -> None:
    assert scp.describe_result(0x86) == "timeout (0x86)"
    assert scp.describe_result(0x99) == "unknown result (0x99)"

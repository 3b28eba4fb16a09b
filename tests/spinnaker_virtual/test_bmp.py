"""What a frame's BMP does, in simulated time: power, FPGA registers, sensors."""

from ipaddress import IPv4Address

import pytest

from spinnaker import bmp
from spinnaker.fpga import IDENTITY_REGISTER, identifies, stop_register
from spinnaker.geometry import Board, BoardLink, Link, Size, far_end
from spinnaker.scp import Result, SoftwareNumber
from spinnaker_virtual import Timings, VirtualMachine
from tests.spinnaker_virtual.bench import Bench

ORIGIN = Board(0, 0, 0)


@pytest.fixture
def bench() -> Bench:
    return Bench(VirtualMachine(size=Size(1, 1), timings=Timings.instant()))


@pytest.fixture
def slow_bench() -> Bench:
    return Bench(VirtualMachine(size=Size(8, 1), timings=Timings(power_on=2.0, power_off=0.5)))


def test_a_bmp_says_which_board_it_is_and_what_it_runs(bench: Bench) -> None:
    version = bmp.version_of(bench.ask(bmp.version_request(2)))
    assert version.place & 0xFF == 2
    assert version.name == "BC&MP/Spin5-BMP"
    assert version.number.major == 2


def test_boards_are_off_until_they_are_powered(bench: Bench) -> None:
    assert not bench.on(ORIGIN)
    assert bench.ask(bmp.power_request([0, 2], True)).ok
    assert [bench.on(Board(0, 0, z)) for z in range(3)] == [True, False, True]
    assert bench.ask(bmp.power_request([0], False)).ok
    assert [bench.on(Board(0, 0, z)) for z in range(3)] == [False, False, True]


def test_the_reply_to_a_power_command_comes_when_the_action_is_done(slow_bench: Bench) -> None:
    assert slow_bench.tell(bmp.power_request([0], True)) == []
    assert slow_bench.pass_time(1.9) == []
    assert not slow_bench.on(ORIGIN)
    assert [reply.ok for reply in slow_bench.pass_time(0.1)] == [True]
    assert slow_bench.on(ORIGIN)


def test_boards_power_up_one_after_another_when_a_delay_is_asked_for(slow_bench: Bench) -> None:
    slow_bench.tell(bmp.power_request([0, 10, 23], True, delay_ms=100))
    assert slow_bench.pass_time(2.5) == []
    assert not slow_bench.on(Board(3, 0, 1))
    slow_bench.pass_time(0.5)
    assert slow_bench.on(Board(3, 0, 1))
    assert not slow_bench.on(Board(7, 0, 2))
    assert len(slow_bench.pass_time(1.31)) == 1
    assert slow_bench.on(Board(7, 0, 2))


def test_requests_wait_while_boards_are_being_powered(slow_bench: Bench) -> None:
    assert slow_bench.tell(bmp.power_request([0], True, sequence=1)) == []
    assert slow_bench.tell(bmp.version_request(0, sequence=2)) == []
    assert [reply.sequence for reply in slow_bench.pass_time(2.0)] == [1, 2]


def test_powering_a_board_that_is_on_resets_it(slow_bench: Bench) -> None:
    slow_bench.tell(bmp.power_request([0], True))
    slow_bench.pass_time(2.0)
    slow_bench.tell(bmp.write_fpga_request(0, *stop_register(Link.EAST), 1))
    assert slow_bench.hardware.board(ORIGIN).stopped_links == {Link.EAST}
    slow_bench.tell(bmp.power_request([0], True))
    slow_bench.pass_time(1.0)
    assert not slow_bench.on(ORIGIN)
    slow_bench.pass_time(1.0)
    assert slow_bench.on(ORIGIN)
    assert slow_bench.hardware.board(ORIGIN).stopped_links == frozenset()


def test_fpgas_identify_themselves_only_while_their_board_is_on(bench: Bench) -> None:
    def identities() -> list[bool]:
        values = [bmp.word_of(bench.ask(bmp.read_fpga_request(0, n, IDENTITY_REGISTER))) for n in range(3)]
        return [identifies(n, value) for n, value in enumerate(values)]

    assert identities() == [False, False, False]
    bench.ask(bmp.power_request([0], True))
    assert identities() == [True, True, True]


@pytest.mark.parametrize("link", Link)
def test_a_link_works_when_both_boards_are_on_and_neither_end_is_stopped(bench: Bench, link: Link) -> None:
    size = Size(1, 1)
    end = BoardLink(ORIGIN, link)
    other = far_end(size, end)
    works = bench.hardware.link_works
    assert not works(end)
    bench.ask(bmp.power_request([0, 1, 2], True))
    assert works(end)
    assert works(other)
    bench.ask(bmp.write_fpga_request(other.board.z, *stop_register(other.link), 1))
    assert not works(end)
    assert not works(other)
    bench.ask(bmp.write_fpga_request(other.board.z, *stop_register(other.link), 0))
    assert works(end)
    bench.ask(bmp.power_request([other.board.z], False))
    assert not works(end)


def test_a_dead_link_never_works() -> None:
    dead = BoardLink(ORIGIN, Link.NORTH)
    bench = Bench(VirtualMachine(size=Size(1, 1), dead_links=frozenset({dead}), timings=Timings.instant()))
    bench.ask(bmp.power_request([0, 1, 2], True))
    assert not bench.hardware.link_works(dead)
    assert not bench.hardware.link_works(far_end(Size(1, 1), dead))
    assert bench.hardware.link_works(BoardLink(ORIGIN, Link.EAST))


def test_bmps_of_major_version_1_have_no_fpga_registers() -> None:
    old = SoftwareNumber(1, 3)
    bench = Bench(VirtualMachine(size=Size(1, 1), bmp_version=old, timings=Timings.instant()))
    assert bmp.version_of(bench.ask(bmp.version_request(0))).number == (1, 3, 0)
    assert bench.ask(bmp.read_fpga_request(0, 0, IDENTITY_REGISTER)).result == Result.UNKNOWN_COMMAND


def test_a_board_that_is_not_there_does_not_answer_its_bmp() -> None:
    machine = VirtualMachine(size=Size(1, 1), dead_boards=frozenset({Board(0, 0, 1)}))
    assert Bench(machine).ask(bmp.version_request(1)).result == Result.TIMEOUT


def test_wrong_arguments_and_commands_are_refused_with_their_codes(bench: Bench) -> None:
    assert bench.ask(bmp.read_fpga_request(0, 3, 0)).result == Result.ARGUMENT
    assert bench.ask(bmp.information_request(0, 99)).result == Result.ARGUMENT  # type: ignore[arg-type]
    unknown = bytearray(bmp.version_request(0))
    unknown[10] = 99
    assert bench.ask(bytes(unknown)).result == Result.UNKNOWN_COMMAND


def test_a_request_without_all_its_arguments_is_refused_for_its_length(bench: Bench) -> None:
    assert bench.ask(bmp.version_request(0)[:-1]).result == Result.LENGTH
    assert bench.ask(bmp.power_request([0], True)[:-1]).result == Result.LENGTH
    assert not bench.on(ORIGIN)


def test_what_is_no_packet_is_ignored(bench: Bench) -> None:
    assert bench.tell(b"") == []
    assert bench.tell(b"\0" * 13) == []


def test_sensors_show_whether_a_board_runs(bench: Bench) -> None:
    def sensors() -> bmp.Adc:
        return bmp.Adc.decode(bench.ask(bmp.information_request(0, bmp.Information.ADC)).data)

    cold = sensors()
    assert cold.volts_1_2 == (0, 0, 0)
    assert cold.volts_supply == pytest.approx(12, abs=0.1)
    bench.ask(bmp.power_request([0], True))
    warm = sensors()
    assert warm.volts_1_2 == pytest.approx((1.2, 1.2, 1.2), abs=0.01)
    assert warm.top > cold.top
    assert warm.fans[0]


def test_every_bmp_has_a_serial_number_of_its_own(bench: Bench) -> None:
    def serial(board: int) -> bmp.Serial:
        return bmp.Serial.decode(bench.ask(bmp.information_request(board, bmp.Information.SERIAL)).data)

    assert len({serial(board).number for board in range(3)}) == 3
    assert serial(0).hardware == 5


def test_a_bmp_tells_its_own_address_and_its_boards(bench: Bench) -> None:
    data = bench.ask(bmp.information_request(1, bmp.Information.ADDRESSES)).data
    assert data[8:12] == IPv4Address("127.9.0.0").packed
    assert data[40:44] == IPv4Address("127.9.0.9").packed


def test_leds_are_switched_and_toggled(bench: Bench) -> None:
    request = bytearray(bmp.version_request(0))
    request[10] = bmp.BmpCommand.LED
    request[14:16] = (3 << 14 | 1 << 4).to_bytes(2, "little")  # LED 7 on, LED 2 toggled
    request[18] = 0b101
    bench.ask(bytes(request))
    assert [bench.hardware.board(Board(0, 0, z)).leds for z in range(3)] == [0b1000_0100, 0, 0b1000_0100]
    bench.ask(bytes(request))
    assert bench.hardware.board(ORIGIN).leds == 0b1000_0000

"""How boards take a boot image: whole, in pieces, twice, too early, broken."""

import random
from collections.abc import Callable
from struct import Struct

import pytest

from spinnaker.boot import BootImage, BootOperation, BootPacket
from spinnaker.geometry import Board, Chip
from spinnaker.memory_map import SYSTEM_VARIABLES, SystemVariable
from spinnaker.scamp import CoreState, ScampCommand
from spinnaker.scp import SoftwareVersion
from spinnaker_virtual import Timings
from tests.peers.environments import PeerEnvironment
from tests.spinnaker_virtual.bench import ROOT, Bench
from tests.spinnaker_virtual.images import UNIX_TIME, scamp_image

_CLOCK = Struct("<QHHI")


@pytest.fixture
def bench() -> Bench:
    """A board alone, on and not booted; the rest of its triad is off."""
    bench = Bench.of()
    bench.power(boards=[ROOT])
    return bench


def test_a_board_is_silent_when_off_and_until_it_is_booted() -> None:
    bench = Bench.of()
    assert not bench.answers(ROOT)
    bench.boot()
    bench.power()
    assert not bench.answers(ROOT)
    bench.boot()
    assert bench.answers(ROOT)
    bench.power(on=False)
    assert not bench.answers(ROOT)
    bench.power()
    assert not bench.answers(ROOT)


def test_a_booted_board_tells_scamps_version_as_the_image_has_it(bench: Bench) -> None:
    bench.boot(image=scamp_image(name=b"SC&MP/SpiNNaker\x004.2.1\0"))
    version = SoftwareVersion.decode(bench.command(ScampCommand.VERSION).data)
    assert (version.name, version.number, version.place, version.buffer_bytes) == (
        "SC&MP/SpiNNaker",
        (4, 2, 1),
        0,
        256,
    )


def test_blocks_may_come_in_any_order_and_more_than_once(bench: Bench) -> None:
    begin, *blocks, end = scamp_image().packets()
    shuffled = blocks * 2
    random.Random(1).shuffle(shuffled)
    for packet in (begin, *shuffled, end):
        bench.tell_boot(packet.encode())
    assert bench.answers(ROOT)


def test_an_image_with_a_block_missing_does_not_run_until_the_block_comes(bench: Bench) -> None:
    begin, *blocks, end = scamp_image().packets()
    for packet in (begin, *blocks[1:], end):
        bench.tell_boot(packet.encode())
    assert not bench.answers(ROOT)
    for packet in (blocks[0], end):
        bench.tell_boot(packet.encode())
    assert bench.answers(ROOT)


def test_a_new_beginning_drops_the_blocks_that_came_before(bench: Bench) -> None:
    begin, *blocks, end = scamp_image().packets()
    for packet in (begin, *blocks[:-1], begin, blocks[-1], end):
        bench.tell_boot(packet.encode())
    assert not bench.answers(ROOT)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(17),
        BootPacket(BootOperation.BEGIN, operand_3=32).encode(),
        BootPacket(BootOperation.END, 1).encode(),
        BootPacket(BootOperation.BLOCK, 5, data=bytes(1024)).encode(),
        BootPacket(99).encode(),
    ],
)
def test_packets_that_make_no_sense_are_ignored(bench: Bench, packet: bytes) -> None:
    bench.tell_boot(packet)
    assert not bench.answers(ROOT)
    bench.boot()
    assert bench.answers(ROOT)


@pytest.mark.parametrize(
    "image",
    [
        BootImage(b"\xff" * 4096),
        BootImage(scamp_image().content.replace(b"SC&MP", b"SC&MQ")),
        BootImage(scamp_image().content[:400]),
        scamp_image({SystemVariable.SDRAM_BUFFERS: 0}),
        scamp_image({SystemVariable.BUFFER_WORDS: 10 << 20}),
        scamp_image({SystemVariable.SYSTEM_RAM_HEAP: 8000}),
    ],
    ids=[
        "noise",
        "a flipped letter",
        "cut short",
        "no system memory",
        "too many buffers",
        "too large a heap",
    ],
)
def test_a_broken_image_leaves_the_board_silent_until_it_is_powered_again(
    bench: Bench, image: BootImage
) -> None:
    bench.boot(image=image)
    assert not bench.answers(ROOT)
    bench.boot()
    assert not bench.answers(ROOT)
    bench.power(boards=[ROOT])
    bench.boot()
    assert bench.answers(ROOT)


def test_a_board_that_runs_takes_no_other_image_until_it_is_powered_again(bench: Bench) -> None:
    bench.boot()
    bench.write(0x6000_0000, b"kept")
    bench.boot(image=scamp_image(name=b"SC&MP/SpiNNaker\x005.0.0\0"))
    assert SoftwareVersion.decode(bench.command(ScampCommand.VERSION).data).number.major == 4
    assert bench.read(0x6000_0000, 4) == b"kept"
    bench.power(boards=[ROOT])
    bench.boot()
    assert bench.read(0x6000_0000, 4) == bytes(4)


def test_a_board_takes_an_image_only_some_time_after_power_on() -> None:
    bench = Bench.of(timings=Timings(power_on=0, power_off=0, boot_ready=1.0, boot=0))
    bench.power()
    bench.boot()
    bench.pass_time(0.9)
    assert not bench.answers(ROOT)
    bench.pass_time(0.1)
    bench.boot()
    assert bench.answers(ROOT)


def test_scamp_does_not_know_where_it_is_until_it_has_looked_around() -> None:
    bench = Bench.of(timings=Timings(power_on=0, power_off=0, boot_ready=0, boot=0.5))
    bench.power()
    bench.boot()
    version = SoftwareVersion.decode(bench.command(ScampCommand.VERSION).data)
    assert version.place >> 16 == 0xFFFF
    assert bench.send(ScampCommand.INFORMATION) == []
    bench.pass_time(0.5)
    version = SoftwareVersion.decode(bench.command(ScampCommand.VERSION).data)
    assert version.place >> 16 == 0
    assert bench.information().cores == 18


def test_the_image_that_spinnman_brings_boots_a_board_from_our_packets_too(
    bench: Bench, peer: Callable[[str], PeerEnvironment]
) -> None:
    (file,) = peer("SpiNNMan==1!7.4.1").root.rglob("scamp.boot")
    image = BootImage(file.read_bytes())
    assert image.software == (4, 0, 0)
    bench.boot(image=image.prepared(UNIX_TIME))
    info = bench.information()
    assert (info.cores, info.free_sdram) == (18, 123_469_792)
    bench.pass_time(3.0)
    clock = bench.read(SystemVariable.UNIX_TIME.address, 4)
    assert int.from_bytes(clock, "little") == UNIX_TIME + 3


def test_the_images_system_variables_are_honoured(bench: Bench) -> None:
    bench.boot(image=scamp_image({SystemVariable.LED_0: 0x502, SystemVariable.BUFFER_WORDS: 1024}))
    assert bench.read(SystemVariable.LED_0.address, 4) == bytes.fromhex("02050000")
    assert bench.information().free_sdram == 128 * 1024**2 - 8 * 1024**2 - 18 * 4096 - 32
    assert bench.read(SystemVariable.HARDWARE.address, 1) == b"\x05"


def test_a_chips_clock_goes_on_from_the_time_in_the_image(bench: Bench) -> None:
    bench.boot()
    bench.pass_time(12.345)
    clock = bench.read(SystemVariable.MILLISECONDS.address, _CLOCK.size)
    assert _CLOCK.unpack(clock) == (12345, 345, 0, UNIX_TIME + 12)
    assert bench.read(SYSTEM_VARIABLES + 0x10, 3) == (12345).to_bytes(3, "little")


def test_only_boards_that_wait_for_an_image_join_a_machine() -> None:
    bench = Bench.of(2, 1)
    first, second = {Board(0, 0, z) for z in range(3)}, {Board(1, 0, z) for z in range(3)}
    bench.power(boards=first)
    bench.boot()
    bench.power(boards=second)
    bench.boot(Board(1, 0, 0))
    assert [bench.hardware.booted(board) for board in sorted(first)] == [bench.hardware.booted(ROOT)] * 3
    assert bench.hardware.booted(Board(1, 0, 0)) is not bench.hardware.booted(ROOT)
    assert bench.information().states[:2] == (CoreState.RUNNING, CoreState.IDLE)


def test_a_board_whose_ethernet_chip_is_dead_hears_nothing() -> None:
    bench = Bench.of(dead_chips={ROOT: frozenset({Chip(0, 0)})})
    bench.power()
    bench.boot()
    assert not bench.answers(ROOT)
    bench.boot(Board(0, 0, 1))
    assert bench.answers(Board(0, 0, 1))
    assert not bench.answers(ROOT)

"""What a booted chip answers to a host: memory, tables, tags, allocation, routes, applications."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinnaker.geometry import LINK_VECTORS, Board, Chip, Link
from spinnaker.memory_map import (
    CORE_BLOCK_BYTES,
    CORE_BLOCKS,
    P2P_TABLE,
    ROUTER_ENTRY,
    SystemVariable,
)
from spinnaker.scamp import (
    FIXED_TAGS,
    TAG_BYTES,
    Allocation,
    CoreState,
    IpTag,
    RouterOperation,
    ScampCommand,
    Signal,
    SignalRoute,
    TagFlag,
    TagOperation,
)
from spinnaker.scp import Result, ScpRequest, SoftwareVersion
from spinnaker.sdp import NO_REPLY, Endpoint, SdpHeader
from spinnaker_virtual import DeadCore
from tests.examples import examples
from tests.spinnaker_virtual.bench import HOST, ROOT, Bench, booted

SDRAM = 0x6000_0000
SDRAM_BYTES = 128 << 20
LOAD = 0x6780_0000


@pytest.fixture(scope="module")
def shared() -> Bench:
    """A triad that tests only look at."""
    return booted()


@pytest.fixture
def bench() -> Bench:
    """A board alone."""
    bench = Bench.of()
    bench.power(boards=[ROOT])
    bench.boot()
    return bench


# Where a packet goes, and how it is refused.


def test_a_reply_echoes_the_sequence_and_comes_from_the_chip_that_was_asked(shared: Bench) -> None:
    reply = shared.command(ScampCommand.VERSION, x=5, y=7)
    assert (reply.sequence, reply.header.source.x, reply.header.source.y) == (7, 5, 7)
    assert (reply.header.destination.core, reply.header.destination.port) == (31, 7)
    version = SoftwareVersion.decode(reply.data)
    assert version.place >> 16 == 5 << 8 | 7


def test_255_255_is_the_chip_that_hears_the_packet(shared: Bench) -> None:
    reply = shared.command(ScampCommand.VERSION, board=Board(0, 0, 1))
    assert (reply.header.source.x, reply.header.source.y) == (8, 4)


def test_a_chip_that_the_machine_does_not_have_has_no_route(bench: Bench) -> None:
    assert bench.command(ScampCommand.VERSION, x=0, y=7).result == Result.NO_ROUTE
    assert bench.command(ScampCommand.VERSION, x=200, y=0).result == Result.NO_ROUTE


def test_commands_that_scamp_does_not_know_are_refused(shared: Bench) -> None:
    assert shared.command(1).result == Result.UNKNOWN_COMMAND
    assert shared.command(99).result == Result.UNKNOWN_COMMAND
    assert shared.command(ScampCommand.ALLOCATE, core=3).result == Result.UNKNOWN_COMMAND


def test_application_cores_answer_as_sark(shared: Bench) -> None:
    version = SoftwareVersion.decode(shared.command(ScampCommand.VERSION, core=17, x=1, y=1).data)
    assert version.name == "SARK/SpiNNaker"
    assert version.place & 0xFF == 17
    assert shared.command(ScampCommand.VERSION, core=18).result == Result.CORE


def test_no_reply_comes_where_none_is_wanted(bench: Bench) -> None:
    request = ScpRequest(
        SdpHeader(Endpoint(0, 0, 0), flags=NO_REPLY), ScampCommand.WRITE, 1, SDRAM, 4, 2, b"done"
    )
    assert bench.tell_board(request.encode()) == []
    assert bench.read(SDRAM, 4) == b"done"


def test_packets_for_applications_are_taken_and_not_answered(bench: Bench) -> None:
    to_application = ScpRequest(SdpHeader(Endpoint(0, 0, 3, 1)), 0, 1)
    to_monitor = ScpRequest(SdpHeader(Endpoint(0, 0, 0, 1)), 0, 1)
    assert bench.tell_board(to_application.encode()) == []
    assert [reply.result for reply in bench.tell_board(to_monitor.encode())] == [Result.PORT]


@given(st.binary(max_size=300))
@examples(300)
def test_no_datagram_makes_a_board_stumble(datagram: bytes) -> None:
    bench = _kept()
    bench.tell_board(datagram)
    bench.tell_boot(datagram)
    assert bench.answers(ROOT)


@given(
    st.sampled_from(ScampCommand),
    st.tuples(*[st.integers(0, 0xFFFFFFFF) | st.integers(0, 300) | st.just(SDRAM)] * 3),
    st.integers(0, 31),
    st.binary(max_size=256),
)
@examples(400)
def test_no_arguments_make_a_board_stumble(
    command: ScampCommand, arguments: tuple[int, int, int], core: int, data: bytes
) -> None:
    bench = _kept()
    replies = bench.send(command, *arguments, core=core, data=data)
    assert len(replies) <= 1
    assert all(reply.result in set(Result) for reply in replies)


_BENCHES: list[Bench] = []


def _kept() -> Bench:
    if not _BENCHES:
        _BENCHES.append(booted())
    return _BENCHES[0]


# Memory.


@given(
    st.integers(0, SDRAM_BYTES - 256),
    st.binary(min_size=1, max_size=256),
    st.sampled_from([(0, 0), (3, 5), (11, 11)]),
)
def test_what_is_written_anywhere_in_sdram_is_read_back(
    offset: int, data: bytes, chip: tuple[int, int]
) -> None:
    bench = _kept()
    x, y = chip
    bench.write(SDRAM + offset, data, x=x, y=y)
    assert bench.read(SDRAM + offset, len(data), x=x, y=y) == data
    assert bench.read(0x7000_0000 + offset, len(data), x=x, y=y) == data


def test_every_chip_and_core_has_memory_of_its_own(bench: Bench) -> None:
    for core in (0, 4, 5):
        bench.write(0x0040_1000, b"core %d" % core, core=core)
    assert bench.read(0x0040_1000, 6, core=4) == b"core 4"
    bench.write(SDRAM, b"here", x=0, y=0)
    assert bench.read(SDRAM, 4, x=1, y=0) == bytes(4)
    assert bench.read(SDRAM, 4, core=9) == b"here"


@pytest.mark.parametrize(
    "address", [SDRAM + SDRAM_BYTES - 4, 0x5000_0000, 0xE500_7FFC, 0x0000_8000, 0xE101_7FFC, 0x9000_0000]
)
def test_a_core_that_reaches_beyond_its_memory_dies_and_does_not_answer(bench: Bench, address: int) -> None:
    assert bench.send(ScampCommand.READ, address, 8, 2) == []
    assert bench.send(ScampCommand.WRITE, address, 8, 2, data=bytes(8)) == []


def test_reads_and_writes_of_more_than_a_packet_holds_are_refused(bench: Bench) -> None:
    assert bench.command(ScampCommand.READ, SDRAM, 257, 0).result == Result.ARGUMENT
    assert bench.command(ScampCommand.READ, SDRAM, 4, 3).result == Result.ARGUMENT
    assert bench.command(ScampCommand.WRITE, SDRAM, 8, 0, data=b"four").result == Result.LENGTH


@pytest.mark.parametrize("place", [(255, 255), (0, 0), (5, 7)])
def test_a_command_without_all_its_arguments_is_refused_for_its_length(
    bench: Bench, place: tuple[int, int]
) -> None:
    whole = ScpRequest(SdpHeader(Endpoint(*place, 0)), ScampCommand.VERSION, 7).encode()
    for length in range(14, len(whole)):
        (reply,) = bench.tell_board(whole[:length])
        assert (reply.result, reply.sequence, reply.data) == (Result.LENGTH, 7, b"")
    assert bench.tell_board(whole[:13]) == []


def test_a_packet_with_more_data_than_a_chip_takes_is_dropped(bench: Bench) -> None:
    assert bench.send(ScampCommand.WRITE, SDRAM, 4, 0, data=b"four" + bytes(253)) == []
    assert bench.read(SDRAM, 4) == bytes(4)
    bench.write(SDRAM, b"full" * 64)
    assert bench.read(SDRAM, 256) == b"full" * 64


def test_a_fill_reaches_over_pages(bench: Bench) -> None:
    assert bench.command(ScampCommand.FILL, SDRAM + 100, 0x0403_0201, 10_000).ok
    assert bench.read(SDRAM + 96, 12) == bytes(4) + bytes((1, 2, 3, 4)) * 2
    assert bench.read(SDRAM + 10_092, 12) == bytes((1, 2, 3, 4)) * 2 + bytes(4)


# What a host asks to discover a machine.


def test_system_variables_say_where_a_chip_is(shared: Bench) -> None:
    def variable(which: SystemVariable, x: int, y: int) -> bytes:
        return shared.read(which.address, which.format.size, x=x, y=y)

    assert variable(SystemVariable.ADDRESS, 7, 9) == bytes((9, 7))
    assert variable(SystemVariable.DIMENSIONS, 7, 9) == bytes((12, 12))
    assert variable(SystemVariable.ETHERNET_ADDRESS, 7, 9) == bytes((8, 4))
    assert variable(SystemVariable.IP_ADDRESS, 8, 4) == bytes((127, 9, 0, 9))
    assert variable(SystemVariable.IP_ADDRESS, 7, 9) == bytes(4)
    assert variable(SystemVariable.BOARD_ADDRESS, 7, 9) == bytes((1, 3))
    assert variable(SystemVariable.IS_ROOT, 0, 0) == b"\x01"
    assert variable(SystemVariable.IS_ROOT, 1, 0) == b"\x00"


def test_the_peer_to_peer_table_has_a_link_for_every_chip(shared: Bench) -> None:
    def entry(x: int, y: int) -> int:
        word = shared.read(P2P_TABLE + (256 * x + y) // 8 * 4, 4)
        return int.from_bytes(word, "little") >> 3 * (y % 8) & 7

    assert entry(0, 0) == 7
    assert {entry(x, y) for x in range(12) for y in range(12)} == {*range(6), 7}
    assert {entry(12, y) for y in range(12)} == {6}
    assert entry(1, 0) == Link.EAST
    assert entry(0, 11) == Link.SOUTH


def test_chip_information_is_complete(shared: Bench) -> None:
    info = shared.information(4, 8)
    assert info.cores == 18
    assert info.links == set(Link)
    assert info.free_router_entries == 1023
    assert info.free_sdram == 123_469_792
    assert info.ethernet_up
    assert info.ethernet_chip == (4, 8)
    assert info.address == bytes((127, 9, 0, 17))
    assert info.states == (CoreState.RUNNING, *[CoreState.IDLE] * 17)
    inner = shared.information(5, 9)
    assert not inner.ethernet_up
    assert inner.ethernet_chip == (4, 8)
    assert inner.address == bytes(4)


def test_each_chips_parent_is_nearer_to_the_chip_that_was_booted(shared: Bench) -> None:
    assert shared.information(0, 0).parent == 7
    seen = {(0, 0)}
    for start in ((x, y) for x in range(12) for y in range(12)):
        path = []
        at = start
        while at not in seen:
            path.append(at)
            vector = LINK_VECTORS[shared.information(*at).parent]
            at = (at[0] + vector.x) % 12, (at[1] + vector.y) % 12
            assert len(path) < 12
        seen.update(path)


def test_dead_cores_are_missing_and_the_others_are_renumbered() -> None:
    dead = {ROOT: frozenset({DeadCore(Chip(2, 1), 0), DeadCore(Chip(2, 1), 5)})}
    bench = booted(dead_cores=dead)
    info = bench.information(2, 1)
    assert info.cores == 16
    assert info.states == (CoreState.RUNNING, *[CoreState.IDLE] * 15, CoreState.DEAD, CoreState.DEAD)
    to_physical = bench.read(SystemVariable.VIRTUAL_TO_PHYSICAL.address, 20, x=2, y=1)
    assert list(to_physical[:17]) == [1, 2, 3, 4, *range(6, 18), 255]
    to_virtual = bench.read(SystemVariable.PHYSICAL_TO_VIRTUAL.address, 20, x=2, y=1)
    assert to_virtual[0] == to_virtual[5] == 255
    assert to_virtual[6] == 4
    block = bench.read(CORE_BLOCKS + 4 * CORE_BLOCK_BYTES, CORE_BLOCK_BYTES, x=2, y=1)
    assert (block[45], block[46]) == (6, CoreState.IDLE)
    assert bench.command(ScampCommand.VERSION, x=2, y=1, core=16).result == Result.CORE


def test_a_core_can_be_taken_away_while_running(bench: Bench) -> None:
    assert bench.command(ScampCommand.REMAP, 3, 1).ok
    assert bench.information().cores == 17
    assert bench.read(SystemVariable.PHYSICAL_TO_VIRTUAL.address + 3, 1) == b"\xff"
    assert bench.command(ScampCommand.REMAP, 3, 1).result == Result.ARGUMENT
    assert bench.command(ScampCommand.REMAP, 0, 0).result == Result.ARGUMENT


# IP tags.


def tag_request(operation: TagOperation, tag: int, flags: int = 0, port: int = 0) -> int:
    return flags << 20 | operation << 16 | port << 8 | tag


def test_a_tag_that_is_set_is_read_back_until_it_is_cleared(bench: Bench) -> None:
    strip = int(TagFlag.STRIP)
    address = int.from_bytes(bytes((10, 0, 0, 7)), "little")
    assert bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.SET, 3, strip), 5000, address).ok
    tag = IpTag.decode(bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.GET, 3), 1).data)
    assert (tag.address, tag.port, tag.flags) == (bytes((10, 0, 0, 7)), 5000, TagFlag.VALID | TagFlag.STRIP)
    assert bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.CLEAR, 3)).ok
    tag = IpTag.decode(bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.GET, 3), 1).data)
    assert tag == IpTag()


def test_a_tag_without_an_address_goes_to_who_set_it(bench: Bench) -> None:
    flags = int(TagFlag.SENDER)
    assert bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.SET, 0, flags), 1, 0).ok
    tag = IpTag.decode(bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.GET, 0), 1).data)
    assert (tag.address, tag.port) == (bytes((127, 0, 0, 1)), HOST.port)


def test_a_reverse_tag_names_a_core_and_a_port(bench: Bench) -> None:
    flags, core_and_port = int(TagFlag.REVERSE | TagFlag.STRIP), 2 << 5 | 4
    request = tag_request(TagOperation.SET, 5, flags, core_and_port)
    assert bench.command(ScampCommand.IP_TAG, request, 3 << 24 | 2 << 16 | 17_000, 0).ok
    tag = IpTag.decode(bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.GET, 5), 1).data)
    assert (tag.destination, tag.destination_port, tag.reverse_port) == (3 << 8 | 2, core_and_port, 17_000)
    assert TagFlag.REVERSE in tag.flags


def test_new_tags_come_from_the_pool_until_it_is_empty(bench: Bench) -> None:
    handed = [
        bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.NEW, 0), 1000 + n, 1).data[0]
        for n in range(9)
    ]
    assert handed == [*range(FIXED_TAGS, 16), 255]


def test_tag_timeouts_are_told_and_set(bench: Bench) -> None:
    assert bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.TIMEOUT, 0), 4).data == bytes(
        (9, TAG_BYTES, 8, 8)
    )
    assert bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.TIMEOUT, 0), 99).data[0] == 4


def test_tags_that_are_not_there_are_refused(bench: Bench) -> None:
    assert bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.GET, 16), 1).result == Result.ARGUMENT
    assert bench.command(ScampCommand.IP_TAG, 9 << 16).result == Result.ARGUMENT
    assert bench.command(ScampCommand.IP_TAG, tag_request(TagOperation.GET, 0), 9).result == Result.ARGUMENT


# Allocation.


def word(bench: Bench, *arguments: int) -> int:
    reply = bench.command(ScampCommand.ALLOCATE, *arguments)
    assert reply.ok
    return int.from_bytes(reply.data[:4], "little")


def test_sdram_is_handed_out_and_taken_back(bench: Bench) -> None:
    before = bench.information().free_sdram
    first = word(bench, 30 << 8 | Allocation.ALLOCATE_SDRAM, 1000, 1)
    second = word(bench, 30 << 8 | Allocation.ALLOCATE_SDRAM, 1_000_000, 2)
    assert first
    assert second >= first + 1000
    assert bench.information().free_sdram <= before - 1_001_000
    assert word(bench, 30 << 8 | Allocation.SDRAM_BLOCK_OF_TAG, 2) == second
    assert bench.command(ScampCommand.ALLOCATE, Allocation.FREE_SDRAM, first).ok
    assert word(bench, 30 << 8 | Allocation.SDRAM_BLOCK_OF_TAG, 1) == 0
    assert word(bench, 30 << 8 | Allocation.FREE_SDRAM_OF_APPLICATION) == 1
    assert bench.information().free_sdram == before


def test_more_sdram_than_there_is_is_not_handed_out(bench: Bench) -> None:
    assert word(bench, Allocation.ALLOCATE_SDRAM, SDRAM_BYTES) == 0
    assert word(bench, Allocation.ALLOCATE_SDRAM, 0) == 0


def test_a_tag_is_given_once_unless_the_same_block_is_asked_for_again(bench: Bench) -> None:
    first = word(bench, 9 << 8 | Allocation.ALLOCATE_SDRAM, 400, 7)
    assert word(bench, 9 << 8 | Allocation.ALLOCATE_SDRAM, 400, 7) == 0
    assert word(bench, 4 << 16 | 9 << 8 | Allocation.ALLOCATE_SDRAM, 400, 7) == first
    assert word(bench, 4 << 16 | 9 << 8 | Allocation.ALLOCATE_SDRAM, 404, 7) == 0
    assert word(bench, 10 << 8 | Allocation.ALLOCATE_SDRAM, 400, 7) not in (0, first)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1 << 22)), max_size=40))
@examples(40)
def test_blocks_never_overlap_and_all_room_comes_back(steps: list[tuple[bool, int]]) -> None:
    bench = Bench.of()
    bench.power(boards=[ROOT])
    bench.boot()
    before = bench.information().free_sdram
    held: dict[int, int] = {}
    for allocate, number in steps:
        if allocate:
            address = word(bench, 1 << 8 | Allocation.ALLOCATE_SDRAM, number, 0)
            assert address
            assert all(address + number <= other or other + size <= address for other, size in held.items())
            held[address] = number
        elif held:
            address = sorted(held)[number % len(held)]
            del held[address]
            assert bench.command(ScampCommand.ALLOCATE, Allocation.FREE_SDRAM, address).ok
    assert word(bench, 1 << 8 | Allocation.FREE_SDRAM_OF_APPLICATION) == len(held)
    assert bench.information().free_sdram == before


# Routes.


def table(*entries: tuple[int, int, int]) -> bytes:
    rows = [ROUTER_ENTRY.pack(number, 0, *entry) for number, entry in enumerate(entries)]
    return b"".join(rows)


def copy_of(bench: Bench, entry: int) -> tuple[int, ...]:
    base = int.from_bytes(bench.read(SystemVariable.ROUTER_COPY.address, 4), "little")
    return ROUTER_ENTRY.unpack(bench.read(base + 16 * entry, 16))


def test_router_entries_are_handed_out_loaded_read_and_taken_back(bench: Bench) -> None:
    first = word(bench, 66 << 8 | Allocation.ALLOCATE_ROUTER, 2)
    assert first == 1
    assert bench.information().free_router_entries == 1021
    bench.write(LOAD, table((0x41, 0xCAFE, 0xFFFF), (0x1 << 7, 0xBEEF, 0xFFF0)))
    assert bench.command(ScampCommand.ROUTER, 2 << 16 | 66 << 8 | RouterOperation.LOAD, LOAD, first).ok
    _, owner, *entry = copy_of(bench, 2)
    assert (owner & 0xFF, entry) == (66, [0x1 << 7, 0xBEEF, 0xFFF0])
    assert bench.read(0xF100_4000 + 4, 4) == (0x41).to_bytes(4, "little")
    assert word(bench, 66 << 8 | Allocation.FREE_ROUTER_OF_APPLICATION, 1) == 1
    assert bench.information().free_router_entries == 1023
    assert copy_of(bench, 1)[2] == 0xFF00_0000


def test_routes_name_physical_cores_in_the_router_itself() -> None:
    bench = Bench.of(dead_cores={ROOT: frozenset({DeadCore(Chip(0, 0), 1)})})
    bench.power()
    bench.boot()
    bench.write(LOAD, table((1 << 6 + 1, 1, 2)))
    assert bench.command(ScampCommand.ROUTER, 1 << 16 | 5 << 8 | RouterOperation.LOAD, LOAD, 9).ok
    assert copy_of(bench, 9)[2] == 1 << 6 + 1
    assert bench.read(0xF100_4000 + 36, 4) == (1 << 6 + 2).to_bytes(4, "little")


def test_entries_outside_the_router_are_refused(bench: Bench) -> None:
    bench.write(LOAD, table((1, 1, 1)))
    assert (
        bench.command(ScampCommand.ROUTER, 1 << 16 | RouterOperation.LOAD, LOAD, 1024).result
        == Result.ARGUMENT
    )
    assert bench.command(ScampCommand.ROUTER, 9 << 16 | RouterOperation.CLEAR, 1020).result == Result.ARGUMENT
    assert bench.command(ScampCommand.ROUTER, 77).result == Result.ARGUMENT
    assert word(bench, Allocation.ALLOCATE_ROUTER, 1024) == 0


def test_the_router_is_emptied_on_demand(bench: Bench) -> None:
    word(bench, 1 << 8 | Allocation.ALLOCATE_ROUTER, 100)
    assert bench.command(ScampCommand.ROUTER, RouterOperation.INITIALISE).ok
    assert bench.information().free_router_entries == 1023


def test_the_fixed_route_is_set_and_read(bench: Bench) -> None:
    assert bench.command(ScampCommand.ROUTER, RouterOperation.FIXED_ROUTE, 0x43).ok
    reply = bench.command(ScampCommand.ROUTER, RouterOperation.FIXED_ROUTE, 1 << 31)
    assert int.from_bytes(reply.data, "little") == 0x43


def test_diagnostic_filters_are_kept_and_counters_stay_at_zero(bench: Bench) -> None:
    assert bench.read(0xE100_0200, 4) == bytes.fromhex("f17cfe01")
    bench.write(0xE100_0230, b"\1\2\3\4")
    assert bench.read(0xF100_0230, 4) == b"\1\2\3\4"
    bench.write(0xF100_002C, b"\xff\xff\xff\xff")
    assert bench.read(0xF100_002C, 4) == b"\xff\xff\0\0"
    assert bench.read(0xE100_0300, 64) == bytes(64)


# Applications.


def states(bench: Bench, x: int = 0, y: int = 0) -> list[CoreState]:
    return list(bench.information(x, y).states)


def signal(bench: Bench, application: int, what: Signal, mask: int = 0xFF) -> None:
    stops = what in {Signal.INITIALISE, Signal.POWER_DOWN, Signal.STOP}
    route = SignalRoute.NEAREST_NEIGHBOUR if stops else SignalRoute.MULTICAST
    assert bench.command(ScampCommand.SIGNAL, route, what << 16 | mask << 8 | application, 0xFFFF).ok


def test_an_application_is_loaded_waits_runs_pauses_and_stops(bench: Bench) -> None:
    cores = 0b1110
    wait = 1 << 18
    assert bench.command(ScampCommand.RESET_APPLICATION, 30 << 24 | wait | cores).ok
    assert states(bench)[:5] == [CoreState.RUNNING, *[CoreState.WAITING] * 3, CoreState.IDLE]
    for what, state in (
        (Signal.START, CoreState.RUNNING),
        (Signal.PAUSE, CoreState.PAUSED),
        (Signal.CONTINUE, CoreState.RUNNING),
        (Signal.EXIT, CoreState.EXITED),
    ):
        signal(bench, 30, what)
        assert states(bench)[1:5] == [state] * 3 + [CoreState.IDLE]
    assert int.from_bytes(bench.command(ScampCommand.COUNT, 30, CoreState.EXITED).data, "little") == 3
    word(bench, 30 << 8 | Allocation.ALLOCATE_SDRAM, 1000, 0)
    signal(bench, 30, Signal.STOP)
    assert states(bench)[1:5] == [CoreState.IDLE] * 4
    assert bench.information().free_sdram == 123_469_792


def test_the_monitor_is_never_restarted(bench: Bench) -> None:
    assert bench.command(ScampCommand.RESET_APPLICATION, 30 << 24 | 1).result == Result.ARGUMENT
    assert bench.command(ScampCommand.COPY_AND_RUN, 0, 4, 1).result == Result.ARGUMENT


def test_multicast_signals_start_from_the_chip_that_was_booted_only() -> None:
    bench = booted()
    arguments = (SignalRoute.MULTICAST, Signal.START << 16 | 0xFF00 | 30, 0xFFFF)
    assert bench.command(ScampCommand.SIGNAL, *arguments, board=Board(0, 0, 1)).result == Result.ARGUMENT
    assert bench.command(ScampCommand.SIGNAL, *arguments).ok


def test_a_binary_is_copied_from_chip_to_chip_and_started() -> None:
    bench = booted()
    binary = bytes(range(256)) * 40
    for offset in range(0, len(binary), 256):
        bench.write(LOAD + offset, binary[offset : offset + 256])
    checksum = (
        sum(int.from_bytes(binary[i : i + 4], "little") for i in range(0, len(binary), 4)) & 0x1FFF_FFFF
    )
    request = checksum << 3 & 0xFFFF_FFFF | Link.WEST
    assert bench.command(ScampCommand.COPY_AND_RUN, request, len(binary), 16 << 24 | 0b10, x=1, y=0).ok
    assert bench.read(LOAD + 9984, 256, x=1, y=0) == binary[9984:10240]
    assert states(bench, 1, 0)[1] == CoreState.RUNNING
    bench.write(LOAD, b"other")
    assert bench.read(LOAD, 5, x=1, y=0) == binary[:5]
    wrong = bench.command(ScampCommand.COPY_AND_RUN, request, len(binary), 16 << 24 | 0b10, x=1, y=0)
    assert wrong.result == Result.CHECKSUM


def test_a_flood_fill_reaches_every_chip_and_starts_what_it_brought() -> None:
    bench = booted()
    blocks = [bytes([number + 1]) * 256 for number in range(5)]
    assert bench.command(ScampCommand.NEAREST_NEIGHBOUR, 6 << 24 | 9 << 17 | 5 << 8, 0xFFFF, 1 << 31).ok
    for number, block in enumerate(blocks):
        place = (9 << 1, number << 16 | 63 << 8, LOAD + 256 * number)
        assert bench.command(ScampCommand.FLOOD_DATA, *place, data=block).ok
    assert bench.command(ScampCommand.NEAREST_NEIGHBOUR, 15 << 24 | 9 << 1, 40 << 24 | 0b110).ok
    for x, y in ((0, 0), (11, 11), (4, 8)):
        assert bench.read(LOAD + 256, 256, x=x, y=y) == blocks[1]
        assert states(bench, x, y)[:4] == [CoreState.RUNNING] * 3 + [CoreState.IDLE]
    bench.write(LOAD + 300, b"mine", x=0, y=0)
    assert bench.read(LOAD + 300, 4, x=1, y=1) == b"\2\2\2\2"
    total = bench.command(
        ScampCommand.SIGNAL, SignalRoute.POINT_TO_POINT, 1 << 22 | 2 << 20 | 7 << 16 | 0xFF28, 0xFFFF
    )
    assert int.from_bytes(total.data, "little") == 2 * 144


def test_a_flood_fill_with_a_block_missing_starts_nothing() -> None:
    bench = booted()
    bench.command(ScampCommand.NEAREST_NEIGHBOUR, 6 << 24 | 9 << 17 | 2 << 8, 0xFFFF)
    bench.command(ScampCommand.FLOOD_DATA, 9 << 1, 63 << 8, LOAD, data=bytes(256))
    bench.command(ScampCommand.NEAREST_NEIGHBOUR, 15 << 24 | 9 << 1, 40 << 24 | 0b110)
    assert states(bench)[1] == CoreState.IDLE


def test_the_states_of_an_areas_cores_are_counted_and_judged() -> None:
    bench = booted()
    bench.command(ScampCommand.RESET_APPLICATION, 30 << 24 | 0b110, x=1, y=1)
    bench.command(ScampCommand.RESET_APPLICATION, 1 << 18 | 30 << 24 | 0b110, x=9, y=9)

    def ask(mode: int, state: CoreState, level: int = 0, area: int = 0xFFFF) -> int:
        data = level << 26 | 1 << 22 | mode << 20 | state << 16 | 0xFF00 | 30
        return int.from_bytes(
            bench.command(ScampCommand.SIGNAL, SignalRoute.POINT_TO_POINT, data, area).data, "little"
        )

    assert ask(2, CoreState.RUNNING) == 2
    assert ask(0, CoreState.WAITING) == 1 << 16 | 144
    assert ask(1, CoreState.WAITING) == 144
    assert ask(1, CoreState.RUNNING, level=2, area=1 << 0) == 1 << 16 | 16
    assert (
        bench.command(ScampCommand.SIGNAL, SignalRoute.POINT_TO_POINT, 1 << 22, 0).result == Result.ARGUMENT
    )


def test_stop_reaches_the_whole_machine_by_nearest_neighbour_packets() -> None:
    bench = booted()
    bench.command(ScampCommand.RESET_APPLICATION, 30 << 24 | 0b10, x=7, y=7)
    stop = (0x3F << 16, 5 << 28 | Signal.STOP << 16 | 0xFF00 | 30, 1 << 31 | 0x3F << 8)
    assert bench.command(ScampCommand.NEAREST_NEIGHBOUR, *stop).ok
    assert states(bench, 7, 7)[1] == CoreState.IDLE


def test_leds_are_switched_as_far_as_the_image_defines_any(bench: Bench) -> None:
    chip = bench.hardware.booted(ROOT)
    assert chip is not None
    assert bench.command(ScampCommand.LED, 0b1111).ok
    assert chip.chip(0).leds == 0b1
    assert bench.command(ScampCommand.LED, 0b01).ok
    assert chip.chip(0).leds == 0


def test_a_signal_to_the_leds_reaches_the_whole_machine() -> None:
    bench = booted()
    assert bench.command(ScampCommand.NEAREST_NEIGHBOUR, 0, 1 << 28 | 0b11).ok
    machine = bench.hardware.booted(ROOT)
    assert machine is not None
    assert [chip.leds for chip in map(machine.chip, range(144))] == [1] * 144


def test_cores_can_be_powered_down_and_made_ready_again(bench: Bench) -> None:
    bench.command(ScampCommand.RESET_APPLICATION, 30 << 24 | 0b110)
    signal(bench, 30, Signal.POWER_DOWN)
    assert states(bench)[:4] == [
        CoreState.RUNNING,
        CoreState.POWERED_DOWN,
        CoreState.POWERED_DOWN,
        CoreState.IDLE,
    ]
    signal(bench, 0, Signal.INITIALISE)
    assert states(bench)[1:3] == [CoreState.IDLE, CoreState.IDLE]


def test_applications_start_by_the_older_command_too(bench: Bench) -> None:
    assert bench.command(ScampCommand.START_APPLICATION, LOAD, 20 << 24 | 0b100).ok
    assert states(bench)[1:4] == [CoreState.IDLE, CoreState.RUNNING, CoreState.IDLE]


def test_user_words_of_a_core_outlive_its_applications(bench: Bench) -> None:
    user_1 = CORE_BLOCKS + 2 * CORE_BLOCK_BYTES + 116
    bench.write(user_1, b"kept")
    bench.command(ScampCommand.RESET_APPLICATION, 30 << 24 | 0b100)
    assert bench.read(user_1, 4) == b"kept"


def test_a_flood_fill_can_select_cores_by_area() -> None:
    bench = booted()
    first_16 = 2 << 16 | 1 << 0  # level 2, the chips (0, 0) to (3, 3)
    bench.command(ScampCommand.NEAREST_NEIGHBOUR, 6 << 24 | 3 << 17 | 1 << 8, first_16)
    bench.command(ScampCommand.NEAREST_NEIGHBOUR, 7 << 24 | 0b1000, first_16)
    bench.command(ScampCommand.FLOOD_DATA, 3 << 1, 63 << 8, LOAD, data=bytes(range(256)))
    bench.command(ScampCommand.FLOOD_DATA, 4 << 1, 63 << 8, LOAD, data=bytes(256))
    bench.command(ScampCommand.NEAREST_NEIGHBOUR, 15 << 24 | 3 << 1, 40 << 24)
    assert states(bench, 3, 3)[3] == CoreState.RUNNING
    assert bench.read(LOAD, 256, x=3, y=3) == bytes(range(256))
    assert states(bench, 4, 4)[3] == CoreState.IDLE
    assert bench.read(LOAD, 256, x=4, y=4) == bytes(256)
    assert bench.command(ScampCommand.FLOOD_DATA, 0, 63 << 8, LOAD, data=b"short").result == Result.LENGTH


@pytest.mark.parametrize("command", [ScampCommand.LINK_READ, ScampCommand.LINK_WRITE])
def test_links_that_a_chip_does_not_have_are_refused(bench: Bench, command: ScampCommand) -> None:
    assert bench.command(command, SDRAM, 4, 6, data=bytes(4)).result == Result.ARGUMENT
    assert bench.command(command, SDRAM, 257, 0, data=bytes(4)).result == Result.ARGUMENT
    assert bench.command(command, 0x9000_0000, 4, 0, data=bytes(4)).result == Result.TIMEOUT
    assert bench.command(ScampCommand.LINK_WRITE, SDRAM, 8, 0, data=bytes(4)).result == Result.LENGTH


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300)), max_size=40))
@examples(40)
def test_router_blocks_never_overlap_and_all_entries_come_back(steps: list[tuple[bool, int]]) -> None:
    bench = Bench.of()
    bench.power(boards=[ROOT])
    bench.boot()
    held: dict[int, int] = {}
    for allocate, number in steps:
        if allocate:
            entry = word(bench, 7 << 8 | Allocation.ALLOCATE_ROUTER, number)
            if entry:
                assert all(entry + number <= other or other + size <= entry for other, size in held.items())
                assert entry + number <= 1024
                held[entry] = number
            else:
                assert number > bench.information().free_router_entries
        elif held:
            entry = sorted(held)[number % len(held)]
            del held[entry]
            assert bench.command(ScampCommand.ALLOCATE, Allocation.FREE_ROUTER, entry, number % 2).ok
            assert bench.command(ScampCommand.ALLOCATE, Allocation.FREE_ROUTER, entry, 1).ok
    assert word(bench, 7 << 8 | Allocation.FREE_ROUTER_OF_APPLICATION, 1) == len(held)
    assert bench.information().free_router_entries == 1023


def test_free_space_is_told(bench: Bench) -> None:
    reply = bench.command(ScampCommand.ALLOCATE, Allocation.SDRAM_SPACE)
    assert int.from_bytes(reply.data[4:8], "little") == 123_469_792
    assert bench.command(ScampCommand.ALLOCATE, 8).result == Result.ARGUMENT


def test_synchronisation_is_acknowledged(bench: Bench) -> None:
    assert bench.command(ScampCommand.SYNCHRONISE, 1).ok

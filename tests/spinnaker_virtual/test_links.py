"""What power and link stops do to packets between chips."""

import pytest

from spinnaker.geometry import Board, BoardLink, Chip, Link, Size, boards_of, far_end, neighbour
from spinnaker.memory_map import CHIP_ID
from spinnaker.scamp import CoreState, ScampCommand, SignalRoute
from spinnaker.scp import Result
from tests.spinnaker_virtual.bench import ROOT, Bench, booted

SIZE = Size(2, 2)
OTHER = Board(1, 1, 2)
OTHER_CHIP = Chip(16, 20)
MEMORY = 0x6123_4560

watched_or_not = pytest.mark.parametrize("watched", [True, False], ids=["watched", "not watched"])
"""Whether packets that leave a board are reported; the behaviour must not depend on it."""


def cut_off(bench: Bench, board: Board, stopped: bool = True) -> None:
    bench.stop(board, Link, stopped)


def test_packets_between_boards_cross_links_that_work_only() -> None:
    bench = booted(2, 2)
    for board in boards_of(SIZE):
        bench.information(*bench.information(board=board).ethernet_chip)
    assert bench.crossings
    assert all(bench.hardware.link_works(end) for end in bench.crossings)


@watched_or_not
def test_a_board_is_cut_off_when_its_links_are_stopped(watched: bool) -> None:
    bench = booted(2, 2, watched)
    bench.write(MEMORY, b"here", x=OTHER_CHIP.x, y=OTHER_CHIP.y)
    bench.crossings.clear()
    cut_off(bench, OTHER)
    assert (
        bench.command(ScampCommand.READ, MEMORY, 4, 0, x=OTHER_CHIP.x, y=OTHER_CHIP.y).result
        == Result.P2P_NO_REPLY
    )
    assert bench.crossings == []
    # Over its own Ethernet it goes on as before.
    assert bench.read(MEMORY, 4, board=OTHER) == b"here"
    assert bench.command(ScampCommand.VERSION, x=0, y=0, board=OTHER).result == Result.P2P_NO_REPLY
    cut_off(bench, OTHER, stopped=False)
    assert bench.read(MEMORY, 4, x=OTHER_CHIP.x, y=OTHER_CHIP.y) == b"here"


def test_a_link_that_is_stopped_at_either_end_is_missing_from_both_boards_chips() -> None:
    bench = booted()
    end = BoardLink(ROOT, Link.EAST)
    chips = [Chip(7, 3), Chip(8, 4)]  # one board's east edge, and the next one's west corner beyond it
    before = [bench.information(*chip).links for chip in chips]
    bench.stop(far_end(Size(1, 1), end).board, [end.link.opposite])
    after = [bench.information(*chip).links for chip in chips]
    assert after[0] < before[0]


@pytest.mark.parametrize("link", Link)
def test_a_neighbours_memory_is_read_and_written_over_a_working_link(link: Link) -> None:
    bench = booted()
    assert bench.command(ScampCommand.LINK_WRITE, MEMORY, 8, link, data=b"over the").ok
    reply = bench.command(ScampCommand.LINK_READ, MEMORY, 8, link)
    assert (reply.result, reply.data) == (Result.OK, b"over the")
    chip_id = bench.command(ScampCommand.LINK_READ, 0xF200_0000, 4, link)
    assert int.from_bytes(chip_id.data, "little") == CHIP_ID
    assert bench.read(MEMORY, 8) == bytes(8)


@pytest.mark.parametrize("link", [Link.WEST, Link.SOUTH_WEST, Link.SOUTH])
def test_a_neighbour_beyond_a_stopped_link_does_not_answer(link: Link) -> None:
    bench = booted()
    cut_off(bench, ROOT)
    assert bench.command(ScampCommand.LINK_READ, MEMORY, 8, link).result == Result.TIMEOUT
    assert bench.command(ScampCommand.LINK_WRITE, MEMORY, 8, link, data=bytes(8)).result == Result.TIMEOUT


@watched_or_not
def test_a_board_that_loses_power_is_gone_for_the_others(watched: bool) -> None:
    bench = booted(2, 2, watched)
    bench.power(on=False, boards=[OTHER])
    assert bench.command(ScampCommand.VERSION, x=OTHER_CHIP.x, y=OTHER_CHIP.y).result == Result.P2P_NO_REPLY
    bench.power(boards=[OTHER])
    assert bench.command(ScampCommand.VERSION, x=OTHER_CHIP.x, y=OTHER_CHIP.y).result == Result.P2P_NO_REPLY
    assert not bench.answers(OTHER)


@watched_or_not
def test_a_board_that_dies_is_silent_and_lives_again_after_a_power_on(watched: bool) -> None:
    bench = booted(2, 2, watched)
    bench.hardware.board(OTHER).crash()
    assert bench.on(OTHER)
    assert not bench.answers(OTHER)
    assert bench.command(ScampCommand.VERSION, x=OTHER_CHIP.x, y=OTHER_CHIP.y).result == Result.P2P_NO_REPLY
    bench.boot(OTHER)
    assert not bench.answers(OTHER)
    bench.power(boards=[OTHER])
    bench.boot(OTHER)
    assert bench.answers(OTHER)


def test_what_goes_from_neighbour_to_neighbour_stops_where_boards_are_cut_apart() -> None:
    bench = booted(2, 2)
    machine = bench.hardware.booted(ROOT)
    assert machine is not None

    def switch_leds() -> None:
        assert bench.command(ScampCommand.NEAREST_NEIGHBOUR, 0, 1 << 28 | 0b01).ok

    def load(number: int) -> None:
        begin, end = 6 << 24 | number << 17 | 1 << 8, 15 << 24 | number << 1
        assert bench.command(ScampCommand.NEAREST_NEIGHBOUR, begin).ok
        assert bench.command(
            ScampCommand.FLOOD_DATA, number << 1, 1 << 8, MEMORY, data=b"flooded%d" % number
        ).ok
        assert bench.command(ScampCommand.NEAREST_NEIGHBOUR, end).ok

    def count() -> int:
        any_core = 1 << 22 | 2 << 20 | CoreState.IDLE << 16
        return int.from_bytes(
            bench.command(ScampCommand.SIGNAL, SignalRoute.POINT_TO_POINT, any_core, 0xFFFF).data, "little"
        )

    everyone = count()
    cut_off(bench, OTHER)
    bench.crossings.clear()
    switch_leds()
    load(1)
    assert count() == everyone - 48 * 17
    assert bench.crossings
    assert all(OTHER not in (end.board, neighbour(SIZE, *end)) for end in bench.crossings)
    lit = [
        machine.region.board(number).board for number in machine.region.parents if machine.chip(number).leds
    ]
    assert len(lit) == 11 * 48
    assert OTHER not in lit
    assert bench.read(MEMORY, 8, board=OTHER) == bytes(8)
    assert bench.read(MEMORY, 8, board=Board(1, 1, 1)) == b"flooded1"
    cut_off(bench, OTHER, stopped=False)
    load(2)
    assert bench.read(MEMORY, 8, board=OTHER) == b"flooded2"
    assert count() == everyone


def test_two_jobs_side_by_side_never_meet() -> None:
    bench = Bench.of(2, 2)
    bench.power()
    jobs = [{Board(x, y, z) for z in range(3)} for x in range(2) for y in range(2)]
    for job in jobs:
        for board in job:
            bench.stop(board, [link for link in Link if neighbour(SIZE, board, link) not in job])
    for job in jobs:
        bench.boot(min(job))
    machines = [{bench.hardware.booted(board) for board in job} for job in jobs]
    assert [len(found) for found in machines] == [1] * 4
    assert len(set().union(*machines)) == 4
    for number, job in enumerate(jobs):
        for x, y in ((0, 0), (8, 4), (4, 8)):
            bench.write(MEMORY, b"job%d" % number, x=x, y=y, board=min(job))
    for number, job in enumerate(jobs):
        for board in job:
            assert bench.read(MEMORY, 4, board=board) == b"job%d" % number
    inside = {frozenset(job) for job in jobs}
    for end in bench.crossings:
        assert any({end.board, neighbour(SIZE, end.board, end.link)} <= job for job in inside)

"""What was ordered is looked at: against BMPs that acknowledge without doing, and networks that bring things twice."""

from random import Random

import pytest

from spalloc_server.hardware.conversation import LATEST_SECONDS
from spalloc_server.hardware.frame import POWER_TRIES, BoardState, FrameDriver
from spinnaker.bmp import BmpCommand
from spinnaker.geometry import Link
from spinnaker.scp import ScpReply, ScpRequest
from spinnaker_virtual.network import Socket
from tests.spalloc_server.hardware.bench import ADDRESS, CHECK_SECONDS, OLD, Bench

SOON = 1.0
"""Seconds by which a frame that is not busy has seen to what a second answer told."""
CUT = {(3, Link.NORTH), (3, Link.EAST)}


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.process.enter(bench.driver.start)
    bench.pass_time(2 * LATEST_SECONDS)
    bench.bmp.requests.clear()
    return bench


def acknowledge_only(bench: Bench, command: BmpCommand, times: int = 1 << 30) -> list[ScpRequest]:
    """Let the BMP acknowledge a command up to `times` times without carrying it out; return those requests."""
    undone: list[ScpRequest] = []

    def lie(request: ScpRequest) -> ScpReply:
        if request.command == command and len(undone) < times:
            undone.append(request)
            return request.reply()
        return bench.bmp.well(request)

    bench.bmp.misbehave = lie
    return undone


def the(bench: Bench, command: BmpCommand) -> ScpRequest:
    (request,) = bench.bmp.of(command)
    return request


# BMPs that acknowledge without doing


def test_a_job_does_not_get_boards_whose_links_are_not_stopped_though_the_bmp_says_so(bench: Bench) -> None:
    acknowledge_only(bench, BmpCommand.WRITE_FPGA)
    bench.ask("job", {2, 3}, cut=CUT)
    bench.wait("job")
    assert bench.done["job"] == {
        3: f"its links east, north are not stopped, although its BMP at {ADDRESS} has set them"
    }
    assert len(bench.bmp.powers()) == POWER_TRIES, "powering it again might have helped"


def test_a_link_that_is_not_stopped_at_once_is_stopped_before_the_job_has_its_board(bench: Bench) -> None:
    acknowledge_only(bench, BmpCommand.WRITE_FPGA, 1)
    bench.ask("job", {3}, cut=CUT)
    bench.wait("job")
    assert bench.done["job"] == {}
    assert bench.bmp.stopped(3) == {Link.NORTH, Link.EAST}
    assert [slot for slot, _ in bench.retries] == [3], "it is the first sign of a sick board"


def test_a_board_that_is_still_on_though_the_bmp_says_it_is_off_is_tried_again_and_told(bench: Bench) -> None:
    bench.ask("job", {3, 4})
    bench.wait("job")
    acknowledge_only(bench, BmpCommand.POWER)
    bench.ask("end", {3, 4}, on=False)
    bench.wait("end")
    why = f"it is on, although its BMP at {ADDRESS} has switched it off"
    assert bench.done["end"] == {3: why, 4: why}
    assert len(bench.bmp.powers()) == 1 + POWER_TRIES


def test_a_board_that_goes_off_at_the_second_try_is_off(bench: Bench) -> None:
    bench.ask("job", {3})
    bench.wait("job")
    acknowledge_only(bench, BmpCommand.POWER, 1)
    bench.ask("end", {3}, on=False)
    bench.wait("end")
    assert bench.done["end"] == {}
    assert bench.bmp.on == set()


def test_a_board_of_which_it_is_not_told_whether_it_is_off_is_not_taken_to_be(bench: Bench) -> None:
    bench.ask("job", {3, 4})
    bench.wait("job")

    def is_silent_about_a_board(request: ScpRequest) -> ScpReply | None:
        if request.command == BmpCommand.POWER:
            return request.reply()
        if request.command == BmpCommand.INFORMATION and request.header.destination.core == 4:
            return None
        return bench.bmp.well(request)

    bench.bmp.misbehave = is_silent_about_a_board
    bench.ask("end", {3, 4}, on=False)
    bench.wait("end")
    assert bench.done["end"] == {
        3: f"it is on, although its BMP at {ADDRESS} has switched it off",
        4: f"its BMP at {ADDRESS} does not answer",
    }


# Networks that bring things twice


@pytest.mark.parametrize("late_by", [0.05, 0.5, 2.9])
@pytest.mark.parametrize("answered", [True, False], ids=["answered", "answer lost"])
def test_a_write_of_the_job_before_that_comes_late_stops_no_link_for_good(
    bench: Bench, late_by: float, answered: bool
) -> None:
    bench.ask("before", {3}, cut={(3, Link.NORTH)})
    bench.wait("before")
    late = the(bench, BmpCommand.WRITE_FPGA)
    bench.ask("after", {3}, cut={(3, Link.EAST)})
    bench.wait("after")
    bench.pass_time(late_by)
    bench.bmp.hear(late, answered=answered)
    assert bench.bmp.stopped(3) == {Link.NORTH, Link.EAST}
    # Without an answer, nothing tells of it but the next look.
    bench.pass_time(SOON if answered else CHECK_SECONDS + SOON)
    assert bench.bmp.stopped(3) == {Link.EAST}
    assert bench.repairs == [(3, "links north were not as ordered")]
    assert bench.lost == [], "what runs on the board was not disturbed"


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "answer lost"])
def test_a_power_on_that_comes_late_leaves_no_border_open(bench: Bench, answered: bool) -> None:
    bench.ask("job", {3, 4}, cut=CUT)
    bench.wait("job")
    bench.bmp.hear(the(bench, BmpCommand.POWER), answered=answered)
    assert bench.bmp.stopped(3) == set()
    bench.pass_time(SOON if answered else CHECK_SECONDS + SOON)
    assert bench.bmp.stopped(3) == {Link.NORTH, Link.EAST}
    assert bench.lost == [(1, {3: "it was reset"})], "what ran on it is gone: that must be told"


def test_a_power_on_that_comes_late_before_links_are_looked_at_costs_the_job_nothing(bench: Bench) -> None:
    struck = False

    def strike(request: ScpRequest) -> ScpReply:
        nonlocal struck
        if request.command == BmpCommand.READ_FPGA and bench.bmp.stopped(3) and not struck:
            struck = True
            bench.bmp.hear(bench.bmp.of(BmpCommand.POWER)[0])
        return bench.bmp.well(request)

    bench.bmp.misbehave = strike
    bench.ask("job", {3}, cut=CUT)
    bench.wait("job")
    assert struck
    assert bench.done["job"] == {}
    assert bench.bmp.stopped(3) == {Link.NORTH, Link.EAST}


def test_a_board_that_lost_its_power_is_told(bench: Bench) -> None:
    bench.ask("before", {3})
    bench.ask("end", {4}, on=False)
    bench.wait("before", "end")
    off = next(request for request in bench.bmp.of(BmpCommand.POWER) if not request.argument_1 & 1)
    bench.ask("after", {4}, cut={(4, Link.WEST)})
    bench.wait("after")
    bench.bmp.hear(off)
    bench.pass_time(SOON)
    ((order, lost),) = bench.lost
    assert (order, lost) == (3, {4: "its FPGA 0 has stopped running"})


def test_a_board_that_a_late_power_on_switches_on_after_its_job_is_told(bench: Bench) -> None:
    bench.ask("job", {3})
    bench.wait("job")
    late = the(bench, BmpCommand.POWER)
    bench.ask("end", {3}, on=False)
    bench.wait("end")
    bench.bmp.hear(late)
    bench.pass_time(SOON)
    ((order, lost),) = bench.lost
    assert (order, set(lost)) == (2, {3})


def test_boards_are_looked_at_again_when_nothing_that_was_sent_twice_can_still_come(bench: Bench) -> None:
    swallowed = []

    def lose_one(request: ScpRequest) -> ScpReply | None:
        if request.command == BmpCommand.WRITE_FPGA and not swallowed:
            swallowed.append(request)
            return None
        return bench.bmp.well(request)

    bench.bmp.misbehave = lose_one
    bench.ask("job", {3}, cut={(3, Link.NORTH)})
    bench.wait("job")
    seen = len(bench.bmp.of(BmpCommand.READ_FPGA))
    bench.pass_time(LATEST_SECONDS + SOON)
    assert len(bench.bmp.of(BmpCommand.READ_FPGA)) == seen + len(Link)
    bench.pass_time(LATEST_SECONDS + SOON)
    assert len(bench.bmp.of(BmpCommand.READ_FPGA)) == seen + len(Link), "once is enough"


def test_nothing_is_said_of_a_board_that_got_another_order_meanwhile(bench: Bench) -> None:
    bench.ask("job", {3}, cut=CUT)
    bench.wait("job")
    bench.bmp.hear(the(bench, BmpCommand.POWER))
    bench.ask("end", {3}, on=False)
    bench.wait("end")
    bench.pass_time(CHECK_SECONDS)
    assert bench.lost == []


@pytest.fixture
def running(bench: Bench) -> Bench:
    """Give boards 3 and 4 to a job, with some links stopped."""
    bench.ask("running", {3, 4}, cut=CUT)
    bench.wait("running")
    return bench


def test_a_border_that_may_be_open_is_looked_at_before_other_boards_are_switched(running: Bench) -> None:
    late = the(running, BmpCommand.POWER)
    switching: list[ScpRequest] = []

    def take_five_seconds(request: ScpRequest) -> ScpReply | None:
        if request.command != BmpCommand.POWER or request.argument_2 == late.argument_2:
            return running.bmp.well(request)
        if not switching:
            # Just before the first of two orders is done.
            running.world.after(4.99, running.bmp.hear, late)
        if request not in switching:
            switching.append(request)
            running.world.after(5.0, running.bmp.hear, request)
            return None
        return running.bmp.well(request)

    running.bmp.misbehave = take_five_seconds
    running.ask("one", {6})
    running.pass_time(1.0)
    running.ask("other", {7})
    running.wait("one")
    assert running.bmp.stopped(3) == set()
    running.pass_time(0.1)
    assert running.bmp.stopped(3) == {Link.NORTH, Link.EAST}
    assert "other" not in running.done
    running.wait("other")


@pytest.mark.parametrize("silent", ["board", "BMP"])
def test_that_a_board_was_reset_is_told_though_no_answer_tells_that_its_links_are_stopped_again(
    running: Bench, silent: str
) -> None:
    correcting = False

    def answer_no_correction(request: ScpRequest) -> ScpReply | None:
        nonlocal correcting
        correcting = correcting or request.command == BmpCommand.WRITE_FPGA
        reply = running.bmp.well(request)
        return None if correcting and (silent == "BMP" or request.header.destination.core == 3) else reply

    running.bmp.misbehave = answer_no_correction
    running.bmp.hear(the(running, BmpCommand.POWER))
    running.pass_time(SOON)
    assert running.bmp.stopped(3) == {Link.NORTH, Link.EAST}
    running.pass_time(CHECK_SECONDS)
    assert running.lost == [(1, {3: "it was reset"})], "nothing can be seen of it later"
    assert running.repairs == []


def test_a_power_on_that_comes_late_is_noticed_while_other_boards_are_still_looked_at(bench: Bench) -> None:
    slow = 5
    bench.bmp.misbehave = lambda request: (
        None if request.header.destination.core == slow else bench.bmp.well(request)
    )
    bench.ask("slow", {slow}, cut={(slow, Link.NORTH)})
    bench.wait("slow")
    bench.bmp.requests.clear()
    struck: list[ScpRequest] = []

    def strike_before_the_second_board_answers(request: ScpRequest) -> ScpReply | None:
        second = request.command == BmpCommand.READ_FPGA and request.header.destination.core == 4
        if second and not struck:
            struck.append(the(bench, BmpCommand.POWER))
            bench.bmp.hear(*struck)
            bench.ask("apart", {slow}, on=False)
        return None if second and "apart" not in bench.done else bench.bmp.well(request)

    bench.bmp.misbehave = strike_before_the_second_board_answers
    bench.ask("job", {3, 4}, cut={(3, Link.NORTH)})
    bench.wait("job", "apart")
    bench.pass_time(SOON)
    assert bench.bmp.stopped(3) == {Link.NORTH}
    assert bench.lost == [(2, {3: "it was reset"})]


def test_no_copy_is_missed_of_what_a_server_that_stood_still_sends_late(running: Bench) -> None:
    carry, writes = running.network.request, list[ScpRequest]()

    def stand_still_before_the_second(data: bytes, sender: Socket, to: Socket, dice: Random) -> None:
        request = ScpRequest.decode(data)
        if request.command == BmpCommand.WRITE_FPGA:
            writes.append(request)
            if len(writes) == 1:
                return
            if len(writes) == 2:
                running.world.now += 40.0
                running.world.after(0.9 * LATEST_SECONDS, lambda: running.bmp.hear(request, answered=False))
        carry(data, sender, to, dice)

    running.network.request = stand_still_before_the_second  # type: ignore[method-assign]
    running.ask("before", {6}, cut={(6, Link.NORTH)})
    running.wait("before")
    running.ask("job", {6}, cut={(6, Link.EAST)})
    running.wait("job")
    running.pass_time(LATEST_SECONDS + SOON)
    assert running.bmp.stopped(6) == {Link.EAST}


# What it costs


def test_a_board_takes_its_writes_and_seven_reads_and_its_end_one_question(bench: Bench) -> None:
    bench.ask("greeting", {9}, on=False)
    bench.wait("greeting")
    bench.bmp.requests.clear()
    bench.ask("job", {3}, cut=CUT)
    bench.wait("job")
    assert len(bench.bmp.requests) == 1 + len(CUT) + 7
    bench.ask("end", {3}, on=False)
    bench.wait("end")
    assert len(bench.bmp.requests) == 1 + len(CUT) + 7 + 2


def test_boards_that_are_given_back_while_they_come_up_are_not_prepared(bench: Bench) -> None:
    bench.ask("job", {3}, cut=CUT)
    bench.pass_time(0.00005)
    bench.ask("end", {3}, on=False)
    bench.wait("job", "end")
    assert not bench.bmp.of(BmpCommand.WRITE_FPGA)
    assert not bench.bmp.of(BmpCommand.READ_FPGA)


def test_boards_that_an_earlier_process_left_are_looked_at(bench: Bench) -> None:
    bench.ask("earlier", {3, 4})
    bench.wait("earlier")
    later = Bench()
    later.bmp.on, later.bmp.registers = bench.bmp.on, bench.bmp.registers
    later.process.enter(later.driver.start)
    later.process.enter(later.driver.watch, 3, BoardState(7, True, frozenset({Link.NORTH})))
    later.process.enter(later.driver.watch, 5, BoardState(8, True, frozenset()))
    later.pass_time(LATEST_SECONDS + SOON)
    assert later.bmp.stopped(3) == {Link.NORTH}
    assert {order for order, _ in later.lost} == {7, 8}


def test_what_comes_late_of_the_driver_before_is_noticed_though_that_took_long(bench: Bench) -> None:
    bench.bmp.misbehave = lambda _: None
    bench.ask("job", {3}, cut=CUT)
    successor = FrameDriver(ADDRESS, range(24), bench, CHECK_SECONDS, [bench.driver])
    bench.process.enter(successor.start)
    bench.pass_time(2 * LATEST_SECONDS)
    bench.bmp.misbehave = bench.bmp.well
    bench.wait("job")
    assert bench.done["job"] == {}
    power = bench.bmp.of(BmpCommand.POWER)[-1]
    bench.process.enter(bench.driver.hand_over, successor)
    stopping: list[object] = []
    bench.process.enter(lambda: stopping.append(bench.process.start(bench.driver.stop())))
    bench.pass_time(0.5)
    bench.bmp.hear(power, answered=False)
    bench.pass_time(LATEST_SECONDS + SOON)
    assert [dict(slots) for _, slots in bench.lost] == [{3: "it was reset"}]


@pytest.mark.parametrize("late_by", [0.01, 0.5, 2.9])
def test_an_old_bmp_switches_no_board_off_again_that_the_next_job_has(late_by: float) -> None:
    bench = Bench(OLD)
    bench.process.enter(bench.driver.start)
    bench.ask("job", {3})
    bench.wait("job")
    offs: list[ScpRequest] = []

    def lose_the_first_answer(request: ScpRequest) -> ScpReply | None:
        reply = bench.bmp.well(request)
        if request.command == BmpCommand.POWER and not request.argument_1 & 1:
            offs.append(request)
            return None if len(offs) == 1 else reply
        return reply

    bench.bmp.misbehave = lose_the_first_answer
    bench.ask("end", {3}, on=False)
    bench.wait("end")
    bench.world.after(late_by, lambda: bench.bmp.hear(offs[-1], answered=False))
    bench.ask("next", {3})
    bench.wait("next")
    bench.pass_time(2 * LATEST_SECONDS)
    assert bench.bmp.on == {3}


def test_old_bmps_are_not_asked_what_they_can_not_tell() -> None:
    bench = Bench(OLD)
    bench.process.enter(bench.driver.start)
    bench.ask("job", {3}, cut=CUT)
    bench.wait("job")
    bench.bmp.hear(the(bench, BmpCommand.POWER))
    bench.pass_time(2 * CHECK_SECONDS)
    assert {request.command for request in bench.bmp.requests} == {BmpCommand.VERSION, BmpCommand.POWER}

"""What a frame's driver promises, against a BMP that answers as each test says, in simulated time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.hardware.frame import POWER_TRIES
from spinnaker.bmp import BmpCommand
from spinnaker.geometry import Link
from spinnaker.scp import Result, ScpReply, ScpRequest
from spinnaker_virtual.network import Socket
from tests.simulation.network import Trouble
from tests.spalloc_server.hardware.bench import ADDRESS, MINUTES, OLD, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_boards_are_powered_checked_and_have_their_links_stopped(bench: Bench) -> None:
    bench.ask("job", {3, 4}, cut={(3, Link.NORTH), (4, Link.EAST)})
    bench.wait("job")
    assert bench.done["job"] == {}
    assert bench.bmp.powers() == [(1, 0b11000)]
    assert bench.bmp.stopped(3) == {Link.NORTH}
    assert bench.bmp.stopped(4) == {Link.EAST}


def test_jobs_that_come_while_the_frame_is_busy_share_one_power_command(bench: Bench) -> None:
    bench.ask("first", {0})
    bench.pass_time(0.00005)
    for slot in range(1, 9):
        bench.ask(f"job {slot}", {slot})
    bench.ask("ended", {20}, on=False)
    bench.ask("ended too", {21}, on=False)
    bench.wait("first", "ended", "ended too", *(f"job {slot}" for slot in range(1, 9)))
    assert bench.bmp.powers() == [(1, 0b1), (0, 0b11 << 20), (1, 0b111111110)]


def test_a_board_whose_fpgas_do_not_load_is_powered_again_and_then_given_up(bench: Bench) -> None:
    def bad(request: ScpRequest) -> ScpReply:
        if request.command == BmpCommand.READ_FPGA and request.header.destination.core == 7:
            return request.reply(data=b"\xff\xff\xff\xff")
        return bench.bmp.well(request)

    bench.bmp.misbehave = bad
    bench.ask("job", {6, 7})
    bench.wait("job")
    assert bench.done["job"] == {7: "its FPGA 0 did not load"}
    assert bench.bmp.powers() == [(1, 0b11000000)] + [(1, 0b10000000)] * (POWER_TRIES - 1)


def test_a_bad_board_holds_up_no_other_job(bench: Bench) -> None:
    def bad(request: ScpRequest) -> ScpReply:
        if request.command == BmpCommand.READ_FPGA and request.header.destination.core == 7:
            return request.reply(data=b"\xff\xff\xff\xff")
        return bench.bmp.well(request)

    bench.bmp.misbehave = bad
    bench.ask("bad", {7})
    bench.ask("good", {8})
    bench.wait("good")
    assert "bad" not in bench.done
    bench.wait("bad")


@pytest.mark.parametrize("result", [Result.TIMEOUT, Result.NO_BUFFER])
def test_not_now_is_asked_again(bench: Bench, result: Result) -> None:
    seen: set[int] = set()

    def busy(request: ScpRequest) -> ScpReply:
        if request.sequence in seen:
            return bench.bmp.well(request)
        seen.add(request.sequence)
        return request.reply(result)

    bench.bmp.misbehave = busy
    bench.ask("job", {1}, cut={(1, Link.WEST)})
    bench.wait("job")
    assert bench.done["job"] == {}
    assert bench.driver.retries == len(seen) - 1, "but for the power command, which is sent again, apart"


def test_a_refusal_fails_the_board_with_the_result_in_words(bench: Bench) -> None:
    bench.bmp.misbehave = lambda request: (
        request.reply(Result.ARGUMENT) if request.command == BmpCommand.POWER else bench.bmp.well(request)
    )
    bench.ask("job", {1})
    bench.wait("job")
    assert bench.done["job"] == {1: f"its BMP at {ADDRESS} answers argument (0x84)"}


def test_a_board_that_the_bmp_refuses_to_power_fails_alone(bench: Bench) -> None:
    def refuse(request: ScpRequest) -> ScpReply:
        if request.command == BmpCommand.POWER and request.argument_2 & 1 << 5:
            return request.reply(Result.ARGUMENT)
        return bench.bmp.well(request)

    bench.bmp.misbehave = refuse
    bench.ask("bad", {5})
    bench.ask("good", {6, 7}, cut={(6, Link.WEST)})
    bench.wait("bad", "good")
    assert bench.done["bad"] == {5: f"its BMP at {ADDRESS} answers argument (0x84)"}
    assert bench.done["good"] == {}
    assert [request.header.destination.core for request in bench.bmp.of(BmpCommand.WRITE_FPGA)] == [6]


def test_a_silent_bmp_is_reported_and_so_is_its_return(bench: Bench) -> None:
    bench.bmp.misbehave = lambda request: None
    bench.ask("job", {1, 2})
    bench.wait("job")
    why = f"its BMP at {ADDRESS} does not answer"
    assert bench.done["job"] == {1: why, 2: why}
    assert bench.silences == [why]
    bench.bmp.misbehave = bench.bmp.well
    bench.pass_time(30.0)
    assert bench.silences == [why, None]


def test_an_idle_bmp_that_dies_is_noticed_without_any_job(bench: Bench) -> None:
    bench.process.enter(bench.driver.start)
    bench.pass_time(100.0)
    assert bench.silences == []
    assert len(bench.bmp.requests) == 4
    bench.bmp.misbehave = lambda request: None
    bench.pass_time(60.0)
    assert len(bench.silences) == 1


def test_old_bmps_are_spared_what_they_do_not_know() -> None:
    bench = Bench(OLD)
    bench.ask("job", {1}, cut={(1, Link.WEST)})
    bench.wait("job")
    assert bench.done["job"] == {}
    assert {request.command for request in bench.bmp.requests} == {BmpCommand.VERSION, BmpCommand.POWER}


def test_an_old_bmp_is_not_mistaken_for_a_new_one_because_it_was_busy() -> None:
    bench = Bench(OLD)
    bench.bmp.misbehave = lambda request: (
        request.reply(Result.TIMEOUT) if request.command == BmpCommand.VERSION else bench.bmp.well(request)
    )
    bench.ask("busy", {1})
    bench.wait("busy")
    bench.bmp.misbehave = bench.bmp.well
    bench.bmp.requests.clear()
    bench.ask("job", {1})
    bench.wait("job")
    assert bench.done["job"] == {}
    assert {request.command for request in bench.bmp.requests} == {BmpCommand.VERSION, BmpCommand.POWER}


def test_what_is_wanted_last_is_what_is_done(bench: Bench) -> None:
    bench.ask("first", {0})
    bench.pass_time(0.00005)
    bench.ask("on", {5})
    bench.ask("off", {5}, on=False)
    bench.wait("first", "on", "off")
    assert bench.bmp.powers() == [(1, 1), (0, 1 << 5)]


def test_a_bmp_that_answers_late_is_waited_for(bench: Bench) -> None:
    bench.network.troubles[Socket(ADDRESS, 17893)] = Trouble(slow=8.0)
    bench.ask("job", {1}, cut={(1, Link.WEST)})
    bench.wait("job")
    assert bench.done["job"] == {}
    assert bench.silences == []


@given(st.data())
def test_whatever_a_bmp_answers_every_piece_is_answered_once(data: st.DataObject) -> None:
    bench = Bench()
    answers = st.one_of(
        st.just("well"), st.just("nothing"), st.sampled_from(Result), st.binary(max_size=40), st.just("short")
    )

    def any_way(request: ScpRequest) -> ScpReply | bytes | None:
        answer = data.draw(answers)
        if answer == "well":
            return bench.bmp.well(request)
        if answer == "nothing":
            return None
        if answer == "short":
            return request.reply(data=b"\1")
        if isinstance(answer, Result):
            return request.reply(answer)
        return answer if isinstance(answer, bytes) else None

    budget = [40]

    def for_a_while(request: ScpRequest) -> ScpReply | bytes | None:
        budget[0] -= 1
        return any_way(request) if budget[0] > 0 else bench.bmp.well(request)

    bench.bmp.misbehave = for_a_while
    bench.ask("one", {0, 1}, cut={(0, Link.EAST)})
    bench.ask("two", {2}, on=False)
    bench.ask("three", {1, 3})
    bench.wait("one", "two", "three", limit=3600.0)
    assert not bench.process.faults


@pytest.mark.parametrize("seed", range(8))
def test_a_server_that_was_held_up_reads_the_answers_before_it_asks_again(seed: int) -> None:
    bench = Bench(seed=seed)

    def pausing(request: ScpRequest) -> ScpReply:
        bench.process.pause(300.0)
        return bench.bmp.well(request)

    bench.bmp.misbehave = pausing
    bench.ask("job", {0}, cut={(0, Link.NORTH)})
    bench.wait("job", limit=50 * MINUTES)
    assert bench.done["job"] == {}
    assert bench.driver.retries == 0
    assert bench.bmp.powers() == [(1, 0b1)]


def test_a_bmp_that_is_dead_is_silent_also_to_a_server_that_is_held_up_now_and_then(bench: Bench) -> None:
    bench.bmp.misbehave = lambda _request: None
    bench.ask("job", {0})
    for _ in range(20):
        bench.pass_time(7.0)
        bench.process.pause(20.0)
    bench.wait("job")
    assert "does not answer" in bench.done["job"][0]


def test_a_bmp_that_is_dead_is_silent_also_to_a_server_that_is_always_late(bench: Bench) -> None:
    bench.bmp.misbehave = lambda _request: None
    bench.process.lateness = 0.3
    bench.ask("job", {0})
    bench.wait("job")
    assert "does not answer" in bench.done["job"][0]


def test_a_bmp_that_answers_is_heard_by_a_server_that_is_always_late(bench: Bench) -> None:
    bench.process.lateness = 0.3
    bench.ask("job", {0}, cut={(0, Link.NORTH)})
    bench.wait("job")
    assert bench.done["job"] == {}
    assert bench.bmp.powers() == [(1, 0b1)]

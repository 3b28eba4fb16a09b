"""A board that does not answer, in a frame whose BMP answers for all others: it holds up nobody but its own job."""

import asyncio

import pytest

from spalloc_server.hardware.commands import BOARD_TRIES
from spalloc_server.hardware.frame import POWER_TRIES
from spinnaker.bmp import BmpCommand
from spinnaker.geometry import Link
from spinnaker.scp import Result, ScpReply, ScpRequest
from tests.simulation.network import Weather
from tests.spalloc_server.hardware.bench import ADDRESS, CHECK_SECONDS, Bench

SICK = 5
AT_ONCE = 0.2
"""Seconds in which a job is ready that waits for nobody."""
FIRST_SECONDS = 3.0
"""Seconds after which a board that answers nothing no longer holds up others."""

SWITCHED_SECONDS = 15.0
"""Seconds after which a board that can't be switched holds up no others that come later."""
TOGETHER_SECONDS = 45.0
"""Seconds after which the boards are ready that were to be switched in the same moment."""


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.process.enter(bench.driver.start)
    bench.ask("before", {0, SICK}, cut={(SICK, Link.NORTH)})
    bench.wait("before")
    bench.pass_time(10.0)
    bench.bmp.requests.clear()
    return bench


@pytest.fixture(params=[Result.TIMEOUT, None], ids=["says TIMEOUT", "says nothing"])
def answer(request: pytest.FixtureRequest) -> Result | None:
    return request.param


def fall_ill(bench: Bench, answer: Result | None) -> None:
    """Have the BMP switch a board as it is told, and answer nothing else for it."""

    def ill(request: ScpRequest) -> ScpReply | None:
        if request.command == BmpCommand.POWER or request.header.destination.core != SICK:
            return bench.bmp.well(request)
        return None if answer is None else request.reply(answer)

    bench.bmp.misbehave = ill


def refuse_to_switch(bench: Bench, answer: Result | None) -> None:
    """Have the BMP answer all but power commands with one board among others."""

    def ill(request: ScpRequest) -> ScpReply | None:
        if request.command != BmpCommand.POWER or not request.argument_2 >> SICK & 1:
            return bench.bmp.well(request)
        return None if answer is None else request.reply(answer)

    bench.bmp.misbehave = ill


def test_jobs_that_come_with_a_board_that_does_not_answer_and_after_it_are_soon_ready(
    bench: Bench, answer: Result | None
) -> None:
    fall_ill(bench, answer)
    bench.ask("sick", {SICK}, cut={(SICK, Link.NORTH)})
    bench.ask("together", {3}, cut={(3, Link.NORTH)})
    bench.pass_time(0.05)
    bench.ask("just after", {4}, cut={(4, Link.NORTH)})
    bench.wait("together", "just after", limit=FIRST_SECONDS)
    for slot in range(6, 20):
        bench.ask(f"later {slot}", {slot}, cut={(slot, Link.NORTH)})
        bench.wait(f"later {slot}", limit=AT_ONCE)
        bench.pass_time(1.0)
    bench.wait("sick", limit=60.0)
    assert list(bench.done.pop("sick")) == [SICK]
    assert set(map(str, bench.done.values())) == {"{}"}


def test_jobs_that_come_while_a_board_in_use_does_not_answer_are_ready_at_once(
    bench: Bench, answer: Result | None
) -> None:
    fall_ill(bench, answer)
    bench.pass_time(CHECK_SECONDS + FIRST_SECONDS)
    for number in range(200):
        bench.ask(f"job {number}", {2}, on=number % 2 == 0, cut={(2, Link.NORTH)})
        bench.wait(f"job {number}", limit=AT_ONCE)
        bench.pass_time(0.9)
    assert bench.lost == [], "what the BMP does not tell of a board in use is taken to be right"


@pytest.mark.parametrize("later", range(0, int(CHECK_SECONDS), 2))
def test_a_board_in_doubt_that_does_not_answer_holds_up_others_once(
    bench: Bench, answer: Result | None, later: int
) -> None:
    bench.ask("again", {SICK}, cut={(SICK, Link.NORTH)})
    bench.wait("again")
    bench.pass_time(later)
    bench.bmp.hear(bench.bmp.of(BmpCommand.WRITE_FPGA)[0])
    bench.pass_time(0.1)
    fall_ill(bench, answer)
    for slot in range(6, 12):
        bench.ask(f"job {slot}", {slot}, cut={(slot, Link.NORTH)})
    bench.wait(*(f"job {slot}" for slot in range(6, 12)), limit=FIRST_SECONDS)
    for slot in range(12, 20):
        bench.ask(f"later {slot}", {slot}, cut={(slot, Link.NORTH)})
        bench.wait(f"later {slot}", limit=AT_ONCE)
        bench.pass_time(1.0)


def test_a_frame_is_not_silent_because_one_of_its_boards_is(bench: Bench) -> None:
    fall_ill(bench, None)
    for number in range(5):
        bench.pass_time(2 * CHECK_SECONDS)
        bench.ask(f"on {number}", {SICK}, cut={(SICK, Link.NORTH)})
        bench.wait(f"on {number}")
        bench.ask(f"off {number}", {SICK}, on=False)
        bench.wait(f"off {number}")
        assert list(bench.done[f"on {number}"]) == list(bench.done[f"off {number}"]) == [SICK]
    assert bench.silences == []


def test_a_board_that_does_not_answer_is_given_its_time_and_its_tries(
    bench: Bench, answer: Result | None
) -> None:
    fall_ill(bench, answer)
    bench.ask("sick", {SICK}, cut={(SICK, Link.NORTH)})
    bench.wait("sick")
    (why,) = bench.done["sick"].values()
    assert f"its BMP at {ADDRESS} {'does not answer' if answer is None else 'answers'}" in why
    assert bench.bmp.powers() == [(1, 1 << SICK)] * (1 + POWER_TRIES), "briefly with others, then apart"


def test_a_board_that_answers_again_is_done_with_the_others_again(
    bench: Bench, answer: Result | None
) -> None:
    fall_ill(bench, answer)
    bench.pass_time(CHECK_SECONDS + FIRST_SECONDS)
    bench.bmp.misbehave = bench.bmp.well
    bench.pass_time(2 * CHECK_SECONDS)
    bench.bmp.requests.clear()
    bench.ask("one", {SICK}, cut={(SICK, Link.NORTH)})
    bench.ask("other", {6}, cut={(6, Link.NORTH)})
    bench.wait("one", "other", limit=AT_ONCE)
    assert bench.bmp.powers() == [(1, 1 << SICK | 1 << 6)]


def test_a_board_that_was_slow_and_is_off_by_now_is_told(bench: Bench, answer: Result | None) -> None:
    fall_ill(bench, answer)
    bench.pass_time(CHECK_SECONDS + FIRST_SECONDS)
    bench.bmp.on.discard(SICK)
    bench.bmp.misbehave = bench.bmp.well
    bench.pass_time(2 * CHECK_SECONDS)
    assert [slots for _, slots in bench.lost] == [{SICK: "its FPGA 0 has stopped running"}]


def test_a_bmp_that_is_silent_is_so_within_seconds_whichever_boards_were_asked_for(bench: Bench) -> None:
    bench.bmp.misbehave = lambda _request: None
    bench.ask("job", {3})
    bench.wait("job", limit=16.0)
    assert bench.silences == [f"its BMP at {ADDRESS} does not answer"]


def test_whoever_waits_for_a_frame_to_finish_waits_for_its_slow_boards_too(bench: Bench) -> None:
    fall_ill(bench, None)
    bench.ask("sick", {SICK}, cut={(SICK, Link.NORTH)})
    finished: list[bool] = []
    tasks: list[asyncio.Task[None]] = []

    async def finish() -> None:
        await bench.driver.finish()
        finished.append("sick" in bench.done)

    bench.process.enter(lambda: tasks.append(asyncio.get_running_loop().create_task(finish())))
    bench.world.run(until=lambda: bool(finished), limit=120.0)
    assert finished == [True]


@pytest.mark.parametrize("seed", range(8))
def test_boards_do_not_fail_because_a_third_of_all_datagrams_are_lost(seed: int) -> None:
    bench = Bench(seed=seed)
    bench.network.weather = Weather(loss=0.3)
    bench.process.enter(bench.driver.start)
    for number in range(5):
        on = {3 * number + slot for slot in range(3)}
        bench.ask(f"on {number}", on, cut={(slot, Link.NORTH) for slot in on})
        bench.wait(f"on {number}")
        bench.ask(f"off {number}", on, on=False)
        bench.wait(f"off {number}")
    assert set(map(str, bench.done.values())) == {"{}"}
    assert bench.silences == []


def test_a_board_that_answers_is_asked_no_more_because_of_one_that_does_not(bench: Bench) -> None:
    fall_ill(bench, None)
    bench.ask("sick", {SICK}, cut={(SICK, Link.NORTH)})
    bench.ask("well", {3}, cut={(3, Link.NORTH)})
    bench.wait("well")
    bench.pass_time(0.0001)
    asked = [request for request in bench.bmp.requests if request.command != BmpCommand.POWER]
    of_sick = [request for request in asked if request.header.destination.core == SICK]
    assert len(of_sick) == BOARD_TRIES, "one write, and nothing is read of a board that does not take it"
    assert len(asked) - len(of_sick) == 1 + 1 + 8, "a greeting, a write, and the reads of one board"


def test_a_bmp_has_no_more_than_eight_questions_to_answer_at_once(bench: Bench) -> None:
    bench.bmp.misbehave = lambda request: (
        None if request.command == BmpCommand.WRITE_FPGA else bench.bmp.well(request)
    )
    bench.ask("job", set(range(20)), cut={(slot, Link.NORTH) for slot in range(20)})
    bench.pass_time(0.2)
    assert len(bench.bmp.of(BmpCommand.WRITE_FPGA)) == 8, "it holds only a few packets"


def test_boards_fail_and_no_frame_is_silent_whose_bmp_answers_all_but_power_commands(bench: Bench) -> None:
    bench.bmp.misbehave = lambda request: (
        None if request.command == BmpCommand.POWER else bench.bmp.well(request)
    )
    bench.ask("job", {1, 2})
    bench.wait("job")
    why = f"its BMP at {ADDRESS} does not answer"
    assert bench.done["job"] == {1: why, 2: why}
    assert bench.silences == []


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
def test_a_board_that_can_not_be_switched_fails_alone_and_holds_up_nobody(
    bench: Bench, answer: Result | None, on: bool
) -> None:
    refuse_to_switch(bench, answer)
    bench.ask("sick", {SICK}, on=on)
    for slot in range(3):
        bench.ask(f"with {slot}", {slot}, on=on)
    for slot in range(6, 12):
        bench.pass_time(1.0)
        bench.ask(f"later {slot}", {slot}, cut={(slot, Link.NORTH)})
    bench.wait(*(f"later {slot}" for slot in range(6, 12)), limit=SWITCHED_SECONDS - 6.0)
    bench.wait(*(f"with {slot}" for slot in range(3)), limit=TOGETHER_SECONDS - SWITCHED_SECONDS)
    assert set(map(str, bench.done.values())) == {"{}"}
    for slot in range(12, 20):
        bench.ask(f"much later {slot}", {slot}, cut={(slot, Link.NORTH)})
        bench.wait(f"much later {slot}", limit=AT_ONCE)
    bench.wait("sick", limit=200.0)
    (why,) = bench.done.pop("sick").values()
    assert f"its BMP at {ADDRESS} {'does not answer' if answer is None else 'answers'}" in why
    assert set(map(str, bench.done.values())) == {"{}"}
    assert bench.silences == []


@pytest.mark.parametrize(("on", "commands"), [(True, 1 + 3 * 6), (False, 3 + 3 * 9)], ids=["on", "off"])
def test_a_board_that_can_not_be_switched_is_given_up_after_little_more_than_three_minutes(
    bench: Bench, on: bool, commands: int
) -> None:
    refuse_to_switch(bench, None)
    bench.ask("sick", {SICK}, on=on)
    bench.wait("sick", limit=205.0)
    assert len(bench.bmp.powers()) == commands, "briefly with others, then three times as long as it may take"


def test_a_board_that_could_not_be_switched_holds_up_nobody_when_it_is_tried_again(
    bench: Bench, answer: Result | None
) -> None:
    refuse_to_switch(bench, answer)
    bench.ask("sick", {SICK})
    bench.wait("sick")
    bench.ask("again", {SICK})
    bench.ask("with", {3}, cut={(3, Link.NORTH)})
    bench.wait("with", limit=AT_ONCE)
    bench.bmp.misbehave = bench.bmp.well
    bench.wait("again", limit=20.0)
    assert bench.done["again"] == bench.done["with"] == {}


def test_a_board_that_takes_nearly_ten_seconds_to_be_powered_on_is_told_once(bench: Bench) -> None:
    def slowly(request: ScpRequest) -> ScpReply | None:
        if request.command == BmpCommand.POWER and bench.bmp.misbehave == slowly:
            bench.bmp.misbehave = bench.bmp.well
            bench.world.after(9.9, bench.bmp.hear, request)
            return None
        return bench.bmp.well(request)

    bench.bmp.misbehave = slowly
    bench.ask("job", {1, 2}, cut={(1, Link.NORTH)})
    bench.wait("job")
    assert bench.done["job"] == {}
    assert bench.bmp.powers() == [(1, 0b110)]
    assert bench.retries == []


def test_a_lost_power_command_fails_no_board_and_is_told_once_more_for_all(bench: Bench) -> None:
    def lost(_request: ScpRequest) -> None:
        if bench.bmp.powers():
            bench.bmp.misbehave = bench.bmp.well

    bench.ask("awake", {0})
    bench.wait("awake")
    bench.bmp.requests.clear()
    bench.bmp.misbehave = lost
    bench.ask("job", set(range(1, 20)))
    bench.wait("job", limit=12.0)
    assert bench.done["job"] == {}
    assert bench.bmp.powers() == [(1, (1 << 20) - 2)] * 2


def test_a_bmp_that_falls_silent_with_a_power_command_is_told_to_be_silent(bench: Bench) -> None:
    bench.ask("before it", {3})
    bench.wait("before it")
    bench.bmp.misbehave = lambda _request: None
    bench.ask("job", {4})
    bench.wait("job", limit=30.0)
    assert bench.silences == [f"its BMP at {ADDRESS} does not answer"]

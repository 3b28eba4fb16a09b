"""Nothing expires before the server has read what came while it was held up; in simulated time."""

import logging
from collections.abc import Callable

import pytest

from spalloc_server.core.timekeeping import Delays
from spalloc_server.measures import Durations
from spalloc_server.presence import LONGEST_CATCH_UP_SECONDS, Deadline, Presence
from tests.simulation.network import Network
from tests.simulation.process import Process
from tests.simulation.world import World


class Bench:
    def __init__(self) -> None:
        self.world = World(1)
        self.process = Process(self.world, Network(self.world), "server")
        self.asleep = 0.0
        self.delays = Delays()
        self.durations = Durations()
        self.presence = Presence(self, self.delays, self.durations)
        self.process.enter(self.presence.start)

    def now(self) -> float:
        return self.world.now

    def wall(self) -> float:
        return self.world.now

    def suspended(self) -> float:
        return self.asleep

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    def ask(self) -> bool:
        answers: list[bool] = []
        self.process.enter(lambda: answers.append(self.presence.may_expire()))
        return answers[0]

    def moved(self, since: float) -> float:
        """By how much a deadline of somebody who was heard of `since` is moved."""
        return self.delays.deadline(since, 1e6) - 1e6 - since


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_in_a_server_that_is_on_time_jobs_and_clients_may_expire_at_any_time(bench: Bench) -> None:
    for _ in range(100):
        bench.pass_time(0.07)
        assert bench.ask()
    assert not sum(bench.durations.counts)


@pytest.mark.parametrize("seconds", [0.51, 3.0, 4000.0])
def test_a_pause_of_more_than_half_a_second_is_nobodys_silence(
    bench: Bench, seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    bench.pass_time(10.1)
    heard = bench.now()
    bench.process.pause(seconds)
    bench.pass_time(seconds + 0.1)
    assert bench.moved(heard) == pytest.approx(seconds, abs=0.26)
    assert sum(bench.durations.counts) == 1
    assert "the server waited" in caplog.text


def test_after_a_pause_nothing_expires_by_a_timer_that_comes_first(bench: Bench) -> None:
    bench.pass_time(10.1)
    allowed: list[bool] = []
    ask: Callable[[], None] = lambda: allowed.append(bench.presence.may_expire())  # noqa: E731
    bench.process.enter(lambda: bench.process.call_later(0.1, ask))
    bench.process.pause(5.0)
    bench.pass_time(5.0)
    assert allowed == [False]
    bench.pass_time(0.1)
    assert bench.ask()


def test_while_more_and_more_is_read_nothing_expires_for_a_while(bench: Bench) -> None:
    # Rounds take no time here; in this one, something is read in each.
    look = bench.presence._look

    def slow_look() -> None:
        bench.presence.something_was_read()
        bench.process.call_later(0.01, look)

    bench.presence._look = slow_look  # type: ignore[method-assign]
    bench.process.pause(5.0)
    bench.pass_time(4.9)
    bench.pass_time(0.1 + LONGEST_CATCH_UP_SECONDS / 2)
    assert not bench.ask()
    bench.pass_time(LONGEST_CATCH_UP_SECONDS)
    assert bench.ask()
    assert bench.moved(1000.0) == pytest.approx(5.0 + LONGEST_CATCH_UP_SECONDS, abs=0.3)


def test_a_suspended_computer_gives_everybody_their_whole_time_again(bench: Bench) -> None:
    bench.pass_time(50.0)
    bench.asleep += 3600.0
    assert not bench.ask()
    bench.pass_time(0.5)
    assert bench.ask()
    assert bench.delays.deadline(1010.0, 60.0) == pytest.approx(bench.now() + 60.0, abs=0.5)


def test_delays_that_come_again_and_again_do_not_fill_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            bench.process.pause(2.0)
            bench.pass_time(3.0)
        bench.pass_time(60.0)
        bench.process.pause(2.0)
        bench.pass_time(3.0)
    assert len(caplog.records) == 2
    assert "19 times more" in caplog.text


def test_what_waited_for_something_else_of_the_servers_is_a_delay_too(bench: Bench) -> None:
    bench.pass_time(10.0)
    bench.process.enter(bench.presence.note_delay, bench.now() - 4.0, "records to get onto the disk")
    assert not bench.ask()
    bench.pass_time(0.1)
    assert bench.ask()
    assert bench.moved(1000.0) == pytest.approx(4.0, abs=0.1)


def test_a_deadline_rings_when_it_is_over(bench: Bench) -> None:
    rung: list[float] = []
    ring: Callable[[], None] = lambda: rung.append(bench.now())  # noqa: E731
    bench.process.enter(lambda: bench.presence.when_over(bench.now(), 10.0, ring))
    bench.process.enter(lambda: bench.presence.when_over(bench.now(), 20.0, ring).cancel())
    bench.pass_time(9.9)
    assert not rung
    bench.pass_time(20.0)
    assert rung == [1010.0]


def test_a_deadline_is_moved_by_a_pause_even_if_it_passed_meanwhile(bench: Bench) -> None:
    rung: list[float] = []
    ring: Callable[[], None] = lambda: rung.append(bench.now())  # noqa: E731
    bench.process.enter(lambda: bench.presence.when_over(bench.now(), 10.0, ring))
    bench.pass_time(5.0)
    bench.process.pause(30.0)
    bench.pass_time(34.5)
    assert not rung
    bench.pass_time(10.0)
    assert len(rung) == 1


@pytest.mark.parametrize("lateness", [0.27, 0.6, 3.0])
def test_the_dead_end_also_while_every_round_of_the_loop_is_late(
    bench: Bench, lateness: float, caplog: pytest.LogCaptureFixture
) -> None:
    rung: list[float] = []
    ring: Callable[[], None] = lambda: rung.append(bench.now())  # noqa: E731
    bench.pass_time(1.0)
    began = bench.now()
    bench.process.lateness = lateness
    bench.process.enter(lambda: bench.presence.when_over(began, 1.0, ring))
    longest = LONGEST_CATCH_UP_SECONDS + 2 * lateness
    # Twice the time that is allowed and the longest delay, and until then expiry is allowed again.
    bench.pass_time(2 * 1.0 + 2 * longest)
    assert len(rung) == 1
    assert "the server waited" in caplog.text


@pytest.mark.parametrize("lateness", [0.27, 0.6, 3.0])
def test_a_client_that_is_heard_in_time_does_not_expire_while_every_round_of_the_loop_is_late(
    bench: Bench, lateness: float
) -> None:
    rung: list[float] = []
    ring: Callable[[], None] = lambda: rung.append(bench.now())  # noqa: E731
    bench.process.lateness = lateness
    for _ in range(100):
        made: list[Deadline] = []
        bench.process.enter(lambda made=made: made.append(bench.presence.when_over(bench.now(), 1.0, ring)))
        bench.pass_time(0.9)
        made[0].cancel()
    assert not rung


def test_records_that_are_always_late_do_not_make_one_endless_delay(bench: Bench) -> None:
    rung: list[float] = []
    ring: Callable[[], None] = lambda: rung.append(bench.now())  # noqa: E731
    bench.process.lateness = 0.3
    bench.process.enter(lambda: bench.presence.when_over(bench.now(), 1.0, ring))
    for _ in range(20):
        bench.pass_time(0.4)
        bench.process.enter(bench.presence.note_delay, bench.now() - 0.5, "records to get onto the disk")
    assert rung


def test_what_waits_to_expire_may_do_so_once_delays_are_no_longer_looked_for(bench: Bench) -> None:
    rung: list[float] = []
    ring: Callable[[], None] = lambda: rung.append(bench.now())  # noqa: E731
    bench.process.lateness = 0.3
    bench.process.enter(lambda: bench.presence.when_over(bench.now(), 0.5, ring))
    bench.pass_time(1.0)
    bench.process.enter(bench.presence.stop)
    bench.pass_time(1.0)
    assert rung


def test_a_fault_in_expiring_one_does_not_keep_others_from_it(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    rung: list[float] = []

    def fail() -> None:
        raise ValueError

    bench.pass_time(10.0)
    bench.process.enter(bench.presence.note_delay, bench.now() - 4.0, "records to get onto the disk")
    bench.presence.when_it_may_expire(fail)
    bench.presence.when_it_may_expire(lambda: rung.append(bench.now()))
    bench.pass_time(1.0)
    assert len(rung) == 1
    assert "ValueError" in caplog.text

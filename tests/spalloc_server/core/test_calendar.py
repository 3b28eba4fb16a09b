"""Nothing is deleted for being old on the word of a clock that has jumped."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.clock import moment
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.core.timekeeping import AT_REST_SECONDS, DRIFT_SECONDS, Calendar, Moment
from spalloc_server.service import DAY_SECONDS, Service
from spalloc_server.store.database import Store
from tests.spalloc_server.store.test_database import ended

RECORDED = 1.6e9


class Clock:
    """Clocks that only a test moves."""

    def __init__(self, wall: float) -> None:
        self.monotonic = 1000.0
        self.calendar = wall

    def now(self) -> float:
        return self.monotonic

    def wall(self) -> float:
        return self.calendar

    def suspended(self) -> float:
        return 0.0

    def let_pass(self, seconds: float) -> None:
        self.monotonic += seconds
        self.calendar += seconds


def test_a_clock_that_goes_on_from_the_records_is_believed() -> None:
    calendar = Calendar()
    calendar.begin(RECORDED, Moment(0.0, RECORDED + AT_REST_SECONDS - 1))
    assert calendar.believes(Moment(1.0, RECORDED + AT_REST_SECONDS))


def test_records_that_hold_nothing_doubt_no_clock() -> None:
    calendar = Calendar()
    calendar.begin(None, Moment(0.0, RECORDED))
    assert calendar.believes(Moment(0.0, RECORDED))


@given(
    st.sampled_from([31 * DAY_SECONDS, -31 * DAY_SECONDS, 1e9, -1e9, DRIFT_SECONDS * 2]),
    st.lists(st.floats(0.0, 7200.0), max_size=40),
)
def test_after_a_jump_nothing_is_believed_until_the_clock_was_steady_for_a_day(
    jump: float, pauses: list[float]
) -> None:
    calendar, clock = Calendar(), Clock(RECORDED)
    calendar.begin(None, moment(clock))
    clock.let_pass(3600.0)
    assert calendar.believes(moment(clock))
    clock.calendar += jump
    steady = 0.0
    assert not calendar.believes(moment(clock)), "the first look after a jump"
    for pause in pauses:
        clock.let_pass(pause)
        steady += pause
        assert calendar.believes(moment(clock)) == (steady >= AT_REST_SECONDS)


def test_a_clock_that_is_corrected_by_a_little_is_believed() -> None:
    calendar, clock = Calendar(), Clock(RECORDED)
    calendar.begin(RECORDED, moment(clock))
    for _ in range(100):
        clock.let_pass(3600.0)
        clock.calendar += 2.0
        assert calendar.believes(moment(clock))


@pytest.mark.parametrize("at", ["the start", "a later look"])
def test_a_wall_clock_31_days_ahead_deletes_no_history_and_is_told(
    at: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "state")
    store.write({1: ended(1, RECORDED)}, {})
    store.close()
    clock = Clock(RECORDED + 60.0)
    jump = 31 * DAY_SECONDS

    def kept(service: Service) -> list[int]:
        return [record.id for record in service._store.ended_jobs(None, None, 9)]

    async def run() -> None:
        if at == "the start":
            clock.calendar += jump
        configuration = Configuration(state=tmp_path / "state", v1=Listening(0))
        service = Service(configuration, clock=clock)
        await service.start()
        await service.tidy()
        if at == "a later look":
            assert kept(service) == [1]
            clock.calendar += jump
            await service.tidy()
        assert kept(service) == [1]
        assert "the clock has jumped, to 20" in caplog.text
        assert "1 ended job is old by it, and kept" in caplog.text
        clock.let_pass(AT_REST_SECONDS)
        await service.tidy()
        assert kept(service) == []
        await service.stop()

    asyncio.run(run())

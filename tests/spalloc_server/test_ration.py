"""Clients can't fill the log, however often they are refused."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.ration import MOST_ADDRESSES, WINDOW_SECONDS, Ration
from tests.spalloc_server.fronts.test_front import Front, run


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * MOST_ADDRESSES).map(str), st.floats(0, WINDOW_SECONDS)), max_size=300
    )
)
def test_every_line_is_either_logged_or_counted_and_few_are_logged(events: list[tuple[str, float]]) -> None:
    ration = Ration()
    now, windows, logged, counted = 0.0, 1, 0, 0
    for address, pause in events:
        now += pause
        summary = ration.summary(now)
        windows += bool(summary)
        counted += sum(count for _, count in summary)
        assert len(summary) <= MOST_ADDRESSES + 1
        logged += ration.admits(address, now)
    counted += sum(count for _, count in ration.summary(float("inf")))
    assert logged + counted == len(events)
    assert logged <= MOST_ADDRESSES * (now // WINDOW_SECONDS + 1)


def test_an_address_may_have_more_lines_than_one() -> None:
    ration = Ration(lines=3, addresses=1)
    assert [ration.admits("10.0.0.1", 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert not ration.admits("10.0.0.2", 0.0)
    assert ration.summary(60.0) == [("10.0.0.1", 2), (None, 1)]


def test_an_address_is_named_again_when_the_minute_is_over() -> None:
    ration = Ration()
    assert ration.admits("10.0.0.1", 0.0)
    assert not ration.admits("10.0.0.1", 59.0)
    assert ration.summary(59.9) == []
    assert ration.summary(60.0) == [("10.0.0.1", 1)]
    assert ration.admits("10.0.0.1", 60.0)


def test_hundreds_of_refused_clients_make_one_line_and_one_count(caplog: pytest.LogCaptureFixture) -> None:
    async def test(front: Front) -> None:
        front.front.admission = lambda address: f"{address} may not connect"
        for _ in range(200):
            peer = await front.connect()
            assert await peer.line() == {"exception": "127.0.0.1 may not connect"}
            peer.writer.close()
        assert front.front.refused == 200

    with caplog.at_level(logging.WARNING, "spalloc_server"):
        run(test)
    # It is run in two kinds of event loops.
    assert [record.getMessage() for record in caplog.records] == 2 * [
        "a client at 127.0.0.1 is refused: 127.0.0.1 may not connect",
        "199 more clients at 127.0.0.1 were refused",
    ]

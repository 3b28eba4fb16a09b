"""What the server's own delays leave of the time that others have."""

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.timekeeping import REMEMBERED_DELAYS, Delays

LENGTHS = st.floats(0.5, 5000.0)
PAUSES = st.lists(st.tuples(st.floats(0.01, 100.0), LENGTHS), max_size=2 * REMEMBERED_DELAYS)


def _made(pauses: list[tuple[float, float]]) -> tuple[Delays, float]:
    """Return delays, each so long after the one before, and when the last one ended."""
    delays, now = Delays(), 0.0
    for work, length in pauses:
        delays.add(now + work, now + work + length)
        now += work + length
    return delays, now


def test_without_delays_everybody_has_what_is_allowed() -> None:
    assert Delays().deadline(5.0, 60.0) == 65.0


def test_a_delay_moves_a_deadline_by_its_length_however_long_it_was() -> None:
    delays = Delays()
    delays.add(20.0, 5020.0)
    assert delays.deadline(0.0, 60.0) == 5060.0


def test_who_was_heard_of_during_a_delay_is_given_only_what_came_after() -> None:
    delays = Delays()
    delays.add(20.0, 30.0)
    assert delays.deadline(28.0, 60.0) == 90.0


def test_delays_that_overlap_count_once() -> None:
    delays = Delays()
    delays.add(20.0, 30.0)
    delays.add(10.0, 40.0)
    assert delays.deadline(0.0, 60.0) == 90.0


@given(PAUSES, st.floats(0.0, 1.0), st.floats(0.5, 10_000.0))
def test_the_dead_end_however_often_the_server_is_stopped(
    pauses: list[tuple[float, float]], heard: float, allowed: float
) -> None:
    delays, now = _made(pauses)
    since = heard * now
    # What is forgotten of the oldest delays is where they were, not how long: together they count as one.
    longest = max((length for _, length in pauses[-REMEMBERED_DELAYS + 1 :]), default=0.0)
    longest = max(longest, sum(length for _, length in pauses[: -REMEMBERED_DELAYS + 1]))
    assert since + allowed <= delays.deadline(since, allowed) <= since + 2 * allowed + longest + 1e-6


@given(PAUSES, st.floats(0.5, 10_000.0))
def test_nobody_is_charged_with_a_delay_that_is_shorter_than_what_is_allowed(
    pauses: list[tuple[float, float]], allowed: float
) -> None:
    delays, _ = _made(pauses)
    lost = sum(length for _, length in pauses)
    if lost <= allowed:
        assert abs(delays.deadline(0.0, allowed) - (allowed + lost)) < 1e-6


@given(PAUSES, st.floats(0.5, 1000.0), st.floats(0.0, 1.0))
def test_who_is_over_is_past_the_deadline(
    pauses: list[tuple[float, float]], allowed: float, when: float
) -> None:
    delays, now = _made(pauses)
    at = when * (now + 2 * allowed)
    assert delays.is_over(0.0, allowed, at) == (at > delays.deadline(0.0, allowed))

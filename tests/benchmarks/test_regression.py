"""When a ratio counts as lost."""

import tomllib

import pytest

from benchmarks.regression.recorded import ATTEMPTS, as_toml, lost

BEFORE = {"work": 4.0}
ALLOWED = 0.5


def test_a_ratio_as_it_was_is_taken_once() -> None:
    taken: list[float] = []
    assert lost("work", lambda: taken.append(4.0) or 4.0, BEFORE, ALLOWED) is None
    assert len(taken) == 1


def test_a_bad_moment_is_given_another_chance() -> None:
    values = iter([0.1, 0.1, 3.9])
    assert lost("work", lambda: next(values), BEFORE, ALLOWED) is None


def test_a_ratio_that_stays_below_half_is_lost_and_the_sentence_says_how_much() -> None:
    taken: list[float] = []
    below = 4.0 * ALLOWED - 0.01
    said = lost("work", lambda: taken.append(below) or below, BEFORE, ALLOWED)
    assert len(taken) == ATTEMPTS
    assert said is not None
    assert "1.99 times better" in said
    assert "4.00 times is recorded" in said


def test_a_ratio_that_nobody_recorded_is_an_error() -> None:
    with pytest.raises(KeyError, match="benchmarks.regression"):
        lost("other", lambda: 1.0, BEFORE, ALLOWED)


def test_what_is_written_is_read_again() -> None:
    assert tomllib.loads(as_toml({"a `b`, 1": 2.5})) == {"a `b`, 1": 2.5}

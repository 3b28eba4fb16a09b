"""What samples come to: the rules that every figure of the documentation rests on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.suite.statistics import Better, Spread, spread, times_better

SAMPLES = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


def test_half_of_the_samples_lie_between_the_quartiles() -> None:
    assert spread([5, 1, 4, 2, 3]) == Spread(3, 2, 4)


def test_a_single_sample_has_no_spread() -> None:
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_no_samples_are_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="no samples"):
        spread([])


def test_half_the_time_is_twice_as_good() -> None:
    assert times_better([1.0, 1.0], [2.0, 2.0], Better.LOWER) == Spread(2, 2, 2)


def test_twice_the_rate_is_twice_as_good() -> None:
    assert times_better([10.0], [5.0], Better.HIGHER).median == 2


def test_a_disturbance_of_both_sides_in_one_round_leaves_the_ratio_alone() -> None:
    assert times_better([1.0, 100.0, 1.0], [3.0, 300.0, 3.0], Better.LOWER) == Spread(3, 3, 3)


def test_rounds_that_only_one_took_part_in_are_compared_with_the_others_median() -> None:
    assert times_better([1.0, 2.0, 4.0], [8.0], Better.LOWER) == Spread(4, 3, 6)


@pytest.mark.parametrize(("ours", "theirs"), [([], [1.0]), ([1.0], []), ([0.0], [1.0]), ([1.0], [-1.0])])
def test_a_ratio_of_nothing_or_to_nothing_is_an_error(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ValueError, match="sample"):
        times_better(ours, theirs, Better.LOWER)


@given(SAMPLES)
def test_a_median_lies_between_its_quartiles_and_these_among_the_samples(samples: list[float]) -> None:
    of = spread(samples)
    assert min(samples) <= of.low <= of.median <= of.high <= max(samples)


@given(SAMPLES, st.sampled_from(Better))
def test_nobody_is_better_than_himself(samples: list[float], better: Better) -> None:
    assert times_better(samples, samples, better) == Spread(1, 1, 1)


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_what_is_better_one_way_is_worse_the_other(ours: float, theirs: float) -> None:
    forth = times_better([ours], [theirs], Better.LOWER).median
    back = times_better([theirs], [ours], Better.LOWER).median
    assert forth * back == pytest.approx(1)
    assert times_better([ours], [theirs], Better.HIGHER).median == pytest.approx(back)

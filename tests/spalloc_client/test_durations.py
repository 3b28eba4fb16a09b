"""What people may write for a duration, and how one is written for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client import durations

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

WRITTEN = {
    "90s": 90.0,
    "30m": 30 * MINUTE,
    "2h": 2 * HOUR,
    "1d": DAY,
    "1h30m": 1.5 * HOUR,
    "1h 30m": 1.5 * HOUR,
    "1d2h3m4s": DAY + 2 * HOUR + 3 * MINUTE + 4,
    " 2H ": 2 * HOUR,
    "1.5h": 1.5 * HOUR,
    "0.5s": 0.5,
    # Slurm's
    "90": 90 * MINUTE,
    "30:00": 30 * MINUTE,
    "0:05": 5.0,
    "90:00": 90 * MINUTE,
    "1:30:00": 1.5 * HOUR,
    "2-0": 2 * DAY,
    "2-0:30": 2 * DAY + 30 * MINUTE,
    "2-12:30:05": 2.5 * DAY + 30 * MINUTE + 5,
    "0-36": 1.5 * DAY,
}


@pytest.mark.parametrize(("text", "seconds"), WRITTEN.items())
def test_a_duration_is_read_with_units_and_as_slurm_has_it(text: str, seconds: float) -> None:
    assert durations.read(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "0", "0s", "0:00", "0-0", "-5", "-5m", "soon", "30 minutes", "5x", "m", "30m1h", "1h1h", "1:2:3:4",
        "1-", "-1", "1-2:3:4:5", "1.5", "1.5:00", ":30", "30:", "nan", "inf", "1e3", "²m", "9" * 10, "9" * 400 + "h",
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused_by_name_with_examples_of_what_is_one(text: str) -> None:
    with pytest.raises(
        ValueError, match="can't be read; it must be a duration above 0, such as 30m"
    ) as error:
        durations.read(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("seconds", "short", "words"),
    [
        (1800, "30m", "30 minutes"),
        (5400.0, "1h30m", "1 hour 30 minutes"),
        (1.0, "1s", "1 second"),
        (0.5, "0.5s", "0.5 seconds"),
        (0.0, "0s", "0 seconds"),
        (-3.0, "0s", "0 seconds"),
        (60.0, "1m", "1 minute"),
        (299.98, "5m", "5 minutes"),
        (86400.0, "1d", "1 day"),
        (2 * DAY + 30 * MINUTE + 1, "2d30m1s", "2 days 30 minutes 1 second"),
    ],
)
def test_a_duration_is_written_in_short_and_in_words(seconds: float, short: str, words: str) -> None:
    assert (durations.written(seconds), durations.in_words(seconds)) == (short, words)


@given(st.integers(1, 10**9))
def test_what_is_written_is_read_as_the_same_duration(seconds: int) -> None:
    assert durations.read(durations.written(seconds)) == seconds

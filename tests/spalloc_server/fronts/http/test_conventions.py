"""How durations, times, booleans and numbers are read and written over HTTP."""

from typing import Any

import pytest

from spalloc_server.fronts.http.api.answers import HttpError
from spalloc_server.fronts.http.api.conventions import read_boolean, read_whole_number, seconds, written_time


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (60, 60.0),
        (60.5, 60.5),
        ("PT60S", 60.0),
        ("pt1m", 60.0),
        ("PT1H30M0.5S", 5400.5),
        ("P1D", 86_400.0),
        ("P1DT2H", 93_600.0),
        ("PT0S", 0.0),
    ],
)
def test_durations_are_iso_8601_or_seconds(written: float | str, read: float) -> None:
    assert seconds("x", written) == read


@pytest.mark.parametrize(
    "written", ["", "P", "PT", "60", "PT-1S", "1H", "P1M", "PT1S ", "PT٣S", float("inf"), "P1W"]
)
def test_what_is_no_duration_is_told(written: Any) -> None:
    with pytest.raises(HttpError, match="it must be a duration such as PT60S"):
        seconds("x", written)


def test_times_are_whole_seconds_of_utc() -> None:
    assert written_time(1_796_169_050.99) == "2026-12-01T23:50:50Z"


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("True", True), ("FALSE", False), ("fAlse", False)]
)
def test_booleans_are_read_in_any_case(word: str, value: bool) -> None:
    assert read_boolean("x", word) is value


@pytest.mark.parametrize("word", ["", "1", "yes", "truE "])
def test_other_words_are_no_booleans(word: str) -> None:
    with pytest.raises(HttpError, match="it must be true or false"):
        read_boolean("x", word)


@pytest.mark.parametrize("word", ["", "-", "+1", "1.0", "0x1", "1_000", "٣", "--1", "1" * 30])
def test_numbers_are_decimal_digits(word: str) -> None:
    assert (read_whole_number("x", "-12"), read_whole_number("x", "007")) == (-12, 7)
    with pytest.raises(HttpError, match="it must be a whole number in decimal digits"):
        read_whole_number("x", word)

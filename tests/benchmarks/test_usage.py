"""The measurement of who used what asks the questions that it says."""

from math import fsum
from pathlib import Path

from benchmarks.server.usage import BEGIN, YEAR, charges, measure


def test_each_question_is_measured(tmp_path: Path) -> None:
    found = measure(50, tmp_path)
    assert list(found) == [
        "a year by owner",
        "a year by account",
        "a year by group",
        "a year by machine",
        "the last month by owner",
    ]


def test_jobs_are_of_a_year_and_in_the_order_in_which_they_ended() -> None:
    made = charges(1000)
    assert all(BEGIN <= charge.begun < BEGIN + YEAR and charge.begun < charge.ended for charge in made)
    assert made == sorted(made, key=lambda charge: charge.ended)
    assert fsum(charge.board_seconds for charge in made) > 0

"""Substitutions, the CSV, progress in words, and places in the queue: values only."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.deadline import spoken
from spalloc_client.scripts.queue import QueuePosition, ordinal, place_among
from spalloc_client.scripts.substitutions import csv, substituted
from spalloc_client.scripts.wording import asked_for, cause, duration, sentence, waiting
from spalloc_client.states import JobState

TOKENS: dict[str, object] = {
    "": "host", "hostname": "host", "w": 16, "width": 16, "h": 8, "height": 8, "ethernet_ips": "f.csv", "id": 7
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("rig-boot {} {w} {h} && python my_app.py {}", "rig-boot host 16 8 && python my_app.py host"),
        ("{hostname} {width}x{height} {ethernet_ips} {id}", "host 16x8 f.csv 7"),
        ("{{}} {w:03d}", "{} 016"),
        ("awk '{print $1}' {ethernet_ips}", "awk '{print $1}' f.csv"),
        ("echo ${HOME} {id}", "echo ${HOME} 7"),
        ('{"boards": {"x": 1}}', '{"boards": {"x": 1}}'),
        ("f() { echo {w}; }; f", "f() { echo 16; }; f"),
        ("{", "{"),
        ("{0} {1}", "{0} {1}"),
        ("{hostname.upper}{nothing}", "{hostname.upper}{nothing}"),
    ],
)
def test_tokens_are_substituted_and_other_braces_stay(given: str, wanted: str) -> None:
    assert substituted(given, TOKENS) == wanted


@given(st.text())
def test_any_text_can_be_substituted_in(text: str) -> None:
    substituted(text, TOKENS)


@given(st.text(st.characters(exclude_characters="{}")))
def test_text_without_braces_stays_as_it_is(text: str) -> None:
    assert substituted(text, TOKENS) == text


def test_the_csv_is_sorted_under_its_heading() -> None:
    assert csv([(8, 4, "c"), (0, 0, "a"), (0, 12, "b")]) == "x,y,hostname\n0,0,a\n0,12,b\n8,4,c\n"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (7.9, "0:07"), (61, "1:01"), (3599, "59:59"), (3723, "1:02:03")]
)
def test_a_duration_reads_as_on_a_clock(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (113, "113th"),
        (21, "21st"),
    ],
)
def test_a_place_in_the_queue_is_written_as_it_is_spoken(number: int, shown: str) -> None:
    assert ordinal(number) == shown


def test_a_place_is_counted_among_queued_jobs() -> None:
    place = place_among(9, [4, 9, 12])
    assert str(place) == "2nd of 3"
    assert place_among(5, [4, 9]) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "1 board"),
        ([1], "1 board"),
        ([5], "5 boards"),
        ([4, 2], "4x2 triads"),
        ([3, 4, 0], "board (3, 4, 0)"),
        (["\x1b"], "\\x1b boards"),
    ],
)
def test_how_much_a_job_asks_for_in_words(arguments: list[object], words: str) -> None:
    assert asked_for(arguments) == words


def test_why_a_job_waits_is_said_without_its_place_or_its_boards_twice() -> None:
    place = QueuePosition(1, 2, "Number 1 of 2 in the queue; it needs 9 boards, and 3 are free on m.")
    said = cause(place, "9 boards")
    assert said is not None
    assert said.plain == "It needs 9 boards, and 3 are free on m."
    said = cause(place, "3x1 triads")
    assert said is not None
    assert said.plain == "Asks for 3x1 triads; it needs 9 boards, and 3 are free on m."
    assert cause(QueuePosition(2, 5), None) is None


def test_what_is_said_of_each_state() -> None:
    assert sentence(3, JobState.queued).plain == "Job 3: Waiting in queue..."
    assert sentence(3, JobState.power).plain == "Job 3: Waiting for power on..."
    assert sentence(3, JobState.ready).plain == "Job 3: Ready!"
    assert sentence(3, JobState.destroyed).plain == "Job 3: Destroyed."
    assert sentence(3, JobState.destroyed, "Because\x1b.").plain == "Job 3: Destroyed: Because\\x1b."
    assert sentence(3, JobState.unknown).plain == "Job 3: Job not recognised by server."
    assert sentence(3, 17).plain == "Job 3: Entered an unrecognised state 17."
    assert (
        waiting(3, JobState.queued, 42, QueuePosition(2, 5)).plain
        == "Job 3: Waiting in queue... 0:42 (2nd of 5)"
    )
    assert waiting(3, JobState.power, 42, None).plain == "Job 3: Waiting for power on... 0:42"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (4.999482968999928, "5 s"),
        (5, "5 s"),
        (0.25, "0.25 s"),
        (0.0512345, "0.051 s"),
        (2.54, "2.5 s"),
        (86400.0, "86400 s"),
        (float("inf"), "inf s"),
    ],
)
def test_a_timeout_is_told_without_the_digits_of_measuring(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


def test_a_state_is_printed_as_its_name_and_stays_a_number() -> None:
    assert (str(JobState.ready), f"{JobState.ready}", JobState.ready + 0) == ("ready", "ready", 3)
    assert json.dumps(JobState.ready) == "3"

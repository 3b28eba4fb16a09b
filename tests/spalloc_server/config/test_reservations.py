"""What a `[[reservation]]` means, and what is said about one that is wrong."""

import pytest

from spalloc_server.config.changes import differences
from spalloc_server.config.mistakes import ConfigurationError
from spinnaker.geometry import Board
from tests.spalloc_server.config.examples import ONE_BOARD, THREE_BOARDS, read

COURSE = """
[[reservation]]
name = "course"
machine = "by hand"
boards = [[0, 0, 0], [0, 0, 2]]
from = 2026-12-01T09:00:00+01:00
to = 2026-12-01 12:00:00+01:00
owners = ["jane", "joe"]
reason = "a course"
ends_jobs = false
"""
CABLE = """
[[reservation]]
name = "cable"
tag = "three"
from = 2026-12-01T11:00:00Z
to = 2026-12-02T11:00:00Z
reason = "a cable"
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        read(THREE_BOARDS + text)
    return [mistake.sentence for mistake in error.value.mistakes]


def test_a_reservation_says_what_for_whom_and_from_when_to_when() -> None:
    course, cable = read(THREE_BOARDS + COURSE + CABLE).reservations
    assert course.name == "course"
    assert course.boards == {("by hand", Board(0, 0, 0)), ("by hand", Board(0, 0, 2))}
    assert (course.begins, course.ends) == (1_796_112_000.0, 1_796_122_800.0)
    assert course.owners == {"jane", "joe"}
    assert (course.reason, course.ends_jobs, course.by) == ("a course", False, None)
    assert (cable.boards, cable.machines, cable.tags) == (frozenset(), frozenset(), {"three"})
    assert (cable.owners, cable.ends_jobs) == (frozenset(), True)
    (whole,) = read(THREE_BOARDS + COURSE.replace("boards = [[0, 0, 0], [0, 0, 2]]\n", "")).reservations
    assert (whole.boards, whole.machines) == (frozenset(), {"by hand"})


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ('name = "course"', "", "reservation[0] has no name; expected a name"),
        ('name = "course"', f'name = "{"x" * 65}"', "has no name of 1 to 64 printable characters"),
        (
            "T09:00:00+01:00",
            "T09:00:00",
            'from is "2026-12-01 09:00:00"; expected a date and time with its offset',
        ),
        ("2026-12-01T09:00:00+01:00", '"2026-12-01T09:00:00Z"', "without quotation marks"),
        (
            "2026-12-01T09:00:00+01:00",
            "09:00:00",
            'from is "09:00:00"; expected a date and time with its offset',
        ),
        ("to = 2026-12-01 12:00:00+01:00", "", "has no to; expected a date and time"),
        (
            "to = 2026-12-01",
            "to = 2026-11-01",
            "ends at 2026-11-01 at 11:00:00 UTC, which is not after it begins",
        ),
        ("to = 2026", "to = 2028", "is 731 days long; 366 are allowed"),
        ('machine = "by hand"', 'machine = "x"', 'machine is "x"; expected the name of a machine: by hand'),
        ('machine = "by hand"', "", "has neither machine nor tag; expected one of them"),
        (
            'machine = "by hand"\nboards = [[0, 0, 0], [0, 0, 2]]',
            'tag = "nine"',
            'tag is "nine"; expected a tag that a machine has',
        ),
        (
            'machine = "by hand"',
            'tag = "three"',
            "boards can't stand beside tag; name the machine of the boards",
        ),
        ("[0, 0, 2]", "[0, 1, 2]", "expected a board's [x, y, z] with x below 1, y below 1 and z below 3"),
        ("[[0, 0, 0], [0, 0, 2]]", "[]", "for all boards of the machine, leave boards out"),
        (
            '["jane", "joe"]',
            "[]",
            "owners is []; expected at least one owner; for maintenance, leave owners out",
        ),
        ('reason = "a course"', "", "has no reason; expected why"),
        ("ends_jobs = false", "ends_jobs = 0", "ends_jobs is 0; expected true or false"),
        ("ends_jobs", "end_jobs", "is not a setting; did you mean 'ends_jobs'?"),
    ],
)
def test_what_is_wrong_with_a_reservation_is_said(old: str, new: str, mistake: str) -> None:
    assert COURSE.count(old) == 1
    (said,) = mistakes(COURSE.replace(old, new))
    assert mistake in said


def test_reservations_of_the_same_boards_at_one_time_for_others_are_a_mistake() -> None:
    (said,) = mistakes(COURSE + CABLE.replace("T11:00:00Z", "T10:59:59Z"))
    assert said.startswith(
        'reservation "cable" overlaps the reservation course, which has 2 boards of by hand for '
    )
    (said,) = mistakes(COURSE + COURSE.replace("2026-12-01", "2026-12-02"))
    assert said == 'reservation "course" has the name of another one; give it another name'


def test_a_mistake_in_a_machine_is_not_told_again_of_its_reservations() -> None:
    with pytest.raises(ConfigurationError) as error:
        read((THREE_BOARDS + COURSE + CABLE).replace('size = "1x1"', 'size = "0x1"'))
    assert len(error.value.mistakes) == 1


def test_more_than_a_hundred_reservations_are_refused() -> None:
    names = (CABLE.replace('"cable"', f'"cable {number}"') for number in range(101))
    (said,) = mistakes("".join(names))
    assert said.startswith(
        "reservation[100] is one of 101 reservations; 100 are allowed: take out those that"
    )


def test_what_is_different_in_reservations_is_told_in_the_words_of_the_file() -> None:
    before = read(THREE_BOARDS + COURSE)
    longer = COURSE.replace("12:00:00", "12:30:00").replace('"jane", ', "")
    later = CABLE.replace("2026-12-0", "2026-12-1")
    assert differences(before, read(THREE_BOARDS + longer + later)) == [
        'reservation "course" has different to, owners',
        'reservation "cable" is new',
    ]
    assert differences(before, read(THREE_BOARDS)) == ['reservation "course" is gone']
    assert read(ONE_BOARD).reservations == ()

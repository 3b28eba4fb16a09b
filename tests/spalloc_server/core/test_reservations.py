"""What a reservation may be, which boards it has, and which may stand side by side."""

from dataclasses import replace

import pytest

from spalloc_server.core.reservations import Reservation, clash_sentence, first_to_end, flaw
from spinnaker.geometry import Board
from tests.spalloc_server.core.driver import machine

NINE = 1_796_112_000.0
"""2026-12-01 at 08:00:00 UTC."""
HOUR = 3600.0
DAY = 86_400.0
COURSE = Reservation(
    "course", NINE, NINE + HOUR, "a course", machines=frozenset({"m"}), owners=frozenset({"jane"})
)
BOARD = Board(0, 0, 1)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"name": ""}, "has no name of 1 to 64 printable characters"),
        ({"name": "x" * 65}, "has no name of 1 to 64 printable characters"),
        ({"name": "a\nb"}, "has no name of 1 to 64 printable characters"),
        ({"name": " x"}, "has no name of 1 to 64 printable characters"),
        ({"machines": frozenset()}, "has no boards; name boards, a machine or a tag"),
        ({"reason": " "}, "has no reason that can be read"),
        ({"owners": frozenset({""})}, "has an owner without a name"),
        ({"ends": NINE}, "ends at 2026-12-01 at 08:00:00 UTC, which is not after it begins, at 2026-12-01"),
        ({"ends": NINE + 367 * DAY}, "is 367 days long; 366 are allowed"),
        ({"begins": float("-inf")}, "has no times that a calendar has"),
        ({"ends": 1e18, "begins": 1e18 - 1}, "has no times that a calendar has"),
    ],
)
def test_a_reservation_that_can_not_be_is_refused_with_the_reason(
    change: dict[str, object], wrong: str
) -> None:
    found = flaw(replace(COURSE, **change))  # type: ignore[arg-type]
    assert found is not None
    assert found.startswith(wrong)


def test_the_longest_name_and_the_longest_time_are_allowed() -> None:
    assert flaw(replace(COURSE, name="x" * 64, ends=NINE + 366 * DAY)) is None


def test_boards_are_reserved_singly_by_machine_and_by_tag_but_only_live_ones() -> None:
    ours = machine(1, 1, dead_boards=frozenset({Board(0, 0, 2)}))
    both = frozenset({Board(0, 0, 0), BOARD})
    assert COURSE.boards_on(ours) == both
    nothing = replace(COURSE, machines=frozenset())
    assert replace(nothing, tags=frozenset({"default"})).boards_on(ours) == both
    assert replace(nothing, tags=frozenset({"other"})).boards_on(ours) == frozenset()
    some = frozenset({("m", BOARD), ("m", Board(0, 0, 2)), ("n", Board(0, 0, 0)), ("m", Board(9, 9, 0))})
    assert replace(nothing, boards=some).boards_on(ours) == frozenset({BOARD})


def test_two_reservations_of_the_same_boards_at_one_time_must_be_for_the_same_owners() -> None:
    cable = replace(
        COURSE,
        name="cable",
        machines=frozenset(),
        boards=frozenset({("m", BOARD)}),
        owners=frozenset(),
        begins=NINE + 1800.0,
        ends=NINE + DAY,
    )
    assert clash_sentence(cable, [COURSE], [machine()]) == (
        "overlaps the reservation course, which has 1 board of m for jane from 2026-12-01 at 08:30:00 UTC to "
        "2026-12-01 at 09:00:00 UTC; give it other boards or times, or the same owners"
    )
    for other in (
        replace(cable, begins=COURSE.ends),
        replace(cable, boards=frozenset({("n", BOARD)})),
        replace(cable, owners=frozenset({"jane"})),
    ):
        assert clash_sentence(other, [COURSE], [machine(), machine(name="n")]) is None


def test_two_reservations_can_not_have_one_name() -> None:
    other = replace(COURSE, begins=NINE + DAY, ends=NINE + 2 * DAY)
    assert clash_sentence(other, [COURSE], [machine()]) == "has the name of another one; give it another name"


def test_the_first_reservation_that_is_for_others_ends_a_job() -> None:
    boards = COURSE.boards_on(machine())
    later = replace(COURSE, name="later", owners=frozenset({"joe"}), begins=NINE + DAY, ends=NINE + 2 * DAY)
    both = [(later, boards), (COURSE, boards)]
    some = frozenset({BOARD})
    assert first_to_end("mary", some, both) is COURSE
    assert first_to_end("jane", some, both) is later
    assert first_to_end("mary", frozenset({Board(7, 7, 0)}), both) is None
    assert first_to_end("mary", some, [(replace(COURSE, ends_jobs=False), boards)]) is None


def test_a_reservation_says_for_whom_it_is() -> None:
    assert replace(COURSE, owners=frozenset()).for_whom == "maintenance"
    assert replace(COURSE, owners=frozenset("gfedcba")).for_whom == "a, b, c, d, e and 2 more"
    assert COURSE.why == (
        "Its boards are reserved for jane from 2026-12-01 at 08:00:00 UTC (course): a course"
    )

"""What `spalloc-server reservations` is told, and told back: the words, without a socket."""

import pytest

from spalloc_server.core.reservations import MOST_RESERVATIONS
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer
from spalloc_server.operation.reservation_commands import ReservationCommands
from tests.spalloc_server.fronts.v1.simulated import SimulatedFront, simulated_front

# The clock of simulated sites says 2001-09-09 at 01:46:40 UTC and a thousand seconds more.
COURSE = {
    "name": "course",
    "boards": ["m", "0,0,1"],
    "from": "2001-09-09T06:00:00+02:00",
    "to": "2001-09-09T08:00:00+02:00",
    "reason": "a course",
    "owners": ["jane"],
}


def answer(front: SimulatedFront, word: str, arguments: dict[str, object], *, seconds: float = 5.0) -> Answer:
    answers: list[Answer] = []

    async def hear() -> None:
        command = ReservationCommands(front.engine).commands[f"reservations.{word}"]
        try:
            answers.append(await command(arguments, "mary"))
        except ValueError as error:
            answers.append(Answer(2, str(error)))

    front.server.enter(lambda: front.server.start(hear()) and None)
    front.pass_time(seconds)
    (found,) = answers
    return found


def test_a_reservation_is_made_shown_and_removed() -> None:
    with simulated_front() as front:
        made = answer(front, "add", COURSE)
        assert made.status == DONE
        assert made.text == (
            "reserved from 2001-09-09 06:00:00+02:00 to 2001-09-09 08:00:00+02:00: course: 1 board of m for jane; "
            "ends jobs of others: a course"
        )
        (recorded,) = front.store.recall(ended_limit=1).reservations
        assert (recorded.name, recorded.by) == ("course", "mary")
        (line,) = answer(front, "list", {}).lines
        assert line.text == (
            "to come, from 2001-09-09 at 04:00:00 UTC to 2001-09-09 at 06:00:00 UTC, by mary: course: 1 board of m for "
            "jane; ends jobs of others: a course"
        )
        assert line.about["boards"] == [["m", 0, 0, 1]]
        assert line.about["reserved"] == {"m": 1}
        assert answer(front, "remove", {"names": ["course"]}).text == "1 reservation is removed"
        assert front.store.recall(ended_limit=1).reservations == []
        assert answer(front, "list", {}).lines == []


def test_all_boards_of_a_machine_are_reserved_by_its_name_so_that_later_ones_are_as_well() -> None:
    with simulated_front() as front:
        boards = [f"{x},{y},{z}" for x in range(2) for y in range(2) for z in range(3)]
        for name, words in (("one", ["m"]), ("two", boards)):
            assert answer(front, "add", {**COURSE, "name": name, "boards": words}).status == DONE
        assert [line.about["machines"] for line in answer(front, "list", {}).lines] == [["m"], ["m"]]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"boards": ["m", "9,9,9"]}, REFUSED, "machine m has no board (9, 9, 9)"),
        ({"boards": []}, REFUSED, "no board is named"),
        ({"boards": [], "tags": ["big"]}, REFUSED, "no machine has the tag 'big'"),
        ({"to": "2001-09-09T05:00:00+02:00"}, REFUSED, "reservation course ends at 2001-09-09 at 03:00:00 UTC, which"),
        ({"from": "2001-09-08T00:00:00Z", "to": "2001-09-09T00:00:00Z"}, 1, "it would end at 2001-09-09 00:00:00"),
        ({"to": "2003-09-09T05:00:00+02:00"}, REFUSED, "reservation course is 730 days long; 366 are allowed"),
        ({"reason": " "}, REFUSED, "reservation course has no reason that can be read"),
        ({"name": "x" * 65}, REFUSED, "has no name of 1 to 64 printable characters"),
        ({"from": "2001-09-09T06:00:00"}, 2, "a time has no offset from UTC"),
        ({"from": "tomorrow"}, 2, "Invalid RFC3339"),
        ({"from": 5}, 2, "Expected `datetime`, got `int`"),
    ],
)  # fmt: skip
def test_what_can_not_be_reserved_is_said_and_nothing_is_changed(
    change: dict[str, object], status: int, said: str
) -> None:
    with simulated_front() as front:
        refused = answer(front, "add", {**COURSE, **change})
        assert refused.status == status
        assert said in refused.text
        assert answer(front, "list", {}).lines == []


def test_boards_that_are_reserved_for_others_at_that_time_are_not_reserved_again() -> None:
    with simulated_front() as front:
        answer(front, "add", COURSE)
        cable = {**COURSE, "name": "cable", "boards": ["m"], "owners": []}
        refused = answer(front, "add", cable)
        assert refused.status == REFUSED
        assert refused.text.startswith(
            "reservation cable overlaps the reservation course, which has 1 board of m for jane from 2001-09-09 at "
        )
        again = answer(front, "add", COURSE)
        assert again.text == "reservation course has the name of another one; give it another name"


def test_there_are_a_hundred_reservations_by_command_at_most() -> None:
    with simulated_front() as front:
        for number in range(MOST_RESERVATIONS):
            made = answer(front, "add", {**COURSE, "name": str(number)}, seconds=1.0)
            assert made.status == DONE
        refused = answer(front, "add", COURSE)
        assert refused.text == (
            "there are 100 reservations made by command, and no more are allowed: remove some"
        )


def test_reservations_that_do_not_exist_or_are_configured_are_not_removed_and_no_other_is() -> None:
    with simulated_front() as front:
        answer(front, "add", COURSE)
        refused = answer(front, "remove", {"names": ["course", "cable"]})
        assert refused.text == "no reservation 'cable' was made by command; the list has course"
        assert len(list(answer(front, "list", {}).lines)) == 1


def test_a_reservation_that_ends_jobs_too_soon_to_tell_them_is_made_only_if_that_is_said() -> None:
    now: dict[str, object] = {**COURSE, "from": "2001-09-09T02:00:00Z"}
    with simulated_front() as front:
        peer = front.connect()
        job = front.call(peer, "create_job", 0, 0, 1, owner="joe", keepalive=None)
        hers = front.call(peer, "create_job", 0, 0, 0, owner="jane", keepalive=None)
        front.pass_time()
        refused = answer(front, "add", {**now, "boards": ["m"]})
        assert refused.status == 3
        assert refused.text.startswith("nothing is changed: 1 job would end at 2001-09-09 at 02:03:")
        assert [line.text for line in refused.lines] == [f"job {job} of joe would lose 1 board of it"]
        assert answer(front, "list", {}).lines == []
        made = answer(front, "add", {**now, "boards": ["m"], "now": True})
        assert made.status == DONE
        assert [line.text for line in made.lines] == [f"job {job} of joe has 1 board of it now, and ends now"]
        front.pass_time()
        assert front.call(peer, "get_job_state", job)["reason"] == (
            "Its boards are reserved for jane from 2001-09-09 at 02:00:00 UTC (course): a course"
        )
        assert front.call(peer, "get_job_state", hers)["reason"] is None


def test_a_reservation_that_waits_for_jobs_is_made_at_once() -> None:
    with simulated_front() as front:
        peer = front.connect()
        job = front.call(peer, "create_job", 0, 0, 1, owner="joe", keepalive=None)
        front.pass_time()
        made = answer(front, "add", {**COURSE, "from": "2001-09-09T02:00:00Z", "ends_jobs": False})
        assert [line.text for line in made.lines] == [
            f"job {job} of joe has 1 board of it now, and may go on"
        ]
        front.pass_time(60.0)
        assert front.call(peer, "get_job_state", job)["state"] in (2, 3)

"""What `spalloc-server boards` is told, and told back: the words, without a socket."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from spalloc_server.core.effects import BoardKey
from spalloc_server.operation.board_commands import BoardCommands
from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer
from tests.spalloc_server.fronts.v1.simulated import SimulatedFront, simulated_front

FAN = {"boards": ["m", "0,0,1"], "reason": "a fan"}


def say(front: SimulatedFront, word: str, arguments: dict[str, object]) -> Callable[[], Answer | None]:
    """Have an administrator say something; return what tells the answer, None as long as there is none."""
    answers: list[Answer] = []

    async def hear() -> None:
        answers.append(await BoardCommands(front.engine).commands[f"boards.{word}"](arguments, "jane"))

    front.server.enter(lambda: front.server.start(hear()) and None)
    return lambda: answers[0] if answers else None


def answer(front: SimulatedFront, word: str, arguments: dict[str, object]) -> Answer:
    told = say(front, word, arguments)
    front.pass_time()
    found = told()
    assert found is not None
    return found


@pytest.mark.parametrize("word", ["drain", "out", "back"])
def test_a_word_about_a_board_is_answered_once_it_is_on_disk_also_if_somebody_else_said_the_same(
    word: str,
) -> None:
    with simulated_front() as front:
        if word == "back":
            answer(front, "drain", FAN)
        front.server.slowness = 10.0
        arguments = {"boards": FAN["boards"]} if word == "back" else FAN
        first, second = say(front, word, arguments), say(front, word, arguments)
        front.pass_time(5.0)
        assert first() is None
        assert second() is None
        front.pass_time(30.0)
        for told in (first(), second()):
            assert told is not None
            assert told.status == DONE
        records = front.store.recall(ended_limit=1).boards
        said_by = [record.drained and record.drained.by for record in records.values()]
        assert said_by == ([] if word == "back" else ["jane"])


def test_a_list_shows_a_drain_only_once_it_is_on_disk() -> None:
    with simulated_front() as front:
        front.server.slowness = 10.0
        drained, listed = say(front, "drain", FAN), say(front, "list", {})
        front.pass_time(5.0)
        assert listed() is None
        front.pass_time(30.0)
        assert drained() is not None
        shown = listed()
        assert shown is not None
        assert [line.about["board"] for line in shown.lines] == [[0, 0, 1]]


def test_a_list_says_that_the_server_stops_where_a_drain_does_not_get_onto_the_disk_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with simulated_front() as front:
        monkeypatch.setattr(
            front.engine, "when_recorded", lambda tell: asyncio.get_running_loop().call_soon(tell, False)
        )
        refused = answer(front, "list", {})
        assert refused.status == REFUSED
        assert refused.text.startswith("the server stops before this was recorded")


def test_a_job_that_is_moved_for_a_board_that_is_taken_out_is_told_with_what_became_of_it() -> None:
    with simulated_front() as front:
        peer = front.connect()
        job = front.call(peer, "create_job", 0, 0, 1, owner="joe", keepalive=None)
        front.pass_time()
        refused = answer(front, "out", FAN)
        assert refused.status == 3
        (line,) = refused.lines
        assert line.text == f"job {job} of joe would lose its 1 board and wait until they are back"
        taken = answer(front, "out", {**FAN, "now": True})
        assert taken.text == "1 board is out of service; 1 job is moved"
        moved, board = taken.lines
        assert moved.text.startswith(
            f"job {job} of joe has lost its boards and waits for others. Number 1 of 1 in"
        )
        assert (
            "it needs board (0, 0, 1): on m it is set aside, and goes to no job until it is put back."
            in moved.text
        )
        assert board.about["job"] is None
        back = answer(front, "back", {"boards": ["0,0,1"]})
        (board,) = back.lines
        assert board.about["drained"] is None
        assert board.about["job"] == job


def test_boards_in_service_that_are_put_back_are_said_to_be_unchanged() -> None:
    with simulated_front() as front:
        assert (
            answer(front, "back", {"boards": ["0,0,1", "0,0,2"]}).text
            == "nothing is changed for 2 boards in service"
        )
        answer(front, "drain", FAN)
        back = answer(front, "back", {"boards": ["0,0,1", "0,0,2"]})
        assert back.text == "1 board is put back; nothing is changed for 1 board in service"


def test_nothing_is_said_to_be_done_while_records_can_not_be_written() -> None:
    with simulated_front() as front:
        front.engine.trouble = "the disk is full"
        refused = answer(front, "drain", FAN)
        assert refused.status == REFUSED
        assert "takes no changes for now, try again later: the disk is full" in refused.text
        assert not front.engine.site.boards.all_drained()


def test_a_reason_must_have_something_that_can_be_read() -> None:
    with simulated_front() as front:
        for reason in ("", " \t\n", "\u200b", " " * 1000 + "cut off"):
            refused = answer(front, "drain", {**FAN, "reason": reason})
            assert refused.status == REFUSED
            assert refused.text.startswith("say why, with --reason")
        assert answer(front, "drain", {**FAN, "reason": "\u200b✗"}).status == DONE


def test_a_list_of_many_boards_counts_the_reports_of_the_site_only_once_or_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with simulated_front() as front:
        counts = 0
        count = front.engine.site.reported

        def counted() -> Mapping[BoardKey, int]:
            nonlocal counts
            counts += 1
            return count()

        monkeypatch.setattr(front.engine.site, "reported", counted)
        answer(front, "drain", {"frames": [["m", 0, 0]], "reason": "a new BMP"})
        counts = 0
        assert len(list(answer(front, "list", {}).lines)) == 12
        assert counts <= 2


def test_arguments_that_are_none_are_told() -> None:
    with simulated_front() as front:
        for arguments in ({"boards": 3}, {"colour": "red"}, {"frames": [["m", "0"]]}):
            with pytest.raises(ValueError, match=r"\$|colour"):
                asyncio.run(BoardCommands(front.engine).commands["boards.list"](arguments, "jane"))  # type: ignore[arg-type]

"""What servers answer is read in one place: whole, or refused with what is wrong with it."""

from collections.abc import Callable
from typing import Any

import pytest

from spalloc_client.answers import Ended, Listed, Location, MachineAnswer, listed, machines
from spalloc_client.errors import ProtocolError
from spalloc_client.job_answers import MachineInfo, Status

JOB = {
    "job_id": 1, "owner": "me", "start_time": 1.0, "keepalive": None, "state": 3, "power": True, "args": [2],
    "kwargs": {}, "allocated_machine_name": "m", "boards": [[0, 0, 0]],
}  # fmt: skip
MACHINE = {"name": "m", "tags": ["a"], "width": 2, "height": 1, "dead_boards": [[0, 0, 1]], "dead_links": []}
PLACE = {
    "machine": "m", "logical": [0, 0, 0], "physical": [0, 0, 0], "chip": [0, 0], "board_chip": [0, 0], "job_id": None,
    "job_chip": None,
}  # fmt: skip
INFO = {"width": 8, "height": 8, "connections": [[[0, 0], "h"]], "machine_name": "m", "boards": [[0, 0, 0]]}

ANSWERS: list[tuple[str, Callable[[object], object], dict[str, Any]]] = [
    ("list_jobs", Listed, JOB),
    ("list_ended_jobs", Ended, {**JOB, "ended": 2.0, "reason": None}),
    ("list_machines", MachineAnswer, MACHINE),
    ("where_is", Location, PLACE),
    ("get_job_machine_info", MachineInfo, INFO),
    ("get_job_state", Status, {"state": 3}),
]


@pytest.mark.parametrize(("command", "read", "answer"), ANSWERS)
def test_an_answer_that_lacks_something_is_refused_with_what_it_lacks(
    command: str, read: Callable[[object], object], answer: dict[str, Any]
) -> None:
    assert read(answer)
    for key in answer:
        with pytest.raises(ProtocolError) as raised:
            read({name: value for name, value in answer.items() if name != key})
        said = f"the server's reply to {command} is not what the protocol says (it lacks '{key}'): "
        assert str(raised.value).startswith(said)
    for other in (None, [], "?", 7):
        with pytest.raises(ProtocolError, match=f"reply to {command} is not what the protocol says: "):
            read(other)


@pytest.mark.parametrize("read", [listed, machines])
def test_what_is_no_list_is_refused(read: Callable[[object], object]) -> None:
    assert read([]) == []
    with pytest.raises(ProtocolError, match=r"reply to list_\w+ is not what the protocol says: {}"):
        read({})


def test_a_state_that_is_not_known_here_has_its_number() -> None:
    status = Status({"state": 9})
    assert status.number == 9
    with pytest.raises(ProtocolError, match="get_job_state is not what the protocol says"):
        _ = status.state

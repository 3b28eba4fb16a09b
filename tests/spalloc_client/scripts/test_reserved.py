"""Users see which boards of a machine are reserved, when, for whom and why."""

from typing import Any

import pytest

from spalloc_client.answers import MachineAnswer
from spalloc_client.errors import ProtocolError
from spalloc_client.scripts.machine import MachineView, Shown
from spalloc_client.scripts.wording import local_time

COURSE = {
    "name": "course",
    "from": 1_796_112_000.0,
    "to": 1_796_115_600.0,
    "owners": ["jane", "jo\ne"],
    "reason": "a course",
    "ends_jobs": True,
    "boards": [[0, 0, 2], [0, 0, 1]],
}


def answer(**keys: Any) -> dict[str, Any]:
    return {"name": "m", "tags": [], "width": 1, "height": 1, "dead_boards": [], "dead_links": [], **keys}


def test_spalloc_machine_shows_reservations_with_their_times_owners_and_reasons() -> None:
    cable = {**COURSE, "owners": [], "boards": [[0, 0, 0]], "reason": "a cable"}
    shown = Shown([MachineAnswer(answer(reservations=[COURSE, cable]))], [])
    lines = [line.plain.strip() for line in MachineView("m", detailed=False).draw(shown, 80, 40)]
    times = f"from {local_time(1_796_112_000.0)} to {local_time(1_796_115_600.0)}"
    head = lines.index(f"Reserved: 2 boards for jane, jo\\ne {times}: a course")
    assert lines[head + 1] == f"1 board for maintenance {times}: a cable"


def test_json_has_reservations_as_the_server_tells_them() -> None:
    shown = Shown([MachineAnswer(answer(reservations=[COURSE]))], [])
    (machine,) = MachineView("m", detailed=False).json(shown)["machines"]  # type: ignore[index]
    assert machine["reservations"] == [
        {**COURSE, "owners": ("jane", "jo\ne"), "boards": [(0, 0, 1), (0, 0, 2)]}
    ]


def test_a_server_that_knows_no_reservations_has_none() -> None:
    assert MachineAnswer(answer()).reservations == ()


@pytest.mark.parametrize("key", COURSE)
def test_a_reservation_that_lacks_something_is_refused(key: str) -> None:
    less = {name: value for name, value in COURSE.items() if name != key}
    with pytest.raises(ProtocolError, match=f"list_machines.*{key}"):
        MachineAnswer(answer(reservations=[less]))

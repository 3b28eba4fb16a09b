"""What a job's record can say."""

import pytest
from msgspec import json, to_builtins

from spalloc_client.states import JobState
from spalloc_server.core.allocation import Allocation
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.requests import AnyBoard, JobRequest
from spalloc_server.store.records import UnreadableError, from_text, to_text
from spinnaker.geometry import Board

BOARD = Board(0, 0, 0)
BOARDS = Allocation("m", BOARD, None, frozenset({BOARD}))

POSSIBLE: list[dict[str, object]] = [
    {"state": JobState.queued},
    {"state": JobState.queued, "stays_off": True},
    {"state": JobState.queued, "time_limit": 60.0},
    {"state": JobState.power, "power": False, "allocation": BOARDS, "allocated": 2.0},
    {"state": JobState.ready, "power": True, "allocation": BOARDS, "allocated": 2.0, "time_limit": 60.0},
    {"state": JobState.destroyed, "ended": 9.0},
    {"state": JobState.destroyed, "ended": 9.0, "allocation": BOARDS},
    {"state": JobState.destroyed, "ended": 9.0, "allocation": BOARDS, "allocated": 2.0},
]
IMPOSSIBLE: list[tuple[dict[str, object], str]] = [
    ({"state": JobState.unknown}, "a job can't be recorded in state unknown"),
    ({"state": JobState.queued, "allocation": BOARDS}, "a job in state queued can't have boards"),
    ({"state": JobState.queued, "power": True}, "a job in state queued can't say which power is wanted"),
    ({"state": JobState.queued, "ended": 9.0}, "a job in state queued can't have ended"),
    ({"state": JobState.power, "power": True}, "a job in state power must have boards"),
    ({"state": JobState.ready, "power": True}, "a job in state ready must have boards"),
    ({"state": JobState.ready, "allocation": BOARDS}, "a job in state ready must say which power is wanted"),
    ({"state": JobState.queued, "allocated": 2.0}, "a job without boards can't say when they were allocated"),
    (
        {"state": JobState.ready, "power": True, "allocation": BOARDS, "allocated": 2.0, "ended": 9.0},
        "a job in state ready can't have ended",
    ),
    ({"state": JobState.destroyed}, "a job in state destroyed must have ended"),
    (
        {"state": JobState.ready, "power": False, "allocation": BOARDS, "allocated": 2.0, "stays_off": True},
        "a job in state ready can't wait for boards that stay off",
    ),
    (
        {"state": JobState.destroyed, "ended": 9.0, "power": True},
        "a job in state destroyed can't say which power is wanted",
    ),
]


def record(**parts: object) -> JobRecord:
    return JobRecord(7, "me", 1.0, None, JobRequest(AnyBoard()), Asked((), {}), "here", **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize("parts", POSSIBLE)
def test_a_record_can_say_what_can_be(parts: dict[str, object]) -> None:
    assert from_text(to_text(record(**parts))) == record(**parts)


@pytest.mark.parametrize(("parts", "why"), IMPOSSIBLE)
def test_a_record_can_not_be_made_of_what_can_not_be(parts: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        record(**parts)


@pytest.mark.parametrize(("parts", "why"), IMPOSSIBLE)
def test_a_record_that_can_not_be_true_is_refused_with_the_reason(parts: dict[str, object], why: str) -> None:
    damaged = json.decode(to_text(record())) | to_builtins(parts)
    with pytest.raises(UnreadableError, match=f"^{why}$"):
        from_text(json.encode(damaged))


def test_a_record_with_boards_must_say_when_they_were_allocated() -> None:
    with pytest.raises(ValueError, match="^a job in state ready must say when its boards were allocated$"):
        record(state=JobState.ready, power=True, allocation=BOARDS)


def test_a_record_of_a_server_that_knew_no_limits_is_read() -> None:
    now = record(state=JobState.ready, power=True, allocation=BOARDS, allocated=2.0)
    older = json.decode(to_text(now))
    del older["allocated"]
    read = from_text(json.encode(older))
    assert (read.time_limit, read.allocated) == (None, now.created)
    ended = record(state=JobState.destroyed, ended=9.0, allocation=BOARDS)
    assert from_text(to_text(ended)).allocated is None


@pytest.mark.parametrize(
    "part", [{"time_limit": 0.0}, {"time_limit": -5.0}, {"created": 1e300}, {"created": 253_402_300_800.0}]
)
def test_a_record_with_times_that_can_not_be_is_refused(part: dict[str, object]) -> None:
    damaged = json.decode(to_text(record())) | part
    with pytest.raises(UnreadableError, match=r"^its times make no sense$"):
        from_text(json.encode(damaged))

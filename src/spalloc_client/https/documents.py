"""What services answer, as v1 says it: jobs, machines and places. Values in, values out.

Sizes of the API are in triads, those of v1 in chips; links have other names; times are text. `spinnaker` has the
geometry.
"""

from __future__ import annotations

import re
from datetime import datetime

from spalloc_client.states import JobState
from spinnaker.geometry import (
    BOARD_BOX_CHIPS,
    TRIAD_CHIPS,
    Board,
    BoardLink,
    Chip,
    Link,
    Size,
    chip_size,
    far_end,
    first_chip,
    wraps,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

STATES = {
    "QUEUED": JobState.queued,
    "POWER": JobState.power,
    "READY": JobState.ready,
    "DESTROYED": JobState.destroyed,
}
"""The API's names of states."""

LINKS = {
    "SE": Link.EAST,
    "E": Link.NORTH_EAST,
    "N": Link.NORTH,
    "NW": Link.WEST,
    "W": Link.SOUTH_WEST,
    "S": Link.SOUTH,
}
"""The API's names of links: by where the neighbour is if triads are drawn as squares."""

HIDDEN = "<hidden>"
"""The owner of a job of which a service tells no more than its ID."""

_OVERHANG = 4
"""Chips by which boards of a rectangle stick out at an edge that is not joined."""

NO_BOARDS: Mapping[str, Any] = dict.fromkeys(("width", "height", "connections", "machine_name", "boards"))
UNKNOWN_JOB: Mapping[str, Any] = {
    "state": JobState.unknown.value,
    "power": None,
    "keepalive": None,
    "reason": None,
    "start_time": None,
    "keepalivehost": None,
}


def seconds(written: str | None) -> float | None:
    """Return a moment in seconds since 1970."""
    return None if written is None else datetime.fromisoformat(written).timestamp()


def state(document: Mapping[str, Any]) -> int:
    """Return the number of a job's state."""
    return STATES.get(str(document.get("state")), JobState.unknown).value


def status(document: Mapping[str, Any], power: str | None, default_keepalive: float) -> dict[str, Any]:
    """Return the answer to `get_job_state`.

    Args:
        document: The job.
        power: `ON` or `OFF`; None without boards.
        default_keepalive: The keepalive of a job that does not tell its own, having come over the service's v1 port.
    """
    number = state(document)
    return {
        "state": number,
        "power": _power(number, power),
        "keepalive": (document.get("original-request") or {}).get("keepalive-interval", default_keepalive),
        "reason": document.get("reason") or None,
        "start_time": seconds(document.get("start-time")),
        "keepalivehost": document.get("keepalive-host"),
    }


def _power(number: int, word: str | None) -> bool | None:
    """Whether boards are on; None where there are none, and while they are switched one way or the other."""
    if word is None or number not in (JobState.power, JobState.ready):
        return None
    return True if word == "ON" else False if number == JobState.ready else None


def times(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the answer to `job_times`."""
    told = document.get("times")
    if told is None:
        return None
    queue = document.get("queue") or {}
    start = queue.get("earliest-start"), queue.get("latest-start")
    return {
        "time_limit": told.get("time-limit"),
        "ends_in": told.get("ends-in"),
        "why": told.get("why"),
        "expected_seconds": told.get("expected-seconds"),
        "expected_by": told.get("expected-by"),
        "expected_start": None if None in start else list(start),
    }


def place(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the answer to `job_queue_position`."""
    queue = document.get("queue")
    return None if queue is None else {name: queue[name] for name in ("position", "of", "reason")}


def listed(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job of a list with details, as `list_jobs` has it."""
    details = summary.get("details") or {}
    number = state(summary)
    asked = details.get("original-request")
    return {
        "job_id": summary["job-id"],
        "owner": summary["owner"],
        "start_time": seconds(summary["start-time"]),
        "keepalive": (asked or {}).get("keepalive-interval"),
        "state": number,
        "power": _power(number, details.get("power")),
        "args": _args(asked) if asked else _args_in_words(summary.get("asked", "")),
        "kwargs": {} if asked is None else _kwargs(asked),
        "allocated_machine_name": summary.get("machine-name"),
        "boards": summary.get("boards"),
        "keepalivehost": details.get("keepalive-host"),
        "time_limit": summary.get("time-limit"),
        "allocated": seconds(summary.get("allocated-time")),
    }


def ended(summary: Mapping[str, Any], reason: str | None) -> dict[str, Any]:
    """Return a job of the history, as `list_ended_jobs` has it."""
    return {**listed(summary), "ended": seconds(summary.get("finish-time")), "reason": reason}


def described(
    job_id: int, document: Mapping[str, Any], boards: Mapping[str, Any] | None, power: str | None
) -> dict[str, Any]:
    """Return a job of a service without details in its lists, put together from what is said of it elsewhere."""
    asked = document.get("original-request")
    number = state(document)
    return {
        "job_id": job_id,
        "owner": document.get("owner", HIDDEN),
        "start_time": seconds(document.get("start-time")),
        "keepalive": (asked or {}).get("keepalive-interval"),
        "state": number,
        "power": _power(number, power),
        "args": [] if asked is None else _args(asked),
        "kwargs": {} if asked is None else _kwargs(asked),
        "allocated_machine_name": None if boards is None else boards.get("machine-name"),
        "boards": None if boards is None else boards.get("boards"),
        "keepalivehost": document.get("keepalive-host"),
    }


def _args(asked: Mapping[str, Any]) -> list[int]:
    """Return what a job asked for, by position."""
    board, sides = asked.get("board") or {}, asked.get("dimensions")
    if sides is not None:
        return [sides["width"], sides["height"]]
    if board.get("x") is not None:
        return [board["x"], board["y"], board["z"]]
    return [] if asked.get("num-boards") is None else [asked["num-boards"]]


def _args_in_words(asked: str) -> list[int]:
    """Return the same from what is said of others' jobs: `4 boards`, `2x3 triads`, `board (0, 1, 2)`."""
    numbers = [int(digits) for digits in re.findall(r"\d+", asked)]
    return numbers[:2] if "triad" in asked else numbers


def _kwargs(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a job asked for, by name."""
    names = {
        "machine": "machine-name",
        "tags": "tags",
        "min_ratio": "min-ratio",
        "max_dead_boards": "max-dead-boards",
        "max_dead_links": "max-dead-links",
        "require_torus": "require-torus",
        "group": "group",
        "collab": "nmpi-collab",
    }
    return {name: asked[key] for name, key in names.items() if asked.get(key) is not None}


def machine(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a machine as `list_machines` has it; without `set_aside_boards` if the service does not know them."""
    dead = {_board(one) for one in document["dead-boards"]}
    ends = [
        (_board(end["board"]), LINKS[end["direction"]])
        for pair in document["dead-links"]
        if not any(_board(end["board"]) in dead for end in pair)
        for end in pair
    ]
    known = {
        "name": document["name"],
        "tags": sorted(document["tags"]),
        "width": document["width"],
        "height": document["height"],
        "dead_boards": [list(board) for board in sorted(dead)],
        "dead_links": [[*board, link.value] for board, link in sorted(ends)],
    }
    if "set-aside-boards" not in document:
        return known
    aside = [[*one["board"], one["reason"]] for one in document["set-aside-boards"]]
    reservations = [
        {
            "name": one["name"],
            "from": seconds(one["begins"]),
            "to": seconds(one["ends"]),
            "owners": one["owners"],
            "reason": one["reason"],
            "ends_jobs": one["ends-jobs"],
            "boards": one["boards"],
        }
        for one in document["reservations"]
    ]
    return {**known, "set_aside_boards": aside, "reservations": reservations}


def _board(document: Mapping[str, Any]) -> Board:
    return Board(document["x"], document["y"], document["z"])


def boards(document: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to `get_job_machine_info`.

    Args:
        document: The job's boards.
        machine: Their machine, as `machine` has it.
    """
    if not document["connections"]:
        return dict(NO_BOARDS)
    sides = [BOARD_BOX_CHIPS, BOARD_BOX_CHIPS]
    if document["depth"] != 1:
        triads = document["width"], document["height"]
        sides = [
            side * TRIAD_CHIPS + (0 if around else _OVERHANG)
            for side, around in zip(triads, _joined(document, machine), strict=True)
        ]
    return {
        "width": sides[0],
        "height": sides[1],
        "connections": [[list(chip), address] for chip, address in document["connections"]],
        "machine_name": document["machine-name"],
        "boards": [list(board) for board in document["boards"]],
    }


def _joined(document: Mapping[str, Any], machine: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether live links join the left and right, and the bottom and top edges of a job's boards."""
    size = Size(machine["width"], machine["height"])
    its = {Board(*board) for board in document["boards"]}
    dead = {(Board(x, y, z), link) for x, y, z, link in machine["dead_links"]}
    first = next(
        Board(*board)
        for (chip, _), board in zip(document["connections"], document["boards"], strict=True)
        if tuple(chip) == (0, 0)
    )
    whole = document["width"] == size.width, document["height"] == size.height
    joined_x = joined_y = False
    for board in its if any(whole) else ():
        in_job = Board((board.x - first.x) % size.width, (board.y - first.y) % size.height, board.z)
        for link in Link:
            far = far_end(size, BoardLink(board, link))
            if far.board in its and (board, link) not in dead and tuple(far) not in dead:
                across = wraps(size, in_job, link)
                joined_x |= whole[0] and across[0]
                joined_y |= whole[1] and across[1]
    return joined_x, joined_y


def location(
    document: Mapping[str, Any], size: Size, offset: Chip, job_chip: Sequence[int] | None
) -> dict[str, Any]:
    """Return the answer to `where_is`.

    Chips are worked out from the board's: the Java service's own coordinates of chips are wrong in places.

    Args:
        document: What a look-up answered.
        size: The machine's size.
        offset: The chip's coordinate on its board.
        job_chip: The chip's coordinate in the job that has the board, if one has.
    """
    board = Board(*document["logical-board-coordinates"])
    first, (width, height) = first_chip(size, board), chip_size(size)
    return {
        "machine": document["machine"],
        "logical": list(board),
        "physical": list(document["physical-board-coordinates"]),
        "chip": [(first.x + offset.x) % width, (first.y + offset.y) % height],
        "board_chip": list(offset),
        "job_id": document.get("job-id"),
        "job_chip": None if job_chip is None else list(job_chip),
    }


def shifted(chip: Sequence[int] | None, offset: Chip, size: Size) -> Sequence[int] | None:
    """Return a chip that lies at an offset from another, on a machine that is a torus; None for none."""
    width, height = chip_size(size)
    return None if chip is None else ((chip[0] + offset.x) % width, (chip[1] + offset.y) % height)

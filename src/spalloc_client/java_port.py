"""The v1 port of the Java service, version 5.0.0: its commands asked and its answers read as those of other servers.

What differs there is in docs/reference/interoperation.md. No I/O: `JavaPort.ask` yields the requests to send, is sent
what the server returns, and has raised in it what the server refuses with. Clients import this module once a server has
told them that version.
"""

from __future__ import annotations

from spalloc_client.errors import ProtocolError, SpallocServerException
from spalloc_client.states import JobState
from spalloc_client.wire import Request
from spinnaker.geometry import Board, Chip, Size, board_of_chip, chip_size, first_chip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, TypeAlias

    from spalloc_client.wire import Json

    Exchange: TypeAlias = Generator[Request, Any, Any]

LINKS = (2, 1, 0, 5, 4, 3)
"""The link that each number in its lists of dead links means."""

_NOTHING = (
    "no such job",
    "no such board",
    "no such machine",
    "no boards currently allocated",
    "boards not allocated",
)
"""How refusals begin where other servers answer null."""
_BOARDS = ("width", "height", "connections", "machine_name", "boards")
_PLACE = ("machine_name", "x", "y", "z")


class JavaPort:
    """How to talk to one such server, and what is known of its jobs."""

    def __init__(self) -> None:
        self._keepalives: dict[Json, float | None] = {}
        """Of jobs: `get_job_state` tells a time there, and only `list_jobs` the seconds, which never change."""
        self._forms: dict[str, Callable[[Request], Exchange]] = {
            "create_job": _sent,
            "notify_job": _without_null,
            "no_notify_job": _without_null,
            "get_job_state": self._state,
            "get_job_machine_info": _machine_info,
            "list_jobs": self._jobs,
            "list_machines": _machines,
            "get_board_position": _board,
            "get_board_at_position": _board,
            "where_is": _where_is,
        }

    def ask(self, request: Request) -> Exchange:
        """Give the requests that a command becomes, and at the end its answer.

        Raises:
            SpallocServerException: The server refuses.
            ProtocolError: An answer is not what the service says.
        """
        form = self._forms.get(request.command, _or_none)
        try:
            return (yield from form(request))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            raise ProtocolError(
                f"the server's reply to {request.command} is not what the Java service says: {error!r}"
            ) from error

    def _state(self, request: Request) -> Exchange:
        said = yield from _or_none(request)
        if said is None:
            nothing = dict.fromkeys(("power", "keepalive", "reason", "start_time", "keepalivehost"))
            return {"state": int(JobState.unknown), **nothing}
        keepalive, (job_id, *_) = None, request.args
        if said["state"] != JobState.destroyed:
            if job_id not in self._keepalives:
                yield from self._jobs(Request("list_jobs"))
            keepalive = self._keepalives.get(job_id)
        return {**_plain(said), "keepalive": keepalive}

    def _jobs(self, request: Request) -> Exchange:
        jobs = yield from _sent(request)
        self._keepalives = {job["job_id"]: job["keepalive"] for job in jobs}
        return [
            {
                **_plain(job),
                "kwargs": {name: said for name, said in job["kwargs"].items() if said is not None},
            }
            for job in jobs
        ]


def _sent(request: Request) -> Exchange:
    """Send a request, and once more if the database met a deadlock: nothing was done then."""
    try:
        return (yield request)
    except SpallocServerException as error:
        if "deadlock" not in str(error).lower():
            raise
    return (yield request)


def _or_none(request: Request) -> Exchange:
    """Send a request; None if it is refused since there is nothing."""
    try:
        return (yield from _sent(request))
    except SpallocServerException as error:
        if not str(error).startswith(_NOTHING):
            raise
    return None


def _plain(job: dict[str, Any]) -> dict[str, Any]:
    """Say of a job null where the service says false, an empty string or that it hides something."""
    host = job["keepalivehost"]
    return {
        **job,
        "power": None if job["state"] == JobState.queued else job["power"],
        "reason": job["reason"] or None,
        "keepalivehost": None if host in ("", "<Hidden>") else host,
    }


def _without_null(request: Request) -> Exchange:
    return (yield from _or_none(request if request.args != (None,) else Request(request.command)))


def _machine_info(request: Request) -> Exchange:
    said = yield from _or_none(request)
    return said if said is not None and said["boards"] else dict.fromkeys(_BOARDS)


def _machines(request: Request) -> Exchange:
    machines = yield from _sent(request)
    return [
        {**machine, "dead_links": [[x, y, z, LINKS[link]] for x, y, z, link in machine["dead_links"]]}
        for machine in machines
    ]


def _board(request: Request) -> Exchange:
    named = {**dict(zip(_PLACE, request.args, strict=False)), **request.kwargs}
    return (yield from _or_none(Request(request.command, (), named)))


def _where_is(request: Request) -> Exchange:
    place: dict[str, Any] = dict(request.kwargs)
    if "chip_x" not in place:
        return (yield from _or_none(request))
    chip = Chip(place["chip_x"], place["chip_y"])
    if "machine" in place:
        return (yield from _where_is_chip(place["machine"], chip))
    said = yield from _or_none(request)
    if said is None:
        return None
    # It tells the job's chip for the machine's, and for the job's something else.
    size = yield from _size_of(said["machine"])
    corner, (x, y), whole = first_chip(size, Board(*said["logical"])), said["board_chip"], chip_size(size)
    return {**said, "chip": [(corner.x + x) % whole.x, (corner.y + y) % whole.y], "job_chip": list(chip)}


def _where_is_chip(machine: str, chip: Chip) -> Exchange:
    """Find a chip by the board that it is on: by itself it is found on the first board only."""
    size = yield from _size_of(machine)
    whole = chip_size(size)
    if not (0 <= chip.x < whole.x and 0 <= chip.y < whole.y):
        return None
    board, within = board_of_chip(size, chip)
    named = {"machine": machine, **board._asdict()}
    said = yield from _or_none(Request("where_is", (), named))
    if said is None:
        return None
    corner = said["job_chip"]
    job_chip = None if corner is None else [corner[0] + within.x, corner[1] + within.y]
    return {**said, "chip": list(chip), "board_chip": list(within), "job_chip": job_chip}


def _size_of(machine: str) -> Generator[Request, Any, Size]:
    for described in (yield from _sent(Request("list_machines"))):
        if described["name"] == machine:
            return Size(described["width"], described["height"])
    return Size(0, 0)

"""From what a client asks for in JSON to the core's command that creates a job.

Whether a machine can meet the request is decided in core/.
"""

from collections.abc import Mapping

from spalloc_server.core.commands import CreateJob
from spalloc_server.core.jobs import Asked
from spalloc_server.core.machine import DEFAULT_TAG, Machine
from spalloc_server.core.questions import SiteView, board_at
from spalloc_server.core.requests import DEFAULT_MAX_DEAD_BOARDS, RequestError, args_of, requested
from spalloc_server.fronts.http.api.answers import HttpError
from spalloc_server.fronts.http.api.conventions import seconds
from spalloc_server.fronts.http.api.documents import BoardChoice, NewJob
from spinnaker.geometry import Board
from spinnaker.places import Place

SHORTEST_KEEPALIVE = 30.0
LONGEST_KEEPALIVE = 300.0
MOST_BOARDS = 1_000_000

_UNMET = "no machine available which matches allocation request"


def command_for(site: SiteView, form: NewJob) -> CreateJob:
    """Return the command that creates the job.

    Args:
        site: The site, whose machines have the boards that are asked for by place or address.
        form: What is asked for.

    Raises:
        HttpError: It makes no sense, or there is no such board.
    """
    keepalive = _keepalive(form)
    if (form.machine_name is None) is (form.tags is None):
        raise HttpError(400, "either machine-name or tags must be supplied, and not both")
    groups = {"group": form.group, "nmpi_collab": form.nmpi_collab, "nmpi_job_id": form.nmpi_job_id}
    if sum([value is not None for value in groups.values()]) > 1:
        raise HttpError(400, "at most one of group, nmpi-collab and nmpi-job-id can be specified")
    machine, args = _what(site, form)
    try:
        request = requested(
            args,
            machine=machine,
            tags=form.tags if machine is None else None,
            min_ratio=form.min_ratio,
            max_dead_boards=DEFAULT_MAX_DEAD_BOARDS if form.max_dead_boards is None else form.max_dead_boards,
            max_dead_links=form.max_dead_links,
            require_torus=bool(form.require_torus),
        )
        limit = None if form.time_limit is None else seconds("time-limit", form.time_limit)
        words = {
            "machine": form.machine_name,
            "tags": form.tags,
            "board": None if form.board is None else _chosen(form.board),
            "min_ratio": form.min_ratio,
            "max_dead_boards": form.max_dead_boards,
            "max_dead_links": form.max_dead_links,
            "require_torus": form.require_torus,
            **groups,
        }
        asked = Asked(
            args_of(request.shape), {name: value for name, value in words.items() if value is not None}
        )
        # SpiNNMan's users may name a group where there are none, as at a site that has no quotas.
        group = form.group or form.nmpi_collab if site.groups.by_name else None
        return CreateJob(request, asked, form.owner, keepalive, limit, group)
    except RequestError as error:
        raise HttpError(400, str(error)) from error


def _keepalive(form: NewJob) -> float:
    keepalive = seconds("keepalive-interval", form.keepalive_interval)
    if not SHORTEST_KEEPALIVE <= keepalive <= LONGEST_KEEPALIVE:
        raise HttpError(400, f"keepalive-interval must be 30 to 300 seconds; it is {keepalive:g}")
    return keepalive


def _what(site: SiteView, form: NewJob) -> tuple[str | None, tuple[int, ...]]:
    """Return the only machine to use, if there is one, and what to allocate, as v1's `create_job` takes it."""
    machine, size, board = form.machine_name, form.dimensions, form.board
    if form.num_boards is not None:
        if size is not None or board is not None:
            raise HttpError(400, "either specify num-boards or dimensions and/or board")
        if not 1 <= form.num_boards <= MOST_BOARDS:
            raise HttpError(
                400,
                f"number of boards must be at least 1 if given, and at most {MOST_BOARDS}; it is {form.num_boards:g}",
            )
        return machine, (int(form.num_boards),)
    if board is not None:
        on, found = _find(site, form, board)
        return on or machine, (*found, *(() if size is None else (size.width, size.height)))
    return machine, () if size is None else (size.width, size.height)


def _find(site: SiteView, form: NewJob, choice: BoardChoice) -> tuple[str | None, Board]:
    """Return the board that is asked for, and its machine where only that has it there."""
    match _chosen(choice):
        case {"x": int(x), "y": int(y), "z": int(z), **others} if not others:
            return None, Board(x, y, z)
        case {"cabinet": int(cabinet), "frame": int(frame), "board": int(board), **others} if not others:
            for machine in _suitable(site, form):
                found = board_at(machine, Place(cabinet, frame, board))
                if found is not None:
                    return machine.name, found
            raise HttpError(
                400, f"{_UNMET}: none has a board at cabinet {cabinet}, frame {frame}, board {board}"
            )
        case {"address": address, **others} if not others:
            for machine in _suitable(site, form):
                for its_board, its_address in machine.addresses.items():
                    if its_address == address:
                        return machine.name, its_board
            raise HttpError(400, f"{_UNMET}: none has a board with the address {address}")
    raise HttpError(
        400,
        "at least one way of identifying a board must be given, and only one: x, y and z; or cabinet, frame and board; "
        "or address",
    )


def _chosen(choice: BoardChoice) -> Mapping[str, int | str]:
    names = ("x", "y", "z", "cabinet", "frame", "board", "address")
    values = {name: getattr(choice, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _suitable(site: SiteView, form: NewJob) -> list[Machine]:
    tags = {DEFAULT_TAG} if form.tags is None else set(form.tags)
    return [
        machine
        for machine in site.machines.values()
        if (machine.name == form.machine_name if form.machine_name is not None else tags <= machine.tags)
    ]

"""What the Java service makes of a request for a job: a wish, or the refusal in its own words."""

import math
import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from spinnaker.geometry import Board, Size
from spinnaker.places import Place
from tests.doubles.defects import Defect
from tests.doubles.jobs import Group, Jobs
from tests.doubles.machines import LARGEST_SIDE, Machine, Wish
from tests.doubles.people import Account, Role

FIELDS = {
    "owner", "group", "nmpi-collab", "nmpi-job-id", "keepalive-interval", "num-boards", "dimensions", "board",
    "machine-name", "tags", "max-dead-boards",
}  # fmt: skip
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d*)?)S)?")
_NO_MACHINE = "no machine available which matches allocation request"


class RefusedError(Exception):
    """The service says no, with a status and a sentence."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True)
class Creation:
    """A request that was understood."""

    wish: Wish
    machines: tuple[str, ...]
    interval: float
    group: Group
    owner: str
    request: dict[str, Any]


def understood(
    body: Any, account: Account, jobs: Jobs, shortest: float = 30.0, longest: float = 300.0
) -> Creation:
    """Return what a body asks for.

    Raises:
        RefusedError: It can't be done.
    """
    fault = 500 if Defect.EVERYTHING_IS_500 in jobs.defects else 400
    if body is None:
        raise RefusedError(400, "must not be null")
    if not isinstance(body, dict) or not body.keys() <= FIELDS:
        raise RefusedError(fault, "" if fault == 500 else "no such field")
    if (body.get("machine-name") is None) == (not body.get("tags")):
        raise RefusedError(400, "either machine-name or tags must be supplied")
    if body.get("owner") is not None and account.role < Role.NMPI_EXEC:
        raise RefusedError(400, "Only admin and NMPI users can specify an owner")
    interval = _interval(body, fault, shortest, longest)
    wish, found = _wish(body, fault, jobs)
    group = _group(body, account, jobs, fault)
    if jobs.stopped:
        raise RefusedError(
            500, "unexpected server problem: IllegalState: The Server has been stopped due to an emergency."
        )
    if group.quota is not None and group.used >= group.quota:
        raise RefusedError(400, f"quota exceeded in group {group.id}")
    machines = placed(wish, found)
    owner = body.get("owner") or account.name
    told = {
        **dict.fromkeys(sorted(FIELDS)),
        **body,
        "owner": owner,
        "group": group.name,
        "keepalive-interval": interval,
        "max-dead-boards": body.get("max-dead-boards") or 0,
    }
    return Creation(wish, machines, interval, group, owner, told)


def _interval(body: dict[str, Any], fault: int, shortest: float, longest: float) -> float:
    given = body.get("keepalive-interval")
    if given is None:
        raise RefusedError(400, "keepalive-interval is required")
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if match is not None and any(match.groups()):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        given = hours * 3600 + minutes * 60 + seconds
    if not isinstance(given, int | float):
        raise RefusedError(fault, "")
    if not shortest <= given <= longest:
        raise RefusedError(400, "keepalive-interval must be 30 to 300 seconds")
    return float(given)


def _whole(value: Any, fault: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError(fault, "")
    return math.trunc(value)


def _wish(body: dict[str, Any], fault: int, jobs: Jobs) -> tuple[Wish, list[Machine]]:
    """What is asked for, and the machines that it may be on."""
    boards, dimensions, board = (body.get(name) for name in ("num-boards", "dimensions", "board"))
    if boards is not None and (dimensions is not None or board is not None):
        raise RefusedError(400, "either specify num-boards or dimensions and/or board")
    dead = _whole(body.get("max-dead-boards") or 0, fault)
    machines = [
        machine
        for name, machine in sorted(jobs.machines.items())
        if name == body.get("machine-name") or (body.get("tags") and machine.tags >= set(body["tags"]))
    ]
    if boards is not None:
        number = _whole(boards, fault)
        if number < 1:
            raise RefusedError(400, "number of boards must be at least 1 if given")
        return Wish(boards=number, dead=dead), machines
    size = None
    if dimensions is not None:
        size = Size(*(_whole(dimensions.get(side), fault) for side in ("width", "height")))
        for name, side in zip(("width", "height"), size, strict=True):
            if not 1 <= side <= LARGEST_SIDE:
                raise RefusedError(
                    400, f"triad {name} ({side}) must be at least 1 and no more than {LARGEST_SIDE}"
                )
    if board is None:
        return Wish(size=size, boards=None if size else 1, dead=dead), machines
    for machine in machines:
        found = located(board, machine)
        if found is not None:
            return Wish(size=size, board=found, dead=dead), [machine]
    raise RefusedError(400, _NO_MACHINE)


def located(board: dict[str, Any], machine: Machine) -> Board | None:
    """The board of a machine that a request names in one of three ways.

    Raises:
        RefusedError: It names none.
    """
    if board.get("address") is not None:
        try:
            address = str(IPv4Address(board["address"]))
        except AddressValueError:
            raise RefusedError(400, "address must be an IP address") from None
        return next((each for each in machine.places if machine.address(each) == address), None)
    if all(board.get(name) is not None for name in ("x", "y", "z")):
        wanted = Board(board["x"], board["y"], board["z"])
        return wanted if wanted in machine.places else None
    if all(board.get(name) is not None for name in ("cabinet", "frame", "board")):
        place = Place(board["cabinet"], board["frame"], board["board"])
        return next((each for each, there in machine.places.items() if there == place), None)
    raise RefusedError(400, "at least one way of identifying a board must be given")


def placed(wish: Wish, machines: list[Machine]) -> tuple[str, ...]:
    """The machines that a job may wait for: the first that could ever hold it.

    Raises:
        RefusedError: None could.
    """
    for machine in machines:
        if wish.fits(machine) and next(wish.places(machine), None) is not None:
            return (machine.name,)
    if machines and not any(wish.fits(machine) for machine in machines):
        raise RefusedError(400, "request cannot fit on machine")
    raise RefusedError(400, _NO_MACHINE)


def _group(body: dict[str, Any], account: Account, jobs: Jobs, fault: int) -> Group:
    ways = [body[name] for name in ("group", "nmpi-collab", "nmpi-job-id") if body.get(name) is not None]
    if len(ways) > 1:
        raise RefusedError(400, "At most one of group, nmpiCollabId or nmpiJobId can be specified")

    def no_such(why: str) -> RefusedError:
        return RefusedError(fault, f"unexpected server problem: NoSuchGroup: {why}" if fault == 500 else why)

    if body.get("nmpi-job-id") is not None and Defect.NMPI_JOBS_FAIL in jobs.defects:
        raise RefusedError(500, "unexpected server problem: AuthenticationCredentialsNotFound: ")
    if body.get("nmpi-collab") is not None:
        name = body["nmpi-collab"]
        return jobs.groups.setdefault(name, Group(name, len(jobs.groups) + 1, 3_600_000.0))
    if body.get("group") is not None:
        if body["group"] not in account.groups:
            raise no_such(f"group {body['group']} does not exist or {account.name} is not a member of it")
        return jobs.groups[body["group"]]
    if len(account.groups) > 1:
        raise no_such("User is a member of more than one group, so the group must be selected in the request")
    if not account.groups:
        raise no_such("User is not a member of any group!")
    return jobs.groups[account.groups[0]]

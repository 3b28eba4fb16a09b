"""Requests for commands, checked before they are sent. The blocking and the asyncio client share them."""

from __future__ import annotations

from spalloc_client import checks
from spalloc_client.errors import SpallocServerException
from spalloc_client.wire import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from spalloc_client.wire import Json

WHERE_IS_FORMS = (
    ("machine", "x", "y", "z"),
    ("machine", "cabinet", "frame", "board"),
    ("machine", "chip_x", "chip_y"),
    ("job_id", "chip_x", "chip_y"),
)
"""The sets of arguments that `where_is` takes."""

LONGEST_REASON = 10_000
"""Characters of a reason that are sent: a server may cut off a client whose lines are too long."""


_MOST_ARGS = {
    "version": 0,
    "create_job": 3,
    "job_keepalive": 1,
    "get_job_state": 1,
    "get_job_machine_info": 1,
    "power_on_job_boards": 1,
    "power_off_job_boards": 1,
    "destroy_job": 2,
    "list_jobs": 0,
    "list_machines": 0,
    "get_board_position": 4,
    "get_board_at_position": 4,
    "where_is": 0,
}
"""How many arguments commands take by position; the first of them is never null."""


def timeout_apart(
    name: object, args: tuple[Json, ...], timeout: float | None
) -> tuple[tuple[Json, ...], float | None]:
    """Tell a timeout that stands before a command's arguments, as release 1!7.4 has it, from these.

    The first argument is one if it is None, if the command takes fewer arguments, and if it is a float where boards are
    counted.

    Returns:
        The arguments, and the timeout.

    Raises:
        ValueError: There are two timeouts.
    """
    most = _MOST_ARGS.get(name) if isinstance(name, str) else None
    if most is None or not args:
        return args, timeout
    first: Any = args[0]
    if first is not None and len(args) <= most and not (name == "create_job" and isinstance(first, float)):
        return args, timeout
    if first is not None and timeout is not None:
        raise ValueError(
            f"{name} was given two timeouts: {first!r} before its arguments, and timeout={timeout!r}"
        )
    return args[1:], timeout if first is None else first


def request(name: object, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Request:
    """Any command.

    Raises:
        ValueError: `name` is not a string, or the tags of a job are not valid.
    """
    if not isinstance(name, str):
        raise ValueError(f"name is {name!r}; it must be a command's name, such as 'version'")  # noqa: TRY004  # as for every argument
    if name == "destroy_job":
        if len(args) > 1:
            args = (args[0], _reason(args[1]), *args[2:])
        if "reason" in kwargs:
            kwargs = {**kwargs, "reason": _reason(kwargs["reason"])}
    elif name == "create_job" and "tags" in kwargs:
        kwargs = {**kwargs, "tags": checks.tags("tags", kwargs["tags"])}
    return Request(name, args, kwargs)


def destroy_job(job_id: int | None, reason: object) -> Request:
    """The end of a job, for a reason of any type."""
    return Request("destroy_job", (job_id, _reason(reason)))


def _reason(value: object) -> str | None:
    """Return the reason as a string, whatever was given: no reason may keep a job from ending."""
    if value is None:
        return None
    try:
        text = str(value)
    except Exception:  # noqa: BLE001  # __str__ of any class
        text = type(value).__name__
    return text[:LONGEST_REASON]


def create_job(args: Sequence[Json], kwargs: Mapping[str, Json], *, by_login: bool = False) -> Request:
    """A new job.

    Args:
        args: Its boards.
        kwargs: All else.
        by_login: Whether it belongs to whoever logged in.

    Raises:
        SpallocServerException: There is no owner.
        ValueError: The tags or the time limit are not valid.
    """
    if kwargs.get("owner") is None and not by_login:
        raise SpallocServerException(
            "create_job needs an owner: every job has one, by convention an email address"
        )
    if "time_limit" in kwargs:
        limit = checks.time_limit("time_limit", kwargs["time_limit"])
        # A published server refuses arguments that it does not know, whatever they say.
        others = {name: value for name, value in kwargs.items() if name != "time_limit"}
        kwargs = others if limit is None else {**others, "time_limit": limit}
    return request("create_job", args, kwargs)


def where_is(
    args: tuple[float | None, ...], kwargs: Mapping[str, str | int], timeout: float | None
) -> tuple[Request, float | None]:
    """A search for a board or chip, and its timeout.

    What is given by position is the timeout where the rest is one of the four sets; otherwise, as release 1!7.4 has
    it, a job's ID, a chip's x and y, and the timeout, as many as there are.

    Raises:
        SpallocServerException: The arguments are none of the four sets.
        ValueError: An argument is given twice.
    """
    names = ("timeout",) if _is_place(kwargs) else (*WHERE_IS_FORMS[-1], "timeout")
    given: dict[str, Any] = {**kwargs, **({} if timeout is None else {"timeout": timeout})}
    if len(args) > len(names):
        raise SpallocServerException(
            f"where_is takes only {', '.join(names)} by position, not {len(args)} arguments; give all others by name"
        )
    for name, value in zip(names, args, strict=False):
        if name in given:
            raise ValueError(f"where_is was given two values for {name}: {value!r} and {given[name]!r}")
        given[name] = value
    timeout = given.pop("timeout", None)
    if not _is_place(given):
        said = ", ".join(sorted(given)) or "nothing"
        allowed = "; ".join(", ".join(form) for form in WHERE_IS_FORMS)
        raise SpallocServerException(f"where_is was given {said}; it takes one of: {allowed}")
    return Request("where_is", (), given), timeout


def _is_place(given: Mapping[str, object]) -> bool:
    return any(set(form) == set(given) for form in WHERE_IS_FORMS)

# Requests for commands, checked before they are sent; shared by the blocking and the asyncio client.
"""Build and check requests."""

from __future__ import annotations

from spalloc_client import checks
from spalloc_client.errors import SpallocServerException
from spalloc_client.wire import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def request(name: object, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Request:
    """Any command.

    Raises:
        ValueError: `name` is not a string, or the tags of a job are none.
    """
    if not isinstance(name, str):
        raise ValueError(f"name is {name!r}; it must be a command's name, such as 'version'")  # noqa: TRY004  # as for every argument
    if name == "destroy_job":
        if len(args) > 1:
            args = (args[0], _reason(args[1]), *args[2:])
        if "reason" in kwargs:
            kwargs = {**kwargs, "reason": _reason(kwargs["reason"])}
    elif name == "create_job" and "tags" in kwargs:
        kwargs = {**kwargs, "tags": checks.tags(kwargs["tags"])}
    return Request(name, args, kwargs)


def destroy_job(job_id: int | None, reason: object) -> Request:
    """The end of a job, for a reason of any type."""
    return Request("destroy_job", (job_id, _reason(reason)))


def _reason(value: object) -> str | None:
    """Why a job ends, in words, whatever was given: no reason is worth keeping its boards for."""
    if value is None:
        return None
    try:
        text = str(value)
    except Exception:  # noqa: BLE001  # somebody else's __str__
        text = type(value).__name__
    return text[:LONGEST_REASON]


def create_job(args: Sequence[int], kwargs: Mapping[str, Json]) -> Request:
    """A new job.

    Raises:
        SpallocServerException: There is no owner.
        ValueError: The tags are none.
    """
    if kwargs.get("owner") is None:
        raise SpallocServerException(
            "create_job needs an owner: every job has one, by convention an email address"
        )
    return request("create_job", args, kwargs)


def where_is(kwargs: Mapping[str, str | int]) -> Request:
    """A search for a board or chip.

    Raises:
        SpallocServerException: The arguments are none of the four sets.
    """
    if not any(set(form) == set(kwargs) for form in WHERE_IS_FORMS):
        given = ", ".join(sorted(kwargs)) or "nothing"
        allowed = "; ".join(", ".join(form) for form in WHERE_IS_FORMS)
        raise SpallocServerException(f"where_is was given {given}; it takes one of: {allowed}")
    return Request("where_is", (), kwargs)

# Requests for commands, checked before they are sent; shared by the blocking and the asyncio client.
"""Build and check requests."""

from __future__ import annotations

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


def request(name: object, args: Sequence[Json], kwargs: Mapping[str, Json]) -> Request:
    """Any command.

    Raises:
        ValueError: `name` is not a string.
    """
    if isinstance(name, str):
        return Request(name, args, kwargs)
    raise ValueError(f"name is {name!r}; it must be a command's name, such as 'version'")


def create_job(args: Sequence[int], kwargs: Mapping[str, Json]) -> Request:
    """A new job.

    Raises:
        SpallocServerException: There is no owner.
    """
    if kwargs.get("owner") is None:
        raise SpallocServerException(
            "create_job needs an owner: every job has one, by convention an email address"
        )
    return Request("create_job", args, kwargs)


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

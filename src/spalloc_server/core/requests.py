"""What a job asks for; only requests that make sense can be built.

Whether a machine can meet a request is decided in packing/; how a request is sent belongs to the front.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from spalloc_server.core.machine import DEFAULT_TAG
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size

DEFAULT_MIN_RATIO = 0.333
DEFAULT_MAX_DEAD_BOARDS = 0


class RequestError(ValueError):
    """A request is invalid on every machine; the message names the argument and what is allowed."""


@dataclass(frozen=True, slots=True)
class AnyBoard:
    """One board, wherever it is."""


@dataclass(frozen=True, slots=True)
class BoardAt:
    """The board at one logical coordinate."""

    board: Board


@dataclass(frozen=True, slots=True)
class Boards:
    """At least `count` boards (2 or more), as whole triads in a rectangle."""

    count: int


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Exactly this rectangle of triads."""

    size: Size


@dataclass(frozen=True, slots=True)
class RectangleAt:
    """Exactly this rectangle of triads, with its bottom-left triad at a coordinate; it may wrap around edges."""

    origin: Board
    """The board at z = 0 of that triad."""
    size: Size


Shape = AnyBoard | BoardAt | Boards | Rectangle | RectangleAt


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a job asks for; see the protocol's `create_job`."""

    shape: Shape
    machine: str | None = None
    """The only machine to use, or None for any with the tags."""
    tags: frozenset[str] = frozenset({DEFAULT_TAG})
    """Tags that the machine must have; ignored if `machine` is given."""
    min_ratio: float = DEFAULT_MIN_RATIO
    """Short side over long side, 0.0 to 1.0, in triads; for `Boards` only."""
    max_dead_boards: int | None = DEFAULT_MAX_DEAD_BOARDS
    """How many boards may be missing or unreachable; None for any number."""
    max_dead_links: int | None = None
    """How many links between allocated boards may be dead; None for any number."""
    require_torus: bool = False
    """Whether the region must be a whole machine with its edges connected."""


def shape_of(args: Sequence[object]) -> Shape:
    """Return the shape that `create_job`'s positional arguments ask for: none, `n`, `w h`, `x y z` or `x y 0 w h`.

    Raises:
        RequestError: They are too many, not whole numbers, or out of range.
    """
    for value in args:
        if type(value) is not int:
            raise RequestError(f"create_job takes whole numbers for what to allocate, not {value!r}")
    numbers = [value for value in args if isinstance(value, int)]
    match numbers:
        case [] | [1]:
            return AnyBoard()
        case [count]:
            return Boards(_at_least(count, 1, "number of boards"))
        case [width, height]:
            return Rectangle(_size(width, height))
        case [x, y, z]:
            if z not in range(BOARDS_PER_TRIAD):
                raise RequestError(f"the board's z is {z}; it must be 0, 1 or 2")
            return BoardAt(_board(x, y, z))
        case [x, y, z, width, height]:
            if z != 0:
                raise RequestError(f"the first board's z is {z}; that of a rectangle of triads must be 0")
            return RectangleAt(_board(x, y, z), _size(width, height))
    raise RequestError(
        f"create_job was given {len(numbers)} numbers; it takes none (one board), NUM (boards), "
        "WIDTH HEIGHT (triads), X Y Z (one board's coordinate) or X Y 0 WIDTH HEIGHT (triads at a place)"
    )


def args_of(shape: Shape) -> tuple[int, ...]:
    """Return the positional arguments that ask for `shape`; `shape_of` is the inverse."""
    match shape:
        case AnyBoard():
            return ()
        case Boards(count):
            return (count,)
        case Rectangle(size):
            return tuple(size)
        case BoardAt(board):
            return tuple(board)
        case RectangleAt(origin, size):
            return (*origin, *size)


def requested(
    args: Sequence[object],
    *,
    machine: str | None = None,
    tags: Sequence[str] | None = None,
    min_ratio: float | None = None,
    max_dead_boards: int | None = DEFAULT_MAX_DEAD_BOARDS,
    max_dead_links: int | None = None,
    require_torus: bool = False,
) -> JobRequest:
    """Return the request that a client makes with these arguments.

    Args:
        args: As for `shape_of`.
        machine: The only machine to use, or None for any with the tags.
        tags: Tags that the machine must have; None for the default tag.
        min_ratio: None for the default.
        max_dead_boards: None for any number.
        max_dead_links: None for any number.
        require_torus: Whether the region must be a whole machine.

    Raises:
        RequestError: Parts of it exclude each other or are out of range.
    """
    if machine is not None and tags is not None:
        raise RequestError(
            "machine and tags were both given; name one machine, or the tags that any must have"
        )
    return checked(
        JobRequest(
            shape=shape_of(args),
            machine=machine,
            tags=frozenset((DEFAULT_TAG,) if tags is None else tags),
            min_ratio=DEFAULT_MIN_RATIO if min_ratio is None else min_ratio,
            max_dead_boards=max_dead_boards,
            max_dead_links=max_dead_links,
            require_torus=require_torus,
        )
    )


def checked(request: JobRequest) -> JobRequest:
    """Return `request` with its ratio inverted if that is above 1.0.

    Raises:
        RequestError: Parts of it exclude each other or are out of range.
    """
    if not request.min_ratio >= 0.0:
        raise RequestError(f"min_ratio is {request.min_ratio}; it must be 0.0 or more")
    if request.min_ratio == inf:
        raise RequestError("min_ratio is infinite; 1.0 asks for a square")
    for name, value in (
        ("max_dead_boards", request.max_dead_boards),
        ("max_dead_links", request.max_dead_links),
    ):
        if value is not None and value < 0:
            raise RequestError(f"{name} is {value}; it must be 0 or more, or null for any number")
    if request.require_torus and isinstance(request.shape, AnyBoard | BoardAt):
        raise RequestError(
            "require_torus is for rectangles of triads; a single board has no wrap-around links"
        )
    ratio = request.min_ratio
    return replace(request, min_ratio=1.0 / ratio if ratio > 1.0 else ratio)


def _size(width: int, height: int) -> Size:
    return Size(_at_least(width, 1, "width in triads"), _at_least(height, 1, "height in triads"))


def _board(x: int, y: int, z: int) -> Board:
    return Board(_at_least(x, 0, "board's x"), _at_least(y, 0, "board's y"), z)


def _at_least(value: int, least: int, what: str) -> int:
    if value < least:
        raise RequestError(f"the {what} is {value}; it must be {least} or more")
    return value

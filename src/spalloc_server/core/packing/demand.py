"""Which rectangles of triads would meet a request on a machine, from sizes alone.

Nothing here depends on a machine's faults or on who has which boards.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise
from math import ceil

from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle, RectangleAt
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size, contains

LOOSENESS = (1.0, 1.4, 2.0, 3.0)
"""The areas of the rectangles that are tried, as multiples of the area that the boards need.

A looser rectangle lets a job bend around its neighbours; what it does not need is left to them. How much that
saves is measured in docs/guides/scheduling.md.
"""

_WIDTH_FACTOR = 1.4
"""Widths are sampled geometrically: each one tried is at most this many times the one before."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A request for rectangles of triads, as one machine sees it."""

    rectangles: tuple[tuple[Size, ...], ...]
    """The sizes to try, smallest area first, grouped by area."""
    outermost: tuple[Size, ...]
    """The sizes that fit into no other: where these have too few boards, all have."""
    boards: int
    """How many boards are asked for."""
    fewest: int
    """How many boards are enough: those asked for less the dead ones that may be missing; at least 1."""
    max_dead_links: int | None
    require_torus: bool
    origin: Board | None = None
    """The only bottom-left board that a rectangle may have; None for any."""

    def spare(self, size: Size) -> int:
        """Return how many boards of a rectangle other jobs may have: those that exceed the number asked for.

        0 for a torus, because another job's boards would break its wrap-around.
        """
        return 0 if self.require_torus else max(0, size.boards - self.boards)

    def minds_others(self, fewest: int) -> bool:
        """Return whether a spot with `fewest` open boards may be refused because of boards that other jobs have in it.

        Then any board that becomes available may open a spot, even one that no live link connects to the job's own.
        """
        return fewest < self.boards or self.require_torus


Wish = AnyBoard | BoardAt | Demand
"""A request as one machine sees it."""


def demands(request: JobRequest, limit: Size, *, every_size: bool) -> Iterator[Demand]:
    """Yield what may meet a request, from the smallest rectangles to the largest.

    Args:
        request: a request for rectangles of triads.
        limit: the machine's size.
        every_size: whether to try each single size at the end: where boards or links are dead, the only size that works
            may be one that no other stands for.
    """
    match request.shape:
        case Rectangle(size):
            if holds(limit, size):
                yield _demand(request, size.boards, [size], limit)
        case RectangleAt(origin, size):
            if holds(limit, size) and contains(limit, origin):
                yield replace(_demand(request, size.boards, [size], limit), origin=origin)
        case Boards(count):
            triads = ceil(count / BOARDS_PER_TRIAD)
            while triads <= limit.width * limit.height:
                yield _demand(request, count, rectangles(triads, request.min_ratio, limit), limit)
                triads += ceil(triads / 4)
            if every_size:
                for size in every_rectangle(ceil(count / BOARDS_PER_TRIAD), request.min_ratio, limit):
                    yield _demand(request, count, [size], limit)
        case _:
            raise AssertionError(f"{request.shape} asks for one board, not for rectangles of triads")


def _demand(request: JobRequest, boards: int, sizes: Iterable[Size], limit: Size) -> Demand:
    sizes = tuple(size for size in sizes if size == limit or not request.require_torus)
    by_area = tuple(tuple(same) for _, same in groupby(sizes, key=lambda size: size.boards))
    fewest = 1 if request.max_dead_boards is None else max(1, boards - request.max_dead_boards)
    return Demand(by_area, _outermost(sizes), boards, fewest, request.max_dead_links, request.require_torus)


# Sizes


def is_square_enough(size: Size, min_ratio: float) -> bool:
    """Return whether short side over long side, in triads, is at least `min_ratio`, 0.0 to 1.0."""
    return min(size) / max(size) >= min_ratio


def holds(outer: Size, inner: Size) -> bool:
    """Return whether `inner` fits into `outer` without turning it."""
    return inner.width <= outer.width and inner.height <= outer.height


@lru_cache(maxsize=1024)
def rectangles(triads: int, min_ratio: float, limit: Size) -> tuple[Size, ...]:
    """Return rectangles up to `limit` that have room for `triads` triads and are square enough, smallest area first.

    These are a sample. For each width, the lowest rectangle fits into one of the sample, unless it is out of
    proportion. So a job that fits into any of those fits into one of these, and they are few on any machine.
    """
    lowest = {}
    for width in range(1, limit.width + 1):
        height = _lowest(width, triads, min_ratio)
        if height is not None and height <= limit.height:
            lowest[width] = height
    smallest = min((width * height for width, height in lowest.items()), default=0)
    lowest = {width: height for width, height in lowest.items() if width * height <= LOOSENESS[-1] * smallest}
    sizes = set()
    last = 0
    for width in _sampled(list(lowest)):
        passed_over = lowest.get(last + 1, 0)
        for looseness in LOOSENESS:
            height = max(lowest[width], min(limit.height, int(looseness * triads / width)))
            sizes.add(Size(width, height))
        sizes.add(Size(width, max(lowest[width], passed_over)))
        last = width
    return tuple(sorted((size for size in sizes if is_square_enough(size, min_ratio)), key=_by_area))


def _sampled(widths: list[int]) -> list[int]:
    """Return some of a row of widths, the first and the last among them."""
    chosen = widths[:1]
    for width, following in pairwise([*widths, 0]):
        if following == 0 or following > max(chosen[-1] + 1, _WIDTH_FACTOR * chosen[-1]):
            chosen.append(width)
    return list(dict.fromkeys(chosen))


def _lowest(width: int, triads: int, min_ratio: float) -> int | None:
    """Return the least height that gives a rectangle room and makes it square enough."""
    height = ceil(triads / width)
    while not is_square_enough(Size(width, height), min_ratio):
        if height >= width:
            return None
        # The product may be off by a rounding error, so the quotient decides.
        height = max(height + 1, int(min_ratio * width))
    return height


def every_rectangle(triads: int, min_ratio: float, limit: Size) -> list[Size]:
    """Return all rectangles up to `limit` that have room for `triads` triads, smallest area first."""
    sizes = (
        Size(width, height) for width in range(1, limit.width + 1) for height in range(1, limit.height + 1)
    )
    fitting = (
        size for size in sizes if size.width * size.height >= triads and is_square_enough(size, min_ratio)
    )
    return sorted(fitting, key=_by_area)


def _by_area(size: Size) -> tuple[int, int, Size]:
    return size.boards, max(size), size


@lru_cache(maxsize=1024)
def _outermost(sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    """Return the sizes that fit into no other."""
    outer: list[Size] = []
    for size in sorted(sizes, reverse=True):
        if not outer or size.height > outer[-1].height:
            outer.append(size)
    return tuple(outer)

# Which rectangles of triads are the right shape for a number of boards, from arithmetic alone.
#
# No machine's faults and no occupancy.
"""Rectangles that have room for a number of triads and are square enough."""

from collections.abc import Iterable
from math import ceil

from spinnaker.geometry import Size

LOOSENESS = (1.0, 1.25, 1.5, 2.0)
"""How many times the area that is needed a rectangle may have.

A looser rectangle lets a job bend around its neighbours; what it does not need is left to them. How much that
saves is measured in docs/guides/scheduling.md.
"""

_MOST_WIDTHS = 24
"""Widths tried for one request. There are no more on the largest machine built; on still larger ones, which have
hundreds, this keeps the time to decide in proportion to the number of triads."""


def is_square_enough(size: Size, min_ratio: float) -> bool:
    """Return whether short side over long side, in triads, is at least `min_ratio`, 0.0 to 1.0."""
    return min(size) / max(size) >= min_ratio


def holds(outer: Size, inner: Size) -> bool:
    """Return whether `inner` fits into `outer` without turning it."""
    return inner.width <= outer.width and inner.height <= outer.height


def rectangles(triads: int, min_ratio: float, limit: Size) -> list[Size]:
    """Return rectangles up to `limit` that have room for `triads` triads and are square enough, smallest area first.

    For each width there is the lowest one that has room, and some that are higher, up to twice the area needed.
    """
    lowest = {}
    for width in range(1, limit.width + 1):
        height = _lowest(width, triads, min_ratio)
        if height is not None and height <= limit.height:
            lowest[width] = height
    sizes = {
        Size(width, max(lowest[width], min(limit.height, int(looseness * triads / width))))
        for width in _spread(list(lowest))
        for looseness in LOOSENESS
    }
    fitting = (size for size in sizes if is_square_enough(size, min_ratio))
    return sorted(fitting, key=_by_area)


def _lowest(width: int, triads: int, min_ratio: float) -> int | None:
    """Return the least height with which a rectangle has room and is square enough."""
    height = ceil(triads / width)
    while not is_square_enough(Size(width, height), min_ratio):
        if height >= width:
            return None
        # The product may be off by a rounding error; the loop goes on until the quotient is right.
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


def _spread(widths: list[int]) -> list[int]:
    """Return at most `_MOST_WIDTHS` of the widths, the first and the last among them, evenly spread."""
    if len(widths) <= _MOST_WIDTHS:
        return widths
    step = (len(widths) - 1) / (_MOST_WIDTHS - 1)
    return [widths[round(at * step)] for at in range(_MOST_WIDTHS)]


def outermost(sizes: Iterable[Size]) -> tuple[Size, ...]:
    """Return those of the sizes that fit into no other one."""
    outer: list[Size] = []
    for size in sorted(sizes, reverse=True):
        if not outer or size.height > outer[-1].height:
            outer.append(size)
    return tuple(outer)

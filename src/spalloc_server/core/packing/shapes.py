"""Which rectangles of triads are the right shape for a number of boards, from arithmetic alone.

No machine's faults and no occupancy.
"""

from functools import lru_cache
from itertools import pairwise
from math import ceil

from spinnaker.geometry import Size

LOOSENESS = (1.0, 1.4, 2.0)
"""How many times the area that is needed a rectangle may have.

A looser rectangle lets a job bend around its neighbours; what it does not need is left to them. How much that
saves is measured in docs/guides/scheduling.md.
"""

_WIDER = 1.4
"""How much wider the next width may be than the last: so many, at the most, stand for all."""


def is_square_enough(size: Size, min_ratio: float) -> bool:
    """Return whether short side over long side, in triads, is at least `min_ratio`, 0.0 to 1.0."""
    return min(size) / max(size) >= min_ratio


def holds(outer: Size, inner: Size) -> bool:
    """Return whether `inner` fits into `outer` without turning it."""
    return inner.width <= outer.width and inner.height <= outer.height


@lru_cache(maxsize=1024)
def rectangles(triads: int, min_ratio: float, limit: Size) -> tuple[Size, ...]:
    """Return rectangles up to `limit` that have room for `triads` triads and are square enough, smallest area first.

    Not all there are: for each width, the lowest one is at least inside one of these, if it is not out of proportion.
    So a job that fits into any of those fits into one of these, and they are few, however large the machine.
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
    for width in _some_of(list(lowest)):
        passed_over = lowest.get(last + 1, 0)
        for looseness in LOOSENESS:
            height = max(lowest[width], min(limit.height, int(looseness * triads / width)))
            sizes.add(Size(width, height))
        sizes.add(Size(width, max(lowest[width], passed_over)))
        last = width
    return tuple(sorted((size for size in sizes if is_square_enough(size, min_ratio)), key=_by_area))


def _some_of(widths: list[int]) -> list[int]:
    """Return some of a row of widths, the first and the last among them."""
    chosen = widths[:1]
    for width, following in pairwise([*widths, 0]):
        if following == 0 or following > max(chosen[-1] + 1, _WIDER * chosen[-1]):
            chosen.append(width)
    return list(dict.fromkeys(chosen))


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


@lru_cache(maxsize=1024)
def outermost(sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    """Return those of the sizes that fit into no other one."""
    outer: list[Size] = []
    for size in sorted(sizes, reverse=True):
        if not outer or size.height > outer[-1].height:
            outer.append(size)
    return tuple(outer)

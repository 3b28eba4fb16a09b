# Which rectangles of triads are the right shape for a request, from arithmetic alone.
#
# No machine's faults and no occupancy.
"""Rectangles that satisfy a number of boards and a ratio."""

from spinnaker.geometry import Size


def is_square_enough(size: Size, min_ratio: float) -> bool:
    """Return whether short side over long side, in triads, is at least `min_ratio`; above 1, its reciprocal."""
    ratio = min_ratio if min_ratio <= 1 else 1 / min_ratio
    return min(size) / max(size) >= ratio


def rectangles(count: int, min_ratio: float, limit: Size) -> list[Size]:
    """Return all rectangles up to `limit` with room for `count` boards that are square enough, smallest area first."""
    sizes = (
        Size(width, height) for width in range(1, limit.width + 1) for height in range(1, limit.height + 1)
    )
    fitting = (size for size in sizes if size.boards >= count and is_square_enough(size, min_ratio))
    return sorted(fitting, key=lambda size: (size.boards, max(size), size))


def holds(outer: Size, inner: Size) -> bool:
    """Return whether `inner` fits into `outer` without turning it."""
    return inner.width <= outer.width and inner.height <= outer.height

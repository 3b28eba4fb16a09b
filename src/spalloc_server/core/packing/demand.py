"""A request for rectangles as one machine sees it: which sizes would do, and how much of them may be missing.

Worked out once for each kind of request; nothing here changes with occupancy.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import ceil

from spalloc_server.core.packing.shapes import every_rectangle, holds, outermost, rectangles
from spalloc_server.core.requests import Boards, JobRequest, Rectangle
from spinnaker.geometry import BOARDS_PER_TRIAD, Size


@dataclass(frozen=True, slots=True)
class Demand:
    """A request for rectangles of triads, made ready for one machine."""

    rectangles: tuple[tuple[Size, ...], ...]
    """The sizes to try, smallest area first; those of one area together."""
    outermost: tuple[Size, ...]
    """Those of the sizes that fit into no other: where these have too few boards, all have."""
    boards: int
    """How many boards are asked for."""
    fewest: int
    """How many boards are put up with: those asked for less the dead ones that may be missing; at least 1."""
    max_dead_links: int | None
    require_torus: bool

    def spare(self, size: Size) -> int:
        """How many boards of a rectangle are more than asked for, so that other jobs may have them.

        None of a torus are: another job's boards in it cut the ways around it.
        """
        return 0 if self.require_torus else max(0, size.boards - self.boards)

    def minds_others(self, fewest: int) -> bool:
        """Whether boards that others have may keep the job from a place, though `fewest` boards of it are open to it.

        There can be a place then when any board of it becomes available, even one that no live link connects to the
        job's own.
        """
        return fewest < self.boards or self.require_torus


def demands(request: JobRequest, limit: Size, *, every_size: bool) -> Iterator[Demand]:
    """Yield what a machine of `limit` triads may provide for a request, from the smallest rectangles to the largest.

    Args:
        request: for rectangles of triads.
        limit: the machine's size.
        every_size: whether to try each single size at last: where boards or links are dead, one may do of which no
            other tells.
    """
    match request.shape:
        case Rectangle(size):
            if holds(limit, size):
                yield _demand(request, size.boards, [size], limit)
        case Boards(count):
            triads = ceil(count / BOARDS_PER_TRIAD)
            while triads <= limit.width * limit.height:
                yield _demand(request, count, rectangles(triads, request.min_ratio, limit), limit)
                triads += ceil(triads / 4)
            if every_size:
                for size in every_rectangle(ceil(count / BOARDS_PER_TRIAD), request.min_ratio, limit):
                    yield _demand(request, count, [size], limit)
        case _:
            raise AssertionError(f"{request.shape} is not for rectangles")


def _demand(request: JobRequest, boards: int, sizes: Iterable[Size], limit: Size) -> Demand:
    sizes = tuple(size for size in sizes if size == limit or not request.require_torus)
    by_area = tuple(tuple(same) for _, same in groupby(sizes, key=lambda size: size.boards))
    fewest = 1 if request.max_dead_boards is None else max(1, boards - request.max_dead_boards)
    return Demand(by_area, outermost(sizes), boards, fewest, request.max_dead_links, request.require_torus)

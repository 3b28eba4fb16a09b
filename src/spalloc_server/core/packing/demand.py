# A request for rectangles as one machine sees it: which sizes would do, and how much of them may be missing.
#
# Worked out once for each kind of request; nothing here changes with occupancy.
"""What a machine must provide for a request."""

from dataclasses import dataclass

from spalloc_server.core.packing.shapes import holds, rectangles
from spalloc_server.core.requests import Boards, JobRequest, Rectangle
from spinnaker.geometry import Size

LOOSEST = 2.0
"""How many times the area of the smallest possible rectangle a job's rectangle may have.

A looser rectangle lets a job bend around its neighbours. Measured from 1.0 to 3.0: docs/guides/scheduling.md.
"""


@dataclass(frozen=True, slots=True)
class Demand:
    """A request for rectangles of triads, made ready for one machine."""

    rectangles: tuple[tuple[Size, ...], ...]
    """The sizes to try, smallest area first; those of one area together."""
    boards: int
    """How many boards are asked for."""
    fewest: int
    """How many boards are put up with: those asked for less the dead ones that may be missing; at least 1."""
    max_dead_links: int | None
    require_torus: bool

    def only(self, rectangles: tuple[tuple[Size, ...], ...]) -> "Demand":
        """Return the same with other sizes."""
        return Demand(rectangles, self.boards, self.fewest, self.max_dead_links, self.require_torus)

    def spare(self, size: Size) -> int:
        """How many boards of a rectangle are more than asked for, so that other jobs may have them."""
        return max(0, size.boards - self.boards)


def demand_for(request: JobRequest, limit: Size) -> Demand:
    """Return what a machine of `limit` triads must provide for a request, however loose the rectangle."""
    match request.shape:
        case Rectangle(size):
            sizes = [size] if holds(limit, size) else []
            count = size.boards
        case Boards(count):
            sizes = rectangles(count, request.min_ratio, limit)
        case _:
            raise AssertionError(f"{request.shape} is not for rectangles")
    if request.require_torus:
        sizes = [size for size in sizes if size == limit]
    areas: dict[int, list[Size]] = {}
    for size in sizes:
        areas.setdefault(size.boards, []).append(size)
    fewest = 1 if request.max_dead_boards is None else max(1, count - request.max_dead_boards)
    by_area = tuple(tuple(same) for same in areas.values())
    return Demand(by_area, count, fewest, request.max_dead_links, request.require_torus)


def not_too_loose(demand: Demand, smallest: int) -> Demand:
    """Return the demand for the rectangles of `smallest` boards, and up to `LOOSEST` times as many."""
    return demand.only(
        tuple(same for same in demand.rectangles if smallest <= same[0].boards <= LOOSEST * smallest)
    )

"""What requests come to on one machine, and whether it could meet them were no board in use.

Nothing here changes with occupancy: where a request can be met now is packer.py's.
"""

from dataclasses import replace

from spalloc_server.core.packing.demand import Demand, demands
from spalloc_server.core.packing.fabric import Fabric
from spalloc_server.core.packing.search import EVERYWHERE, Place, find_rectangle
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest

Wish = AnyBoard | BoardAt | Demand
"""A request as one machine sees it."""

_KNOWN_REQUESTS = 4096
"""How many requests a machine knows its answer to; then it forgets the oldest, as no one knows how many will come."""


class Wishes:
    """What each request comes to on one machine: found out once."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._empty = Space(fabric, fabric.live)
        self._demands: dict[JobRequest, Demand | None] = {}
        self._limits: dict[JobRequest, tuple[int, int]] = {}
        """For requests alike but for the boards, the most known to be possible and the fewest known not to be."""

    def is_known_to_meet(self, request: JobRequest) -> bool:
        """Return whether the request was asked about before, and could be met."""
        return self._demands.get(request) is not None

    def could_meet(self, request: JobRequest) -> Steps[bool]:
        """Return whether the request could be met were no board in use."""
        if request.max_dead_links is not None:
            unlimited = replace(request, max_dead_links=None)
            return (yield from self.could_meet(unlimited)) and (yield from self.of(request)) is not None
        if not isinstance(request.shape, Boards):
            return (yield from self.of(request)) is not None
        # What is possible for some boards is possible for fewer: only the counts at the limit are worked out.
        count, alike = request.shape.count, replace(request, shape=AnyBoard(), machine=None, tags=frozenset())
        unknown = 0, self._fabric.size.boards + 1
        possible, impossible = self._limits.get(alike, unknown)
        if possible < count < impossible:
            wish = yield from self.of(request)
            if len(self._limits) >= _KNOWN_REQUESTS:
                del self._limits[next(iter(self._limits))]
            # Others may have found out more meanwhile.
            possible, impossible = self._limits.get(alike, unknown)
            if wish is not None:
                possible = max(possible, count)
            else:
                impossible = min(impossible, count)
            self._limits[alike] = possible, impossible
        return count <= possible

    def of(self, request: JobRequest) -> Steps[Wish | None]:
        """Return what the request comes to on this machine; None if it could not be met were no board in use."""
        match request.shape:
            case AnyBoard():
                return request.shape if self._fabric.live_boards else None
            case BoardAt(board):
                return request.shape if board in self._fabric.live_boards else None
        try:
            return self._demands[request]
        except KeyError:
            pass
        demand = yield from self._demand(request)
        if len(self._demands) >= _KNOWN_REQUESTS:
            del self._demands[next(iter(self._demands))]
        self._demands[request] = demand
        return demand

    def _demand(self, request: JobRequest) -> Steps[Demand | None]:
        perfect = self._fabric.is_perfect
        # What takes long, for each of the sizes, is done when all others have been looked at.
        for where in (
            EVERYWHERE if request.max_dead_links is not None and self._fabric.dead_links else EVERYWHERE[:1]
        ):
            for demand in demands(request, self._fabric.size, every_size=not perfect):
                yield self._fabric.effort
                if demand.rectangles:
                    if perfect:
                        return demand
                    found = yield from find_rectangle(demand, self._empty, where=(where,))
                    if isinstance(found, Place):
                        return demand
        return None

"""What requests mean on one machine, and whether it could meet them if no board were in use.

Nothing here depends on occupancy: whether a request can be met now is found in packer.py.
"""

from dataclasses import replace

from spalloc_server.core.packing.demand import Demand, Wish, demands
from spalloc_server.core.packing.search import EVERYWHERE, Spot, find_rectangle
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.topology import Topology
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest

_KNOWN_REQUESTS = 4096
"""For how many requests a machine remembers the answer; then it forgets the oldest."""


class Wishes:
    """What each request means on one machine, worked out once."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._empty = Space(topology, topology.live)
        self._demands: dict[JobRequest, Demand | None] = {}
        self._limits: dict[JobRequest, tuple[int, int]] = {}
        """For requests that differ only in their boards, the most known to be possible and the fewest known not to be.

        Feasibility is monotone in the number of boards, so these two answer for all numbers.
        """

    def is_known_to_meet(self, request: JobRequest) -> bool:
        """Return whether it is known without work that the request can be met."""
        return self._demands.get(request) is not None

    def could_meet(self, request: JobRequest) -> Steps[bool]:
        """Return whether the request could be met if no board were in use."""
        if request.max_dead_links is not None:
            unlimited = replace(request, max_dead_links=None)
            return (yield from self.could_meet(unlimited)) and (yield from self.of(request)) is not None
        if not isinstance(request.shape, Boards):
            return (yield from self.of(request)) is not None
        count, alike = request.shape.count, replace(request, shape=AnyBoard(), machine=None, tags=frozenset())
        unknown = 0, self._topology.size.boards + 1
        possible, impossible = self._limits.get(alike, unknown)
        if possible < count < impossible:
            wish = yield from self.of(request)
            if len(self._limits) >= _KNOWN_REQUESTS:
                del self._limits[next(iter(self._limits))]
            # Other checks may have found out more meanwhile.
            possible, impossible = self._limits.get(alike, unknown)
            if wish is not None:
                possible = max(possible, count)
            else:
                impossible = min(impossible, count)
            self._limits[alike] = possible, impossible
        return count <= possible

    def of(self, request: JobRequest) -> Steps[Wish | None]:
        """Return what the request means on this machine; None if it could not be met even if no board were in use."""
        match request.shape:
            case AnyBoard():
                return request.shape if self._topology.live_boards else None
            case BoardAt(board):
                return request.shape if board in self._topology.live_boards else None
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
        perfect = self._topology.is_perfect
        # All sizes are tried where a search is quick, before any where it takes long.
        for where in (
            EVERYWHERE if request.max_dead_links is not None and self._topology.dead_links else EVERYWHERE[:1]
        ):
            for demand in demands(request, self._topology.size, every_size=not perfect):
                yield self._topology.effort
                if demand.rectangles:
                    if perfect and demand.origin is None:
                        return demand
                    found = yield from find_rectangle(demand, self._empty, where=(where,))
                    if isinstance(found, Spot):
                        return demand
        return None

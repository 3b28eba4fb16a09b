"""The search itself: every placement of every rectangle that would do, and the choice among them.

Looks at spaces, changes none but for what they remember; who may have which space is packer.py's.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.dead_links import few_for_sure, perhaps_few
from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.fabric import Fabric
from spalloc_server.core.packing.space import Rectangles, Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.trimming import trimmed
from spinnaker.geometry import Board, Size


class Place(NamedTuple):
    """Boards that would meet a request."""

    origin: Board
    size: Size | None
    boards: Planes


class Where(Enum):
    """Where to look for a demand that limits dead links; for any other it makes no difference."""

    LIKELY = "where it can be told at once that there are few"
    ELSEWHERE = "where only a closer look tells"


EVERYWHERE = (Where.LIKELY, Where.ELSEWHERE)


class Missing(NamedTuple):
    """No place; and how many more boards must open up, at the least, before there can be one."""

    boards: int


def allocation(machine: str, fabric: Fabric, place: Place) -> Allocation:
    """Return a place as what a job gets."""
    boards = frozenset(fabric.bitmaps.boards(place.boards))
    if place.size is None:
        return Allocation(machine, place.origin, None, boards)
    wraps_x, wraps_y = fabric.wrapped(place.boards, place.origin, place.size)
    return Allocation(machine, place.origin, place.size, boards, wraps_x, wraps_y)


def find_rectangle(
    demand: Demand,
    space: Space,
    *,
    best_for: Space | None = None,
    failed_version: int = 0,
    where: tuple[Where, ...] = EVERYWHERE,
) -> Steps[Place | Missing]:
    """Find a rectangle: the smallest there is, and among equals the one whose edge touches the fewest open triads.

    All boards asked for are had where that is possible at all; only then may dead ones be missing.

    Args:
        demand: what would do.
        space: the boards that may be given; it must not change until the search is over.
        best_for: instead of the smallest edge, prefer the most boards that are open there.
        failed_version: the version with which the same demand was last found not to be met in `space`; 0 if it wasn't.
        where: where to look, in this order.
    """
    found = yield from _Search(demand, demand.boards, space, best_for, failed_version).find(where)
    if isinstance(found, Missing) and demand.fewest < demand.boards:
        return (yield from _Search(demand, demand.fewest, space, space, failed_version).find(where))
    return found


def fits(demand: Demand, space: Space, *, failed_version: int = 0) -> Steps[bool]:
    """Return whether there is a place, without choosing one.

    Args:
        demand: what would do.
        space: the boards that may be given; it must not change until the search is over.
        failed_version: the version with which the same demand was last found not to be met in `space`; 0 if it wasn't.
    """
    if demand.max_dead_links is not None or demand.require_torus or not space.fabric.is_torus:
        found = yield from find_rectangle(demand, space, failed_version=failed_version)
        return isinstance(found, Place)
    for fewest in {demand.boards, demand.fewest}:
        if (yield from _Search(demand, fewest, space, None, failed_version).fits()):
            return True
    return False


class _Search:
    """A search for at least so many boards in one space."""

    __slots__ = ("best_for", "demand", "failed_version", "fewest", "minds_others", "outermost", "space")

    def __init__(
        self, demand: Demand, fewest: int, space: Space, best_for: Space | None, failed_version: int
    ) -> None:
        self.demand = demand
        self.fewest = fewest
        self.space = space
        self.best_for = best_for
        self.minds_others = demand.minds_others(fewest)
        self.failed_version = 0 if self.minds_others else failed_version
        """With this version nothing was found; 0 if that tells nothing now."""
        self.outermost = [space.rectangles(size) for size in demand.outermost]
        """These answer for all that would do, as the others fit into them."""

    def find(self, where: tuple[Where, ...]) -> Steps[Place | Missing]:
        """Return the best place, or how many boards must open up, at the least, before there can be one."""
        demand, space = self.demand, self.space
        few = self.fewest - space.open.size
        if few > 0:
            return Missing(few)
        if max([rectangles.ceiling for rectangles in self.outermost]) < self.fewest:
            return Missing(self._missing())
        # Who finds a place mostly finds it in one of the smallest rectangles: they are asked before the outermost are.
        first, smallest = where[0], demand.rectangles[0]
        place = yield from self._best_of(smallest, first)
        if place is not None:
            return place
        missing = self._missing()
        yield len(self.outermost) * space.fabric.effort
        if missing:
            return Missing(missing)
        if len(demand.rectangles) > 1 and not (yield from self._may_connect()):
            return Missing(1)
        for there in where if demand.max_dead_links is not None else (first,):
            for sizes in demand.rectangles:
                if sizes is not smallest or there is not first:
                    yield len(sizes) * space.fabric.effort
                    place = yield from self._best_of(sizes, there)
                    if place is not None:
                        return place
        return Missing(1)

    def fits(self) -> Steps[bool]:
        """Return whether there is a place on a torus for a demand that does not limit dead links."""
        yield len(self.outermost) * self.space.fabric.effort
        if self.space.open.size < self.fewest or not any(map(self._has_place, self.outermost)):
            return False
        return (yield from self._may_connect())

    # Counting boards

    def _has_place(self, rectangles: Rectangles) -> bool:
        return rectangles.ceiling >= self.fewest and rectangles.any_has(self.fewest)

    def _missing(self) -> int:
        """Return how many boards the fullest rectangle is short of; 0 if there are enough."""
        most = 0
        for rectangles in self.outermost:
            ceiling = rectangles.ceiling
            if ceiling >= self.fewest:
                if rectangles.any_has(self.fewest):
                    return 0
                ceiling = rectangles.find_ceiling()
            most = max(most, ceiling)
        return self.fewest - most

    def _places(self, rectangles: Rectangles) -> int:
        """Return guards of the places where counting boards gives no reason against."""
        grids = rectangles.grids
        places = grids.at_least(rectangles.open_boards, self.fewest) & rectangles.origins
        if places and self.minds_others:
            spare = self.demand.spare(rectangles.size)
            places &= ~grids.at_least(rectangles.live_in_use(), spare + 1)
        return places

    # Connections

    def _may_connect(self) -> Steps[bool]:
        """Return whether enough boards of any of the outermost rectangles are connected.

        On a torus these answer for all, as each of the others fits into one of them that has the same origin.
        """
        space, version = self.space, self.failed_version
        if not space.fabric.is_torus:
            return True
        new = space.clusters_of(space.opened_since(version), self.fewest) if version else space.open.boards
        if new == NO_BOARDS:
            return False
        for rectangles in self.outermost:
            if rectangles.ceiling >= self.fewest:
                places = self._places(rectangles)
                if version:
                    places &= rectangles.grids.guards_of(new.z0)
                if (yield from self._any_connected(rectangles, places)):
                    return True
        return False

    def _any_connected(self, rectangles: Rectangles, places: int) -> Steps[bool]:
        first = True
        while places:
            x, y = rectangles.grids.first(places)
            if self._connected(Board(x, y, 0), rectangles.size, first=first) is not None:
                return True
            yield self.space.fabric.effort
            places &= places - 1
            first = False
        return False

    def _connected(self, origin: Board, size: Size, *, first: bool) -> Planes | None:
        """Return the open boards of a rectangle that are connected to its origin, if there are enough.

        The first rectangle mostly does. Once one has not, knowing the clusters of all open boards saves looking inside
        most of the others.
        """
        space, fabric = self.space, self.space.fabric
        triads = fabric.bitmaps.rectangle(origin.x, origin.y, size)
        inside = space.open.boards.within(triads)
        if fabric.is_whole(triads, inside):
            return inside
        if not first:
            inside &= space.cluster(origin)
            if inside.size < self.fewest:
                return None
        inside = fabric.connected(origin, size, inside)
        return inside if inside.size >= self.fewest else None

    # The choice

    def _best_of(self, sizes: Iterable[Size], where: Where) -> Steps[Place | None]:
        """Return the best place among rectangles of equal area."""
        possible = []
        for rectangles in map(self.space.rectangles, sizes):
            places = self._places(rectangles)
            if places and self.demand.max_dead_links is not None:
                likely = few_for_sure(self.demand, rectangles)
                places &= likely if where is Where.LIKELY else ~likely
                if places and where is Where.ELSEWHERE and self.space.is_everything:
                    places &= yield from perhaps_few(self.demand, rectangles)
            if places:
                possible.append((rectangles, places))
        for rectangles, places in self._best_first(possible):
            rest, first = places, True
            while rest:
                x, y = rectangles.grids.first(rest)
                place = self._examined(Board(x, y, 0), rectangles.size, first=first)
                if place is not None:
                    return place
                yield 2 * self.space.fabric.effort
                rest &= rest - 1
                first = False
        return None

    def _best_first(self, possible: list[tuple[Rectangles, int]]) -> list[tuple[Rectangles, int]]:
        """Return places of some sizes in the order in which to look at them: those with the least edge first."""
        if not possible or (len(possible) == 1 and not possible[0][1] & (possible[0][1] - 1)):
            return possible
        rated = [(*self._rated(rectangles, places), rectangles) for rectangles, places in possible]
        rated.sort(key=lambda rating: rating[0])
        best = [(rectangles, at_best) for _, at_best, _, rectangles in rated]
        return best + [(rectangles, elsewhere) for _, _, elsewhere, rectangles in rated]

    def _rated(self, rectangles: Rectangles, places: int) -> tuple[int, int, int]:
        """Return how bad the best places are, and guards of these and of the others."""
        if self.best_for is None:
            rating, bound = rectangles.shut_edge()
        else:
            rating, bound = self.best_for.rectangles(rectangles.size).open_boards, rectangles.size.boards
        most, best = rectangles.grids.largest(rating, places, bound)
        return bound - most, best, places ^ best

    def _examined(self, origin: Board, size: Size, *, first: bool) -> Place | None:
        """Return what a job would get at a place, if that is connected and enough."""
        demand, fabric = self.demand, self.space.fabric
        inside = self._connected(origin, size, first=first)
        if inside is None:
            return None
        held = trimmed(demand, origin, size, inside, fabric)
        if demand.require_torus and not (fabric.is_torus and all(fabric.wrapped(held, origin, size))):
            return None
        if demand.max_dead_links is not None:
            dead = fabric.dead_links_between(held, origin, size, around=demand.require_torus)
            if dead > demand.max_dead_links:
                return None
        return Place(origin, size, held)

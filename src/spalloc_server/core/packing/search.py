"""The search for a spot: every position of every rectangle that would do, and the choice among them.

A search changes nothing in a space but what the space remembers. Which space a job may have is decided in packer.py.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from spalloc_server.core.packing.bitmaps import NO_BOARDS, Planes
from spalloc_server.core.packing.dead_links import perhaps_few, surely_few
from spalloc_server.core.packing.demand import Demand, Wish
from spalloc_server.core.packing.space import Rectangles, Space
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.trimming import trimmed
from spalloc_server.core.requests import AnyBoard, BoardAt
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size

_TRIAD = Size(1, 1)
_WHOLE_TRIAD = Demand(((_TRIAD,),), (_TRIAD,), BOARDS_PER_TRIAD, BOARDS_PER_TRIAD, None, require_torus=False)


class Spot(NamedTuple):
    """Boards that would meet a request."""

    origin: Board
    size: Size | None
    """The size of the rectangle that the boards are in; None for a single board."""
    boards: Planes


class Where(Enum):
    """Where to look, for a demand that limits dead links; for any other it makes no difference."""

    LIKELY = "where there are surely few"
    ELSEWHERE = "where only a closer look tells"


EVERYWHERE = (Where.LIKELY, Where.ELSEWHERE)


class Missing(NamedTuple):
    """There is no spot, nor can there be one before this many more boards have been opened."""

    boards: int


def find(
    wish: Wish, space: Space, *, best_for: Space | None = None, failed_version: int = 0
) -> Steps[Spot | Missing]:
    """Find a spot for what a job asks for; the arguments are those of `find_rectangle`."""
    match wish:
        case AnyBoard():
            return _find_board(space)
        case BoardAt(board):
            return _find_board_at(space, board)
        case Demand():
            return find_rectangle(wish, space, best_for=best_for, failed_version=failed_version)


def find_rectangle(
    demand: Demand,
    space: Space,
    *,
    best_for: Space | None = None,
    failed_version: int = 0,
    where: tuple[Where, ...] = EVERYWHERE,
) -> Steps[Spot | Missing]:
    """Find a rectangle: the smallest there is, and among equals the one whose edge touches the fewest open triads.

    Dead boards are missing only if there is no spot with all boards that the job asks for.

    Args:
        demand: what would do.
        space: the boards that may be given; it must not change until the search is over.
        best_for: a space. If given, the rectangle with the most boards open there is preferred, whatever its edge.
        failed_version: the version with which a search in `space` for the same demand failed last; 0 if none did.
        where: where to look, in this order.
    """
    found = yield from _Search(demand, demand.boards, space, best_for, failed_version).find(where)
    if isinstance(found, Missing) and demand.fewest < demand.boards:
        return (yield from _Search(demand, demand.fewest, space, space, failed_version).find(where))
    return found


def may_fit(wish: Wish, space: Space) -> bool:
    """Return whether there are enough open boards for a spot, connected or not."""
    match wish:
        case AnyBoard():
            return space.open.size > 0
        case BoardAt(board):
            return bool(space.topology.bitmaps.triad(board.x, board.y) & space.open.boards[board.z])
        case Demand():
            return space.open.size >= wish.fewest and any(
                space.rectangles(size).any_has(wish.fewest) for size in wish.outermost
            )


def fits(wish: Wish, space: Space, *, failed_version: int = 0) -> Steps[bool]:
    """Return whether there is a spot, without choosing one; the arguments are those of `find`."""
    if not isinstance(wish, Demand):
        return isinstance((yield from find(wish, space)), Spot)
    if wish.max_dead_links is not None or wish.require_torus or not space.topology.is_torus:
        found = yield from find_rectangle(wish, space, failed_version=failed_version)
        return isinstance(found, Spot)
    for fewest in {wish.boards, wish.fewest}:
        if (yield from _Search(wish, fewest, space, None, failed_version).fits()):
            return True
    return False


# Single boards


def _find_board(space: Space) -> Steps[Spot | Missing]:
    """Find a single board: in the most broken triad there is, so that whole ones stay whole."""
    z0, z1, z2 = space.open.boards
    whole = z0 & z1 & z2
    two = (z0 & z1 | z1 & z2 | z0 & z2) ^ whole
    one = (z0 | z1 | z2) ^ two ^ whole
    broken = one or two
    if broken:
        triad = broken & -broken
    elif whole:
        found = yield from find_rectangle(_WHOLE_TRIAD, space)
        if isinstance(found, Spot):
            triad = space.topology.bitmaps.triad(found.origin.x, found.origin.y)
        else:
            triad = whole & -whole
    else:
        return Missing(1)
    # The board at z = 0 goes last: a rectangle needs the one at its bottom left.
    return _single(space, next(z for z in (2, 1, 0) if space.open.boards[z] & triad), triad)


def _find_board_at(space: Space, board: Board) -> Steps[Spot | Missing]:
    """Find the board at a coordinate of the machine."""
    yield from ()
    triad = space.topology.bitmaps.triad(board.x, board.y)
    return _single(space, board.z, triad) if space.open.boards[board.z] & triad else Missing(1)


def _single(space: Space, z: int, triad: int) -> Spot:
    planes = [0, 0, 0]
    planes[z] = triad
    boards = Planes(*planes)
    return Spot(space.topology.bitmaps.boards(boards)[0], None, boards)


# Rectangles


class _Search:
    """A search in one space for a rectangle with at least `fewest` open boards."""

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
        """The version with which the last search failed; 0 if that tells nothing now."""
        self.outermost = [space.rectangles(size) for size in demand.outermost]
        """These answer for all rectangles that would do, as the others fit into them."""

    def find(self, where: tuple[Where, ...]) -> Steps[Spot | Missing]:
        """Return the best spot, or how many boards are missing for there to be one."""
        demand, space = self.demand, self.space
        few = self.fewest - space.open.size
        if few > 0:
            return Missing(few)
        if max([rectangles.ceiling for rectangles in self.outermost]) < self.fewest:
            return Missing(self._missing())
        # If there is a spot, it is mostly in one of the smallest rectangles: these come before the outermost.
        first, smallest = where[0], demand.rectangles[0]
        spot = yield from self._best_of(smallest, first)
        if spot is not None:
            return spot
        missing = self._missing()
        yield len(self.outermost) * space.topology.effort
        if missing:
            return Missing(missing)
        if len(demand.rectangles) > 1 and not (yield from self._may_connect()):
            return Missing(1)
        for there in where if demand.max_dead_links is not None else (first,):
            for sizes in demand.rectangles:
                if sizes is not smallest or there is not first:
                    yield len(sizes) * space.topology.effort
                    spot = yield from self._best_of(sizes, there)
                    if spot is not None:
                        return spot
        return Missing(1)

    def fits(self) -> Steps[bool]:
        """Return whether there is a spot on a torus for a demand that does not limit dead links."""
        yield len(self.outermost) * self.space.topology.effort
        if self.space.open.size < self.fewest or not any(map(self._has_enough, self.outermost)):
            return False
        return (yield from self._may_connect())

    # Counting boards

    def _has_enough(self, rectangles: Rectangles) -> bool:
        return rectangles.ceiling >= self.fewest and rectangles.any_has(self.fewest)

    def _missing(self) -> int:
        """Return how many boards the fullest rectangle lacks; 0 if it has enough."""
        most = 0
        for rectangles in self.outermost:
            ceiling = rectangles.ceiling
            if ceiling >= self.fewest:
                if rectangles.any_has(self.fewest):
                    return 0
                ceiling = rectangles.find_ceiling()
            most = max(most, ceiling)
        return self.fewest - most

    def _candidates(self, rectangles: Rectangles) -> int:
        """Return guards of the rectangles that have enough open boards, wherever these are."""
        grids = rectangles.grids
        candidates = grids.at_least(rectangles.open_boards, self.fewest) & rectangles.open_origins
        if self.demand.origin is not None:
            x, y, _ = self.demand.origin
            candidates &= grids.guards_of(self.space.topology.bitmaps.triad(x, y))
        if candidates and self.minds_others:
            spare = self.demand.spare(rectangles.size)
            candidates &= ~grids.at_least(rectangles.live_in_use(), spare + 1)
        return candidates

    # Connections

    def _may_connect(self) -> Steps[bool]:
        """Return whether enough boards of any of the outermost rectangles are connected.

        On a torus these answer for all, as each of the others fits into one of them that has the same origin.
        """
        space, version = self.space, self.failed_version
        if not space.topology.is_torus:
            return True
        new = space.clusters_of(space.opened_since(version), self.fewest) if version else space.open.boards
        if new == NO_BOARDS:
            return False
        for rectangles in self.outermost:
            if rectangles.ceiling >= self.fewest:
                candidates = self._candidates(rectangles)
                if version:
                    candidates &= rectangles.grids.guards_of(new.z0)
                if (yield from self._any_connected(rectangles, candidates)):
                    return True
        return False

    def _any_connected(self, rectangles: Rectangles, candidates: int) -> Steps[bool]:
        first = True
        while candidates:
            x, y = rectangles.grids.first(candidates)
            if self._connected(Board(x, y, 0), rectangles.size, first=first) is not None:
                return True
            yield self.space.topology.effort
            candidates &= candidates - 1
            first = False
        return False

    def _connected(self, origin: Board, size: Size, *, first: bool) -> Planes | None:
        """Return the open boards of a rectangle that are connected to its origin, if there are enough.

        The first candidate mostly has enough. If it has not, the clusters of all open boards are worked out: they save
        looking inside most of the others.
        """
        space, topology = self.space, self.space.topology
        triads = topology.bitmaps.rectangle(origin.x, origin.y, size)
        inside = space.open.boards.within(triads)
        if topology.is_whole(triads, inside):
            return inside
        if not first:
            inside &= space.cluster(origin)
            if inside.size < self.fewest:
                return None
        inside = topology.connected(origin, size, inside)
        return inside if inside.size >= self.fewest else None

    # The choice

    def _best_of(self, sizes: Iterable[Size], where: Where) -> Steps[Spot | None]:
        """Return the best spot among rectangles of equal area."""
        possible = []
        for rectangles in map(self.space.rectangles, sizes):
            candidates = self._candidates(rectangles)
            if candidates and self.demand.max_dead_links is not None:
                # Counting dead links takes several times as long as counting boards.
                yield 4 * self.space.topology.effort
                likely = surely_few(self.demand, rectangles)
                candidates &= likely if where is Where.LIKELY else ~likely
                if candidates and where is Where.ELSEWHERE and self.space.is_everything:
                    candidates &= yield from perhaps_few(self.demand, rectangles)
            if candidates:
                possible.append((rectangles, candidates))
        for rectangles, candidates in self._best_first(possible):
            rest, first = candidates, True
            while rest:
                x, y = rectangles.grids.first(rest)
                spot = self._examined(Board(x, y, 0), rectangles.size, first=first)
                if spot is not None:
                    return spot
                yield 2 * self.space.topology.effort
                rest &= rest - 1
                first = False
        return None

    def _best_first(self, possible: list[tuple[Rectangles, int]]) -> list[tuple[Rectangles, int]]:
        """Return candidates of some sizes in the order in which to look at them."""
        if not possible or (len(possible) == 1 and not possible[0][1] & (possible[0][1] - 1)):
            return possible
        rated = [(*self._rated(rectangles, candidates), rectangles) for rectangles, candidates in possible]
        rated.sort(key=lambda rating: rating[0])
        best = [(rectangles, at_best) for _, at_best, _, rectangles in rated]
        return best + [(rectangles, elsewhere) for _, _, elsewhere, rectangles in rated]

    def _rated(self, rectangles: Rectangles, candidates: int) -> tuple[int, int, int]:
        """Return how bad the best candidates are, and guards of these and of the others."""
        if self.best_for is None:
            rating, bound = rectangles.closed_edge()
        else:
            rating, bound = self.best_for.rectangles(rectangles.size).open_boards, rectangles.size.boards
        most, best = rectangles.grids.largest(rating, candidates, bound)
        return bound - most, best, candidates ^ best

    def _examined(self, origin: Board, size: Size, *, first: bool) -> Spot | None:
        """Return what a job would get of a rectangle, if that is connected and enough."""
        demand, topology = self.demand, self.space.topology
        inside = self._connected(origin, size, first=first)
        if inside is None:
            return None
        held = trimmed(demand, origin, size, inside, topology)
        if demand.require_torus and not (topology.is_torus and all(topology.wrapped(held, origin, size))):
            return None
        if demand.max_dead_links is not None:
            dead = topology.dead_links_between(held, origin, size, around=demand.require_torus)
            if dead > demand.max_dead_links:
                return None
        return Spot(origin, size, held)

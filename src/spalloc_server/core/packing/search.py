# The search itself: every placement of every rectangle that would do, and the choice among them.
#
# Looks at spaces, changes none but for what they remember; who may have which space is packer.py's.
"""Where a demand can be met in a space."""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from spalloc_server.core.allocation import Allocation
from spalloc_server.core.packing.bitmaps import NO_BOARDS, Bitmaps, Planes
from spalloc_server.core.packing.dead_links import few_for_sure, perhaps_few
from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.fabric import Fabric
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size

_TRIAD = Size(1, 1)
_WHOLE_TRIAD = Demand(((_TRIAD,),), (_TRIAD,), BOARDS_PER_TRIAD, BOARDS_PER_TRIAD, None, require_torus=False)


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


def find_board(space: Space) -> Steps[Place | Missing]:
    """Find a single board: in the most broken triad there is, so that whole ones stay whole."""
    z0, z1, z2 = space.boards
    whole = z0 & z1 & z2
    two = (z0 & z1 | z1 & z2 | z0 & z2) ^ whole
    one = (z0 | z1 | z2) ^ two ^ whole
    broken = one or two
    if broken:
        triad = broken & -broken
    elif whole:
        found = yield from find_rectangle(_WHOLE_TRIAD, space)
        if isinstance(found, Place):
            triad = space.fabric.bitmaps.triad(found.origin.x, found.origin.y)
        else:
            triad = whole & -whole
    else:
        return Missing(1)
    # The board at z = 0 goes last: a rectangle needs the one at its bottom left.
    return _single(space, next(z for z in (2, 1, 0) if space.boards[z] & triad), triad)


def find_board_at(space: Space, board: Board) -> Steps[Place | Missing]:
    """Find the board at a coordinate of the machine."""
    yield from ()
    triad = space.fabric.bitmaps.triad(board.x, board.y)
    return _single(space, board.z, triad) if space.boards[board.z] & triad else Missing(1)


def _single(space: Space, z: int, triad: int) -> Place:
    planes = [0, 0, 0]
    planes[z] = triad
    boards = Planes(*planes)
    return Place(space.fabric.bitmaps.boards(boards)[0], None, boards)


def find_rectangle(
    demand: Demand,
    space: Space,
    *,
    best_for: Space | None = None,
    since: int = 0,
    where: tuple[Where, ...] = EVERYWHERE,
) -> Steps[Place | Missing]:
    """Find a rectangle: the smallest there is, and among equals the one whose edge touches the fewest open triads.

    All boards asked for are had where that is possible at all; only then may dead ones be missing.

    Args:
        demand: what would do.
        space: the boards that may be given; it must not change until the search is over.
        since: how many boards `space` had gained when the same demand was last found not to be met there.
        best_for: instead of the smallest edge, prefer the most boards that are open there.
        where: where to look, in this order.
    """
    complete = _find(demand, demand.boards, space, best_for, since, where)
    if demand.fewest == demand.boards:
        return complete
    return _or_incomplete(complete, demand, space, since, where)


def _or_incomplete(
    complete: Steps[Place | Missing], demand: Demand, space: Space, since: int, where: tuple[Where, ...]
) -> Steps[Place | Missing]:
    place = yield from complete
    if isinstance(place, Place):
        return place
    return (yield from _find(demand, demand.fewest, space, space, since, where))


def fits(demand: Demand, space: Space, *, since: int = 0) -> Steps[bool]:
    """Return whether there is a place, without choosing one.

    Args:
        demand: what would do.
        space: the boards that may be given; it must not change until the search is over.
        since: how many boards `space` had gained when the same demand was last found not to be met there.
    """
    if demand.max_dead_links is not None or demand.require_torus or not space.fabric.is_torus:
        return isinstance((yield from find_rectangle(demand, space, since=since)), Place)
    for fewest in {demand.boards, demand.fewest}:
        yield len(demand.outermost) * space.fabric.effort
        if _may_fit(demand, fewest, space) and (yield from _may_connect(demand, fewest, space, since)):
            return True
    return False


def _find(
    demand: Demand, fewest: int, space: Space, best_for: Space | None, since: int, where: tuple[Where, ...]
) -> Steps[Place | Missing]:
    few = fewest - space.size
    if few > 0:
        return Missing(few)
    if max(map(space.ceiling, demand.outermost)) < fewest:
        return Missing(_missing(demand, fewest, space))
    # Who finds a place mostly finds it in one of the smallest rectangles: they are asked before the outermost are.
    first, smallest = where[0], demand.rectangles[0]
    place = yield from _best_of(demand, fewest, smallest, space, best_for, first)
    if place is not None:
        return place
    missing = _missing(demand, fewest, space)
    yield len(demand.outermost) * space.fabric.effort
    if missing:
        return Missing(missing)
    if len(demand.rectangles) > 1 and not (yield from _may_connect(demand, fewest, space, since)):
        return Missing(1)
    for there in where if demand.max_dead_links is not None else (first,):
        for sizes in demand.rectangles:
            if sizes is not smallest or there is not first:
                yield len(sizes) * space.fabric.effort
                place = yield from _best_of(demand, fewest, sizes, space, best_for, there)
                if place is not None:
                    return place
    return Missing(1)


def _best_of(
    demand: Demand, fewest: int, sizes: Iterable[Size], space: Space, best_for: Space | None, where: Where
) -> Steps[Place | None]:
    """Return the best place among rectangles of equal area."""
    possible = []
    for size in sizes:
        places = _places(demand, fewest, size, space)
        if places and demand.max_dead_links is not None:
            likely = few_for_sure(demand, size, space)
            places &= likely if where is Where.LIKELY else ~likely
            if places and where is Where.ELSEWHERE and space.is_everything:
                places &= yield from perhaps_few(demand, size, space.fabric)
        if places:
            possible.append((size, places))
    for size, places in _best_first(possible, space, best_for):
        grids, again, rest = space.fabric.grids(size), False, places
        while rest:
            x, y = grids.first(rest)
            place = _examined(demand, fewest, Board(x, y, 0), size, space, again=again)
            if place is not None:
                return place
            yield 2 * space.fabric.effort
            rest &= rest - 1
            again = True
    return None


def _best_first(
    possible: list[tuple[Size, int]], space: Space, best_for: Space | None
) -> list[tuple[Size, int]]:
    """Return places of some sizes in the order in which to look at them: those with the least edge first."""
    if not possible or (len(possible) == 1 and not possible[0][1] & (possible[0][1] - 1)):
        return possible
    rated = [(*_rated(size, places, space, best_for), size) for size, places in possible]
    rated.sort(key=lambda rating: rating[0])
    best = [(size, at_best) for _, at_best, _, size in rated]
    return best + [(size, elsewhere) for _, _, elsewhere, size in rated]


def _may_fit(demand: Demand, fewest: int, space: Space) -> bool:
    """Return whether any rectangle has enough boards: what `_missing` says in more detail."""
    if space.size < fewest:
        return False
    return any(_has_place(size, fewest, space) for size in demand.outermost)


def _has_place(size: Size, fewest: int, space: Space) -> bool:
    return space.ceiling(size) >= fewest and space.has_place(size, fewest)


def _missing(demand: Demand, fewest: int, space: Space) -> int:
    """Return how many boards the fullest rectangle is short of; 0 if there are enough.

    The outermost rectangles answer for all, as the others fit into them.
    """
    most = 0
    for size in demand.outermost:
        ceiling = space.ceiling(size)
        if ceiling >= fewest:
            if space.has_place(size, fewest):
                return 0
            ceiling = space.find_ceiling(size)
        most = max(most, ceiling)
    return fewest - most


def _may_connect(demand: Demand, fewest: int, space: Space, since: int) -> Steps[bool]:
    """Return whether enough boards of any of the outermost rectangles are connected.

    On a torus these answer for all, as each of the others fits into one of them that has the same origin.
    """
    if not space.fabric.is_torus:
        return True
    if demand.minds_others(fewest):
        since = 0
    new = space.clusters_of(space.opened_since(since), fewest) if since else space.boards
    if new == NO_BOARDS:
        return False
    for size in demand.outermost:
        if space.ceiling(size) >= fewest:
            places = _places(demand, fewest, size, space)
            if since:
                places &= space.fabric.grids(size).guards_of(new.z0)
            if (yield from _any_connected(fewest, size, places, space)):
                return True
    return False


def _any_connected(fewest: int, size: Size, places: int, space: Space) -> Steps[bool]:
    grids, again = space.fabric.grids(size), False
    while places:
        x, y = grids.first(places)
        if _connected(fewest, Board(x, y, 0), size, space, again=again) is not None:
            return True
        yield space.fabric.effort
        places &= places - 1
        again = True
    return False


def _connected(fewest: int, origin: Board, size: Size, space: Space, *, again: bool) -> Planes | None:
    """Return the open boards of a rectangle that are connected to its origin, if there are enough.

    The first rectangle mostly does. Once one has not (`again`), knowing the clusters of all open boards saves looking
    inside most of the others.
    """
    triads = space.fabric.bitmaps.rectangle(origin.x, origin.y, size)
    inside = space.boards.within(triads)
    if space.fabric.is_whole(triads, inside):
        return inside
    if again:
        inside &= space.cluster(origin)
        if inside.size < fewest:
            return None
    inside = space.fabric.connected(origin, size, inside)
    return inside if inside.size >= fewest else None


def _places(demand: Demand, fewest: int, size: Size, space: Space) -> int:
    """Guards of the places where counting boards gives no reason against."""
    grids = space.fabric.grids(size)
    places = grids.at_least(space.open_boards(size), fewest) & space.origins(size)
    if places and demand.minds_others(fewest):
        in_use = grids.counts(space.fabric.live - space.boards)
        others = grids.up(grids.across(in_use, size.width), size.height)
        places &= ~grids.at_least(others, demand.spare(size) + 1)
    return places


def _rated(size: Size, places: int, space: Space, best_for: Space | None) -> tuple[int, int, int]:
    """How bad the best places are, and guards of these and of the others."""
    if best_for is None:
        rating, bound = space.shut_edge(size)
    else:
        rating, bound = best_for.open_boards(size), size.boards
    most, best = space.fabric.grids(size).largest(rating, places, bound)
    return bound - most, best, places ^ best


def _examined(
    demand: Demand, fewest: int, origin: Board, size: Size, space: Space, *, again: bool
) -> Place | None:
    """Return what a job would get at a place, if that is connected and enough."""
    fabric = space.fabric
    inside = _connected(fewest, origin, size, space, again=again)
    if inside is None:
        return None
    held = _trimmed(demand, origin, size, space, inside)
    if demand.require_torus and not (fabric.is_torus and all(fabric.wrapped(held, origin, size))):
        return None
    if demand.max_dead_links is not None:
        dead = fabric.dead_links_between(held, origin, size, around=demand.require_torus)
        if dead > demand.max_dead_links:
            return None
    return Place(origin, size, held)


def _trimmed(demand: Demand, origin: Board, size: Size, space: Space, inside: Planes) -> Planes:
    """Return no more of a rectangle's boards than asked for, rounded up to triads, still connected.

    Triads are dropped from the end of the longer side, so that what is left to others is in one piece.
    """
    surplus = inside.size - demand.boards
    if surplus <= 0 or demand.require_torus:
        return inside
    if surplus < BOARDS_PER_TRIAD and inside.size == size.boards:
        return inside  # whole triads, one of which could not go
    kept, count = 0, 0
    for line, triads in _lines(origin, size, space.fabric.bitmaps):
        more = inside.within(line).size
        if count + more < demand.boards:
            kept |= line
            count += more
            continue
        for triad in triads:
            kept |= triad
            count += inside.within(triad).size
            if count >= demand.boards:
                chosen = inside.within(kept)
                if not space.fabric.is_whole(kept, chosen):
                    chosen = space.fabric.connected(origin, size, chosen)
                if chosen.size >= demand.boards:
                    return chosen
                count = chosen.size
    return inside


def _lines(origin: Board, size: Size, bitmaps: Bitmaps) -> Iterator[tuple[int, Iterator[int]]]:
    """Yield a rectangle line by line along its longer side: each line's bitmap, and those of its triads in order."""
    width, height = bitmaps.size
    xs = [(origin.x + x) % width for x in range(size.width)]
    ys = [(origin.y + y) % height for y in range(size.height)]
    if size.width >= size.height:
        for x in xs:
            yield bitmaps.rectangle(x, origin.y, Size(1, size.height)), (bitmaps.triad(x, y) for y in ys)
    else:
        for y in ys:
            yield bitmaps.rectangle(origin.x, y, Size(size.width, 1)), (bitmaps.triad(x, y) for x in xs)

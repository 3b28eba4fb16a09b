"""Where a rectangle has few dead links: told for all places of a size at once, where that can be told.

What a job gets of a rectangle, and how many dead links that has, is search.py's.
"""

from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.fabric import Fabric
from spalloc_server.core.packing.space import Rectangles
from spalloc_server.core.packing.steps import Steps
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size


def few_for_sure(demand: Demand, rectangles: Rectangles) -> int:
    """Return guards of the rectangles between whose open boards there are no more dead links than a demand allows.

    What a job gets of another may have fewer than that, too: without boards that are cut off, or that it does not need.
    """
    size, grids, fabric = rectangles.size, rectangles.grids, rectangles.open.fabric
    if len(fabric.dead_links) > 2 * grids.most:
        return 0  # more of them may be in a rectangle than fit into a lane
    links: dict[Size, int] = {}
    for x, y, triads in fabric.dead_links_among(rectangles.open.boards):
        part = size if demand.require_torus else Size(size.width - x, size.height - y)
        if triads and part.width and part.height:
            links[part] = links.get(part, 0) + grids.number(triads)
    total = sum(grids.up(grids.across(count, part.width), part.height) for part, count in links.items())
    return grids.guards ^ grids.at_least(total, min(_most(demand) // 2, grids.most - 1) + 1)


def perhaps_few(demand: Demand, rectangles: Rectangles) -> Steps[int]:
    """Return guards of the rectangles of which a job may get boards with no more dead links than a demand allows.

    In any other there are more between boards that a job gets in any case, if no board is in use.
    """
    grids, fabric = rectangles.grids, rectangles.open.fabric
    part = _sure_part(demand, rectangles.size)
    if part is None:
        return grids.guards
    known = fabric.dead_links_in.get(part)
    if known is None:
        known = fabric.dead_links_in[part] = yield from _connected_dead_links(part, fabric)
    most = _most(demand)
    return grids.guards_of(sum(triads for dead, triads in known.items() if dead <= most))


def _most(demand: Demand) -> int:
    return demand.max_dead_links or 0


def _sure_part(demand: Demand, size: Size) -> Size | None:
    """Return the part of a rectangle, from the same origin, all boards of which a job gets if they are connected.

    The others may be dropped from the end of the longer side, as more than are asked for.
    """
    if demand.require_torus or size.boards <= demand.boards:
        return size
    lines = (demand.boards - 1) // (BOARDS_PER_TRIAD * min(size))
    if not lines:
        return None
    return size._replace(width=lines) if size.width >= size.height else size._replace(height=lines)


def _connected_dead_links(size: Size, fabric: Fabric) -> Steps[dict[int, int]]:
    """Return, by ends of dead links between the boards connected to its origin, which rectangles have so many.

    Links that join a rectangle's opposite edges don't count.
    """
    bitmaps = fabric.bitmaps
    triads_with: dict[int, int] = {}
    for y in range(fabric.size.height):
        for x in range(fabric.size.width):
            origin, triad = Board(x, y, 0), bitmaps.triad(x, y)
            triads = bitmaps.rectangle(x, y, size)
            inside = fabric.live.within(triads)
            dead = 0
            if inside.z0 & triad and triads & fabric.flawed:
                connected = fabric.connected(origin, size, inside)
                dead = fabric.dead_links_between(connected, origin, size, around=False)
                yield fabric.effort
            triads_with[dead] = triads_with.get(dead, 0) | triad
    return triads_with

"""Which rectangles of one size have few dead links, for all origins at once where that is possible.

What a job gets of a rectangle, and how many dead links that has, is found in search.py.
"""

from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.space import Rectangles
from spalloc_server.core.packing.steps import Steps
from spalloc_server.core.packing.topology import Topology
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size


def surely_few(demand: Demand, rectangles: Rectangles) -> int:
    """Return guards of the rectangles whose open boards have no more dead links between them than a demand allows.

    Other rectangles may pass, too: dead links of boards that are cut off, or that the job does not need, don't count.
    """
    size, grids, topology = rectangles.size, rectangles.grids, rectangles.open.topology
    if len(topology.dead_links) > 2 * grids.most:
        return 0  # a rectangle may have more of them than fit into a lane
    links: dict[Size, int] = {}
    for x, y, triads in topology.dead_links_among(rectangles.open.boards):
        part = size if demand.require_torus else Size(size.width - x, size.height - y)
        if triads and part.width and part.height:
            links[part] = links.get(part, 0) + grids.number(triads)
    total = sum(grids.up(grids.across(count, part.width), part.height) for part, count in links.items())
    return grids.guards ^ grids.at_least(total, min(_most(demand) // 2, grids.most - 1) + 1)


def perhaps_few(demand: Demand, rectangles: Rectangles) -> Steps[int]:
    """Return guards of the rectangles that may have no more dead links than a demand allows, if no board is in use.

    Any other rectangle has more between the boards that a job gets of it in any case.
    """
    grids, topology = rectangles.grids, rectangles.open.topology
    part = _certain_part(demand, rectangles.size)
    if part is None:
        return grids.guards
    known = topology.dead_links_in.get(part)
    if known is None:
        known = topology.dead_links_in[part] = yield from _connected_dead_links(part, topology)
    most = _most(demand)
    return grids.guards_of(sum(triads for dead, triads in known.items() if dead <= most))


def _most(demand: Demand) -> int:
    return demand.max_dead_links or 0


def _certain_part(demand: Demand, size: Size) -> Size | None:
    """Return the part of a rectangle, from the same origin, of which a job gets all connected boards.

    The other boards may be dropped from the end of the longer side, because the job asked for fewer.
    """
    if demand.require_torus or size.boards <= demand.boards:
        return size
    lines = (demand.boards - 1) // (BOARDS_PER_TRIAD * min(size))
    if not lines:
        return None
    return size._replace(width=lines) if size.width >= size.height else size._replace(height=lines)


def _connected_dead_links(size: Size, topology: Topology) -> Steps[dict[int, int]]:
    """Return a bitmap of origins for each number of ends of dead links between the boards connected to the origin.

    Links that join a rectangle's opposite edges don't count.
    """
    bitmaps = topology.bitmaps
    origins_with: dict[int, int] = {}
    for y in range(topology.size.height):
        for x in range(topology.size.width):
            origin, triad = Board(x, y, 0), bitmaps.triad(x, y)
            triads = bitmaps.rectangle(x, y, size)
            inside = topology.live.within(triads)
            dead = 0
            if inside.z0 & triad and triads & topology.flawed:
                connected = topology.connected(origin, size, inside)
                dead = topology.dead_links_between(connected, origin, size, around=False)
                yield topology.effort
            origins_with[dead] = origins_with.get(dead, 0) | triad
    return origins_with

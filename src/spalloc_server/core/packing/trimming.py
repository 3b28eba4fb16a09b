"""How much of a rectangle a job gets, where the rectangle has more boards than the job asked for.

Whether the job may have the rectangle at all is decided in search.py.
"""

from collections.abc import Iterator

from spalloc_server.core.packing.bitmaps import Bitmaps, Planes
from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.topology import Topology
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size


def trimmed(demand: Demand, origin: Board, size: Size, inside: Planes, topology: Topology) -> Planes:
    """Return as many of a rectangle's boards as were asked for, rounded up to triads, all connected.

    Triads are dropped from the end of the longer side, so that what is left to others is in one piece.

    Args:
        demand: what the job asked for.
        origin: the rectangle's bottom-left board.
        size: the rectangle's size.
        inside: the open boards of the rectangle that are connected to its origin.
        topology: the machine's.
    """
    surplus = inside.size - demand.boards
    if surplus <= 0 or demand.require_torus:
        return inside
    if surplus < BOARDS_PER_TRIAD and inside.size == size.boards:
        return inside  # whole triads, none of which can be spared
    taken, count = 0, 0
    for line, triads in _lines(origin, size, topology.bitmaps):
        more = inside.within(line).size
        if count + more < demand.boards:
            taken |= line
            count += more
            continue
        for triad in triads:
            taken |= triad
            count += inside.within(triad).size
            if count >= demand.boards:
                chosen = inside.within(taken)
                if not topology.is_whole(taken, chosen):
                    chosen = topology.connected(origin, size, chosen)
                if chosen.size >= demand.boards:
                    return chosen
                count = chosen.size
    return inside


def _lines(origin: Board, size: Size, bitmaps: Bitmaps) -> Iterator[tuple[int, Iterator[int]]]:
    """Yield a rectangle line by line along its longer side: the bitmap of each line, and of each of its triads."""
    width, height = bitmaps.size
    xs = [(origin.x + x) % width for x in range(size.width)]
    ys = [(origin.y + y) % height for y in range(size.height)]
    if size.width >= size.height:
        for x in xs:
            yield bitmaps.rectangle(x, origin.y, Size(1, size.height)), (bitmaps.triad(x, y) for y in ys)
    else:
        for y in ys:
            yield bitmaps.rectangle(origin.x, y, Size(size.width, 1)), (bitmaps.triad(x, y) for x in xs)

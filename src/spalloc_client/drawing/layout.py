"""Where each board is in a picture, in columns and rows of half a hexagon.

text_map.py and svg.py draw the boards there.
"""

from collections.abc import Iterable, Mapping

from spalloc_client.geometry import Board, Hexagon, Link, Size, hexagon, neighbour

STEPS: Mapping[Link, Hexagon] = {
    Link.EAST: Hexagon(1, -1),
    Link.NORTH_EAST: Hexagon(1, 1),
    Link.NORTH: Hexagon(0, 2),
    Link.WEST: Hexagon(-1, 1),
    Link.SOUTH_WEST: Hexagon(-1, -1),
    Link.SOUTH: Hexagon(0, -2),
}
"""From a board's place to that of its neighbour by each link."""

Layout = Mapping[Board, Hexagon]
"""Where each board is drawn."""


def step(place: Hexagon, link: Link) -> Hexagon:
    """Return the place next to `place` in the direction of `link`."""
    by = STEPS[link]
    return Hexagon(place.column + by.column, place.row + by.row)


def unfolded(boards: Iterable[Board]) -> Layout:
    """Return the usual places: a slanted field, higher triads further to the left."""
    return {board: hexagon(board) for board in boards}


def folded(size: Size, boards: Iterable[Board]) -> Layout:
    """Return places in an upright field twice as wide as the machine has triads; what sticks out left is on the right.

    The machine's edges are joined up, so every board has its neighbours beside it, or across the field.
    """
    places = {}
    for board in boards:
        column, row = hexagon(board)
        places[board] = Hexagon(column % (2 * size.width), row)
    return places


def in_one_piece(size: Size, boards: frozenset[Board]) -> Layout:
    """Return places at which boards that are connected across the machine's edges are drawn side by side.

    Boards whose usual places are connected already keep them.
    """
    usual = unfolded(boards)
    if not boards or len(_reached(usual)) == len(usual):
        return usual
    start = min(boards)
    places = {start: hexagon(start)}
    edge = [start]
    while edge:
        reached = []
        for board in edge:
            for link in Link:
                beside = neighbour(size, board, link)
                if beside in boards and beside not in places:
                    places[beside] = step(places[board], link)
                    reached.append(beside)
        edge = reached
    return {board: places.get(board, usual[board]) for board in boards}


def _reached(layout: Layout) -> set[Hexagon]:
    """Return the places that can be reached from one of them through others beside it."""
    free = set(layout.values())
    reached: set[Hexagon] = set()
    edge = {next(iter(free))}
    while edge:
        reached |= edge
        free -= edge
        edge = {beside for place in edge for link in Link if (beside := step(place, link)) in free}
    return reached

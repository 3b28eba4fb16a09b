"""Single boards: any of them, or the one at a coordinate.

Rectangles are search.py's.
"""

from spalloc_server.core.packing.bitmaps import Planes
from spalloc_server.core.packing.demand import Demand
from spalloc_server.core.packing.search import Missing, Place, find_rectangle
from spalloc_server.core.packing.space import Space
from spalloc_server.core.packing.steps import Steps
from spinnaker.geometry import BOARDS_PER_TRIAD, Board, Size

_TRIAD = Size(1, 1)
_WHOLE_TRIAD = Demand(((_TRIAD,),), (_TRIAD,), BOARDS_PER_TRIAD, BOARDS_PER_TRIAD, None, require_torus=False)


def find_board(space: Space) -> Steps[Place | Missing]:
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
        if isinstance(found, Place):
            triad = space.fabric.bitmaps.triad(found.origin.x, found.origin.y)
        else:
            triad = whole & -whole
    else:
        return Missing(1)
    # The board at z = 0 goes last: a rectangle needs the one at its bottom left.
    return _single(space, next(z for z in (2, 1, 0) if space.open.boards[z] & triad), triad)


def find_board_at(space: Space, board: Board) -> Steps[Place | Missing]:
    """Find the board at a coordinate of the machine."""
    yield from ()
    triad = space.fabric.bitmaps.triad(board.x, board.y)
    return _single(space, board.z, triad) if space.open.boards[board.z] & triad else Missing(1)


def _single(space: Space, z: int, triad: int) -> Place:
    planes = [0, 0, 0]
    planes[z] = triad
    boards = Planes(*planes)
    return Place(space.fabric.bitmaps.boards(boards)[0], None, boards)

"""Why a machine can never meet a request, in words for the user who made it.

Whether it can is packer.py's; this is asked only when it cannot.
"""

from spalloc_server.core.machine import Machine
from spalloc_server.core.packing.shapes import holds
from spalloc_server.core.requests import AnyBoard, BoardAt, Boards, JobRequest, Rectangle
from spalloc_server.words import counted
from spinnaker.geometry import contains


def in_words(request: JobRequest) -> str:
    """Return what a request asks for, to begin a sentence with."""
    match request.shape:
        case AnyBoard():
            return "A board"
        case BoardAt(board):
            return f"Board {board}"
        case Boards(count):
            boards = counted(count, "board")
            return f"A torus of {boards}" if request.require_torus else f"A rectangle with {boards}"
        case Rectangle(size):
            return f"A {'torus' if request.require_torus else 'rectangle'} of {size} triads"


def why_not(machine: Machine, request: JobRequest) -> str:
    """Return why a machine cannot meet a request, as a clause that names the machine."""
    name, size = machine.name, machine.size
    live = size.boards - len(machine.dead_boards)
    match request.shape:
        case AnyBoard():
            return f"{name} has no live board"
        case BoardAt(board):
            return f"on {name} it is dead" if contains(size, board) else f"{name} has only {size} triads"
        case Rectangle(asked) if not holds(size, asked):
            return f"{name} has only {size} triads"
        case Rectangle(asked) if request.require_torus and asked != size:
            return f"only the whole of {name}, {size} triads, can be a torus"
        case Boards(count) if count > size.boards:
            return f"{name} has only {counted(size.boards, 'board')}"
        case _:
            return f"of the {counted(live, 'live board')} of {name} there are not enough together {_limits(request)}"


def _limits(request: JobRequest) -> str:
    limits = []
    if isinstance(request.shape, Boards):
        limits.append(f"min_ratio {request.min_ratio:g}")
    if request.max_dead_boards is not None:
        limits.append(f"max_dead_boards {request.max_dead_boards}")
    if request.max_dead_links is not None:
        limits.append(f"max_dead_links {request.max_dead_links}")
    if request.require_torus:
        limits.append("require_torus")
    return f"with {', '.join(limits)}" if limits else "by live links"

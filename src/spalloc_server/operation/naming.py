"""Finds the boards that an administrator names: by coordinate, by place, by address, or a whole frame at once.

See board_commands.py for what is done with the boards.
"""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from spalloc_server.core.effects import BoardKey
from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import SiteView, board_at, board_with_address
from spinnaker.geometry import Board
from spinnaker.places import Frame, Place

_COORDINATE = re.compile(r"\(?\s*(\d{1,9})\s*,\s*(\d{1,9})\s*,\s*(\d{1,9})\s*\)?")
_MOST_NAMED = 20


class NoBoardError(Exception):
    """The names mean no board; the message says how boards are named."""


class Names(NamedTuple):
    """The names that were typed."""

    words: Sequence[str] = ()
    """Coordinates, addresses, and names of machines; a machine's name is for the coordinates after it."""
    physical: Sequence[tuple[str, int, int, int]] = ()
    """Machine, cabinet, frame and board."""
    frames: Sequence[tuple[str, int, int]] = ()
    """Machine, cabinet and frame, which mean all boards of the frame."""


def boards_named(
    site: SiteView, names: Names, *, whole_machines: bool = False, others: Collection[BoardKey] = ()
) -> list[BoardKey]:
    """Return the named boards, each once, in the order of the names.

    Args:
        site: The site.
        names: The names.
        whole_machines: Whether a machine's name alone means all its boards.
        others: Boards that may also be named, by machine and coordinate, though they are no longer configured.

    Raises:
        NoBoardError: There is no such board, or there are no names.
    """
    keys: dict[BoardKey, None] = {}
    strangers = sorted(key for key in others if not site.boards.knows(key))
    machines = {*site.machines, *(key.machine for key in strangers)}
    machine: str | None = None
    of_it = 0

    def leave_machine() -> None:
        """Add all boards of the machine that was named last, if no coordinates followed its name."""
        if machine is None or of_it:
            return
        if not whole_machines:
            raise NoBoardError(
                f"machine {machine} is named without a board: write {machine} X,Y,Z, or --frame {machine} "
                "CABINET FRAME"
            )
        places = site.machines[machine].places if machine in site.machines else ()
        keys.update(dict.fromkeys(BoardKey(machine, board) for board in sorted(places)))
        keys.update(dict.fromkeys(key for key in strangers if key.machine == machine))

    for word in names.words:
        if word in machines:
            leave_machine()
            machine, of_it = word, 0
        elif match := _COORDINATE.fullmatch(word.strip()):
            x, y, z = map(int, match.groups())
            keys[_board(site, machine, Board(x, y, z), strangers)] = None
            of_it += 1
        else:
            keys[_with_address(site, word)] = None
    leave_machine()
    for name, *place in names.physical:
        keys[_at(_machine(site, name), Place(*place))] = None
    for name, *frame in names.frames:
        keys.update(dict.fromkeys(_in_frame(_machine(site, name), Frame(*frame))))
    if not keys:
        raise NoBoardError(f"no board is named; {_HOW}")
    return list(keys)


_HOW = (
    "name boards as MACHINE X,Y,Z, by their address, with --physical MACHINE CABINET FRAME BOARD, or all of a frame "
    "with --frame MACHINE CABINET FRAME"
)


def _machine(site: SiteView, name: str) -> Machine:
    machine = site.machines.get(name)
    if machine is None:
        raise NoBoardError(f"there is no machine {name[:60]!r}; {_machines(site)}")
    return machine


def _machines(site: SiteView) -> str:
    if not site.machines:
        return "there are no machines"
    some = list(site.machines)[:_MOST_NAMED]
    others = f" and {len(site.machines) - len(some)} more" if len(site.machines) > len(some) else ""
    return f"the site has {', '.join(some)}{others}"


def _board(site: SiteView, name: str | None, board: Board, strangers: Collection[BoardKey]) -> BoardKey:
    if name is None:
        if len(site.machines) != 1:
            coordinate = ",".join(map(str, board))
            raise NoBoardError(f"write the machine before {coordinate}; {_machines(site)}")
        (name,) = site.machines
    key = BoardKey(name, board)
    if site.boards.knows(key) or key in strangers:
        return key
    machine = _machine(site, name)
    if board in machine.dead_boards:
        raise NoBoardError(
            f"board {board} of machine {machine.name} is configured as dead: to have it in service, take it out of "
            "dead_boards and reload"
        )
    raise NoBoardError(
        f"machine {machine.name} has no board {board}: it has {machine.size} triads, so X is at most "
        f"{machine.size.width - 1}, Y at most {machine.size.height - 1}, and Z at most 2"
    )


def _with_address(site: SiteView, word: str) -> BoardKey:
    key = board_with_address(site, word)
    if key is None:
        raise NoBoardError(
            f"{word[:60]!r} is no machine, coordinate or board's address; {_machines(site)}; {_HOW}"
        )
    return key


def _at(machine: Machine, place: Place) -> BoardKey:
    board = board_at(machine, place)
    if board is None:
        raise NoBoardError(f"no live board of machine {machine.name} stands at {place}")
    return BoardKey(machine.name, board)


def _in_frame(machine: Machine, frame: Frame) -> list[BoardKey]:
    boards = machine.in_frame(frame)
    if not boards:
        known = "; ".join(str(one) for one in sorted(machine.bmps)[:_MOST_NAMED])
        raise NoBoardError(f"machine {machine.name} has no live boards in {frame}; it has {known}")
    return [BoardKey(machine.name, board) for board in sorted(boards)]

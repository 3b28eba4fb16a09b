"""What every board of the site is doing, and the objections to it: all that is known of boards.

Only upkeep.py and care.py change it, and decide what follows; everybody else asks it.
"""

from collections.abc import Collection, Mapping

from spalloc_server.core.board_life import (
    FREE,
    LOST,
    BoardHappening,
    BoardState,
    Free,
    Held,
    Objection,
    check_change,
)
from spalloc_server.core.effects import BoardKey, BoardRecord
from spalloc_server.core.findings import SilentFrames
from spalloc_server.core.machine import Machine
from spalloc_server.core.objections import Drained, Objections
from spinnaker.geometry import Board


class BoardsView:
    """Every board's state and the objections to it, read-only."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        """Begin with all boards of `machines` free; a changed configuration changes this mapping in place."""
        self.machines = machines
        self.silent = SilentFrames(machines)
        """Frames whose BMP does not answer."""
        self._states: dict[BoardKey, BoardState] = {}
        """The states of all boards that are not free."""
        self._objections: dict[BoardKey, Objections] = {}

    # Questions

    @property
    def states(self) -> Mapping[BoardKey, BoardState]:
        """All boards that are not free, with their states."""
        return self._states

    def state(self, key: BoardKey) -> BoardState:
        """Return a board's state."""
        return self._states.get(key, FREE)

    def knows(self, key: BoardKey) -> bool:
        """Return whether the machines have a board."""
        machine = self.machines.get(key.machine)
        return machine is not None and key.board in machine.places

    def holders(self) -> dict[BoardKey, int]:
        """Return the boards that jobs have, each with its job."""
        return {key: state.job for key, state in self._states.items() if isinstance(state, Held)}

    def holder(self, key: BoardKey) -> int | None:
        """Return the job that has a board, or None."""
        state = self._states.get(key)
        return state.job if isinstance(state, Held) else None

    def lost(self) -> list[BoardKey]:
        """Return the boards that are no longer configured, and perhaps on."""
        return [key for key, state in self._states.items() if state is LOST]

    def in_care(self) -> dict[BoardKey, str | None]:
        """Return the boards that are neither free nor held, each with the fault that it is to be tested for, if any."""
        return {
            key: self.fault(key)
            for key, state in self._states.items()
            if not isinstance(state, Held) and self.knows(key)
        }

    def set_aside(self, machine: str) -> dict[Board, str]:
        """Return a machine's boards that are not available because of an objection, each with the reason."""
        reasons = {
            key.board: self.reason(key)
            for key in self._objections
            if key.machine == machine and self.knows(key)
        }
        return {board: why for board, why in reasons.items() if why is not None}

    # Objections

    def objected(self) -> Collection[BoardKey]:
        """Return the boards with objections, held ones included; boards that are configured as dead are left out."""
        return self._objections.keys()

    def objections(self, key: BoardKey) -> Mapping[Objection, str]:
        """Return the objections to a board with their reasons, the latest last."""
        machine = self.machines.get(key.machine)
        if machine is not None and key.board in machine.dead_boards:
            return {Objection.DEAD: Objection.DEAD.words}
        of = self._objections.get(key)
        return {} if of is None else of.why

    def count(self, objection: Objection, machine: str) -> int:
        """Return how many boards of a machine have this objection, held ones included."""
        return sum(key.machine == machine and objection in of.why for key, of in self._objections.items())

    def fault(self, key: BoardKey) -> str | None:
        """Return the latest reason for which a board must pass a test, or None."""
        of = self._objections.get(key)
        return None if of is None else of.fault

    def reason(self, key: BoardKey) -> str | None:
        """Return why a board is not available, or None if there is no objection; that it is in use does not count.

        A fault of a held board is no reason before its job gives it back.
        """
        of = self._objections.get(key)
        if of is None:
            return None
        if of.drained is not None:
            return of.drained.words
        fault = None if isinstance(self.state(key), Held) else of.fault
        return of.other if fault is None else fault

    def drained(self, key: BoardKey) -> Drained | None:
        """Return who drained a board, when and why, or None if it is not drained."""
        of = self._objections.get(key)
        return None if of is None else of.drained

    def since(self, key: BoardKey, *objections: Objection) -> float | None:
        """Return when the earliest of these objections to a board began, in Unix time; None if unknown."""
        of = self._objections.get(key)
        found = {} if of is None else of.since
        return min((found[one] for one in objections if one in found), default=None)

    def all_drained(self) -> dict[BoardKey, Drained]:
        """Return all drained boards, each with who drained it, when and why."""
        return {key: of.drained for key, of in self._objections.items() if of.drained is not None}

    def record(self, key: BoardKey, *, owed_off: bool) -> BoardRecord:
        """Return the record of a board that may be on (`owed_off`), or must pass a test."""
        of = self._objections.get(key)
        if of is None:
            return BoardRecord(owed_off)
        # By its rest, a restart tells a board that users reported from one that failed.
        rest = (of.rest_seconds or 0.0) if Objection.REPORTED in of.why else None
        return BoardRecord(owed_off, of.fault, rest, of.drained, of.fault_since)

    def lasting_record(self, key: BoardKey) -> BoardRecord | None:
        """Return the record of a board that is off and has no fault, or is held; None if it needs none."""
        drained = self.drained(key)
        return None if drained is None else BoardRecord(drained=drained)


class Boards(BoardsView):
    """Every board's state and the objections to it, to be changed."""

    def become(self, keys: Collection[BoardKey], happening: BoardHappening, state: BoardState) -> None:
        """Move boards to a state because of a happening.

        Raises:
            ValueError: It can't happen to one of the boards in its present state.
        """
        states = self._states
        check_change({type(states.get(key, FREE)) for key in keys}, happening, type(state))
        if isinstance(state, Free):
            for key in keys:
                states.pop(key, None)
        else:
            states.update(dict.fromkeys(keys, state))

    def known_objections(self, key: BoardKey) -> Objections | None:
        """Return the objections to a board, or None if there are none."""
        return self._objections.get(key)

    def objections_to(self, key: BoardKey) -> Objections:
        """Return the objections to a board, to be added to."""
        return self._objections.setdefault(key, Objections())

    def withdraw(self, key: BoardKey, *objections: Objection) -> None:
        """Drop objections to a board; of a board without any, all is forgotten."""
        of = self._objections.get(key)
        if of is not None:
            of.withdraw(objections)
            if not of:
                del self._objections[key]
